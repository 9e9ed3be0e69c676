// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes nonsense over the control memory of a live link, as a peer with a bug would: `words FROM TO COUNT SEED`
//! writes `COUNT` words somewhere in `FROM..TO` and answers `scribbled`.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;
use uncopy::os::RuntimeDir;

use crate::pattern::next_random;
use crate::script::{Commands, Words, emit};
use crate::wire::{Guest, OBSERVER};

pub(super) fn play(words: &Words, commands: &mut Commands) {
    let guest = Guest::join(&RuntimeDir::open().expect("the test's own directory"), words.name(), OBSERVER);
    emit(&json!({ "event": "open", "control_len": guest.control.len_bytes() }));
    while let Some(line) = commands.next_command() {
        let command: Vec<&str> = line.split(' ').collect();
        let ["words", numbers @ ..] = command.as_slice() else { panic!("no command {command:?}") };
        let numbers: Vec<u64> = numbers.iter().map(|text| text.parse().expect("a number")).collect();
        let [from, to, count, mut state] = numbers[..] else { panic!("no command {command:?}") };
        for _ in 0..count {
            let at = from + next_random(&mut state) % ((to - from) / 8) * 8;
            let word = guest.control.words().u64_at(at as usize).expect("inside the control memory");
            word.store(nonsense(&mut state, word.load(Relaxed)), Relaxed);
        }
        emit(&json!({ "event": "scribbled" }));
    }
}

/// Zeros, ones, noise, or what was there with one bit changed: the last gets furthest past a check.
fn nonsense(state: &mut u64, before: u64) -> u64 {
    match next_random(state) % 4 {
        0 => 0,
        1 => u64::MAX,
        2 => next_random(state),
        _ => before ^ 1 << (next_random(state) % 64),
    }
}
