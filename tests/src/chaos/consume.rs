// SPDX-License-Identifier: MIT OR Apache-2.0
//! A consumer of a chaos run: one subscriber, or a crowd of them that come and go, each of which checks every byte.
//!
//! `drain LIFE SEQ` has it receive everything up to that frame and answer `drained` with the number of subscribers that
//! did; the end of orders ends it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uncopy::{Form, Frame, LinkError, Read, Subscriber, os};

use super::follow::Account;
use super::orders::{Beat, Order, Orders};
use super::stamp::Stamp;
use super::wrong::{Kind, Wrong};
use crate::pattern::next_random;
use crate::script::{Words, emit};

/// How long one wait for a frame lasts: of a subscriber alone, which must be woken to be in time for anything; of one
/// that holds frames for which its producer may be waiting; and of one of a crowd, which has one thread.
const WAIT: Duration = Duration::from_secs(2);
const SLICE: Duration = Duration::from_millis(20);
const CROWDED_SLICE: Duration = Duration::from_millis(1);
/// A frame that is received this long after it was published, by one who waited all the while, was found by looking:
/// the wake-up was lost. Longer than anybody is stopped.
const OVERDUE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Counts {
    verified: u64,
    rechecked: u64,
    missed: u64,
    evicted: u64,
    turned_away: u64,
    joined: u64,
}

/// One subscriber and what it holds.
struct Reader {
    sub: Subscriber,
    account: Account,
    kept: VecDeque<(Frame, Stamp)>,
    is_gone: bool,
    frames_left: u64,
}

struct Consumer {
    name: String,
    forms: Vec<Form>,
    every: Option<bool>,
    keep: usize,
    linger: u64,
    stay: u64,
    /// Receives as an event loop does.
    polls: bool,
    random: u64,
    counts: Counts,
    readers: Vec<Option<Reader>>,
}

/// What one step of a reader came to.
enum Step {
    Frame,
    Nothing,
}

pub(super) fn play(words: &Words, orders: &Orders) {
    let readers = words.number("--readers").unwrap_or(1) as usize;
    let every = match (words.has("--every"), words.has("--latest")) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let mut consumer = Consumer {
        name: words.name().to_owned(),
        forms: super::forms_of(words).list(),
        every,
        keep: words.number("--keep").unwrap_or_default() as usize,
        linger: words.number("--linger").unwrap_or_default(),
        stay: words.number("--stay").unwrap_or_default(),
        polls: words.has("--polls"),
        random: words.number("--seed").unwrap_or_default(),
        counts: Counts::default(),
        readers: (0..readers).map(|_| None).collect(),
    };
    emit(&json!({ "event": "open", "leases_off": super::LEASES_OFF }));
    consumer.run(orders);
}

impl Consumer {
    fn run(&mut self, orders: &Orders) {
        let mut beat = Beat::new();
        let last = loop {
            match orders.look() {
                Order::None => {}
                Order::Do(order) => break last_frame(&order),
                Order::Quit => return,
            }
            let at = (next_random(&mut self.random) % self.readers.len() as u64) as usize;
            let slowly = match self.step(at) {
                Ok(Step::Frame) => false,
                Ok(Step::Nothing) => true,
                Err(wrong) => {
                    emit(&wrong.event());
                    true
                }
            };
            beat.maybe(slowly, || self.beat("beat"));
        };
        let caught_up = self.drain(last);
        let mut drained = self.beat("drained");
        drained["caught_up"] = json!(caught_up);
        emit(&drained);
        // Stays, holding nothing, until the end of orders.
        while orders.wait().is_some() {}
    }

    /// Lets one reader come, receive, or leave.
    fn step(&mut self, at: usize) -> Result<Step, Wrong> {
        let Some(mut reader) = self.readers[at].take() else {
            self.readers[at] = Some(self.join()?);
            return Ok(Step::Nothing);
        };
        let slice = match (self.readers.len(), reader.kept.len()) {
            (1, 0) => WAIT,
            (1, _) => SLICE,
            _ => CROWDED_SLICE,
        };
        let step = self.receive(&mut reader, slice)?;
        if reader.frames_left > 0 {
            self.readers[at] = Some(reader);
            return Ok(step);
        }
        // Leaves first, and holds its frames a little longer.
        let Reader { sub, kept, account, .. } = reader;
        account.settle(sub.stats())?;
        sub.close();
        for (frame, stamp) in kept {
            self.check_again(&frame, stamp)?;
        }
        Ok(step)
    }

    fn join(&mut self) -> Result<Reader, Wrong> {
        let every = self.every.unwrap_or_else(|| next_random(&mut self.random).is_multiple_of(2));
        let read = if every { Read::Every } else { Read::Latest };
        let sub = uncopy::subscribe(&self.name).read(read).timeout(None).start()?;
        let frames_left = match self.stay {
            0 => u64::MAX,
            stay => 1 + next_random(&mut self.random) % stay,
        };
        self.counts.joined += 1;
        Ok(Reader { sub, account: Account::new(every), kept: VecDeque::new(), is_gone: false, frames_left })
    }

    fn receive(&mut self, reader: &mut Reader, slice: Duration) -> Result<Step, Wrong> {
        let (begun, was_connected) = (Instant::now(), reader.sub.connected());
        let received = if self.polls { poll(&mut reader.sub, slice) } else { reader.sub.recv(slice) };
        match received {
            Ok(frame) => {
                if was_connected && begun.elapsed() > OVERDUE && frame.age() > Some(OVERDUE) {
                    return Err(Wrong::new(
                        Kind::Hang,
                        format!(
                            "frame {} was published {:.1?} ago, and who waited {:.1?} for it was not woken",
                            frame.seq(),
                            frame.age().unwrap_or_default(),
                            begun.elapsed(),
                        ),
                    ));
                }
                self.take(reader, frame)?;
                return Ok(Step::Frame);
            }
            // A producer that can't go on without our slots must get them.
            Err(LinkError::TimedOut { .. } | LinkError::NotFound(_)) => {
                if self.polls && !reader.sub.connected() {
                    // An event loop is told by its descriptor, not by an error.
                    self.note_end(reader, Duration::ZERO);
                }
                self.let_go(reader, 0)?;
            }
            Err(LinkError::ProducerLost { since, .. } | LinkError::ProducerClosed { since, .. }) => {
                self.note_end(reader, since);
                self.let_go(reader, 0)?;
            }
            Err(LinkError::Evicted { .. }) => {
                self.counts.evicted += 1;
                emit(&json!({ "event": "evicted" }));
                // What was held is still what it was.
                self.let_go(reader, 0)?;
            }
            Err(LinkError::TooManyConsumers { .. }) => {
                self.counts.turned_away += 1;
                // Nothing tells of a place that is free.
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error.into()),
        }
        reader.frames_left = reader.frames_left.saturating_sub(1);
        Ok(Step::Nothing)
    }

    fn take(&mut self, reader: &mut Reader, frame: Frame) -> Result<(), Wrong> {
        let stamp = Stamp::of(&frame, &self.forms)?;
        stamp.judge(&frame)?;
        let first = reader.account.enter(&frame, stamp, reader.sub.restarts())?;
        self.counts.verified += 1;
        self.counts.missed += frame.missed();
        reader.is_gone = false;
        reader.frames_left -= 1;
        if let Some(first) = first
            && self.readers.len() == 1
        {
            let at = os::monotonic_nanos();
            emit(&json!({ "event": "first", "life": first.life, "before": first.before, "at": at }));
        }
        if self.linger > 0 && next_random(&mut self.random).is_multiple_of(8) {
            // The frame is held that long; nothing is waited for.
            std::thread::sleep(Duration::from_micros(next_random(&mut self.random) % self.linger));
            self.check_again(&frame, stamp)?;
        }
        if self.keep > 0 {
            reader.kept.push_back((frame, stamp));
            self.let_go(reader, self.keep)?;
        }
        Ok(())
    }

    /// Gives frames back until no more than `keep` are held, looking at each once more.
    fn let_go(&mut self, reader: &mut Reader, keep: usize) -> Result<(), Wrong> {
        while reader.kept.len() > keep {
            if let Some((frame, stamp)) = reader.kept.pop_front() {
                self.check_again(&frame, stamp)?;
            }
        }
        Ok(())
    }

    /// A frame that is held does not change.
    fn check_again(&mut self, frame: &Frame, stamp: Stamp) -> Result<(), Wrong> {
        self.counts.rechecked += 1;
        stamp.judge(frame).map_err(|wrong| Wrong::new(wrong.kind, format!("{}, while held", wrong.text)))
    }

    /// Says once that a producer is gone, and when that was noticed.
    fn note_end(&mut self, reader: &mut Reader, since: Duration) {
        if std::mem::replace(&mut reader.is_gone, true) || self.readers.len() > 1 {
            return;
        }
        let at = os::monotonic_nanos().saturating_sub(since.as_nanos() as u64);
        emit(&json!({ "event": "gone", "life": reader.account.last().map(|(life, _)| life), "at": at }));
    }

    /// Receives everything up to the `last` frame, which has been published. Says how many subscribers have it: all
    /// that have a place, or can get one.
    fn drain(&mut self, last: Option<(u64, u64)>) -> usize {
        let mut caught_up = 0;
        let is_crowded = self.readers.len() > 1;
        for at in 0..self.readers.len() {
            // One that is alone may just have left, or not have come yet.
            let mut reader = match self.readers[at].take() {
                Some(reader) => reader,
                None if is_crowded => continue,
                None => match self.join() {
                    Ok(reader) => reader,
                    Err(wrong) => {
                        emit(&wrong.event());
                        continue;
                    }
                },
            };
            reader.frames_left = u64::MAX;
            let turned_away = self.counts.turned_away;
            let is_done = |reader: &Reader, counts: &Counts| {
                reader.account.last() == last
                    || last.is_none()
                    || (is_crowded && !reader.sub.connected())
                    || counts.turned_away != turned_away
            };
            while !is_done(&reader, &self.counts) {
                if let Err(wrong) = self.receive(&mut reader, SLICE) {
                    emit(&wrong.event());
                    break;
                }
            }
            caught_up += usize::from(last.is_some() && reader.account.last() == last);
            let settled =
                self.let_go(&mut reader, 0).and_then(|()| reader.account.settle(reader.sub.stats()));
            if let Err(wrong) = settled {
                emit(&wrong.event());
            }
            self.readers[at] = Some(reader);
        }
        caught_up
    }

    fn beat(&self, event: &str) -> Value {
        let Counts { verified, rechecked, missed, evicted, turned_away, joined } = self.counts;
        json!({
            "event": event, "verified": verified, "rechecked": rechecked, "missed": missed, "evicted": evicted,
            "turned_away": turned_away, "joined": joined,
        })
    }
}

/// The next frame within `slice`, as an event loop receives it.
fn poll(sub: &mut Subscriber, slice: Duration) -> Result<Frame, LinkError> {
    // There must be a descriptor before the look that asks for the first ring of it.
    sub.events()?;
    if let Some(frame) = sub.poll_recv()? {
        return Ok(frame);
    }
    sub.events()?.wait(&mut Vec::new(), Some(slice))?;
    sub.poll_recv()?.ok_or(LinkError::TimedOut { name: sub.name().to_owned(), waited: slice, last_seq: 0 })
}

/// Life and number of the last frame, from `drain LIFE SEQ`.
fn last_frame(order: &str) -> Option<(u64, u64)> {
    let mut numbers = order.split(' ').skip(1).map_while(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}
