// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of `cargo xtask test`: skips with reasons, failures, faults covered, and one line of counts.

use super::{
    Report,
    case::{Case, Outcome},
    faults::{self, FaultId},
};
use std::{collections::BTreeSet, fmt};

/// How many of the slowest parts are named.
const SLOWEST: usize = 5;

pub struct Summary<'a> {
    reports: &'a [Report],
    covered: BTreeSet<FaultId>,
    claimed: BTreeSet<FaultId>,
    /// Present when every part ran, since only then can a claim be judged.
    claims: Option<Case>,
}

impl<'a> Summary<'a> {
    pub fn new(reports: &'a [Report], claimed: BTreeSet<FaultId>, ran_all: bool) -> Self {
        let covered = faults::covered(reports.iter().flat_map(|report| &report.cases));
        let claims = (ran_all && !claimed.is_empty()).then(|| faults::judged(&claimed, &covered));
        Self { reports, covered, claimed, claims }
    }

    pub fn has_failures(&self) -> bool {
        self.cases().any(|(_, case)| case.is_failed())
    }

    fn cases(&self) -> impl Iterator<Item = (&str, &Case)> {
        let of_parts =
            self.reports.iter().flat_map(|report| report.cases.iter().map(|case| (report.part, case)));
        of_parts.chain(self.claims.iter().map(|case| ("faults", case)))
    }

    fn write_list(
        &self,
        f: &mut fmt::Formatter<'_>,
        heading: &str,
        why: fn(&Case) -> Option<&str>,
    ) -> fmt::Result {
        let mut heading = Some(heading);
        for (part, case) in self.cases() {
            let Some(why) = why(case) else { continue };
            if let Some(heading) = heading.take() {
                writeln!(f, "\n{heading}:")?;
            }
            writeln!(f, "  {part}: {}: {}", case.name, why.replace('\n', "\n    "))?;
        }
        Ok(())
    }

    fn write_slowest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_time: Vec<&Report> = self.reports.iter().collect();
        by_time.sort_by_key(|report| std::cmp::Reverse(report.took));
        let slowest: Vec<String> = by_time
            .iter()
            .take(SLOWEST)
            .map(|report| format!("{} {:.1} s", report.part, report.took.as_secs_f64()))
            .collect();
        writeln!(f, "slowest parts: {}", slowest.join(", "))
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_list(f, "skipped", skip_reason)?;
        self.write_list(f, "failed", failure)?;
        let covered = faults::listed(&self.covered);
        writeln!(f, "\nfaults covered: {}", if covered.is_empty() { "none" } else { &covered })?;
        if self.claims.is_none() && !self.claimed.is_empty() {
            writeln!(
                f,
                "faults claimed: {} (judged only when every part runs)",
                faults::listed(&self.claimed)
            )?;
        }
        self.write_slowest(f)?;
        let count = |is: fn(&Case) -> bool| self.cases().filter(|(_, case)| is(case)).count();
        let skipped = count(|case| skip_reason(case).is_some());
        writeln!(f, "{} passed, {} failed, {skipped} skipped", count(Case::is_passed), count(Case::is_failed))
    }
}

fn skip_reason(case: &Case) -> Option<&str> {
    match &case.outcome {
        Outcome::Skipped { why } => Some(why),
        Outcome::Passed | Outcome::Failed { .. } => None,
    }
}

fn failure(case: &Case) -> Option<&str> {
    match &case.outcome {
        Outcome::Failed { why } => Some(why),
        Outcome::Passed | Outcome::Skipped { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn reports() -> Vec<Report> {
        let report = |part, cases, seconds| Report { part, cases, took: Duration::from_secs(seconds) };
        vec![
            report("unit", vec![Case::passed("f01_a"), Case::passed("b"), Case::skipped("c", "one core")], 3),
            report("python", vec![Case::passed("d"), Case::failed("e", "assert 1 == 2")], 9),
        ]
    }

    fn ids(ids: &[&str]) -> BTreeSet<FaultId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn the_last_line_sums_over_all_runners() {
        let text = Summary::new(&reports(), ids(&[]), true).to_string();
        assert_eq!(text.lines().last(), Some("3 passed, 1 failed, 1 skipped"));
        assert_eq!(text.matches(" passed, ").count(), 1, "{text}");
    }

    #[test]
    fn skips_failures_faults_and_slow_parts_are_named_before() {
        let text = Summary::new(&reports(), ids(&[]), true).to_string();
        for line in [
            "  unit: c: one core",
            "  python: e: assert 1 == 2",
            "faults covered: F01",
            "slowest parts: python 9.0 s, unit 3.0 s",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in {text}");
        }
    }

    #[test]
    fn a_claim_without_a_test_is_a_failure_when_everything_ran() {
        let reports = &reports()[..1];
        assert!(!Summary::new(reports, ids(&["F01"]), true).has_failures());
        assert!(Summary::new(reports, ids(&["F01", "F02"]), true).has_failures());
        let partial = Summary::new(reports, ids(&["F02"]), false);
        assert!(!partial.has_failures());
        assert!(partial.to_string().contains("faults claimed: F02 (judged only"));
    }
}
