// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a link, told to begin by a shared word, so that from then on every system call but the sleeps in
//! between is the link's own.
//!
//! | command | event |
//! |---|---|
//! | `live` goes through the whole life of both ends | `ready`, and at last `tried` with what became of it |
//! | `serve` opens a link, publishes one frame, and leaves the rest to its service thread | the same |

use std::fs::OpenOptions;
use std::time::Duration;

use serde_json::json;
use uncopy::{LinkError, Meta, Publisher, Subscriber};

use crate::footprint::Footprint;
use crate::raw::SharedWord;
use crate::roles::leaks_since;
use crate::script::{Commands, Words, emit};
use crate::{form, pattern};

/// What the word says, one after the other.
pub const WAITING: u32 = 0;
/// The test has attached what it wants to: go on.
pub const BEGIN: u32 = 1;
/// Nobody comes any more: close.
pub const CLOSE: u32 = 2;
/// The life of the link is over.
pub const OVER: u32 = 3;
/// The test has detached: any call may be made again.
pub const DETACHED: u32 = 4;

/// Longer than any wait that ends well.
const LONG: Duration = Duration::from_secs(60);

pub(super) fn play(words: &Words, commands: &mut Commands) {
    let path = words.value("--word").expect("the path of the word");
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the test has made it");
    let word = SharedWord::map(&file);
    drop(file);
    emit(&json!({ "event": "open" }));
    while let Some(line) = commands.next_command() {
        let before = Footprint::now();
        let result = match line.as_str() {
            "live" => {
                emit(&json!({ "event": "ready" }));
                wait_for(&word, BEGIN);
                live(words.name())
            }
            "serve" => serve(words.name(), &word),
            other => panic!("no command '{other}'"),
        };
        word.set(OVER);
        wait_for(&word, DETACHED);
        word.set(WAITING);
        let (kind, text) = match result {
            Ok(()) => ("ok", String::new()),
            Err(error) => (error.kind().name(), error.to_string()),
        };
        emit(&json!({ "event": "tried", "kind": kind, "text": text, "leaks": leaks_since(&before) }));
    }
}

fn wait_for(word: &SharedWord, value: u32) {
    while word.get() != value {
        // A call that no link makes, and whose failure nobody would notice.
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Opens both ends, sends frames of two sizes, waits for one in vain, polls, looks at all links, and closes.
fn live(name: &str) -> Result<(), LinkError> {
    let mut out = uncopy::publish(name).open()?;
    let mut sub = uncopy::subscribe(name).timeout(Some(Duration::ZERO)).open()?;
    for text in ["16x16x4", "64x64x4", "300x300x4"] {
        publish(&mut out, text)?;
        receive(&mut sub, out.seq())?;
    }
    match sub.recv(Duration::from_millis(1)) {
        Err(LinkError::TimedOut { .. }) => {}
        Err(error) => return Err(error),
        Ok(frame) => panic!("nobody published {frame:?}"),
    }
    sub.events()?;
    publish(&mut out, "64x64x4")?;
    while sub.poll_recv()?.is_none() {
        std::thread::sleep(Duration::from_micros(100));
    }
    let links = uncopy::list()?;
    assert!(links.len() <= 1, "{links:?}");
    drop(sub);
    out.close();
    Ok(())
}

/// Everything after the first frame is done by the service thread, for those who come and go while the word says so.
fn serve(name: &str, word: &SharedWord) -> Result<(), LinkError> {
    let mut out = uncopy::publish(name).open()?;
    publish(&mut out, "64x64x4")?;
    emit(&json!({ "event": "ready" }));
    wait_for(word, CLOSE);
    Ok(())
}

fn publish(out: &mut Publisher, text: &str) -> Result<(), LinkError> {
    let seq = out.seq() + 1;
    let mut loan = out.loan(&form(text))?;
    pattern::fill(loan.bytes_mut(), seq);
    loan.publish(Meta::default()).map(drop)
}

fn receive(sub: &mut Subscriber, seq: u64) -> Result<(), LinkError> {
    let frame = sub.recv(LONG)?;
    assert_eq!((frame.seq(), pattern::check(frame.bytes(), seq)), (seq, Ok(())));
    Ok(())
}
