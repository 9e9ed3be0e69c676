// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the demo has shown what it promises, and in which words that is said.

use std::collections::BTreeMap;

use super::processes::{Received, Sent};
use crate::error::CliError;
use crate::units;

/// What did not hold.
pub(super) struct Verdict {
    failures: Vec<String>,
}

impl Verdict {
    pub fn of(sent: &Sent, received: &[Received], broken_frame: Option<u64>) -> Self {
        let mut failures = torn(received);
        if let Some(number) = broken_frame.filter(|_| failures.is_empty()) {
            failures.push(format!("a byte of frame {number} was changed, and nobody noticed"));
        }
        for one in received {
            let Received { name, frames, checked, last_frame, .. } = one;
            if checked != frames {
                failures
                    .push(format!("{name} could check only {checked} of the {frames} frames it received"));
            }
            if *last_frame != Some(sent.frames) {
                let last =
                    last_frame.map_or_else(|| "no frame at all".to_owned(), |last| format!("frame {last}"));
                failures.push(format!(
                    "{name} did not receive the last frame, {}: it ended with {last}",
                    sent.frames
                ));
            }
            // Every frame was to be kept until every consumer had it.
            if *frames != sent.frames {
                failures.push(format!("{name} received {frames} of {} frames", sent.frames));
            }
        }
        Self { failures }
    }

    pub fn held(&self) -> bool {
        self.failures.is_empty()
    }

    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The end of the command.
    pub fn judged(self) -> Result<(), CliError> {
        if self.held() { Ok(()) } else { Err(CliError::ChecksFailed(self.failures.join("; "))) }
    }

    /// What held, when everything did.
    pub fn in_words(&self, sent: &Sent, received: &[Received]) -> String {
        let missed: u64 = received.iter().map(|one| one.missed).sum();
        let missed = match missed {
            0 => String::new(),
            number => format!(", {} missed in all", units::count(number, "frame")),
        };
        let checked: u64 = received.iter().map(|one| one.checked).sum();
        format!(
            "every check held: {} sent, {checked} received and checked by {}, 0 torn{missed}",
            units::count(sent.frames, "frame"),
            units::count(received.len() as u64, "process").replace("processs", "processes"),
        )
    }
}

/// `frame 66 was torn: rust, numpy and torch saw it`, for each torn frame.
fn torn(received: &[Received]) -> Vec<String> {
    let mut seen_by: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for one in received {
        for number in &one.torn_frames {
            seen_by.entry(*number).or_default().push(&one.name);
        }
    }
    seen_by
        .into_iter()
        .map(|(number, names)| format!("frame {number} was torn: {} saw it", listed(&names)))
        .collect()
}

fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::processes::SentForm;

    fn sent(frames: u64) -> Sent {
        let form = SentForm { dtype: "uint8".to_owned(), shape: vec![1, 1], pixel: None };
        Sent { frames, published: frames, dropped: 0, late: 0, fps: None, form }
    }

    fn received(name: &str, frames: u64, last: u64, torn_frames: &[u64]) -> Received {
        Received {
            name: name.to_owned(),
            frames,
            missed: 0,
            last_frame: Some(last),
            latency_nanos: None,
            checked: frames,
            torn: torn_frames.len() as u64,
            torn_frames: torn_frames.to_vec(),
            device: None,
            copies: Vec::new(),
            own_copies: Vec::new(),
        }
    }

    #[test]
    fn everything_received_whole_is_all_that_is_wanted() {
        let all = [received("rust", 100, 100, &[]), received("numpy", 100, 100, &[])];
        assert!(Verdict::of(&sent(100), &all, None).held());
    }

    #[test]
    fn each_promise_that_is_broken_is_named() {
        let failures = |one: Received| Verdict::of(&sent(100), &[one], None).failures().join("; ");
        assert!(failures(received("rust", 99, 100, &[])).contains("99 of 100"));
        assert!(failures(received("rust", 99, 99, &[])).contains("last frame, 100"));
        assert_eq!(failures(received("rust", 100, 100, &[66])), "frame 66 was torn: rust saw it");
        let unchecked = Received { checked: 3, ..received("rust", 100, 100, &[]) };
        assert!(failures(unchecked).contains("only 3"));
    }

    #[test]
    fn a_torn_frame_names_everybody_who_saw_it() {
        let all = ["rust", "numpy", "torch"].map(|name| received(name, 9, 9, &[5]));
        let verdict = Verdict::of(&sent(9), &all, Some(5));
        assert_eq!(verdict.failures(), ["frame 5 was torn: rust, numpy and torch saw it"]);
    }

    #[test]
    fn a_broken_frame_that_nobody_saw_is_the_worst() {
        let verdict = Verdict::of(&sent(9), &[received("rust", 9, 9, &[])], Some(5));
        assert!(verdict.failures()[0].contains("nobody noticed"));
    }
}
