// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chaos: real producers and consumers that are killed, stopped, superseded and started again at random, while every
//! consumer checks every byte of every frame.
//!
//! | module | for |
//! |---|---|
//! | [`stamp`] | what a frame says of itself, and whether its bytes agree |
//! | `follow` | the numbers of the frames that one subscriber receives |
//! | [`wrong`] | what can be wrong |
//! | [`forms`] | the shapes and dtypes that frames take in turn |
//! | `produce`, `consume`, `orders` | the participants |
//! | `cast` | participants as the conductor sees them: started, stopped, killed, listened to |
//! | `places` | the places of a link, looked at from outside, to see when a dead consumer's is free |
//! | `conductor` | the run: who is there, and what is due |
//! | `starting`, `acts` | who is started and how, and what is done to whom: all of it from one seed |
//! | `listening`, `noticing` | what participants say, and how long it took until they knew |
//! | `curtain` | the end: everything received, every slot back, nothing left |
//! | `tally` | what was counted |
//! | `report` | the table and the JSON |
//! | [`options`] | how much of it |
//!
//! A run is worth what it would notice. So it first plays against participants whose producers overwrite what is held
//! (the binary `chaos-leases-off`), and goes on only when the check has found that.
//!
//! The seed decides every act, its moment and what participants do; which instruction a `kill -9` meets is the
//! scheduler's. A seed that found something usually finds it again.

pub mod forms;
pub mod options;
pub mod stamp;
pub mod wrong;

mod acts;
mod cast;
mod conductor;
mod consume;
mod curtain;
mod follow;
mod listening;
mod noticing;
mod orders;
mod places;
mod produce;
mod report;
mod starting;
mod tally;

use std::process::ExitCode;

use serde_json::json;

use crate::footprint::Footprint;
use crate::roles::leaks_since;
use crate::script::{Words, emit};
use conductor::{Failure, Run};
use options::Options;
use report::Report;
use tally::Tally;
use wrong::{Kind, Wrong};

/// Whether the producers of this build overwrite what is held.
pub const LEASES_OFF: bool = cfg!(feature = "leases-off");

/// The program: a participant when the first word says so, else the conductor.
///
/// # Panics
/// When the words make no sense.
#[must_use]
pub fn main(words: Vec<String>) -> ExitCode {
    match words.first().map(String::as_str) {
        Some(part @ ("produce" | "consume")) => {
            participate(part, words[1..].to_vec());
            ExitCode::SUCCESS
        }
        _ if LEASES_OFF => panic!("only a participant may have its leases off"),
        _ => conduct(&Options::from_words(&Words::new(words))),
    }
}

fn participate(part: &str, words: Vec<String>) {
    let before = Footprint::now();
    let words = Words::new(words);
    let orders = orders::Orders::listen();
    match part {
        "produce" => produce::play(&words, &orders),
        _ => consume::play(&words, &orders),
    }
    emit(&json!({ "event": "end", "leaks": leaks_since(&before) }));
}

fn forms_of(words: &Words) -> forms::Forms {
    words.value("--forms").map_or(forms::Forms::Mixed, |text| text.parse().expect("forms"))
}

fn pace_of(words: &Words) -> produce::Pace {
    words.value("--pace").map_or(produce::Pace::Bursts, |text| text.parse().expect("a pace"))
}

/// Proves that the check notices, then lets chaos loose.
fn conduct(options: &Options) -> ExitCode {
    let begun = std::time::Instant::now();
    eprintln!("chaos: seed {}", options.seed);
    let proof = match &options.leases_off {
        None => Ok(None),
        Some(program) => prove(program, options).map(Some),
    };
    let report = match proof {
        Err(failure) => Report::new(options, None, Tally::default(), Some(failure)),
        Ok(proof) => {
            let (tally, failure) = Run::new(options, None).play();
            Report::new(options, proof, tally, failure)
        }
    };
    report.print(options.json, begun.elapsed());
    if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays with leases off until the check finds a frame that changed. What it found.
fn prove(program: &std::path::Path, options: &Options) -> Result<Wrong, Failure> {
    eprintln!("chaos: first against producers that overwrite what is held");
    match Run::new(&options.of_proof(), Some(program)).play() {
        (_, Some(failure)) if failure.wrong.kind.is_of_content() => {
            eprintln!("chaos: noticed: {}", failure.wrong);
            Ok(failure.wrong)
        }
        (_, Some(failure)) => Err(failure),
        (tally, None) => Err(Failure::bare(Wrong::new(
            Kind::Error,
            format!(
                "{} frames were checked with leases off, and none was found torn or stale: this run would prove nothing",
                tally.counts.verified
            ),
        ))),
    }
}
