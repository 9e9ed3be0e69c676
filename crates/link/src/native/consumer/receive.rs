// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a frame, and waiting until there is one to take.

use std::time::{Duration, Instant};

use uncopy_os::monotonic_nanos;

use super::device::{self, Look, Unready};
use super::{Cursor, JustWait, LONG_SLICE, Subscriber, Waiting, slice_after};
use crate::error::LinkError;
use crate::native::attachment::{Attachment, Next};
use crate::native::frame::Frame;

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
                    self.find_next_producer(&mut wait)?;
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
            let lost = match next {
                Next::Nothing => return Ok(Taken::Nothing),
                Next::Later => return Ok(Taken::Later),
                Next::Unreachable { seq } => seq,
                Next::Frame(lease, description) => {
                    let (lease, description) = lease.brought(description)?;
                    match device::look(&lease, self.for_stream)? {
                        Look::There => {
                            let missed = cursor.missed_before(description.seq, attachment.every);
                            let frame = Frame::new(lease, description, missed);
                            cursor.note(&frame, attachment, self.asleep_since_nanos.is_none());
                            return Ok(Taken::Frame(frame));
                        }
                        Look::Unready => {
                            cursor.unready = Some(Unready::new(lease, description));
                            return Ok(Taken::Unready);
                        }
                        // It is given back before it is passed over.
                        Look::Torn => description.seq,
                    }
                }
            };
            // There may be a later one that can be reached.
            self.pass_over(lost);
            after = after.max(lost);
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

    /// Looks for the next producer for as long as the wait lasts.
    fn find_next_producer(&mut self, wait: &mut Wait<'_>) -> Result<(), LinkError> {
        self.end_sleep(None);
        let deadline = wait.deadline();
        match &mut wait.waiting {
            Some(waiting) => self.find_producer(deadline, *waiting),
            None => self.find_producer(deadline, &mut JustWait),
        }
    }

    /// Waits for frame memory that is on its way. `false` when the time is over.
    fn wait_for_memory(&self, wait: &mut Wait<'_>) -> Result<bool, LinkError> {
        let Some(left) = wait.left() else { return Ok(false) };
        if let Some(attachment) = &self.attachment {
            attachment.wait_for_message(left)?;
        }
        wait.go_on()?;
        Ok(true)
    }
}

impl Cursor {
    /// How many frames went by unseen before this one. What there was before a reader of the latest came is none of its
    /// business.
    #[inline(always)]
    fn missed_before(&self, seq: u64, every: bool) -> u64 {
        let before = if every { self.seq } else { self.seq.max(self.joined_at) };
        seq.saturating_sub(before).saturating_sub(1)
    }

    /// Counts a frame, unless it was received before, and in `attachment` too. `is_fast`: it was not slept for.
    #[inline(always)]
    fn note(&mut self, frame: &Frame, attachment: &Attachment, is_fast: bool) {
        let seq = frame.seq();
        if seq <= self.seq {
            return;
        }
        self.seq = seq;
        self.received += 1;
        // What a number says is the producer's word; it may be any.
        self.missed = self.missed.saturating_add(frame.missed());
        attachment.count_received(self.received, self.missed, seq);
        // The clock costs as much as a third of the rest, so that few are asked of those that come fast.
        if is_fast && self.received.is_multiple_of(FAST_FRAMES_PER_AGE) {
            attachment.count_age(frame.published(), monotonic_nanos(), FAST_FRAMES_PER_AGE as u32);
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

    pub(super) fn left_at(&self, now_nanos: u64) -> Option<Duration> {
        let gone = self.gone(now_nanos);
        let left = match self.timeout {
            Some(timeout) => Some(timeout.checked_sub(gone)?),
            None => None,
        };
        // Also where nobody is asked: who was to wake us may have been stopped.
        let slice = if self.waiting.is_some() { slice_after(gone) } else { LONG_SLICE };
        Some(left.map_or(slice, |left| left.min(slice)))
    }

    /// When the time is over; `None` where it never is.
    fn deadline(&self) -> Option<Instant> {
        let left = self.timeout?.saturating_sub(self.gone(monotonic_nanos()));
        Instant::now().checked_add(left)
    }

    /// Asks the caller whether to go on.
    pub(super) fn go_on(&mut self) -> Result<(), LinkError> {
        let goes_on = self.waiting.as_mut().is_none_or(|waiting| waiting.keep_waiting());
        if goes_on { Ok(()) } else { Err(LinkError::Interrupted) }
    }

    /// The most of `spin` that the time of the wait allows.
    pub(super) fn spin(&self, spin: Duration) -> Duration {
        spin.min(self.timeout.unwrap_or(spin))
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
