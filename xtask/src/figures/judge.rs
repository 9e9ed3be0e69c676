// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a goal is reached by what was measured.

use super::goals::{Direction, Goal};
use crate::bench::results::{Figure, Results, shown};

/// What came of one goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Met,
    /// Missed by less than a repetition may differ by.
    WithinNoise,
    Short,
    NotMeasured,
}

impl Verdict {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::WithinNoise => "met within noise",
            Self::Short => "short",
            Self::NotMeasured => "not measured",
        }
    }

    pub const fn is_good(self) -> bool {
        matches!(self, Self::Met | Self::WithinNoise)
    }
}

/// A goal beside what was measured.
#[derive(Debug)]
pub struct Row<'a> {
    pub goal: &'a Goal,
    pub verdict: Verdict,
    /// The worst of its figures as a multiple of the goal: up to 1 is good.
    pub of_goal: Option<f64>,
    /// The worst of its figures in words.
    pub measured: String,
}

/// How one figure compares with its goal.
struct Compared {
    of_goal: f64,
    measured: String,
}

/// Compares a goal with the newest results of its topic; `results` are the newest first.
pub fn judge<'a>(goal: &'a Goal, results: &'a [Results]) -> Row<'a> {
    let Some(newest) = results.iter().find(|results| results.topic == goal.topic && !results.is_quick) else {
        return not_measured(goal, format!("no results of '{}'", goal.topic));
    };
    let mut worst: Option<Compared> = None;
    for name in &goal.figures {
        let figure = newest.figures.iter().find(|figure| figure.name == *name);
        let Some(compared) = figure.and_then(|figure| compare(goal, figure)) else {
            return not_measured(goal, format!("no figure '{name}' in the results of '{}'", goal.topic));
        };
        if worst.as_ref().is_none_or(|worst| compared.of_goal > worst.of_goal) {
            worst = Some(compared);
        }
    }
    let Some(Compared { of_goal, measured }) = worst else {
        return not_measured(goal, "the goal names no figure".to_string());
    };
    Row { goal, verdict: verdict(goal, of_goal), of_goal: Some(of_goal), measured }
}

fn not_measured(goal: &Goal, measured: String) -> Row<'_> {
    Row { goal, verdict: Verdict::NotMeasured, of_goal: None, measured }
}

fn verdict(goal: &Goal, of_goal: f64) -> Verdict {
    let is_met = match goal.direction {
        Direction::AtMost => of_goal <= 1.0,
        Direction::Under => of_goal < 1.0,
    };
    if is_met {
        Verdict::Met
    } else if of_goal <= 1.0 + goal.noise {
        Verdict::WithinNoise
    } else {
        Verdict::Short
    }
}

/// `None` where the figure is not of the kind that the goal is about, or holds nothing.
fn compare(goal: &Goal, figure: &Figure) -> Option<Compared> {
    if figure.ours.rounds.is_empty() {
        return None;
    }
    let counts = figure.ours.of(goal.rounds, goal.percentile);
    let ours = shown(counts, figure.unit);
    match goal.unit.measured() {
        Some((unit, factor)) => {
            let allowed = goal.goal * factor;
            // Of nothing nothing is a part.
            let of_goal = if counts == 0.0 { 0.0 } else { counts / allowed };
            (unit == figure.unit).then_some(Compared { of_goal, measured: ours })
        }
        None => {
            let ratio = figure.ratio(goal.rounds, goal.percentile)?;
            let excess = figure.excess(goal.rounds, goal.percentile)?;
            let by_excess = goal.or_excess_ns.map_or(f64::INFINITY, |limit| excess / limit);
            let reference = shown(figure.reference.as_ref()?.of(goal.rounds, goal.percentile), figure.unit);
            let measured = format!("{} x ({ours} / {reference})", digits(ratio));
            Some(Compared { of_goal: (ratio / goal.goal).min(by_excess), measured })
        }
    }
}

/// A ratio with three digits that matter.
fn digits(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::{Unit, tests::figure, tests::results};

    fn goal(text: &str) -> Goal {
        let common = r#"name = "n"
            measures = "m"
            against = "a"
            topic = "t"
            figures = ["f"]
            on = "cpu"
            noise = 0.1
            reproduce = "r"
        "#;
        toml::from_str(&format!("{common}{text}")).unwrap()
    }

    const RATIO: &str = "goal = 1.5\nunit = 'x'\ndirection = 'at most'\n";
    const NANOS: &str = "goal = 3\nunit = 'us'\ndirection = 'under'\n";

    fn verdict_of(goal: &Goal, measured: Figure) -> Verdict {
        judge(goal, &[results("t", "2000", vec![measured])]).verdict
    }

    #[test]
    fn a_ratio_is_met_up_to_its_goal_and_short_beyond_the_noise() {
        let goal = goal(RATIO);
        let of = |ours| verdict_of(&goal, figure("f", Unit::Ns, &[10.0, ours], Some(&[10.0, 10.0])));
        assert_eq!(of(15.0), Verdict::Met);
        assert_eq!(of(16.0), Verdict::WithinNoise);
        assert_eq!(of(17.0), Verdict::Short);
    }

    #[test]
    fn what_must_be_under_its_goal_may_not_be_equal_to_it() {
        let goal = goal(NANOS);
        let of = |nanos| verdict_of(&goal, figure("f", Unit::Ns, &[nanos], None));
        assert_eq!(of(2999.0), Verdict::Met);
        assert_eq!(of(3000.0), Verdict::WithinNoise);
        assert_eq!(of(3400.0), Verdict::Short);
    }

    #[test]
    fn a_goal_of_the_99th_percentile_does_not_look_at_the_median() {
        let goal = goal(&format!("{RATIO}percentile = 'p99'\n"));
        let of = |p50, p99| {
            let mut measured = figure("f", Unit::Ns, &[p50], Some(&[10.0]));
            measured.ours.rounds.iter_mut().for_each(|round| round.p99 = p99);
            verdict_of(&goal, measured)
        };
        assert_eq!(of(99.0, 15.0), Verdict::Met);
        assert_eq!(of(1.0, 17.0), Verdict::Short);
    }

    #[test]
    fn where_nothing_is_allowed_nothing_is_met_and_one_is_short() {
        let goal = goal("goal = 0\nunit = 'frames'\ndirection = 'at most'\n");
        let of = |count| verdict_of(&goal, figure("f", Unit::Count, &[0.0, count], None));
        assert_eq!(of(0.0), Verdict::Met);
        assert_eq!(of(1.0), Verdict::Short);
    }

    #[test]
    fn an_excess_that_is_small_enough_makes_up_for_a_ratio() {
        let goal = goal(&format!("{RATIO}or_excess_ns = 500\n"));
        let of = |ours| verdict_of(&goal, figure("f", Unit::Ns, &[ours], Some(&[100.0])));
        assert_eq!(of(600.0), Verdict::Met);
        assert_eq!(of(700.0), Verdict::Short);
    }

    #[test]
    fn where_the_median_counts_one_round_that_stands_out_does_not() {
        let median = goal(&format!("{RATIO}rounds = 'median'\n"));
        let of = |ours: &[f64]| verdict_of(&median, figure("f", Unit::Ns, ours, Some(&[10.0, 10.0, 10.0])));
        assert_eq!(of(&[90.0, 14.0, 12.0]), Verdict::Met);
        assert_eq!(of(&[90.0, 17.0, 12.0]), Verdict::Short);
        let worst = verdict_of(&goal(RATIO), figure("f", Unit::Ns, &[12.0, 14.0, 17.0], Some(&[10.0; 3])));
        assert_eq!(worst, Verdict::Short);
    }

    #[test]
    fn a_missing_topic_figure_reference_or_unit_is_not_measured() {
        let ratio = goal(RATIO);
        assert_eq!(judge(&ratio, &[]).verdict, Verdict::NotMeasured);
        assert_eq!(verdict_of(&ratio, figure("other", Unit::Ns, &[1.0], None)), Verdict::NotMeasured);
        assert_eq!(verdict_of(&ratio, figure("f", Unit::Ns, &[1.0], None)), Verdict::NotMeasured);
        assert_eq!(verdict_of(&goal(NANOS), figure("f", Unit::Bytes, &[1.0], None)), Verdict::NotMeasured);
        assert_eq!(verdict_of(&goal(NANOS), figure("f", Unit::Ns, &[], None)), Verdict::NotMeasured);
    }

    #[test]
    fn quick_results_do_not_count() {
        let mut quick = results("t", "2001", vec![figure("f", Unit::Ns, &[1.0], None)]);
        quick.is_quick = true;
        assert_eq!(judge(&goal(NANOS), &[quick]).verdict, Verdict::NotMeasured);
    }
}
