// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends do in tests of what they may choose.
//!
//! | command of a consumer | event |
//! |---|---|
//! | `unnamed N` has a busy stream that nobody names read each of N frames, and drops them at once | `verified` |
//! | `hold-again` drops a frame that something reads which nobody knows, has a busy stream read it once more, and drops it | `dropped` |
//! | `beside-capture` drops a frame while a stream is captured that has nothing to do with it | `captured` with `whole` |
//! | `scribble` has a kernel write into a frame | `scribbled` with `lost`: the device was lost by it |
//! | `access` says how the memory of a frame is mapped | `access` with `writable` |
//!
//! | command of a producer | event |
//! |---|---|
//! | `flush MS` | `flushed` with `whole` |
//! | `flush-lent FORM MS` the same while a loan is out | `flushed` with `whole` |
//! | `leave HOW` ends its process right after it has closed (`close`) or dropped (`drop`) the link | `left` |

use std::time::Duration;

use serde_json::{Value, json};
use uncopy::{Access, LinkError};
use uncopy_tests::script::emit;

use super::{Consumer, PATIENCE, Producer, key_of};

/// Longer than a producer takes to overwrite a slot that is free.
const BUSY: Duration = Duration::from_millis(5);
/// Longer than that and a few frames take.
const BUSIER: Duration = Duration::from_millis(100);

impl Consumer {
    pub(super) fn choose(&mut self, words: &[&str]) -> Result<Value, LinkError> {
        match words {
            ["unnamed", frames] => {
                for _ in 0..frames.parse().expect("a number of frames") {
                    let frame = self.sub.recv(PATIENCE)?;
                    let (Some(card), Some(counter)) = (&self.card, &self.counter) else { break };
                    self.frames += 1;
                    card.spin(BUSY.as_nanos() as u64, self.streams[0]);
                    card.check(&frame.tensor()?, key_of(&frame), counter, self.streams[0]);
                }
                Ok(self.verified())
            }
            ["hold-again"] => {
                self.hold_again()?;
                Ok(json!({ "event": "dropped" }))
            }
            ["beside-capture"] => {
                let frame = self.sub.recv(PATIENCE)?;
                let card = self.card.as_ref().expect("a device");
                frame.used_on(self.streams[0]);
                card.begin_capture(self.streams[1]);
                drop(frame);
                let whole = card.has_whole_capture(self.streams[1]);
                Ok(json!({ "event": "captured", "whole": whole }))
            }
            ["scribble"] => {
                let frame = self.sub.recv(PATIENCE)?;
                let (card, stream) = (self.card.as_ref().expect("a device"), self.streams[0]);
                card.fill(&frame.tensor()?, u64::MAX, stream);
                let lost = card.device().synchronize(stream).is_err();
                Ok(json!({ "event": "scribbled", "lost": lost }))
            }
            ["access"] => {
                let frame = self.sub.recv(PATIENCE)?;
                let writable = frame.tensor()?.region().access() == Access::ReadWrite;
                Ok(json!({ "event": "access", "writable": writable }))
            }
            ["staged", how @ ..] => self.stage(how),
            other => self.suffer(other),
        }
    }

    /// Holds a frame again while a thread of the link waits for the device on behalf of its first reading, and until
    /// that thread has gone: the second reading has not ended then.
    fn hold_again(&mut self) -> Result<(), LinkError> {
        let first = self.sub.recv(PATIENCE)?;
        let (Some(card), Some(counter)) = (&self.card, &self.counter) else { return Ok(()) };
        card.spin(BUSY.as_nanos() as u64, self.streams[0]);
        first.used_anywhere();
        drop(first);
        // Until it waits; it may be done first.
        while !settling().any(|state| state == SLEEPING)
            && !matches!(card.device().is_done(self.streams[0]), Ok(true))
        {
            std::thread::yield_now();
        }
        let again = self.sub.newest()?.expect("the frame that was dropped");
        card.spin(BUSIER.as_nanos() as u64, self.streams[1]);
        card.check(&again.tensor()?, key_of(&again), counter, self.streams[1]);
        again.used_on(self.streams[1]);
        self.frames += 1;
        while settling().next().is_some() {
            std::thread::yield_now();
        }
        drop(again);
        Ok(())
    }
}

/// The state of a thread that waits, in `/proc`.
const SLEEPING: char = 'S';

/// The states of the threads of this process that wait for a device.
fn settling() -> impl Iterator<Item = char> {
    let threads = std::fs::read_dir("/proc/self/task").expect("the threads of this process");
    threads.filter_map(|thread| {
        // It may end meanwhile.
        let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        stat.split_once("(uncopy-settle) ")?.1.chars().next()
    })
}

impl Producer {
    pub(super) fn choose(&mut self, words: &[&str]) -> Result<Value, LinkError> {
        let millis = |word: &str| Duration::from_millis(word.parse().expect("milliseconds"));
        match words {
            ["flush", wait] => Ok(json!({ "event": "flushed", "whole": self.out.flush(millis(wait)) })),
            ["flush-lent", form, wait] => {
                let form = uncopy_tests::form(form);
                let claim = self.out.claim_on(&form, self.card.id(), self.streams[1], None)?;
                let whole = self.out.flush(millis(wait));
                drop(claim);
                Ok(json!({ "event": "flushed", "whole": whole }))
            }
            other => self.suffer(other),
        }
    }

    /// Ends the process as a program does whose last line this is: with work still in its streams.
    pub(super) fn leave(self, how: &str) -> ! {
        let Self { out, card: _card, sources: _sources, .. } = self;
        match how {
            "close" => out.close(),
            "drop" => drop(out),
            other => panic!("no way '{other}' to leave"),
        }
        emit(&json!({ "event": "left" }));
        std::process::exit(0)
    }
}
