// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tries to take a name: `try [takeover]` answers `won` or `taken`, `close` gives it back, and `storm N PATH` takes
//! it `N` times, proving each time by a file that nobody else has it, and by asking under the name that it is found
//! there.

use std::fs;

use serde_json::{Value, json};
use uncopy::os::ProcessId;
use uncopy::{LinkError, Publisher};

use crate::script::{Commands, Words, emit};

pub(super) fn play(words: &Words, commands: &mut Commands) {
    emit(&json!({ "event": "open" }));
    let mut won: Option<Publisher> = None;
    while let Some(line) = commands.next_command() {
        let command: Vec<&str> = line.split(' ').collect();
        emit(&match command.as_slice() {
            ["try"] => attempt(words.name(), &mut won),
            ["close"] => {
                won = None;
                json!({ "event": "closed" })
            }
            ["storm", times, path] => storm(words.name(), times.parse().expect("a count"), path),
            other => panic!("no command {other:?}"),
        });
    }
}

fn attempt(name: &str, won: &mut Option<Publisher>) -> Value {
    match uncopy::publish(name).open() {
        Ok(out) => {
            *won = Some(out);
            json!({ "event": "won" })
        }
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &LinkError) -> Value {
    match error {
        LinkError::NameTaken { pid, command, .. } => {
            json!({ "event": "taken", "pid": pid, "command": command, "text": error.to_string() })
        }
        other => json!({ "event": "error", "kind": other.kind().name(), "text": other.to_string() }),
    }
}

/// Takes the name again and again. While it has it, it alone may have made the file.
fn storm(name: &str, times: u32, path: &str) -> Value {
    let (mut won, mut lost, mut nameless) = (0, 0, 0);
    while won < times {
        match uncopy::publish(name).open() {
            Ok(out) => {
                if let Err(error) = fs::OpenOptions::new().write(true).create_new(true).open(path) {
                    return json!({ "event": "error", "kind": "two_winners", "text": error.to_string() });
                }
                match uncopy::info(name) {
                    Ok(link) if link.producer.is_some_and(is_us) => {}
                    found => {
                        return json!({ "event": "error", "kind": "not_found", "text": format!("{found:?}") });
                    }
                }
                won += 1;
                fs::remove_file(path).expect("the file is ours");
                drop(out);
            }
            Err(LinkError::NameTaken { pid, .. }) => {
                lost += 1;
                nameless += u32::from(pid == 0);
            }
            Err(error) => return refusal(&error),
        }
    }
    json!({ "event": "stormed", "won": won, "lost": lost, "nameless": nameless })
}

fn is_us(process: ProcessId) -> bool {
    process == ProcessId::current()
}
