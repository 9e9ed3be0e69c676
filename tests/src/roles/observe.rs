// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks at links when told: `list` answers `links`.

use serde_json::json;

use crate::script::{Commands, Words, emit, emit_error};

pub(super) fn play(_: &Words, commands: &mut Commands) {
    emit(&json!({ "event": "open" }));
    while let Some(line) = commands.next_command() {
        assert_eq!(line, "list", "an observer only lists");
        match uncopy::list() {
            Ok(links) => {
                let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
                emit(&json!({ "event": "links", "names": names }));
            }
            Err(error) => emit_error(&error),
        }
    }
}
