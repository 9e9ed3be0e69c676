// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was measured: medians of three rounds, beside those of a reference that was measured in turns with it.

use crate::failure::Failure;
use serde::Serialize;

/// Rounds of each measurement. The worst of their medians counts.
pub const ROUNDS: usize = 3;

/// One round: the distribution of its samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Round {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// Number of samples.
    pub n: usize,
}

impl Round {
    /// The round of these samples, in any order.
    ///
    /// # Errors
    /// There are none.
    pub fn of(figure: &str, mut samples: Vec<u64>) -> Result<Self, Failure> {
        samples.sort_unstable();
        let at = |share: f64| {
            let rank = (samples.len() as f64 * share).ceil() as usize;
            samples.get(rank.saturating_sub(1)).map(|value| *value as f64)
        };
        match (at(0.5), at(0.99)) {
            (Some(p50), Some(p99)) => Ok(Self { p50, p99, n: samples.len() }),
            _ => Err(Failure::Samples { figure: figure.to_owned(), found: samples.len() }),
        }
    }

    /// A quantity that is read once, not sampled.
    #[must_use]
    pub fn single(value: f64) -> Self {
        Self { p50: value, p99: value, n: 1 }
    }

    /// The same distribution in another unit.
    #[must_use]
    pub fn divided_by(self, divisor: f64) -> Self {
        Self { p50: self.p50 / divisor, p99: self.p99 / divisor, n: self.n }
    }
}

/// All rounds of one thing.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// What was timed, in words.
    pub what: String,
    /// In the order of time; the reference has its own in between.
    pub rounds: Vec<Round>,
}

impl Series {
    /// What was timed, in words, and how each round came out.
    pub fn new(what: impl Into<String>, rounds: Vec<Round>) -> Self {
        Self { what: what.into(), rounds }
    }
}

/// The unit of every number in a figure.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Unit {
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanos,
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// Of one core.
    #[serde(rename = "share")]
    Share,
}

/// A figure that a goal can name.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What goals call it.
    pub name: String,
    /// Of every number in it.
    pub unit: Unit,
    /// What was run before the first sample and not counted.
    pub warm_up: String,
    /// What the figure is about.
    pub ours: Series,
    /// What was measured in turns with it, if anything.
    pub reference: Option<Series>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_its_percentiles_by_nearest_rank() {
        let round = Round::of("x", (1..=100).rev().collect()).unwrap();
        assert_eq!(round, Round { p50: 50.0, p99: 99.0, n: 100 });
        assert_eq!(Round::of("x", vec![7]).unwrap(), Round { p50: 7.0, p99: 7.0, n: 1 });
    }

    #[test]
    fn a_round_without_samples_is_refused_by_name() {
        assert!(Round::of("spin", Vec::new()).unwrap_err().to_string().starts_with("spin: only 0"));
    }
}
