// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run says at its end: a table for people, JSON for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::conductor::Failure;
use super::options::Options;
use super::tally::{Samples, Stay, Tally};
use super::wrong::{Kind, Wrong};

/// How a run went.
pub struct Report {
    seed: u64,
    asked: String,
    /// What the check found with leases off; `None` where it was not asked to prove itself.
    proof: Option<Wrong>,
    tally: Tally,
    failure: Option<Failure>,
}

impl Report {
    pub(super) fn new(
        options: &Options,
        proof: Option<Wrong>,
        tally: Tally,
        failure: Option<Failure>,
    ) -> Self {
        Self { seed: options.seed, asked: options.shown(), proof, tally, failure }
    }

    pub(super) fn is_well(&self) -> bool {
        self.failure.is_none()
    }

    /// How often a promise of this kind was broken: a run ends with the first.
    fn broken(&self, kinds: &[Kind]) -> u64 {
        u64::from(self.failure.as_ref().is_some_and(|failure| kinds.contains(&failure.wrong.kind)))
    }

    pub(super) fn print(&self, as_json: bool, took: Duration) {
        if as_json {
            println!("{:#}", self.json());
        } else {
            print!("{}", self.table(took));
        }
        if let Some(failure) = &self.failure {
            eprintln!("chaos: what happened before:");
            failure.log.iter().for_each(|line| eprintln!("  {line}"));
            eprintln!("chaos: FAILED with seed {} ({}): {}", self.seed, self.asked, failure.wrong);
        }
    }

    fn table(&self, took: Duration) -> String {
        let tally = &self.tally;
        let counts = &tally.counts;
        let proof = match &self.proof {
            Some(wrong) => format!("noticed as {}", wrong.kind.name()),
            None => "not tried".to_owned(),
        };
        let torn = self.broken(&[Kind::Torn, Kind::Mixed]);
        let rows = [
            ("seed", self.seed.to_string()),
            ("asked for", self.asked.clone()),
            (
                "took",
                format!("{:.1} s, of which {:.1} s played", took.as_secs_f64(), tally.played.as_secs_f64()),
            ),
            ("leases off", proof),
            ("frames published", format!("{}, dropped {}", counts.published, counts.dropped)),
            (
                "frames verified",
                format!(
                    "{}, {} of them once more before they were given back",
                    counts.verified, counts.rechecked
                ),
            ),
            ("frames missed", format!("{}, as told", counts.missed)),
            (
                "killed",
                format!(
                    "{}: {} producers, {} consumers",
                    tally.kills(),
                    tally.producers_killed,
                    tally.consumers_killed
                ),
            ),
            ("stopped", tally.stops.to_string()),
            ("restarted", tally.restarts.to_string()),
            ("superseded", tally.takeovers.to_string()),
            ("told to leave", tally.farewells.to_string()),
            (
                "subscriptions",
                format!("{}, evicted {}, turned away {}", counts.joined, counts.evicted, counts.turned_away),
            ),
            ("death of a producer noticed", shown(&tally.producer_missed)),
            ("death of a consumer noticed", shown(&tally.consumer_missed)),
            ("re-attached after a restart", shown(&tally.reattached)),
            ("torn", torn.to_string()),
            ("stale", self.broken(&[Kind::Stale]).to_string()),
            ("unaccounted for", self.broken(&[Kind::Unaccounted]).to_string()),
            ("hung", self.broken(&[Kind::Hang]).to_string()),
            (
                "leaked",
                format!(
                    "{}; those who stayed grew by {} KiB and {} descriptors; {} slots back",
                    self.broken(&[Kind::Leak]),
                    tally.growth_bytes() / 1024,
                    tally.more_descriptors(),
                    tally.slots_back
                ),
            ),
            ("verdict", if self.is_well() { "well" } else { "FAILED" }.to_owned()),
        ];
        rows.iter().map(|(what, value)| format!("{what:<28}  {value}\n")).collect()
    }

    fn json(&self) -> Value {
        let tally = &self.tally;
        let mut json = tally.counts.json();
        let more = json!({
            "seed": self.seed,
            "asked": self.asked,
            "is_well": self.is_well(),
            "proof": self.proof.as_ref().map(ToString::to_string),
            "played_seconds": tally.played.as_secs_f64(),
            "killed": tally.kills(),
            "producers_killed": tally.producers_killed,
            "consumers_killed": tally.consumers_killed,
            "stops": tally.stops,
            "restarts": tally.restarts,
            "takeovers": tally.takeovers,
            "farewells": tally.farewells,
            "producer_death_noticed": tally.producer_missed.json(),
            "consumer_death_noticed": tally.consumer_missed.json(),
            "reattached": tally.reattached.json(),
            "torn": self.broken(&[Kind::Torn, Kind::Mixed]),
            "stale": self.broken(&[Kind::Stale]),
            "unaccounted": self.broken(&[Kind::Unaccounted]),
            "hung": self.broken(&[Kind::Hang]),
            "leaked": self.broken(&[Kind::Leak]),
            "growth_bytes": tally.growth_bytes(),
            "more_descriptors": tally.more_descriptors(),
            "slots_back": tally.slots_back,
            "stayed": tally.stays.iter().map(Stay::json).collect::<Vec<_>>(),
            "failure": self.failure.as_ref().map(|failure| json!({
                "wrong": failure.wrong.to_string(), "log": failure.log,
            })),
        });
        if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
            json.extend(more);
        }
        json
    }
}

fn shown(samples: &Samples) -> String {
    let millis = |share| samples.percentile(share).map_or(0.0, |nanos| nanos as f64 / 1e6);
    match samples.is_empty() {
        true => "not measured".to_owned(),
        false => format!(
            "p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms, of {}",
            millis(0.5),
            millis(0.99),
            millis(1.0),
            samples.len()
        ),
    }
}
