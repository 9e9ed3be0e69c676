// SPDX-License-Identifier: MIT OR Apache-2.0
//! A consumer of several links at once, named with commas: `several color,depth`.
//!
//! | command | event |
//! |---|---|
//! | `wait [MS]` waits for any, without limit unless told | `ready` with the names and how often it looked up |
//! | `receive` receives what is there, from each link | `received` with a number per link |
//! | `await N` waits and receives until it has that many frames | `awaited` with how often it looked up by itself |

use std::time::Duration;

use serde_json::{Value, json};
use uncopy::{LinkError, Subscriber, Waiting};

use crate::pattern;
use crate::script::{Commands, Words, emit, emit_error};

struct Looks(u64);

impl Waiting for Looks {
    fn keep_waiting(&mut self) -> bool {
        self.0 += 1;
        true
    }
}

pub(super) fn play(words: &Words, commands: &mut Commands) {
    let timeout = words.number("--timeout").map(Duration::from_millis);
    let open = |name: &str| uncopy::subscribe(name).timeout(timeout).start();
    let subs: Result<Vec<Subscriber>, LinkError> = words.name().split(',').map(open).collect();
    let mut subs = match subs {
        Ok(subs) => subs,
        Err(error) => return emit_error(&error),
    };
    emit(&json!({ "event": "open" }));
    while let Some(line) = commands.next_command() {
        let words: Vec<&str> = line.split(' ').collect();
        match obey(&mut subs, &words) {
            Ok(event) => emit(&event),
            Err(error) => emit_error(&error),
        }
    }
}

fn wait(
    subs: &mut [Subscriber],
    timeout: Option<Duration>,
    looks: &mut Looks,
) -> Result<Vec<usize>, LinkError> {
    let mut all: Vec<&mut Subscriber> = subs.iter_mut().collect();
    uncopy::wait_with(&mut all, timeout, looks)
}

fn obey(subs: &mut [Subscriber], words: &[&str]) -> Result<Value, LinkError> {
    Ok(match words {
        ["wait", rest @ ..] => {
            let timeout =
                rest.first().map(|millis| Duration::from_millis(millis.parse().expect("milliseconds")));
            let mut looks = Looks(0);
            let ready = wait(subs, timeout, &mut looks)?;
            let names: Vec<&str> = ready.iter().map(|index| subs[*index].name()).collect();
            json!({ "event": "ready", "names": names, "looks": looks.0 })
        }
        ["receive"] => {
            let received: Result<Vec<u64>, LinkError> = subs.iter_mut().map(receive).collect();
            json!({ "event": "received", "frames": received? })
        }
        ["await", frames] => {
            let frames: u64 = frames.parse().expect("a number of frames");
            let (mut looks, mut received) = (Looks(0), 0);
            let mut calls = 0;
            while received < frames {
                calls += 1;
                for index in wait(subs, None, &mut looks)? {
                    received += receive(&mut subs[index])?;
                }
            }
            json!({ "event": "awaited", "looks": looks.0, "calls": calls })
        }
        other => panic!("no command {other:?}"),
    })
}

fn receive(sub: &mut Subscriber) -> Result<u64, LinkError> {
    let mut received = 0;
    while let Some(frame) = sub.poll_recv()? {
        pattern::check(frame.bytes(), frame.seq()).expect("a whole frame");
        received += 1;
    }
    Ok(received)
}
