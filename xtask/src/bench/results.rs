// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a measurement leaves behind: figures, and what must be known to judge them.

use crate::{
    error::{Error, read_text},
    repo::Repo,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One topic, measured on one machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    pub topic: String,
    /// UTC.
    pub date: String,
    pub commit: String,
    pub has_uncommitted_changes: bool,
    pub is_quick: bool,
    pub machine: Machine,
    pub versions: Versions,
    pub figures: Vec<Figure>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    /// Also the name of the directory.
    pub name: String,
    pub cpu: String,
    pub cores: usize,
    pub is_virtual: bool,
    pub kernel: String,
    /// Of the clock frequency, where the system tells.
    pub governor: Option<String>,
    pub memory_gib: u64,
    /// Processes that wanted to run in the minute before: a quiet machine says less than 0.2.
    pub load_before: Option<f64>,
    /// Which cores the processes were bound to.
    pub pinning: String,
    /// The card, where one was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
}

/// A graphics card and what drives it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Gpu {
    pub card: String,
    /// Cards in the machine; one is measured.
    pub count: usize,
    pub driver: String,
    /// The newest CUDA that the driver speaks.
    pub cuda: String,
    pub memory_mib: u64,
    pub compute_mode: String,
    /// Whether the card is divided into several.
    pub mig: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Versions {
    pub uncopy: String,
    pub rustc: String,
    pub python: Option<String>,
    /// The library that it was measured against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

/// Ours, beside a reference that was measured in turns with it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub unit: Unit,
    pub warm_up: String,
    pub ours: Series,
    pub reference: Option<Series>,
}

/// The unit of every number in a figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    Bytes,
    /// Of one core.
    Share,
    Count,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Series {
    pub what: String,
    pub rounds: Vec<Round>,
}

/// The distribution of the samples of one round.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Round {
    pub p50: f64,
    pub p99: f64,
    pub n: usize,
}

/// Which part of a distribution a figure is judged by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Percentile {
    #[default]
    P50,
    P99,
}

/// Which of several rounds a figure is judged by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OfRounds {
    #[default]
    Worst,
    /// The middle one, the worse of two.
    Median,
}

impl OfRounds {
    fn pick(self, mut values: Vec<f64>) -> Option<f64> {
        values.sort_by(f64::total_cmp);
        match self {
            Self::Worst => values.last().copied(),
            Self::Median => values.get(values.len() / 2).copied(),
        }
    }
}

impl Round {
    pub const fn at(&self, percentile: Percentile) -> f64 {
        match percentile {
            Percentile::P50 => self.p50,
            Percentile::P99 => self.p99,
        }
    }
}

impl Series {
    /// That of the rounds that counts; 0 where there is none.
    pub fn of(&self, rounds: OfRounds, percentile: Percentile) -> f64 {
        rounds.pick(self.rounds.iter().map(|round| round.at(percentile)).collect()).unwrap_or_default()
    }

    /// The largest of all rounds.
    pub fn worst(&self, percentile: Percentile) -> f64 {
        self.of(OfRounds::Worst, percentile)
    }
}

impl Figure {
    /// Ours divided by the reference, in the worst round; `None` without a reference.
    pub fn worst_ratio(&self, percentile: Percentile) -> Option<f64> {
        self.ratio(OfRounds::Worst, percentile)
    }

    /// What `measure` makes of ours and the reference in each round that has both, and of these the one that counts.
    fn of(&self, rounds: OfRounds, percentile: Percentile, measure: impl Fn(f64, f64) -> f64) -> Option<f64> {
        let pairs = self.ours.rounds.iter().zip(&self.reference.as_ref()?.rounds);
        let at = |round: &Round| round.at(percentile);
        rounds.pick(pairs.map(|(ours, reference)| measure(at(ours), at(reference))).collect())
    }

    /// Ours divided by the reference; `None` without a reference.
    pub fn ratio(&self, rounds: OfRounds, percentile: Percentile) -> Option<f64> {
        self.of(rounds, percentile, |ours, reference| ours / reference)
    }

    /// What ours takes more than the reference.
    pub fn excess(&self, rounds: OfRounds, percentile: Percentile) -> Option<f64> {
        self.of(rounds, percentile, |ours, reference| ours - reference)
    }
}

impl Results {
    pub fn to_json(&self) -> Result<String, Error> {
        let mut text = serde_json::to_string_pretty(self).map_err(|e| Error::form("the results", e))?;
        text.push('\n');
        Ok(text)
    }

    /// A line for each figure: medians, and where there is a reference the ratio at the 99th percentile too.
    pub fn table(&self) -> String {
        use Percentile::{P50, P99};
        let width = self.figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
        let lines = self.figures.iter().map(|figure| {
            let ours = shown(figure.ours.worst(P50), figure.unit);
            let beside = match (&figure.reference, figure.worst_ratio(P50), figure.worst_ratio(P99)) {
                (Some(reference), Some(ratio), Some(tail)) => {
                    let reference = shown(reference.worst(P50), figure.unit);
                    format!("  reference {reference:>10}   {ratio:.3} x, p99 {tail:.3} x")
                }
                _ => String::new(),
            };
            format!("  {:<width$}  {ours:>10}{beside}\n", figure.name)
        });
        lines.collect()
    }
}

/// A number with the unit that makes it short.
pub fn shown(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => format!("{value:.0}"),
        Unit::Share => format!("{:.3} %", value * 100.0),
        Unit::Ns if value >= 1e6 => format!("{:.2} ms", value / 1e6),
        Unit::Ns if value >= 1e4 => format!("{:.1} µs", value / 1e3),
        Unit::Ns if value >= 1e3 => format!("{:.2} µs", value / 1e3),
        Unit::Ns => format!("{value:.0} ns"),
        Unit::Bytes if value >= 1e6 => format!("{:.2} MB", value / 1e6),
        Unit::Bytes => format!("{:.1} KiB", value / 1024.0),
    }
}

/// Where results are kept.
pub fn dir(repo: &Repo) -> PathBuf {
    repo.join("bench/results")
}

/// Everything that was measured, on any machine, the newest first.
pub fn all(repo: &Repo) -> Result<Vec<Results>, Error> {
    let mut found = Vec::new();
    for path in repo.files("bench/results")? {
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = read_text(&path)?;
            let results = serde_json::from_str(&text).map_err(|e| Error::form(repo.shown(&path), e))?;
            found.push(results);
        }
    }
    found.sort_by(|a: &Results, b: &Results| b.date.cmp(&a.date));
    Ok(found)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn series(medians: &[f64]) -> Series {
        let rounds = medians.iter().map(|p50| Round { p50: *p50, p99: *p50, n: 1 }).collect();
        Series { what: "a test".to_string(), rounds }
    }

    pub fn figure(name: &str, unit: Unit, ours: &[f64], reference: Option<&[f64]>) -> Figure {
        let name = name.to_string();
        let reference = reference.map(series);
        Figure { name, unit, warm_up: "none".to_string(), ours: series(ours), reference }
    }

    #[test]
    fn the_worst_round_counts_and_a_ratio_is_of_one_round() {
        let figure = figure("x", Unit::Ns, &[20.0, 30.0, 25.0], Some(&[10.0, 20.0, 10.0]));
        assert_eq!(figure.ours.worst(Percentile::P50), 30.0);
        assert_eq!(figure.worst_ratio(Percentile::P50), Some(2.5));
        assert_eq!(figure.excess(OfRounds::Worst, Percentile::P50), Some(15.0));
    }

    #[test]
    fn the_99th_percentile_is_compared_with_that_of_the_same_round() {
        let mut figure = figure("x", Unit::Ns, &[10.0, 10.0], Some(&[10.0, 10.0]));
        figure.ours.rounds.iter_mut().zip([40.0, 30.0]).for_each(|(round, p99)| round.p99 = p99);
        let reference = figure.reference.as_mut().unwrap();
        reference.rounds.iter_mut().zip([80.0, 20.0]).for_each(|(round, p99)| round.p99 = p99);
        assert_eq!(figure.worst_ratio(Percentile::P99), Some(1.5));
        assert_eq!(figure.worst_ratio(Percentile::P50), Some(1.0));
        assert_eq!(figure.ours.worst(Percentile::P99), 40.0);
    }

    #[test]
    fn numbers_are_shown_in_the_unit_that_makes_them_short() {
        for (value, unit, text) in [
            (424.4, Unit::Ns, "424 ns"),
            (1500.0, Unit::Ns, "1.50 µs"),
            (23_456.0, Unit::Ns, "23.5 µs"),
            (945_000_000.0, Unit::Ns, "945.00 ms"),
            (0.00042, Unit::Share, "0.042 %"),
            (24_576.0, Unit::Bytes, "24.0 KiB"),
            (2_345_678.0, Unit::Bytes, "2.35 MB"),
            (100_000_000.0, Unit::Count, "100000000"),
        ] {
            assert_eq!(shown(value, unit), text);
        }
    }

    pub fn results(topic: &str, date: &str, figures: Vec<Figure>) -> Results {
        let machine = Machine {
            name: "m".to_string(),
            cpu: "c".to_string(),
            cores: 2,
            is_virtual: true,
            kernel: "k".to_string(),
            governor: None,
            memory_gib: 1,
            load_before: Some(0.1),
            pinning: "none".to_string(),
            gpu: None,
        };
        let versions = Versions { uncopy: "0".to_string(), rustc: "1".to_string(), python: None, peer: None };
        Results {
            topic: topic.to_string(),
            date: date.to_string(),
            commit: "c".to_string(),
            has_uncommitted_changes: false,
            is_quick: false,
            machine,
            versions,
            figures,
        }
    }

    #[test]
    fn results_are_read_back_as_they_were_written() {
        let written = results("t", "2000", vec![figure("f", Unit::Share, &[0.25], Some(&[0.5]))]);
        let again: Results = serde_json::from_str(&written.to_json().unwrap()).unwrap();
        assert_eq!(again.to_json().unwrap(), written.to_json().unwrap());
        assert_eq!(again.figures.first().unwrap().worst_ratio(Percentile::P50), Some(0.5));
    }

    #[test]
    fn the_committed_results_are_readable() {
        all(&Repo::this()).unwrap();
    }
}
