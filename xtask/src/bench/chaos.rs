// SPDX-License-Identifier: MIT OR Apache-2.0
//! The topic `chaos`: three long runs of the chaos runner. One that finds anything wrong ends the measurement.

use super::results::{Figure, Round, Series, Unit};
use crate::{
    chaos::{self, Options, Programs},
    error::Error,
    process::shown,
    repo::Repo,
};
use serde::Deserialize;
use std::process::Stdio;

/// What the runner says, as far as it is kept.
#[derive(Deserialize)]
struct Report {
    asked: String,
    frames_verified: u64,
    killed: u64,
    torn: u64,
    stale: u64,
    unaccounted: u64,
    hung: u64,
    leaked: u64,
    growth_bytes: u64,
    more_descriptors: u64,
    producer_death_noticed: Times,
    consumer_death_noticed: Times,
    reattached: Times,
}

#[derive(Deserialize)]
struct Times {
    p50_ns: Option<u64>,
    p99_ns: Option<u64>,
    n: usize,
}

/// Frames that are checked, processes killed, and seconds of calm: in full, and to see whether it runs.
const FRAMES: (u64, u64) = (100_000_000, 300_000);
const KILLS: (u64, u64) = (10_000, 200);
const SECONDS: (u64, u64) = (1200, 5);

/// All figures of the topic.
pub fn measure(repo: &Repo, is_quick: bool) -> Result<Vec<Figure>, Error> {
    let programs = chaos::build(repo, false)?;
    let of = |(full, quick): (u64, u64)| Some(if is_quick { quick } else { full });
    let usual = Options { forms: "mixed".to_string(), pace: "bursts".to_string(), ..Options::default() };
    let frames = Options {
        frames: of(FRAMES),
        forms: "small".to_string(),
        pace: "flat-out".to_string(),
        ..usual.clone()
    };
    let kills = Options { kills: of(KILLS), ..usual.clone() };
    let soak = Options {
        seconds: of(SECONDS),
        forms: "video".to_string(),
        pace: "60".to_string(),
        calm: true,
        ..usual
    };
    let mut figures = of_frames(&play(&programs, &frames)?);
    figures.extend(of_kills(&play(&programs, &kills)?));
    figures.extend(of_soak(&play(&programs, &soak)?));
    Ok(figures)
}

fn play(programs: &Programs, options: &Options) -> Result<Report, Error> {
    let mut command = programs.command(options);
    command.arg("--json");
    let shown = shown(&command);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| Error::io(format!("start `{shown}`"), e))?;
    if !output.status.success() {
        return Err(Error::Command { shown, code: output.status.code(), tail: String::new() });
    }
    serde_json::from_slice(&output.stdout).map_err(|e| Error::form(format!("what `{shown}` printed"), e))
}

fn of_frames(report: &Report) -> Vec<Figure> {
    vec![
        count("frames_verified", report, "small frames checked byte by byte", report.frames_verified),
        count("frames_wrong", report, "of them torn, stale or unaccounted for", wrong(report)),
    ]
}

fn of_kills(report: &Report) -> Vec<Figure> {
    let mut figures = vec![
        count("kills", report, "processes ended by kill -9 at random moments", report.killed),
        count("kills_wrong", report, "frames torn, stale or unaccounted for", wrong(report)),
        count("kills_hung", report, "processes that waited for ever", report.hung),
        count(
            "kills_leaked",
            report,
            "slots, places, files, descriptors or threads not given back",
            report.leaked,
        ),
        bytes("kills_growth", report, "memory of the process that grew most"),
    ];
    for (name, what, times) in [
        (
            "producer_death_noticed",
            "kill -9 of a producer until a consumer knew",
            &report.producer_death_noticed,
        ),
        (
            "consumer_death_noticed",
            "kill -9 of a consumer until its places were free",
            &report.consumer_death_noticed,
        ),
        (
            "reattached",
            "a new producer's opening until a consumer of the last one had its first frame",
            &report.reattached,
        ),
    ] {
        figures.extend(times.figure(name, what, report));
    }
    figures
}

fn of_soak(report: &Report) -> Vec<Figure> {
    vec![
        count(
            "soak_frames",
            report,
            "1080p RGBA8 frames at 60 Hz, checked by two consumers",
            report.frames_verified,
        ),
        count("soak_wrong", report, "of them torn, stale or unaccounted for", wrong(report)),
        bytes("soak_growth", report, "memory of the process that grew most"),
        count("soak_descriptors", report, "descriptors more than at first", report.more_descriptors),
    ]
}

fn wrong(report: &Report) -> u64 {
    report.torn + report.stale + report.unaccounted
}

impl Times {
    /// `None` where nothing was sampled.
    fn figure(&self, name: &str, what: &str, report: &Report) -> Option<Figure> {
        let round = Round { p50: self.p50_ns? as f64, p99: self.p99_ns? as f64, n: self.n };
        Some(figure(name, Unit::Ns, report, what.to_string(), round))
    }
}

fn count(name: &str, report: &Report, what: &str, value: u64) -> Figure {
    single(name, Unit::Count, report, what.to_string(), value)
}

fn bytes(name: &str, report: &Report, what: &str) -> Figure {
    single(name, Unit::Bytes, report, what.to_string(), report.growth_bytes)
}

fn single(name: &str, unit: Unit, report: &Report, what: String, value: u64) -> Figure {
    figure(name, unit, report, what, Round { p50: value as f64, p99: value as f64, n: 1 })
}

fn figure(name: &str, unit: Unit, report: &Report, what: String, round: Round) -> Figure {
    let ours = Series { what: format!("{what} ({})", report.asked), rounds: vec![round] };
    let warm_up = "the run first found what is wrong with leases off".to_string();
    Figure { name: name.to_string(), unit, warm_up, ours, reference: None }
}
