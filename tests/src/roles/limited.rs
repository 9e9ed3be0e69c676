// SPDX-License-Identifier: MIT OR Apache-2.0
//! Works with few descriptors: `descriptors N` opens a link, publishes and receives with room for `N` more than now;
//! `memory N` asks for one frame of `N` bytes; `address-space N` does so with room for `N` more bytes of mappings.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use uncopy::{DType, Form, LinkError, Meta};

use crate::footprint::Footprint;
use crate::roles::leaks_since;
use crate::script::{Commands, Words, emit};

pub(super) fn play(words: &Words, commands: &mut Commands) {
    emit(&json!({ "event": "open" }));
    while let Some(line) = commands.next_command() {
        let command: Vec<&str> = line.split(' ').collect();
        let [what, number] = command.as_slice() else { panic!("no command {command:?}") };
        let number: u64 = number.parse().expect("a number");
        let before = Footprint::now();
        let attempt = || with_a_frame(words.name(), 4096);
        let result = match *what {
            "descriptors" => under(Resource::Nofile, limit_with_room(&before, number), attempt),
            "memory" => with_a_frame(words.name(), number),
            "address-space" => under(Resource::As, address_space() + number, attempt),
            other => panic!("no limit '{other}'"),
        };
        emit(&answer(result, &leaks_since(&before)));
    }
}

fn answer(result: Result<(), LinkError>, leaks: &[String]) -> Value {
    let (kind, text) = match result {
        Ok(()) => ("ok", String::new()),
        Err(error) => (error.kind().name(), error.to_string()),
    };
    json!({ "event": "tried", "kind": kind, "text": text, "leaks": leaks })
}

/// Calls with a soft limit, and takes it away again.
fn under<T>(resource: Resource, limit: u64, call: impl FnOnce() -> T) -> T {
    let before = getrlimit(resource);
    let lower = Rlimit { current: Some(limit), maximum: before.maximum };
    setrlimit(resource, lower).expect("a soft limit can be lowered");
    let done = call();
    setrlimit(resource, before).expect("a soft limit can be raised again");
    done
}

fn with_a_frame(name: &str, len_bytes: u64) -> Result<(), LinkError> {
    let mut out = uncopy::publish(name).open()?;
    let mut sub = uncopy::subscribe(name).timeout(Some(Duration::ZERO)).open()?;
    let form = Form::new(DType::U8, &[len_bytes as usize])?;
    out.loan(&form)?.publish(Meta::default())?;
    sub.recv(Duration::from_secs(60)).map(drop)
}

/// From now on this process opens nothing more.
pub(super) fn leave_no_descriptor() {
    let limit = limit_with_room(&Footprint::now(), 0);
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: before.maximum })
        .expect("a soft limit can be lowered");
}

/// The limit below which `room` numbers are free: the system limits numbers, not how many there are.
fn limit_with_room(footprint: &Footprint, room: u64) -> u64 {
    let taken: BTreeSet<u64> =
        footprint.descriptors.iter().filter_map(|d| d.split(' ').next()?.parse().ok()).collect();
    let mut free = (0..).filter(|number| !taken.contains(number));
    free.nth(room as usize).expect("numbers don't end")
}

fn address_space() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages: u64 = text.split(' ').next().and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}
