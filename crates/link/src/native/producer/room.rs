// SPDX-License-Identifier: MIT OR Apache-2.0
//! When there is no room: waiting for some, and who is in the way for too long.
//!
//! A consumer is in the way while it holds a slot other than the newest, or, in a link whose producer blocks, while
//! it reads every frame and has not received them all. It is *overdue* when it has been in the way at every attempt
//! of the producer for the time that the link allows, without receiving a frame in between.

use std::time::{Duration, Instant};

use uncopy_os::futex_wait;

use super::{Claim, Publisher, Target, WhenFull};
use crate::error::LinkError;
use crate::form::Form;
use crate::native::consumer::{LONG_SLICE, Waiting, slice_after};
use crate::native::ring::{self, Cells};
use crate::native::wire::{MAX_CONSUMERS, place};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Who is in the way, since when.
pub(super) struct Patience {
    limit: Duration,
    /// Per place: since when, and how many frames it had received then.
    since: [Option<(Instant, u64)>; MAX_CONSUMERS],
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, since: [None; MAX_CONSUMERS] }
    }

    /// Notes that the consumers in `blockers` are in the way, and gives those that are overdue. `received` tells how
    /// many frames a consumer has received.
    fn overdue(&mut self, blockers: u16, now: Instant, received: impl Fn(u32) -> u64) -> u16 {
        let mut overdue = 0;
        for (place, since) in (0u32..).zip(&mut self.since) {
            let received = received(place);
            match *since {
                _ if blockers & (1 << place) == 0 => *since = None,
                Some((begun, before)) if before == received => {
                    if now.saturating_duration_since(begun) >= self.limit {
                        overdue |= 1 << place;
                    }
                }
                _ => *since = Some((now, received)),
            }
        }
        overdue
    }

    /// There was room.
    pub(super) fn relax(&mut self) {
        self.since = [None; MAX_CONSUMERS];
    }
}

impl Publisher {
    /// Sleeps until a slot can be claimed, at most `timeout`.
    pub(super) fn wait_for_room(
        &mut self,
        form: &Form,
        target: &Target,
        timeout: Option<Duration>,
        mut waiting: Option<&mut dyn Waiting>,
    ) -> Result<Option<Claim>, LinkError> {
        let begun = Instant::now();
        loop {
            // Read before looking: room that is made later changes it, and then the kernel refuses to sleep.
            let room = self.control.live().room().load(Acquire);
            ring::want_room(&self.control.live());
            let found = self.try_claim(form, target);
            if !matches!(found, Ok(None)) {
                ring::end_wanting_room(&self.control.live());
                return found;
            }
            let gone = begun.elapsed();
            let left = match timeout.map(|timeout| timeout.checked_sub(gone)) {
                Some(None) => {
                    ring::end_wanting_room(&self.control.live());
                    return Ok(None);
                }
                Some(left) => left,
                None => None,
            };
            // Also where nobody is asked: who was to wake us may have been stopped.
            let look = if waiting.is_some() { slice_after(gone) } else { LONG_SLICE };
            let slice = [left, self.patience_limit()].into_iter().flatten().fold(look, Duration::min);
            futex_wait(self.control.live().room(), room, Some(slice));
            // Only this process writes it; observers want a recent value.
            self.blocked += begun.elapsed() - gone;
            let nanos = u64::try_from(self.blocked.as_nanos()).unwrap_or(u64::MAX);
            self.control.live().blocked().store(nanos, Relaxed);
            ring::end_wanting_room(&self.control.live());
            self.evict_overdue();
            if waiting.as_mut().is_some_and(|waiting| !waiting.keep_waiting()) {
                return Err(LinkError::Interrupted);
            }
        }
    }

    fn patience_limit(&self) -> Option<Duration> {
        self.patience.as_ref().map(|patience| patience.limit.max(Duration::from_millis(1)))
    }

    /// Takes the places of consumers away that have been in the way for too long. Called when there is no room.
    pub(super) fn evict_overdue(&mut self) {
        let blockers = self.blockers();
        let Some(patience) = &mut self.patience else { return };
        let control = self.control.live();
        let received = |at| control.place_u64(at, place::RECEIVED).load(Relaxed);
        let mut overdue = patience.overdue(blockers, Instant::now(), received);
        while overdue != 0 {
            let at = overdue.trailing_zeros();
            overdue &= overdue - 1;
            if self.server.evict(at) {
                tracing::warn!(
                    link = self.server.name(),
                    place = at,
                    "a consumer that was in the way is evicted"
                );
            }
        }
    }

    /// The consumers that keep slots from us, one bit each.
    fn blockers(&self) -> u16 {
        if self.patience.is_none() {
            return 0;
        }
        let control = self.control.live();
        let newest = ring::unpack_latest(control.latest().load(Acquire)).map(|(_, slot)| slot);
        let held = (0..control.slots())
            .filter(|slot| Some(*slot) != newest)
            .filter_map(|slot| control.word(slot))
            .fold(0, |mask, word| mask | ring::holders_of(word.load(Relaxed)));
        let behind = match self.when_full {
            WhenFull::Drop => 0,
            WhenFull::Block(_) => {
                let every = self.server.every();
                let is_behind =
                    |at: &u32| every & (1 << at) != 0 && control.cursor(*at).load(Acquire) < self.seq;
                (0..MAX_CONSUMERS as u32).filter(is_behind).fold(0, |mask, at| mask | 1 << at)
            }
        };
        (held | behind) & self.server.attached()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_the_way_without_receiving_is_overdue_after_the_limit_and_nobody_else() {
        let begun = Instant::now();
        let after = |millis| begun + Duration::from_millis(millis);
        let mut patience = Patience::new(Duration::from_millis(100));
        let nothing = |_| 0;
        assert_eq!(patience.overdue(0b011, begun, nothing), 0);
        assert_eq!(patience.overdue(0b011, after(99), nothing), 0);
        // The second goes out of the way, a third comes into it.
        assert_eq!(patience.overdue(0b101, after(100), nothing), 0b001);
        assert_eq!(patience.overdue(0b111, after(150), nothing), 0b001);
        assert_eq!(patience.overdue(0b111, after(200), nothing), 0b101, "the second began anew");
        // Who receives frames is slow, not hanging.
        assert_eq!(patience.overdue(0b111, after(300), |at| u64::from(at == 2)), 0b011);
        patience.relax();
        assert_eq!(patience.overdue(0b111, after(900), nothing), 0);
    }

    #[test]
    fn a_claim_that_another_thread_drops_wakes_the_producer_that_waits_for_room() {
        let dir = std::env::temp_dir().join(format!("uncopy-unit-room-{}", std::process::id()));
        let mut out = crate::publish("cam").directory(&dir).open().unwrap();
        let form = Form::image(2, 3, uncopy_core::PixelFormat::RGBA8);
        let control = out.control.clone();
        let wakes_with = |claim: Claim| {
            let before = control.live().room().load(Acquire);
            std::thread::spawn(move || drop(claim)).join().unwrap();
            control.live().room().load(Acquire) != before
        };
        assert!(!wakes_with(out.claim(&form).unwrap()), "nobody waits");
        let claim = out.claim(&form).unwrap();
        ring::want_room(&control.live());
        assert!(wakes_with(claim));
        drop(out);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
