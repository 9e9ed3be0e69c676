// SPDX-License-Identifier: MIT OR Apache-2.0
//! A producer of a chaos run: publishes until it is told to finish, superseded, or killed.
//!
//! `finish` answers `finished` with the number of its last frame, `slots` says how many slots it can claim at once,
//! and the end of orders ends it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uncopy::{LinkError, Publisher, WhenFull, os};

use super::forms::Walk;
use super::orders::{Beat, Order, Orders};
use super::stamp::Stamp;
use super::wrong::Wrong;
use crate::pattern::{self, next_random};
use crate::script::{Words, emit};

/// When frames are published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Some at once, then a moment of nothing.
    Bursts,
    /// As fast as it goes.
    FlatOut,
    /// So many each second.
    Hertz(f64),
}

impl std::str::FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "bursts" => Ok(Self::Bursts),
            "flat-out" => Ok(Self::FlatOut),
            hertz => match hertz.parse() {
                Ok(hertz) if hertz > 0.0 => Ok(Self::Hertz(hertz)),
                _ => Err(format!("no pace '{hertz}'; say bursts, flat-out, or frames each second")),
            },
        }
    }
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bursts => f.write_str("bursts"),
            Self::FlatOut => f.write_str("flat-out"),
            Self::Hertz(hertz) => write!(f, "{hertz}"),
        }
    }
}

/// Keeps a pace.
struct Clock {
    pace: Pace,
    left: u64,
    due: Instant,
    /// Falls silent for a while between two bursts now and then.
    pauses: bool,
}

/// How long a silence lasts: a frame before it that reached somebody only after it is overdue.
const SILENCE: Duration = Duration::from_millis(1600);
/// Bursts between two silences: some seconds.
const BURSTS: u64 = 2000;

impl Clock {
    fn new(pace: Pace, pauses: bool) -> Self {
        // The first burst comes at once.
        Self { pace, left: 3, due: Instant::now(), pauses }
    }

    /// Waits until the next frame is due. Says whether that took long.
    fn wait(&mut self, random: &mut u64) -> bool {
        match self.pace {
            Pace::FlatOut => false,
            Pace::Bursts if self.left > 0 => {
                self.left -= 1;
                false
            }
            Pace::Bursts => {
                self.left = next_random(random) % 24;
                // The pace itself; nothing is waited for. So below.
                std::thread::sleep(Duration::from_micros(next_random(random) % 3_000));
                if self.pauses && next_random(random).is_multiple_of(BURSTS) {
                    std::thread::sleep(SILENCE);
                }
                true
            }
            Pace::Hertz(hertz) => {
                let now = Instant::now();
                std::thread::sleep(self.due.saturating_duration_since(now));
                // Who was stopped goes on from here, and does not catch up.
                self.due = self.due.max(now) + Duration::from_secs_f64(1.0 / hertz);
                true
            }
        }
    }
}

struct Producer {
    out: Publisher,
    life: u64,
    blocks: bool,
    walk: Walk,
    random: u64,
    dropped: u64,
}

pub(super) fn play(words: &Words, orders: &Orders) {
    let millis = |option| words.number(option).map(Duration::from_millis);
    let blocks = words.has("--block");
    let mut options = uncopy::publish(words.name())
        .takeover(words.has("--takeover"))
        .slots(words.number("--slots").unwrap_or(4) as usize)
        .evict_after(millis("--evict-after"));
    if blocks {
        options = options.when_full(WhenFull::Block(millis("--room-timeout")));
    }
    let out = match options.open() {
        Ok(out) => out,
        Err(error) => {
            return emit(
                &json!({ "event": "refused", "kind": error.kind().name(), "text": error.to_string() }),
            );
        }
    };
    emit(&json!({ "event": "open", "at": os::monotonic_nanos(), "leases_off": super::LEASES_OFF }));
    let mut producer = Producer {
        out,
        life: words.number("--life").unwrap_or_default(),
        blocks,
        walk: Walk::new(super::forms_of(words)),
        random: words.number("--seed").unwrap_or_default(),
        dropped: 0,
    };
    match producer.run(Clock::new(super::pace_of(words), words.has("--pauses")), orders) {
        Ok(true) => producer.stand_by(orders),
        Ok(false) => {}
        Err(LinkError::Superseded { .. }) => emit(&json!({ "event": "superseded" })),
        Err(error) => emit(&Wrong::from(error).event()),
    }
}

impl Producer {
    /// Publishes until told otherwise; `true` when told to finish.
    fn run(&mut self, mut clock: Clock, orders: &Orders) -> Result<bool, LinkError> {
        let (mut beat, mut is_last) = (Beat::new(), false);
        loop {
            match orders.look() {
                Order::None => {}
                Order::Do(_) => is_last = true,
                Order::Quit => return Ok(false),
            }
            // There is always a last frame.
            if is_last && self.out.seq() > 0 {
                return Ok(true);
            }
            let slowly = clock.wait(&mut self.random);
            self.publish()?;
            beat.maybe(slowly, || self.counts("beat"));
        }
    }

    /// One frame. Sometimes a loan comes to nothing: what was half written must never be seen.
    fn publish(&mut self) -> Result<(), LinkError> {
        let (index, form) = self.walk.next(&mut self.random);
        let stamp = Stamp { life: self.life, seq: self.out.seq() + 1, form: index, blocks: self.blocks };
        let mut loan = match self.out.loan(&form) {
            Ok(loan) => loan,
            Err(LinkError::NoFreeSlot { .. }) => {
                self.dropped += 1;
                // Whoever holds the slots needs the processor.
                std::thread::yield_now();
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if next_random(&mut self.random).is_multiple_of(64) {
            let half = loan.bytes_mut().len() / 2;
            pattern::fill(&mut loan.bytes_mut()[..half], !stamp.key());
            return Ok(());
        }
        pattern::fill(loan.bytes_mut(), stamp.key());
        loan.publish(stamp.meta())?;
        Ok(())
    }

    fn counts(&self, event: &str) -> Value {
        json!({
            "event": event, "published": self.out.seq(), "dropped": self.dropped, "seq": self.out.seq(),
            "life": self.life,
        })
    }

    /// Publishes nothing more, and lets consumers come to the end.
    fn stand_by(&mut self, orders: &Orders) {
        emit(&self.counts("finished"));
        while let Some(order) = orders.wait() {
            if order == "slots" {
                emit(&self.claim_all());
            }
        }
    }

    /// How many slots can be claimed at once: all but the newest frame's, when nobody holds any.
    fn claim_all(&mut self) -> Value {
        let mut claims = Vec::new();
        let form = self.walk.next(&mut self.random).1;
        let why = loop {
            match self.out.claim(&form) {
                Ok(claim) => claims.push(claim),
                Err(error) => break error.to_string(),
            }
        };
        json!({ "event": "slots", "claimed": claims.len(), "slots": self.out.slots(), "text": why })
    }
}
