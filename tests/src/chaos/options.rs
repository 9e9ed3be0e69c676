// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much chaos, for how long.

use std::path::PathBuf;
use std::time::Duration;

use super::forms::Forms;
use super::produce::Pace;
use crate::script::Words;

/// What a run is asked for. It ends when everything that was asked for has been reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// At least this long.
    pub time: Option<Duration>,
    /// At least so many frames checked.
    pub frames: Option<u64>,
    /// At least so many processes killed.
    pub kills: Option<u64>,
    /// What all that is random follows from.
    pub seed: u64,
    /// What frames look like.
    pub forms: Forms,
    /// When frames are published.
    pub pace: Pace,
    /// Nobody is killed, stopped or superseded: one producer and two consumers that stay.
    pub calm: bool,
    /// The report is one JSON document.
    pub json: bool,
    /// The participants that the check must notice.
    pub leases_off: Option<PathBuf>,
}

/// How long a run lasts of which nothing is asked.
const USUAL: Duration = Duration::from_secs(60);
/// How long the check has to notice that leases are off.
const PROOF: Duration = Duration::from_secs(20);

impl Options {
    /// From a command line: `--seconds N`, `--frames N`, `--kills N`, `--seed N`, `--forms FORMS`, `--pace PACE`,
    /// `--calm`, `--json`, `--leases-off PROGRAM`.
    ///
    /// # Panics
    /// When a value makes no sense.
    #[must_use]
    pub fn from_words(words: &Words) -> Self {
        let (frames, kills) = (words.number("--frames"), words.number("--kills"));
        let time = words.number("--seconds").map(Duration::from_secs);
        let is_endless = time.is_none() && frames.is_none() && kills.is_none();
        Self {
            time: if is_endless { Some(USUAL) } else { time },
            frames,
            kills,
            seed: words.number("--seed").unwrap_or_else(|| uncopy::os::monotonic_nanos() % 1_000_000_000),
            forms: super::forms_of(words),
            pace: super::pace_of(words),
            calm: words.has("--calm"),
            json: words.has("--json"),
            leases_off: words.value("--leases-off").map(PathBuf::from),
        }
    }

    /// The run that shows that the check notices.
    pub(super) fn of_proof(&self) -> Self {
        Self {
            time: Some(PROOF),
            frames: None,
            kills: None,
            forms: Forms::Mixed,
            pace: Pace::Bursts,
            calm: true,
            ..self.clone()
        }
    }

    /// What was asked for, in words.
    pub(super) fn shown(&self) -> String {
        let mut asked = Vec::new();
        asked.extend(self.time.map(|time| format!("{} s", time.as_secs())));
        asked.extend(self.frames.map(|frames| format!("{frames} frames")));
        asked.extend(self.kills.map(|kills| format!("{kills} kills")));
        let calm = if self.calm { ", calm" } else { "" };
        format!("{}, {} forms, pace {}{calm}", asked.join(" and "), self.forms, self.pace)
    }
}
