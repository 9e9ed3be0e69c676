// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a frame, and waiting for one: spin briefly, then sleep.

use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};

use uncopy_os::{Woken, futex_wait_marked, kill_point, monotonic_nanos, on_time};

use super::device::{self, Look, Unready};
use super::{JustWait, LONG_SLICE, Subscriber, Waiting, slice_after};
use crate::error::LinkError;
use crate::native::attachment::Next;
use crate::native::frame::Frame;
use crate::native::ring::{self, Cells};

/// Of frames that need no sleep, one of so many is asked for its age.
const FAST_FRAMES_PER_AGE: u64 = 16;

/// What there was to take.
pub(super) enum Taken {
    Frame(Frame),
    Nothing,
    /// A frame whose memory is still on its way.
    Later,
    /// A frame that a device is still writing; the cursor keeps it.
    Unready,
}

impl Taken {
    pub(super) fn frame(self) -> Option<Frame> {
        match self {
            Self::Frame(frame) => Some(frame),
            Self::Nothing | Self::Later | Self::Unready => None,
        }
    }
}

impl Subscriber {
    pub(super) fn recv_until(
        &mut self,
        timeout: Option<Duration>,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Frame, LinkError> {
        self.check_usable()?;
        self.look_anew();
        // Asked before taking: the last frame of a producer that has just gone is still received.
        let ended = !self.connected();
        match self.take(self.cursor.after())? {
            Taken::Frame(frame) => Ok(frame),
            taken => {
                let wait = Wait { timeout, begun_nanos: monotonic_nanos(), waiting };
                let frame = self.wait_for_frame(wait, ended, taken);
                self.end_sleep(frame.as_ref().ok());
                frame
            }
        }
    }

    /// Waits for a frame after `taken`, which was none.
    fn wait_for_frame(
        &mut self,
        mut wait: Wait<'_>,
        mut ended: bool,
        mut taken: Taken,
    ) -> Result<Frame, LinkError> {
        loop {
            let in_time = match taken {
                // Also of a producer that has closed: its device may be about to finish.
                Taken::Unready => self.wait_for_device(&mut wait)?,
                _ if ended => {
                    self.end_sleep(None);
                    let deadline = wait.timeout.and_then(|timeout| {
                        Instant::now().checked_add(timeout.saturating_sub(wait.gone(monotonic_nanos())))
                    });
                    match &mut wait.waiting {
                        Some(waiting) => self.find_producer(deadline, *waiting)?,
                        None => self.find_producer(deadline, &mut JustWait)?,
                    }
                    true
                }
                Taken::Frame(frame) => return Ok(frame),
                Taken::Later => self.wait_for_memory(&mut wait)?,
                Taken::Nothing => self.wait_for_news(&mut wait)?,
            };
            if !in_time {
                return Err(LinkError::TimedOut {
                    name: self.name.clone(),
                    waited: wait.timeout.unwrap_or_default(),
                    last_seq: self.cursor.seq,
                });
            }
            if self.attachment.as_ref().is_some_and(|attachment| attachment.is_evicted()) {
                return Err(self.leave_evicted());
            }
            ended = !self.connected();
            match self.take(self.cursor.after())? {
                Taken::Frame(frame) => return Ok(frame),
                other => taken = other,
            }
        }
    }

    /// Takes the next frame whose number is above `after`: the newest, or for a reader of every frame the oldest that
    /// is left.
    #[inline(always)]
    pub(super) fn take(&mut self, mut after: u64) -> Result<Taken, LinkError> {
        loop {
            let Some(attachment) = &self.attachment else { return Ok(Taken::Nothing) };
            let cursor = &mut self.cursor;
            let next = match cursor.unready.take() {
                Some(unready) => Next::Frame(unready.lease, unready.description),
                None => attachment.hold(after, attachment.every, &mut cursor.context)?,
            };
            match next {
                Next::Nothing => return Ok(Taken::Nothing),
                Next::Later => return Ok(Taken::Later),
                // There may be a later one that can be.
                Next::Unreachable { seq } => {
                    self.pass_over(seq);
                    after = after.max(seq);
                }
                Next::Frame(lease, description) => {
                    let (lease, description) = lease.brought(description)?;
                    let seq = description.seq;
                    match device::look(&lease, self.for_stream)? {
                        Look::There => {}
                        Look::Unready => {
                            cursor.unready = Some(Unready::new(lease, description));
                            return Ok(Taken::Unready);
                        }
                        Look::Torn => {
                            drop(lease);
                            self.pass_over(seq);
                            after = after.max(seq);
                            continue;
                        }
                    }
                    // What there was before a reader of the latest came is none of its business.
                    let before = if attachment.every { cursor.seq } else { cursor.seq.max(cursor.joined_at) };
                    let missed = seq.saturating_sub(before).saturating_sub(1);
                    let frame = Frame::new(lease, description, missed);
                    if seq > cursor.seq {
                        cursor.seq = seq;
                        cursor.received += 1;
                        // What a number says is the producer's word; it may be any.
                        cursor.missed = cursor.missed.saturating_add(missed);
                        attachment.count_received(cursor.received, cursor.missed, seq);
                        // The clock costs as much as a third of the rest, so that few are asked of those that come
                        // fast.
                        if self.asleep_since_nanos.is_none()
                            && cursor.received.is_multiple_of(FAST_FRAMES_PER_AGE)
                        {
                            let frames = FAST_FRAMES_PER_AGE as u32;
                            attachment.count_age(frame.published(), monotonic_nanos(), frames);
                        }
                    }
                    return Ok(Taken::Frame(frame));
                }
            }
        }
    }

    /// Takes the newest frame there is. A reader of every frame stays where it is among them.
    pub(super) fn take_newest(&mut self) -> Result<Taken, LinkError> {
        let Some(attachment) = &self.attachment else { return Ok(Taken::Nothing) };
        if !attachment.every {
            return self.take(0);
        }
        let next = match self.cursor.ahead.take() {
            Some(ahead) => Next::Frame(ahead.0, ahead.1),
            None => attachment.hold(0, false, &mut self.cursor.context)?,
        };
        Ok(match next {
            Next::Frame(lease, description) => {
                let (lease, description) = lease.brought(description)?;
                match device::look(&lease, None)? {
                    Look::There => Taken::Frame(Frame::new(lease, description, 0)),
                    Look::Unready if lease.is_brought() => {
                        // Its copy is on its way, and must not be begun anew by the next call.
                        self.cursor.ahead = Some(Box::new((lease, description)));
                        Taken::Nothing
                    }
                    Look::Unready | Look::Torn => Taken::Nothing,
                }
            }
            Next::Later => Taken::Later,
            Next::Nothing | Next::Unreachable { .. } => Taken::Nothing,
        })
    }

    /// Goes on behind a frame that can't be reached.
    pub(super) fn pass_over(&mut self, seq: u64) {
        let cursor = &mut self.cursor;
        // It counts as missed with the next frame that is received.
        cursor.passed = cursor.passed.max(seq);
        if let Some(attachment) = &self.attachment {
            // A producer that blocks must not keep it for us. (A frame that is received makes room when it is given
            // back.)
            attachment.count_received(cursor.received, cursor.missed, cursor.after());
            attachment.made_room();
        }
    }

    /// Waits for frame memory that is on its way. `false` when the time is over.
    fn wait_for_memory(&self, wait: &mut Wait<'_>) -> Result<bool, LinkError> {
        let Some(left) = wait.left() else { return Ok(false) };
        if let Some(attachment) = &self.attachment {
            attachment.wait_for_message(left)?;
        }
        wait.go_on()
    }

    /// Waits for a newer frame or the end of the producer: spins, then sleeps. `false` when the time is over.
    fn wait_for_news(&mut self, wait: &mut Wait<'_>) -> Result<bool, LinkError> {
        self.end_sleep(None);
        let Some(attachment) = &self.attachment else { return Ok(true) };
        let control = attachment.control.live();
        let seq = self.cursor.after();
        // One address, found once: the spin below does nothing but look at it.
        let latest = control.latest();
        let news = || {
            ring::seq_of(latest.load(Acquire)) > seq
                || attachment.ended().is_some()
                || attachment.is_evicted()
        };
        if self.spin_pays && spin_until(self.spin.min(wait.timeout.unwrap_or(self.spin)), news) {
            return Ok(true);
        }
        // Spinning in vain costs more than its time: the scheduler then wakes the sleeper elsewhere.
        self.spin_pays = false;
        let mut now = monotonic_nanos();
        let mut due = if self.spin.is_zero() { None } else { self.cadence.next_look(now) };
        loop {
            let Some(left) = wait.left_at(now) else { return Ok(news()) };
            let value = ring::announce_sleep(&control, attachment.place);
            self.asleep_since_nanos = Some(now);
            if news() {
                return Ok(true);
            }
            let sleep = |limit: Duration| {
                futex_wait_marked(control.latest_futex(), value as u32, Some(limit), ring::mark(value))
            };
            let until_due = due.as_ref().map(|due| Duration::from_nanos(due.start.saturating_sub(now)));
            let woken = match until_due.filter(|until_due| *until_due < left) {
                Some(until_due) => on_time(|| sleep(until_due)),
                None => sleep(left),
            };
            let is_there = news();
            if is_there {
                kill_point("consumer.woken");
                control.pass_wake_on(attachment.place);
                if due.is_none() && self.cadence.asks_for_wakes() {
                    self.cadence.note_wake(monotonic_nanos());
                }
            }
            if let Some(due) = due.take() {
                now = monotonic_nanos();
                if now >= due.start {
                    // Awake before the frame: the producer need not wake us.
                    let is_seen = !is_there && {
                        ring::end_sleep(&control, attachment.place);
                        look_until(due.end, news)
                    };
                    self.cadence.note_look(&due, now, is_seen);
                    if is_seen {
                        return Ok(true);
                    }
                    // Whoever was woken all the same is asked below what for.
                    if !is_there && woken == Woken::TimedOut {
                        continue;
                    }
                }
            }
            let asked = matches!(woken, Woken::TimedOut | Woken::Interrupted);
            if asked && !wait.go_on()? {
                return Ok(false);
            }
            // What follows a wake-up is on the way of the frame: `end_sleep` comes when the frame is held.
            if news() {
                return Ok(true);
            }
            ring::end_sleep(&control, attachment.place);
            self.asleep_since_nanos = None;
            // A wake-up without news may be a `Waker`'s.
            if woken == Woken::Woken && !wait.go_on()? {
                return Ok(false);
            }
            now = monotonic_nanos();
        }
    }

    /// Takes back the mark of a sleeper, if it is set, and notes whether a spin would have been enough. Counts the
    /// age of the frame that it slept for: not before it is held and about to be handed out, and with the one reading
    /// of the clock.
    pub(super) fn end_sleep(&mut self, frame: Option<&Frame>) {
        let (Some(since), Some(attachment)) = (self.asleep_since_nanos.take(), &self.attachment) else {
            return;
        };
        ring::end_sleep(&attachment.control.live(), attachment.place);
        let now = monotonic_nanos();
        self.spin_pays = Duration::from_nanos(now.saturating_sub(since)) < self.spin;
        if let Some(frame) = frame {
            attachment.count_age(frame.published(), now, 1);
            if let Some(published) = frame.published().machine_nanos() {
                self.cadence.note(frame.seq(), published);
            }
        }
    }
}

/// One wait for a frame.
pub(super) struct Wait<'w> {
    timeout: Option<Duration>,
    begun_nanos: u64,
    waiting: Option<&'w mut dyn Waiting>,
}

impl Wait<'_> {
    fn gone(&self, now_nanos: u64) -> Duration {
        Duration::from_nanos(now_nanos.saturating_sub(self.begun_nanos))
    }

    /// How long to sleep from now on at the most; `None` when the time is over.
    pub(super) fn left(&self) -> Option<Duration> {
        self.left_at(monotonic_nanos())
    }

    fn left_at(&self, now_nanos: u64) -> Option<Duration> {
        let gone = self.gone(now_nanos);
        let left = match self.timeout {
            Some(timeout) => Some(timeout.checked_sub(gone)?),
            None => None,
        };
        // Also where nobody is asked: who was to wake us may have been stopped.
        let slice = if self.waiting.is_some() { slice_after(gone) } else { LONG_SLICE };
        Some(left.map_or(slice, |left| left.min(slice)))
    }

    /// Asks the caller whether to go on.
    pub(super) fn go_on(&mut self) -> Result<bool, LinkError> {
        let goes_on = self.waiting.as_mut().is_none_or(|waiting| waiting.keep_waiting());
        if goes_on { Ok(true) } else { Err(LinkError::Interrupted) }
    }
}

/// Looks for `news` until `end_nanos` on the monotonic clock. Returns whether there is news. The producer may be about to
/// run on this very processor, and is let.
fn look_until(end_nanos: u64, news: impl Fn() -> bool) -> bool {
    const TURN: Duration = Duration::from_micros(2);
    loop {
        if spin_until(TURN, &news) {
            return true;
        }
        if monotonic_nanos() >= end_nanos {
            return false;
        }
        std::thread::yield_now();
    }
}

/// Spins until `news`, at most `limit`. Returns whether there is news.
pub(crate) fn spin_until(limit: Duration, news: impl Fn() -> bool) -> bool {
    /// Looks between two readings of the clock, which cost more than a look.
    const LOOKS: u32 = 64;
    if limit.is_zero() {
        return news();
    }
    let begun = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if news() {
                return true;
            }
            std::hint::spin_loop();
        }
        if begun.elapsed() >= limit {
            return false;
        }
    }
}
