// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks at links when told: `list` answers `links`, `info NAME` answers `info`; `clean` removes what the dead left,
//! again and again, until the next command, and answers `cleaned`.

use serde_json::json;
use uncopy::Fate;
use uncopy::os::RuntimeDir;

use crate::script::{Commands, Words, emit, emit_error};

pub(super) fn play(_: &Words, commands: &mut Commands) {
    emit(&json!({ "event": "open" }));
    while let Some(line) = commands.next_command() {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["list"] => list(),
            ["info", name] => info(name),
            ["clean"] => clean(commands),
            other => panic!("no command {other:?}"),
        }
    }
}

/// Counts what it removed and what it found in use.
fn clean(commands: &Commands) {
    let dir = RuntimeDir::open().expect("the stage's directory");
    let (mut removed, mut in_use) = (0, 0);
    while !commands.waiting() {
        for files in
            uncopy::clean_in(&dir, uncopy::Cleaning::default()).expect("the stage's directory can be read")
        {
            match files.fate {
                Fate::Removed => removed += files.files.len(),
                Fate::InUse { .. } => in_use += 1,
                // Of those who came second.
                Fate::Errors => {}
                fate => {
                    let text = format!("{:?}: {fate:?}", files.files);
                    return emit(&json!({ "event": "error", "kind": "odd_fate", "text": text }));
                }
            }
        }
    }
    emit(&json!({ "event": "cleaned", "removed": removed, "in_use": in_use }));
}

fn list() {
    match uncopy::list() {
        Ok(links) => {
            let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
            emit(&json!({ "event": "links", "names": names }));
        }
        Err(error) => emit_error(&error),
    }
}

fn info(name: &str) {
    match uncopy::info(name) {
        Ok(link) => emit(&json!({ "event": "info", "published": link.published, "slots": link.slots })),
        Err(error) => emit_error(&error),
    }
}
