// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for news of a producer: spin briefly, then sleep until woken.
//!
//! Where the next frame is [foreseen](super::cadence) the first sleep ends by a timer shortly before it is due, and the
//! sleeper, awake, looks for it. If that is in vain it sleeps on, and is woken as ever.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use uncopy_os::{Woken, futex_wait_marked, kill_point, monotonic_nanos, on_time};

use super::Subscriber;
use super::cadence::Cadence;
use super::receive::{Wait, spin_until};
use crate::error::LinkError;
use crate::native::attachment::Attachment;
use crate::native::control::Live;
use crate::native::frame::Frame;
use crate::native::ring::{self, Cells};

impl Subscriber {
    /// Waits for a newer frame or the end of the producer: spins, then sleeps. `false` when the time is over.
    pub(super) fn wait_for_news(&mut self, wait: &mut Wait<'_>) -> Result<bool, LinkError> {
        self.end_sleep(None);
        let Some(attachment) = &self.attachment else { return Ok(true) };
        let control = attachment.control.live();
        let news = News { attachment, control, latest: control.latest(), after: self.cursor.after() };
        if self.spin_pays && spin_until(wait.spin(self.spin), || news.is_there()) {
            return Ok(true);
        }
        // Spinning in vain costs more than its time: the scheduler then wakes the sleeper elsewhere.
        self.spin_pays = false;
        let foresees = !self.spin.is_zero();
        let (cadence, since_nanos) = (&mut self.cadence, &mut self.asleep_since_nanos);
        Sleeper { news, cadence, since_nanos }.sleep_until_news(wait, foresees)
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

/// What a subscriber waits for: a frame above `after`, the end of the producer, or of its own place there.
struct News<'a> {
    attachment: &'a Attachment,
    control: Live<'a>,
    /// One address, found once: a spin does nothing but look at it.
    latest: &'a AtomicU64,
    after: u64,
}

impl News<'_> {
    #[inline]
    fn is_there(&self) -> bool {
        ring::seq_of(self.latest.load(Acquire)) > self.after
            || self.attachment.ended().is_some()
            || self.attachment.is_evicted()
    }
}

/// A subscriber that sleeps until there is news.
struct Sleeper<'s> {
    news: News<'s>,
    cadence: &'s mut Cadence,
    /// Since when its place is marked as a sleeper's. The mark may outlast the sleep:
    /// [`end_sleep`](Subscriber::end_sleep) takes it back.
    since_nanos: &'s mut Option<u64>,
}

/// What came of looking for a frame that was due.
enum Looked {
    /// There is news.
    Seen,
    InVain,
    /// It did not look: it was woken before, or news came before.
    Not,
}

impl Sleeper<'_> {
    /// Sleeps, the first time perhaps by a timer, until there is news. `false` when the time is over.
    fn sleep_until_news(mut self, wait: &mut Wait<'_>, foresees: bool) -> Result<bool, LinkError> {
        let mut now = monotonic_nanos();
        let mut due = if foresees { self.cadence.next_look(now) } else { None };
        loop {
            let Some(left) = wait.left_at(now) else { return Ok(self.news.is_there()) };
            let Some(woken) = self.sleep(now, left, due.as_ref()) else { return Ok(true) };
            let is_there = self.news.is_there();
            if is_there {
                self.pass_wake_on(due.is_some());
            }
            if let Some(due) = due.take() {
                now = monotonic_nanos();
                match self.look(&due, now, is_there) {
                    Looked::Seen => return Ok(true),
                    // It sleeps on. Whoever was woken all the same is asked below what for.
                    Looked::InVain if woken == Woken::TimedOut => continue,
                    Looked::InVain | Looked::Not => {}
                }
            }
            if matches!(woken, Woken::TimedOut | Woken::Interrupted) {
                wait.go_on()?;
            }
            // What follows a wake-up is on the way of the frame: `end_sleep` comes when the frame is held.
            if self.news.is_there() {
                return Ok(true);
            }
            self.take_mark_back();
            *self.since_nanos = None;
            // A wake-up without news may be a `Waker`'s.
            if woken == Woken::Woken {
                wait.go_on()?;
            }
            now = monotonic_nanos();
        }
    }

    /// Sleeps until somebody wakes it, for `left` at the most, or until a frame is about to be due. `None` where there is
    /// news by the time at which it is marked as a sleeper: then it does not sleep.
    fn sleep(&mut self, now: u64, left: Duration, due: Option<&Range<u64>>) -> Option<Woken> {
        let News { attachment, control, .. } = &self.news;
        let value = ring::announce_sleep(control, attachment.place);
        *self.since_nanos = Some(now);
        if self.news.is_there() {
            return None;
        }
        let sleep = |limit: Duration| {
            futex_wait_marked(control.latest_futex(), value as u32, Some(limit), ring::mark(value))
        };
        let until_due = due.map(|due| Duration::from_nanos(due.start.saturating_sub(now)));
        Some(match until_due.filter(|until_due| *until_due < left) {
            Some(until_due) => on_time(|| sleep(until_due)),
            None => sleep(left),
        })
    }

    /// Wakes the next sleepers, as this one was woken, for news that is there.
    fn pass_wake_on(&mut self, has_timer: bool) {
        kill_point("consumer.woken");
        self.news.control.pass_wake_on(self.news.attachment.place);
        if !has_timer && self.cadence.asks_for_wakes() {
            self.cadence.note_wake(monotonic_nanos());
        }
    }

    /// Looks for a frame that is due, unless there is one, or the timer has not ended by `now`.
    fn look(&mut self, due: &Range<u64>, now: u64, is_there: bool) -> Looked {
        if now < due.start {
            return Looked::Not;
        }
        let is_seen = !is_there && {
            // Awake before the frame: the producer need not wake us.
            self.take_mark_back();
            look_until(due.end, || self.news.is_there())
        };
        self.cadence.note_look(due, now, is_seen);
        match (is_there, is_seen) {
            (true, _) => Looked::Not,
            (false, true) => Looked::Seen,
            (false, false) => Looked::InVain,
        }
    }

    /// Nobody need wake it any more.
    fn take_mark_back(&self) {
        ring::end_sleep(&self.news.control, self.news.attachment.place);
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
