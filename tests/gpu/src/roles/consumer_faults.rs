// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a consumer does in tests of faults.
//!
//! | command | event |
//! |---|---|
//! | `close` leaves the link and keeps the device; then only `sync` is obeyed, and `sync-first`, which waits for the first device too | `closed` |
//! | `take MS` receives a frame and looks at it at once | `took` with `seq`, `right`, `torn`, `device`, `copies`, `address` |
//! | `take-on MS` receives a frame for a stream, and drops it: nobody looks | `took-on` with `seq` |
//! | `keep-on MS` receives a frame for a stream, and keeps it | `kept` |
//! | `keep N` receives N frames, and keeps them all | `kept` |
//! | `torn` says whether what is kept never came | `torn` with `torn` |
//! | `takes N MS` receives and looks at N frames | `took`, N times |
//! | `newest` | `took`, or `nothing` |
//! | `use N MS` has so many frames read by a stream that is that busy, and drops them | `used` |
//! | `drop-captured` has a late stream read a frame, which is dropped while that stream is captured | `dropped` |
//! | `destroy HOW` has a late stream read a frame, and destroys that stream as soon as the frame is gone | `dropped` |
//! | `let-go` has a late stream read what is held, and drops it | `dropped` |
//! | `on-captured` asks for a frame for a stream that is captured | `refused` |
//! | `sync` waits for the streams | `synced` |
//! | `poll MS` polls for a frame before it asks for what to poll, then waits for that | `silent`, or `took` with `wakeups` |
//! | `several MS` waits for a frame as one of several links, then polls for it | `silent`, or `took` |
//! | `break-near` has a call fail that finds the first device lost, unseen by the product | `broken` |
//! | `break` makes a call that finds the device lost, where the stand-in was told so | `broken` |
//! | `break-unseen` the same by a call that the product does not see | `broken` |

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use uncopy::{Frame, LinkError, Stream};
use uncopy_tests::script::{Commands, emit};

use super::{Consumer, PATIENCE, key_of, steady};
use crate::card::Card;

/// Later than what a producer does in the meantime.
const LATE: Duration = Duration::from_millis(30);

impl Consumer {
    /// Commands that a test of faults gives: to receive, to read, or to lose the device.
    pub(super) fn suffer(&mut self, words: &[&str]) -> Result<Value, LinkError> {
        match words {
            ["take" | "take-on" | "keep-on" | "keep" | "takes" | "newest" | "poll" | "several", ..] => {
                self.receive_as_told(words)
            }
            ["torn"] => {
                let torn = self.held.as_ref().map(Frame::is_torn);
                Ok(json!({ "event": "torn", "torn": torn }))
            }
            ["break" | "break-near" | "break-unseen"] => Ok(self.lose_device(words[0])),
            ["sync"] => Ok(self.synced()),
            _ => self.read_as_told(words),
        }
    }

    /// Receives frames, in each way that there is, and looks at them at once or keeps them.
    fn receive_as_told(&mut self, words: &[&str]) -> Result<Value, LinkError> {
        match words {
            ["take", wait] => {
                let frame = self.sub.recv(millis(wait))?;
                Ok(took(&frame))
            }
            ["take-on", wait] => {
                let frame = self.sub.recv_on(self.streams[0], millis(wait))?;
                Ok(json!({ "event": "took-on", "seq": frame.seq() }))
            }
            ["keep-on", wait] => {
                let frame = self.sub.recv_on(self.streams[0], millis(wait))?;
                let seq = frame.seq();
                self.held = Some(frame);
                Ok(json!({ "event": "kept", "seq": seq }))
            }
            ["keep", frames] => {
                for _ in 0..number(frames) {
                    self.kept.push(self.sub.recv(PATIENCE)?);
                }
                Ok(json!({ "event": "kept" }))
            }
            ["takes", frames, wait] => {
                for _ in 1..number(frames) {
                    emit(&took(&self.sub.recv(millis(wait))?));
                }
                Ok(took(&self.sub.recv(millis(wait))?))
            }
            ["newest"] => {
                Ok(self.sub.newest()?.map_or_else(|| json!({ "event": "nothing" }), |frame| took(&frame)))
            }
            ["poll", wait] => self.poll(millis(wait)),
            ["several", wait] => self.wait_as_one_of_several(millis(wait)),
            other => panic!("no command {other:?}"),
        }
    }

    /// Has streams read frames that are dropped in bad moments.
    fn read_as_told(&mut self, words: &[&str]) -> Result<Value, LinkError> {
        match words {
            ["use", frames, busy] => {
                self.read_many(number(frames), millis(busy))?;
                return Ok(json!({ "event": "used" }));
            }
            ["on-captured"] => return Ok(self.ask_while_captured()),
            ["drop-captured"] => self.drop_captured()?,
            ["let-go"] => {
                let frame = self.held.take().expect("a frame is held");
                self.frames += 1;
                self.read_late(&frame, self.streams[0])?;
            }
            ["destroy", "kept"] => self.drop_between_captures()?,
            ["destroy", how] => self.destroy(how)?,
            other => panic!("no command {other:?}"),
        }
        Ok(json!({ "event": "dropped" }))
    }

    /// Makes a call that finds a device lost: by the product, beside it, or on the first device.
    fn lose_device(&self, how: &str) -> Value {
        const TOLD: &str = "the stand-in was told to lose the device";
        if how == "break-near" {
            let near = Card::at(0);
            assert!(near.has_failed_unseen(near.stream()), "{TOLD}");
            return json!({ "event": "broken" });
        }
        let card = self.card.as_ref().expect("a device");
        if how == "break-unseen" {
            assert!(card.has_failed_unseen(self.streams[0]), "{TOLD}");
            return json!({ "event": "broken" });
        }
        let error = card.device().is_done(self.streams[0]).expect_err(TOLD);
        json!({ "event": "broken", "text": error.to_string() })
    }

    fn wait_as_one_of_several(&mut self, wait: Duration) -> Result<Value, LinkError> {
        let ready = uncopy::wait(&mut [&mut self.sub], Some(wait))?;
        if ready.is_empty() {
            return Ok(json!({ "event": "silent" }));
        }
        let frame = self.sub.poll_recv()?.expect("who is named gives a frame");
        Ok(took(&frame))
    }

    /// Has frames read by one stream that is busy for so long with each, and drops them.
    fn read_many(&mut self, frames: u64, busy: Duration) -> Result<(), LinkError> {
        let stream = self.streams[0];
        for _ in 0..frames {
            let frame = self.sub.recv(PATIENCE)?;
            let (Some(card), Some(counter)) = (&self.card, &self.counter) else { break };
            frame.used_on(stream);
            card.spin(busy.as_nanos() as u64, stream);
            card.check(&frame.tensor()?, key_of(&frame), counter, stream);
        }
        Ok(())
    }

    /// Has a late stream read a frame, which is dropped while that stream is captured.
    fn drop_captured(&mut self) -> Result<(), LinkError> {
        let (frame, stream) = (self.sub.recv(PATIENCE)?, self.streams[0]);
        self.frames += 1;
        self.read_late(&frame, stream)?;
        let card = self.card.as_ref().expect("a device");
        card.begin_capture(stream);
        drop(frame);
        card.end_capture(stream);
        Ok(())
    }

    /// What is said to who receives for a stream that is being captured; the capture goes on.
    fn ask_while_captured(&mut self) -> Value {
        let (card, stream) = (self.card.as_ref().expect("a device"), self.streams[0]);
        card.begin_capture(stream);
        let received = self.sub.recv_on(stream, PATIENCE);
        card.end_capture(stream);
        json!({ "event": "refused", "text": received.err().map(|error| error.to_string()) })
    }

    /// Leaves the link while its streams work.
    pub(super) fn close(self, commands: &mut Commands) {
        let Self { sub, held, kept, card, streams, counter: _counter, .. } = self;
        drop((held, kept));
        sub.close();
        emit(&json!({ "event": "closed" }));
        while let Some(line) = commands.next_command() {
            let is_whole = line == "sync-first";
            assert!(is_whole || line == "sync", "who has left does nothing else");
            let card = card.as_ref().expect("a device");
            streams.iter().for_each(|stream| card.wait(*stream));
            if is_whole {
                Card::at(0).settle();
            }
            emit(&json!({ "event": "synced" }));
        }
    }

    /// Has a stream read a frame, and destroys it when its user is done with it: when the frame is gone.
    fn destroy(&mut self, how: &str) -> Result<(), LinkError> {
        let stream = self.card.as_ref().expect("a device").mortal_stream();
        let frame = match how {
            "polled" => self.polled()?,
            "received" => self.sub.recv_on(stream, PATIENCE)?,
            _ => self.sub.recv(PATIENCE)?,
        };
        self.frames += 1;
        self.read_late(&frame, stream)?;
        let card = self.card.as_ref().expect("a device");
        let mut twin = None;
        match how {
            "captured" => {
                card.begin_capture(stream);
                drop(frame);
                card.end_capture(stream);
            }
            "viewed" => {
                let view = frame.tensor()?;
                drop(frame);
                drop(view);
            }
            "twice" => {
                twin = self.sub.newest()?;
                drop(frame);
            }
            _ => drop(frame),
        }
        card.destroy_stream(stream);
        drop(twin);
        Ok(())
    }

    /// The same with a stream that the link is given a share of, and that is captured twice in a row: neither capture is
    /// disturbed by the end of the first.
    fn drop_between_captures(&mut self) -> Result<(), LinkError> {
        let frame = self.sub.recv(PATIENCE)?;
        let card = self.card.as_ref().expect("a device");
        let owned = Arc::new(card.owned_stream());
        let stream = owned.stream;
        frame.used_on_kept(stream, Arc::clone(&owned));
        self.frames += 1;
        self.read_late(&frame, stream)?;
        card.begin_capture(stream);
        drop(frame);
        card.end_capture(stream);
        card.begin_capture(stream);
        // Long enough for the link to come and look. It is not in the way of work in other streams.
        card.spin(LATE.as_nanos() as u64, self.streams[1]);
        while !matches!(card.device().is_done(self.streams[1]), Ok(true)) {
            std::thread::yield_now();
        }
        card.end_capture(stream);
        Ok(())
    }

    /// A frame that is asked for again and again.
    fn polled(&mut self) -> Result<Frame, LinkError> {
        self.sub.events()?;
        loop {
            if let Some(frame) = self.sub.poll_recv()? {
                return Ok(frame);
            }
        }
    }

    /// Has a stream read a frame, after much else.
    fn read_late(&self, frame: &Frame, stream: Stream) -> Result<(), LinkError> {
        let (Some(card), Some(counter)) = (&self.card, &self.counter) else { return Ok(()) };
        frame.used_on(stream);
        card.spin(LATE.as_nanos() as u64, stream);
        card.check(&frame.tensor()?, key_of(frame), counter, stream);
        Ok(())
    }

    fn synced(&self) -> Value {
        let card = self.card.as_ref().expect("a device");
        self.streams.iter().for_each(|stream| card.wait(*stream));
        json!({ "event": "synced" })
    }

    /// The order of calls that an event loop of somebody in a hurry has: first a look, then what to wait for.
    fn poll(&mut self, wait: Duration) -> Result<Value, LinkError> {
        if let Some(frame) = self.sub.poll_recv()? {
            return Ok(took(&frame));
        }
        let mut wakeups = 0;
        loop {
            let mut events = Vec::new();
            self.sub.events()?.wait(&mut events, Some(wait))?;
            if events.is_empty() {
                return Ok(json!({ "event": "silent" }));
            }
            wakeups += 1;
            // It may ring for nothing.
            if let Some(frame) = self.sub.poll_recv()? {
                let mut took = took(&frame);
                took["wakeups"] = wakeups.into();
                return Ok(took);
            }
        }
    }
}

fn millis(word: &str) -> Duration {
    Duration::from_millis(word.parse().expect("milliseconds"))
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number of frames")
}

/// A frame, looked at now.
fn took(frame: &Frame) -> Value {
    let looked = steady::look(frame);
    json!({
        "event": "took",
        "seq": frame.seq(),
        "right": looked.as_ref().is_ok_and(|right| *right),
        "why": looked.err(),
        "torn": frame.is_torn(),
        "device": frame.device().to_string(),
        "copies": frame.copies().len(),
        "address": frame.address(),
    })
}
