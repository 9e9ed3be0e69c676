// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the binary `gpu-peer` can be.
//!
//! | role | does |
//! |---|---|
//! | `produce NAME [--slots N] [--mirror] [--block] [--life N] [--takeover] [--card N]` | publishes frames on the device |
//! | `consume NAME [--every] [--host] [--bare] [--context] [--read-only] [--card N] [--on N [--copied]]` | receives frames and has kernels check them; `--bare`: without opening a device by itself; `--on`: wanted on that device |
//! | `lone NAME` | both ends in one process, which may have no driver: see `lone` |
//! | `steady-produce`, `steady-consume` | survive every failing call: see `steady` |
//!
//! | command of a producer | event |
//! |---|---|
//! | `run FORM N [send\|loan\|over\|two\|other\|freed] [PAUSE_US]` publishes N frames: copied, written in place, written over by a second late stream, copied by two streams in turn, by the second stream, or copied from an array that goes right after the call | `ran` |
//! | `forever FORM [send\|loan]` the same until the next command | `ran` |
//! | `abandon FORM` writes into a loan and drops it | `abandoned` |
//! | `stall MS FORM` publishes a frame behind so much other work | `ran` |
//! | `idle` waits for the device | `idle` |
//! | those of `producer_faults` and `choices` | |
//!
//! | command of a consumer | event |
//! |---|---|
//! | `run N [cpu\|gpu]` receives and checks N frames; `gpu`: the stream waits for the content | `verified` |
//! | `forever` the same until the next command, through restarts | `first` of each producer, `gone`, at last `verified` |
//! | `hold` keeps the newest frame | `held` |
//! | `check` checks the kept frame | `verified` |
//! | `newest N` looks N times at the newest frame, until there is one each time | `verified` |
//! | `late N` drops each frame before its tensor, which a slow stream still reads | `verified` |
//! | `again N` holds each frame twice, for a slow stream and a fast one | `verified` |
//! | `drop` | `dropped` |
//! | those of `consumer_faults`, `choices` and `staged` | |

mod choices;
mod consumer_faults;
mod lone;
mod producer_faults;
mod staged;
mod steady;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use uncopy::{
    CopyReason, Device, Form, Frame, LinkError, Meta, Publisher, Read, Release, Sent, Stream, Subscriber,
    Tensor, WhenFull, Where,
};
use uncopy_tests::script::{Commands, Words, emit, emit_error};

use crate::card::{Array, Card, Counter, check_on_host};

/// Plays a role until its commands end.
///
/// # Panics
/// When there is no such role, or a command makes no sense.
pub fn play(role: &str, words: Vec<String>) {
    let words = Words::new(words);
    let mut commands = Commands::default();
    match role {
        "produce" => produce(&words, &mut commands),
        "consume" => consume(&words, &mut commands),
        "lone" => lone::play(&words, &mut commands),
        "steady-produce" => steady::produce(&words, &mut commands),
        "steady-consume" => steady::consume(&words, &mut commands),
        other => panic!("no role '{other}'"),
    }
    emit(&json!({ "event": "end", "leaks": [] }));
}

struct Producer {
    card: Card,
    out: Publisher,
    streams: [Stream; 2],
    sources: BTreeMap<usize, [Array; 2]>,
    life: u64,
}

/// How a frame gets into its slot.
#[derive(Clone, Copy, PartialEq)]
enum How {
    Send,
    Loan,
    /// By one stream, and then by the other: both are late.
    Over,
    Two,
    /// The array goes right after the call.
    Freed,
    /// By the second stream.
    Other,
}

fn produce(words: &Words, commands: &mut Commands) {
    let card = card(words);
    let when_full = if words.has("--block") { WhenFull::Block(None) } else { WhenFull::Drop };
    let opened = uncopy::publish(words.name())
        .slots(words.number("--slots").unwrap_or(4) as usize)
        .when_full(when_full)
        .mirror(words.has("--mirror"))
        .takeover(words.has("--takeover"))
        .evict_after(words.number("--evict-after").map(Duration::from_millis))
        .open();
    let out = match opened {
        Ok(out) => out,
        Err(error) => return emit_error(&error),
    };
    emit(&json!({ "event": "open" }));
    let streams = [card.stream(), card.stream()];
    let life = words.number("--life").unwrap_or(1);
    let mut producer = Producer { card, out, streams, sources: BTreeMap::new(), life };
    while let Some(line) = commands.next_command() {
        let words: Vec<&str> = line.split(' ').collect();
        if words == ["close"] {
            return producer.close(commands);
        }
        if let ["leave", how] = words[..] {
            producer.leave(how);
        }
        match producer.obey(&words, commands) {
            Ok(event) => emit(&event),
            Err(error) => emit_error(&error),
        }
    }
}

impl Producer {
    fn obey(&mut self, words: &[&str], commands: &Commands) -> Result<Value, LinkError> {
        let how = |word: Option<&&str>| match word.copied() {
            None | Some("send") => How::Send,
            Some("loan") => How::Loan,
            Some("over") => How::Over,
            Some("two") => How::Two,
            Some("freed") => How::Freed,
            Some("other") => How::Other,
            Some(other) => panic!("no way '{other}'"),
        };
        match words {
            ["run", form, frames, rest @ ..] => {
                let form = uncopy_tests::form(form);
                let pause = rest.get(1).map(|micros| micros.parse().expect("microseconds"));
                let frames: u64 = frames.parse().expect("a number of frames");
                let mut dropped = 0;
                for at in 0..frames {
                    dropped += u64::from(!self.publish(&form, how(rest.first()), at)?);
                    if let Some(pause) = pause {
                        std::thread::sleep(Duration::from_micros(pause));
                    }
                }
                Ok(json!({ "event": "ran", "seq": self.out.seq(), "dropped": dropped }))
            }
            ["forever", form, rest @ ..] => {
                let form = uncopy_tests::form(form);
                let mut at = 0;
                while !commands.waiting() {
                    self.publish(&form, how(rest.first()), at)?;
                    at += 1;
                    if at % 8 == 0 {
                        // A processor that runs ahead of its device without end shows frames that are never recent.
                        self.streams.iter().for_each(|stream| self.card.wait(*stream));
                    }
                }
                Ok(json!({ "event": "ran", "seq": self.out.seq() }))
            }
            ["abandon", form] => {
                let form = uncopy_tests::form(form);
                let claim = self.out.claim_on(&form, self.card.id(), self.streams[0], None)?;
                self.card.spin(3_000_000, self.streams[0]);
                self.card.fill(&claim.tensor()?, u64::MAX, self.streams[0]);
                drop(claim);
                Ok(json!({ "event": "abandoned" }))
            }
            ["stall", millis, form] => {
                let millis: u64 = millis.parse().expect("milliseconds");
                self.card.spin(millis * 1_000_000, self.streams[0]);
                self.publish(&uncopy_tests::form(form), How::Send, 0)?;
                Ok(json!({ "event": "ran", "seq": self.out.seq() }))
            }
            ["idle"] => {
                self.card.settle();
                Ok(json!({ "event": "idle" }))
            }
            other => self.choose(other),
        }
    }

    /// Publishes the next frame; `false` when it was dropped.
    fn publish(&mut self, form: &Form, how: How, at: u64) -> Result<bool, LinkError> {
        let key = (self.life << 40) | (self.out.seq() + 1);
        let meta = Meta::default().raw(key.to_le_bytes().to_vec());
        let which = match how {
            How::Two => at as usize % 2,
            How::Other => 1,
            _ => 0,
        };
        let stream = self.streams[which];
        if how == How::Loan {
            let claim = match self.out.claim_on(form, self.card.id(), stream, None) {
                Ok(claim) => claim,
                Err(LinkError::NoFreeSlot { .. }) => return Ok(false),
                Err(error) => return Err(error),
            };
            self.card.fill(&claim.tensor()?, key, stream);
            self.out.commit(claim, meta)?;
            return Ok(true);
        }
        if how == How::Over {
            return self.publish_over(form, key, meta);
        }
        let card = &self.card;
        let len = form.len_bytes();
        if how == How::Freed {
            let source = card.array(len);
            card.fill(&source.tensor, key, stream);
            let tensor = Tensor::new(source.tensor.region().clone(), *form.layout(), 0)?;
            let sent = self.out.send_on(form, &tensor, meta, stream, None)?;
            return Ok(matches!(sent, Sent::Published { .. }));
        }
        let sources = self.sources.entry(len).or_insert_with(|| [card.array(len), card.array(len)]);
        // Each stream has a source of its own; within a stream the order is the stream's.
        let source = &sources[which].tensor;
        card.fill(source, key, stream);
        let source = Tensor::new(source.region().clone(), *form.layout(), 0)?;
        Ok(matches!(self.out.send_on(form, &source, meta, stream, None)?, Sent::Published { .. }))
    }

    /// Publishes a loan that holds what is no frame's until the second stream has written over it.
    fn publish_over(&mut self, form: &Form, key: u64, meta: Meta) -> Result<bool, LinkError> {
        /// Longer than it takes to publish a frame, and to look at it.
        const LATE_NANOS: u64 = 10_000_000;
        let (card, [first, second]) = (&self.card, self.streams);
        let claim = self.out.claim_on(form, card.id(), first, None)?;
        let tensor = claim.tensor()?;
        card.spin(LATE_NANOS, first);
        card.fill(&tensor, u64::MAX, first);
        claim.also_on(second)?;
        card.spin(LATE_NANOS / 2, second);
        card.fill(&tensor, key, second);
        // Who is asked works, also where work is left until somebody waits for it.
        card.device().is_done(second).expect("the second stream works");
        drop(tensor);
        self.out.commit(claim, meta)?;
        Ok(true)
    }
}

struct Consumer {
    card: Option<Card>,
    sub: Subscriber,
    streams: Vec<Stream>,
    counter: Option<Counter>,
    held: Option<Frame>,
    /// More frames that are held.
    kept: Vec<Frame>,
    frames: u64,
    missed: u64,
    wrong_on_host: u64,
    /// Frames on the consumer's own device.
    on_card: u64,
    /// Frames that were copied to get there, and those of them that need not have been.
    copied: u64,
    asked: u64,
    restarts: u64,
}

fn consume(words: &Words, commands: &mut Commands) {
    let on_host = words.has("--host");
    let read = if words.has("--every") { Read::Every } else { Read::Latest };
    let on = words.number("--on").map(|ordinal| ordinal as i32);
    let place = match on.map(Device::cuda) {
        Some(device) if words.has("--copied") => Where::Copied(device),
        Some(device) => Where::Device(device),
        None if on_host => Where::Host,
        None => Where::Nearest,
    };
    let release = if words.has("--context") { Release::Context } else { Release::Streams };
    let opened = uncopy::subscribe(words.name())
        .read(read)
        .place(place)
        .release(release)
        .read_only(words.has("--read-only"))
        .timeout(None)
        .open();
    let sub = match opened {
        Ok(sub) => sub,
        Err(error) => return emit_error(&error),
    };
    let card = (!on_host && !words.has("--bare")).then(|| on.map_or_else(|| card(words), Card::at));
    emit(&json!({ "event": "open" }));
    let streams = card.as_ref().map(|card| (0..3).map(|_| card.stream()).collect()).unwrap_or_default();
    let counter = card.as_ref().map(Card::counter);
    let mut consumer = Consumer {
        card,
        sub,
        streams,
        counter,
        held: None,
        kept: Vec::new(),
        frames: 0,
        missed: 0,
        wrong_on_host: 0,
        on_card: 0,
        copied: 0,
        asked: 0,
        restarts: 0,
    };
    while let Some(line) = commands.next_command() {
        let words: Vec<&str> = line.split(' ').collect();
        if words == ["close"] {
            return consumer.close(commands);
        }
        match consumer.obey(&words, commands) {
            Ok(event) => emit(&event),
            Err(error) => emit_error(&error),
        }
    }
}

/// The device that a role was told to use.
fn card(words: &Words) -> Card {
    Card::at(words.number("--card").map_or(0, |ordinal| ordinal as i32))
}

/// The longest wait for a frame that must come.
const PATIENCE: Duration = Duration::from_secs(20);
/// A wait that looks for commands afterwards.
const SLICE: Duration = Duration::from_millis(20);

impl Consumer {
    fn obey(&mut self, words: &[&str], commands: &Commands) -> Result<Value, LinkError> {
        match words {
            ["run", frames, rest @ ..] => {
                for _ in 0..frames.parse().expect("a number of frames") {
                    let stream = self.next_stream();
                    let frame = match rest {
                        ["gpu"] => self.sub.recv_on(stream.expect("a device"), PATIENCE)?,
                        _ => self.sub.recv(PATIENCE)?,
                    };
                    self.judge(&frame, stream)?;
                }
                Ok(self.verified())
            }
            ["forever"] => {
                let mut life = 0;
                while !commands.waiting() {
                    match self.sub.recv(SLICE) {
                        Ok(frame) => {
                            let now = key_of(&frame) >> 40;
                            if std::mem::replace(&mut life, now) != now {
                                emit(&json!({ "event": "first", "seq": frame.seq() }));
                            }
                            self.judge(&frame, self.next_stream())?;
                        }
                        Err(LinkError::TimedOut { .. } | LinkError::NotFound(_)) => {}
                        Err(LinkError::ProducerLost { .. } | LinkError::ProducerClosed { .. }) => {
                            emit(&json!({ "event": "gone" }));
                        }
                        Err(error) => return Err(error),
                    }
                }
                self.restarts = self.sub.restarts();
                Ok(self.verified())
            }
            ["hold"] => {
                let frame = self.sub.recv(PATIENCE)?;
                let seq = frame.seq();
                self.held = Some(frame);
                Ok(json!({ "event": "held", "seq": seq }))
            }
            ["check"] => {
                if let Some(frame) = self.held.clone() {
                    self.judge(&frame, self.next_stream())?;
                }
                Ok(self.verified())
            }
            ["newest", times] => {
                for _ in 0..times.parse().expect("a number") {
                    let frame = uncopy_tests::stage::eventually("there is a newest frame", || {
                        let newest = self.sub.newest().map_err(|error| error.to_string())?;
                        newest.ok_or_else(|| "none".to_owned())
                    });
                    self.judge(&frame, self.next_stream())?;
                }
                Ok(self.verified())
            }
            ["late", frames] => {
                for _ in 0..frames.parse().expect("a number of frames") {
                    let frame = self.sub.recv(PATIENCE)?;
                    self.judge_late(frame)?;
                }
                Ok(self.verified())
            }
            ["again", times] => {
                for _ in 0..times.parse().expect("a number") {
                    self.judge_again()?;
                }
                Ok(self.verified())
            }
            ["drop"] => {
                self.held = None;
                self.kept.clear();
                Ok(json!({ "event": "dropped" }))
            }
            other => self.choose(other),
        }
    }

    /// The stream for the next frame: one after the other; none on the host.
    fn next_stream(&self) -> Option<Stream> {
        self.streams.get(self.frames as usize % self.streams.len().max(1)).copied()
    }

    /// Has a kernel check a frame. The frame may go before the kernel has come to it.
    fn judge(&mut self, frame: &Frame, stream: Option<Stream>) -> Result<(), LinkError> {
        self.frames += 1;
        self.missed += frame.missed();
        let key = key_of(frame);
        let reason = copied_here(frame);
        self.copied += u64::from(reason.is_some());
        self.asked += u64::from(reason == Some(CopyReason::ASKED));
        let card = self.card.as_ref().filter(|card| frame.device() == card.id());
        self.on_card += u64::from(card.is_some());
        let (Some(card), Some(counter), Some(stream)) = (card, &self.counter, stream) else {
            self.wrong_on_host += u64::from(check_on_host(frame.bytes(), key).is_err());
            return Ok(());
        };
        let tensor = frame.tensor()?;
        frame.used_on(stream);
        card.check(&tensor, key, counter, stream);
        Ok(())
    }

    /// The frame goes first, then a tensor of it, which three streams read.
    fn judge_late(&mut self, frame: Frame) -> Result<(), LinkError> {
        self.frames += 1;
        let key = key_of(&frame);
        let tensor = frame.tensor()?;
        let (Some(card), Some(counter)) = (&self.card, &self.counter) else { return Ok(()) };
        for (at, stream) in self.streams.iter().enumerate() {
            frame.used_on(*stream);
            card.spin(200_000 * at as u64, *stream);
            card.check(&tensor, key, counter, *stream);
        }
        drop(frame);
        // On a thread that has never heard of the device.
        std::thread::spawn(move || drop(tensor)).join().expect("a drop does not panic");
        Ok(())
    }

    /// The newest frame is held and given back twice: first for a stream that is slow, then for one that is not.
    fn judge_again(&mut self) -> Result<(), LinkError> {
        let first = self.sub.recv(PATIENCE)?;
        let key = key_of(&first);
        let (Some(card), Some(counter)) = (&self.card, &self.counter) else { return Ok(()) };
        card.spin(3_000_000, self.streams[0]);
        card.check(&first.tensor()?, key, counter, self.streams[0]);
        first.used_on(self.streams[0]);
        drop(first);
        if let Some(again) = self.sub.newest()? {
            card.check(&again.tensor()?, key_of(&again), counter, self.streams[1]);
            again.used_on(self.streams[1]);
        }
        self.frames += 1;
        Ok(())
    }

    fn verified(&mut self) -> Value {
        let wrong = match (&self.card, &self.counter) {
            (Some(card), Some(counter)) => {
                card.settle();
                card.read(counter)
            }
            _ => self.wrong_on_host,
        };
        let Self { frames, missed, restarts, on_card, copied, asked, .. } = *self;
        json!({
            "event": "verified", "frames": frames, "missed": missed, "wrong": wrong, "restarts": restarts,
            "on_card": on_card, "copied": copied, "asked": asked,
        })
    }
}

/// Why a frame says of itself that it was copied to where it is after it was sent, if it was.
fn copied_here(frame: &Frame) -> Option<CopyReason> {
    let is_ours = |reason| [CopyReason::STAGED, CopyReason::ASKED].contains(&reason);
    let last = frame.copies().last().filter(|copy| is_ours(copy.reason) && copy.to == frame.device());
    last.map(|copy| copy.reason)
}

/// The key that a frame's producer made its content from.
fn key_of(frame: &Frame) -> u64 {
    u64::from_le_bytes(frame.meta().bytes.try_into().expect("a key of eight bytes"))
}
