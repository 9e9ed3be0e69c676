// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask test`: everything that can be tested without a GPU, summed over all runners.
//!
//! A part that fails does not stop the others. What each part printed is in `target/xtask/PART.log`.

mod capi;
mod case;
mod casters;
mod chaos;
mod context;
mod demo;
mod deps;
mod faults;
mod libtest;
mod parts;
mod pytest;
mod python;
mod rust;
mod standin;
mod summary;

use crate::{error::Error, repo::Repo};
use case::Case;
use clap::{Args, builder::PossibleValuesParser};
use context::Context;
use parts::{PARTS, Part, Quick};
use std::time::{Duration, Instant};
use summary::Summary;

#[derive(Args, Debug, Default)]
pub struct Options {
    /// Leave out what takes long; says what that is.
    #[arg(long)]
    quick: bool,
    /// Run only these parts.
    #[arg(value_name = "PART", value_parser = PossibleValuesParser::new(PARTS.iter().map(|part| part.name)))]
    parts: Vec<String>,
}

/// What one part gave.
struct Report {
    part: &'static str,
    cases: Vec<Case>,
    took: Duration,
}

/// True when nothing failed.
pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    let chosen = chosen(repo, options)?;
    announce(repo, &chosen, options);
    let mut reports = Vec::new();
    for (index, part) in chosen.iter().enumerate() {
        let label = format!("[{:>2}/{}] {}:", index + 1, chosen.len(), part.name);
        reports.push(run_part(repo, options.quick, part, label));
    }
    let ran_all = options.parts.is_empty() && !options.quick;
    let summary = Summary::new(&reports, faults::claimed(repo)?, ran_all);
    print!("{summary}");
    Ok(!summary.has_failures())
}

/// The parts to run: those that were asked for, else all that exist and that `--quick` keeps.
fn chosen(repo: &Repo, options: &Options) -> Result<Vec<&'static Part>, Error> {
    let is_asked = |part: &&Part| options.parts.iter().any(|name| name == part.name);
    if options.parts.is_empty() {
        let is_kept = |part: &&Part| (part.exists)(repo) && !(options.quick && part.quick == Quick::LeftOut);
        return Ok(PARTS.iter().filter(is_kept).collect());
    }
    let asked: Vec<&Part> = PARTS.iter().filter(is_asked).collect();
    match asked.iter().find(|part| !(part.exists)(repo)) {
        Some(part) => Err(Error::Missing(format!("there is nothing for the part {} to test yet", part.name))),
        None => Ok(asked),
    }
}

fn announce(repo: &Repo, chosen: &[&Part], options: &Options) {
    let names: Vec<&str> = chosen.iter().map(|part| part.name).collect();
    println!("testing {}", names.join(", "));
    if !options.quick {
        return;
    }
    let mut without: Vec<&str> = Vec::new();
    if options.parts.is_empty() {
        let is_left_out = |part: &&Part| part.quick == Quick::LeftOut && (part.exists)(repo);
        without.extend(PARTS.iter().filter(is_left_out).map(|part| part.name));
    }
    without.extend(chosen.iter().filter_map(|part| match part.quick {
        Quick::Without(what) => Some(what),
        Quick::Whole | Quick::LeftOut => None,
    }));
    println!(
        "--quick leaves out: {}",
        if without.is_empty() { "nothing".to_string() } else { without.join("; ") }
    );
}

fn run_part(repo: &Repo, quick: bool, part: &Part, label: String) -> Report {
    let start = Instant::now();
    let result = Context::new(repo, quick, label.clone(), part.name).and_then(|context| (part.run)(&context));
    let cases = result.unwrap_or_else(|error| vec![Case::failed(part.name, error.to_string())]);
    let report = Report { part: part.name, cases, took: start.elapsed() };
    let (mut passed, mut failed) = (0, 0);
    for case in &report.cases {
        passed += usize::from(case.is_passed());
        failed += usize::from(case.is_failed());
        if case.is_failed() {
            println!("{label} FAILED {}", case.name);
        }
    }
    let verdict = if failed == 0 { "ok".to_string() } else { format!("{failed} FAILED") };
    println!("{label} {verdict}, {passed} passed in {:.1} s", report.took.as_secs_f64());
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(quick: bool, parts: &[&str]) -> Options {
        Options { quick, parts: parts.iter().map(|name| (*name).to_string()).collect() }
    }

    fn names(parts: &[&Part]) -> Vec<&'static str> {
        parts.iter().map(|part| part.name).collect()
    }

    #[test]
    fn parts_run_in_the_order_of_the_table() {
        let chosen = chosen(&Repo::this(), &options(false, &["unit", "fmt"])).unwrap();
        assert_eq!(names(&chosen), ["fmt", "unit"]);
    }

    #[test]
    fn quick_leaves_out_the_slowest_parts_unless_they_are_asked_for() {
        let slow = |part: &&Part| part.quick == Quick::LeftOut;
        assert_eq!(names(&PARTS.iter().filter(slow).collect::<Vec<_>>()), ["miri", "deps", "demo"]);
        let kept = chosen(&Repo::this(), &options(true, &[])).unwrap();
        assert!(!kept.iter().any(slow), "{:?}", names(&kept));
    }

    #[test]
    fn parts_without_a_subject_are_absent_and_refused_by_name() {
        let empty = Repo::at("/no/such/checkout");
        assert_eq!(
            names(&chosen(&empty, &options(false, &[])).unwrap()),
            ["fmt", "layers", "clippy", "unit", "doc"]
        );
        assert!(chosen(&empty, &options(false, &["wheel"])).is_err());
    }
}
