// SPDX-License-Identifier: MIT OR Apache-2.0
//! Another user at the door, on either side of it.
//!
//! The directory of links keeps other users out by its mode. These roles act as one all the same: they keep the right
//! to open files as root, so that what is tested is the second lock, the check of the peer's credentials.

use serde_json::json;
use uncopy::os::{Connection, RuntimeDir};

use crate::hostile::{Props, Server};
use crate::script::{Commands, Words, emit};
use crate::{raw, wire};

/// Nobody, on every system that we know.
const OTHER_USER: u32 = 65_534;

/// Opens the directory and becomes another user. `None`, and said so, where that is not permitted.
fn arrive() -> Option<RuntimeDir> {
    let dir = RuntimeDir::open().expect("the test's own directory");
    if !raw::act_as(OTHER_USER) {
        emit(&json!({ "event": "not-root" }));
        return None;
    }
    Some(dir)
}

/// Knocks at the producer's socket: `hello`, `take-over` and `observe` answer `answer` or `hung-up`.
pub(super) fn knock(words: &Words, commands: &mut Commands) {
    let Some(dir) = arrive() else { return };
    emit(&json!({ "event": "open" }));
    while let Some(line) = commands.next_command() {
        let first = match line.as_str() {
            "hello" => wire::hello(wire::CONSUMER),
            "observe" => wire::hello(wire::OBSERVER),
            "take-over" => wire::message(wire::kind::TAKE_OVER, &1i32.to_le_bytes()),
            other => panic!("no command '{other}'"),
        };
        let connection = wire::knock(&dir, words.name(), &first);
        emit(&answer_to(&connection));
    }
}

fn answer_to(connection: &Connection) -> serde_json::Value {
    match wire::receive(connection) {
        Some(letter) if letter.kind() == wire::kind::REFUSE => {
            let (code, text) = letter.refusal();
            let is_over = wire::receive(connection).is_none();
            json!({ "event": "refused", "code": code, "text": text, "hung_up": is_over })
        }
        Some(letter) => json!({ "event": "let-in", "kind": letter.kind() }),
        None => json!({ "event": "hung-up" }),
    }
}

/// Serves a link that is right in every respect but the user.
pub(super) fn serve(words: &Words, commands: &mut Commands) {
    let Some(dir) = arrive() else { return };
    let props = Props::new(words.name());
    let _server = Server::start(&dir, words.name(), move |guest, _| props.greet(guest));
    emit(&json!({ "event": "open" }));
    while commands.next_command().is_some() {}
}
