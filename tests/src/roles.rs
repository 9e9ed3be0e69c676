// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the peer process can be.
//!
//! | role | does |
//! |---|---|
//! | `produce NAME [--slots N] [--form FORM] [--takeover]` | publishes: see `produce` for its commands |
//! | `consume NAME [--timeout MS]` | receives, holds, checks every byte: see `consume` |
//! | `observe NAME` | lists links, or cleans up, on demand |
//! | `contend NAME` | tries to take the name when told |
//! | `fork NAME` | forks with a link open |
//! | `foreign NAME` | knocks at a producer's socket as another user; `foreign-producer` serves as one |
//! | `scribble NAME` | writes nonsense over the words of a live link |
//! | `several NAME,NAME..` | waits for several links at once: see `several` |
//! | `limited NAME` | works with ever fewer descriptors |
//! | `failing NAME PATH` | goes through the whole life of a link while one of its system calls fails |
//!
//! Every role says `end` with what it leaked, and ends when its commands end.

mod consume;
mod contend;
pub mod failing;
mod foreign;
mod forking;
mod limited;
mod observe;
mod produce;
mod scribble;
mod several;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::footprint::Footprint;
use crate::peer::HANGS_AFTER;
use crate::script::{Commands, Words, emit};

/// Plays a role until its commands end.
///
/// # Panics
/// When there is no such role, or a command makes no sense.
pub fn play(role: &str, words: Vec<String>) {
    let before = Footprint::now();
    let words = Words::new(words);
    let mut commands = Commands::default();
    let play: fn(&Words, &mut Commands) = match role {
        "produce" => produce::play,
        "consume" => consume::play,
        "observe" => observe::play,
        "contend" => contend::play,
        "fork" => forking::play,
        "foreign" => foreign::knock,
        "foreign-producer" => foreign::serve,
        "scribble" => scribble::play,
        "limited" => limited::play,
        "several" => several::play,
        "failing" => failing::play,
        other => panic!("no role '{other}'"),
    };
    play(&words, &mut commands);
    let leaks = leaks_since(&before);
    emit(&json!({ "event": "end", "leaks": leaks }));
}

/// What this process still has more of than before when its service thread has had plenty of time to end.
pub(crate) fn leaks_since(before: &Footprint) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let grown = Footprint::now().grown_since(before);
        if grown.is_empty() || begun.elapsed() > HANGS_AFTER / 3 {
            return grown;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
