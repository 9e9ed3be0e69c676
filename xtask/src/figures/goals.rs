// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bench/goals.toml`: what must be reached. Its head explains each key.

use crate::{
    bench::results::{OfRounds, Percentile, Unit as Measured},
    error::{Error, read_text},
    repo::Repo,
};
use serde::Deserialize;
use std::fmt;

/// One goal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    pub name: String,
    pub measures: String,
    pub against: String,
    pub topic: String,
    pub figures: Vec<String>,
    #[serde(default)]
    pub percentile: Percentile,
    pub goal: f64,
    pub unit: Unit,
    pub direction: Direction,
    pub or_excess_ns: Option<f64>,
    #[serde(default)]
    pub rounds: OfRounds,
    pub on: Kind,
    /// A share of the goal.
    pub noise: f64,
    pub reproduce: String,
}

/// The unit of a goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub enum Unit {
    /// Ours divided by the reference.
    #[serde(rename = "x")]
    Ratio,
    #[serde(rename = "ns")]
    Ns,
    #[serde(rename = "us")]
    Us,
    #[serde(rename = "ms")]
    Ms,
    #[serde(rename = "MiB")]
    MiB,
    #[serde(rename = "MB")]
    MB,
    /// Of one core.
    #[serde(rename = "%")]
    Percent,
    /// How many.
    #[serde(rename = "frames")]
    Frames,
    /// How many, of what the goal's name says.
    #[serde(rename = "count")]
    Count,
}

impl Unit {
    /// The unit of the figure that it is compared with, and how many of that make one of this. `None` for a ratio.
    pub const fn measured(self) -> Option<(Measured, f64)> {
        match self {
            Self::Ratio => None,
            Self::Ns => Some((Measured::Ns, 1.0)),
            Self::Us => Some((Measured::Ns, 1e3)),
            Self::Ms => Some((Measured::Ns, 1e6)),
            Self::MiB => Some((Measured::Bytes, 1_048_576.0)),
            Self::MB => Some((Measured::Bytes, 1e6)),
            Self::Percent => Some((Measured::Share, 0.01)),
            Self::Frames | Self::Count => Some((Measured::Count, 1.0)),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ratio => "x",
            Self::Ns => "ns",
            Self::Us => "µs",
            Self::Ms => "ms",
            Self::MiB => "MiB",
            Self::MB => "MB",
            Self::Percent => "%",
            Self::Frames => "frames",
            Self::Count => "",
        })
    }
}

/// Which side of the goal is good. Everything that is measured here is better when smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub enum Direction {
    #[serde(rename = "at most")]
    AtMost,
    #[serde(rename = "under")]
    Under,
}

/// The machine that can measure it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Cpu,
    Gpu,
}

impl Goal {
    /// The goal as it is read aloud: `at most 1.15 x or + 500 ns`.
    pub fn shown(&self) -> String {
        let direction = match self.direction {
            Direction::AtMost => "at most",
            Direction::Under => "under",
        };
        let excess = self.or_excess_ns.map_or(String::new(), |excess| format!(" or + {excess} ns"));
        format!("{direction} {} {}{excess}", self.goal, self.unit)
    }
}

#[derive(Deserialize)]
struct File {
    goal: Vec<Goal>,
}

/// All goals, in the order of the file.
pub fn load(repo: &Repo) -> Result<Vec<Goal>, Error> {
    let path = repo.join("bench/goals.toml");
    let file: File = toml::from_str(&read_text(&path)?).map_err(|e| Error::form("bench/goals.toml", e))?;
    Ok(file.goal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bench::Topic,
        gpu::{self, pairs},
    };

    #[test]
    fn every_goal_names_a_topic_that_is_measured_and_the_command_for_it() {
        for goal in load(&Repo::this()).unwrap() {
            let reproduce = match goal.on {
                Kind::Gpu => {
                    assert_eq!(goal.topic, gpu::TOPIC, "{}", goal.name);
                    "cargo xtask gpu-bundle".to_string()
                }
                Kind::Cpu => {
                    let topic = Topic::ALL.iter().find(|topic| topic.name() == goal.topic);
                    assert!(topic.is_some(), "{}: no topic {}", goal.name, goal.topic);
                    format!("cargo xtask bench {}", goal.topic)
                }
            };
            assert_eq!(goal.reproduce, reproduce, "{}", goal.name);
            assert!(!goal.figures.is_empty() && goal.noise < 0.2, "{}", goal.name);
            assert!(goal.goal > 0.0 || matches!(goal.unit, Unit::Frames | Unit::Count), "{}", goal.name);
        }
    }

    #[test]
    fn every_ratio_of_a_gpu_is_of_a_row_that_has_its_floor() {
        let is_gpu_ratio = |goal: &&Goal| goal.on == Kind::Gpu && goal.unit == Unit::Ratio;
        let goals = load(&Repo::this()).unwrap();
        for figure in goals.iter().filter(is_gpu_ratio).flat_map(|goal| &goal.figures) {
            let name = figure.trim_end_matches("_mps");
            let is_paired = pairs::PAIRS.iter().any(|pair| {
                name == pair.ours
                    || name
                        .strip_prefix(pair.ours)
                        .is_some_and(|size| SIZES.contains(&size.trim_start_matches('_')))
            });
            assert!(is_paired, "{figure}");
        }
    }

    const SIZES: &[&str] = &["512_u8", "1080p_u8", "1080p_f32", "4k_f32"];

    #[test]
    fn a_goal_is_a_ratio_exactly_where_it_has_a_reference() {
        for goal in load(&Repo::this()).unwrap() {
            assert_eq!(goal.unit == Unit::Ratio, goal.against != "nothing", "{}", goal.name);
            assert!(goal.or_excess_ns.is_none() || goal.unit == Unit::Ratio, "{}", goal.name);
        }
    }

    #[test]
    fn a_goal_is_shown_as_one_would_say_it() {
        let goals = load(&Repo::this()).unwrap();
        let shown = |name: &str| goals.iter().find(|goal| goal.name == name).unwrap().shown();
        assert_eq!(shown("hand-over, asleep, 1 kHz"), "at most 1.15 x or + 500 ns");
        assert_eq!(shown("for frame in sub"), "under 3 µs");
    }
}
