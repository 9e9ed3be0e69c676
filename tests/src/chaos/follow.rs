// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers of the frames that one subscriber receives: rising, and with nothing unaccounted for.

use uncopy::{Frame, SubscriberStats};

use super::stamp::Stamp;
use super::wrong::{Kind, Wrong};

/// What the last frame was.
#[derive(Clone, Copy, Debug)]
struct Seen {
    stamp: Stamp,
    restarts: u64,
    epoch: u32,
    published_nanos: u64,
}

/// A subscriber's account of what it received.
#[derive(Debug, Default)]
pub(super) struct Account {
    every: bool,
    last: Option<Seen>,
    received: u64,
    missed: u64,
}

/// A frame that is the first of a life.
pub(super) struct First {
    pub(super) life: u64,
    /// The life before, if there was one.
    pub(super) before: Option<u64>,
}

impl Account {
    pub(super) fn new(every: bool) -> Self {
        Self { every, ..Self::default() }
    }

    /// Life and number of the last frame.
    pub(super) fn last(&self) -> Option<(u64, u64)> {
        self.last.map(|seen| (seen.stamp.life, seen.stamp.seq))
    }

    /// Enters a frame. `restarts` says how many producers were joined before this one.
    pub(super) fn enter(
        &mut self,
        frame: &Frame,
        stamp: Stamp,
        restarts: u64,
    ) -> Result<Option<First>, Wrong> {
        let seen = Seen { stamp, restarts, epoch: frame.epoch(), published_nanos: frame.published_nanos() };
        self.enter_seen(seen, frame.missed())
    }

    fn enter_seen(&mut self, seen: Seen, missed: u64) -> Result<Option<First>, Wrong> {
        let stamp = seen.stamp;
        self.received += 1;
        self.missed += missed;
        let last = self.last.replace(seen);
        let before = last.map(|last| last.stamp.life);
        let Some(last) = last else { return Ok(Some(First { life: stamp.life, before })) };
        let stale =
            |why: &str| Err(Wrong::new(Kind::Stale, format!("{stamp} came after {}, {why}", last.stamp)));
        if stamp.life < last.stamp.life {
            return stale("of a producer that is gone");
        }
        if stamp.life == last.stamp.life && seen.published_nanos < last.published_nanos {
            return stale("which was published later");
        }
        if seen.restarts != last.restarts {
            // After an eviction it is the same producer, whose newest frame may be received once more.
            if stamp.life == last.stamp.life && stamp.seq < last.stamp.seq {
                return stale("on joining again");
            }
            return Ok((stamp.life != last.stamp.life).then_some(First { life: stamp.life, before }));
        }
        if stamp.life != last.stamp.life {
            return Err(Wrong::new(Kind::Mixed, format!("{stamp} came after {} in one link", last.stamp)));
        }
        if stamp.seq <= last.stamp.seq {
            return stale("in one link");
        }
        if stamp.seq != last.stamp.seq + 1 + missed {
            return Err(Wrong::new(
                Kind::Unaccounted,
                format!("{stamp} came after {}, and {missed} were missed", last.stamp),
            ));
        }
        // Only memory of an epoch that was overtaken before it arrived is out of reach.
        if self.every && stamp.blocks && missed > 0 && seen.epoch.wrapping_sub(last.epoch) <= 1 {
            return Err(Wrong::new(
                Kind::Unaccounted,
                format!("a producer that waits for room lost {missed} frames before {stamp}"),
            ));
        }
        Ok(None)
    }

    /// Whether the subscriber counted as this account did.
    pub(super) fn settle(&self, stats: SubscriberStats) -> Result<(), Wrong> {
        // A frame that is received again after an eviction is no new one for either.
        if (stats.received, stats.missed) == (self.received, self.missed) {
            return Ok(());
        }
        let text = format!("{stats:?}, but {} were received and {} missed", self.received, self.missed);
        Err(Wrong::new(Kind::Unaccounted, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(life: u64, seq: u64, restarts: u64) -> Seen {
        let stamp = Stamp { life, seq, form: 0, blocks: true };
        Seen { stamp, restarts, epoch: 1, published_nanos: life * 1000 + seq }
    }

    /// What is wrong with the last of these frames, each with what was missed before it.
    fn fate(every: bool, frames: &[(Seen, u64)]) -> Option<Kind> {
        let mut account = Account::new(every);
        let fates: Vec<_> = frames.iter().map(|(seen, missed)| account.enter_seen(*seen, *missed)).collect();
        let (last, before) = fates.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok));
        last.as_ref().err().map(|wrong| wrong.kind)
    }

    #[test]
    fn frames_that_rise_with_every_gap_told_are_well() {
        assert_eq!(fate(false, &[(seen(1, 5, 0), 4), (seen(1, 6, 0), 0), (seen(1, 9, 0), 2)]), None);
        assert_eq!(fate(false, &[(seen(1, 5, 0), 0), (seen(2, 3, 1), 2)]), None);
    }

    #[test]
    fn a_gap_that_is_not_told_is_unaccounted_for() {
        assert_eq!(fate(false, &[(seen(1, 5, 0), 0), (seen(1, 7, 0), 0)]), Some(Kind::Unaccounted));
        assert_eq!(fate(false, &[(seen(1, 5, 0), 0), (seen(1, 6, 0), 1)]), Some(Kind::Unaccounted));
    }

    #[test]
    fn a_gap_in_every_frame_of_a_producer_that_blocks_is_wrong_even_when_told() {
        let gap = [(seen(1, 5, 0), 0), (seen(1, 8, 0), 2)];
        assert_eq!(fate(true, &gap), Some(Kind::Unaccounted));
        assert_eq!(fate(false, &gap), None);
        let overtaken = Seen { epoch: 3, ..seen(1, 8, 0) };
        assert_eq!(fate(true, &[(seen(1, 5, 0), 0), (overtaken, 2)]), None);
    }

    #[test]
    fn what_was_there_before_is_stale() {
        assert_eq!(fate(false, &[(seen(1, 5, 0), 0), (seen(1, 5, 0), 0)]), Some(Kind::Stale));
        assert_eq!(fate(false, &[(seen(2, 5, 0), 0), (seen(1, 9, 1), 0)]), Some(Kind::Stale));
        assert_eq!(fate(false, &[(seen(1, 5, 0), 0), (seen(1, 4, 1), 0)]), Some(Kind::Stale));
        assert_eq!(fate(false, &[(seen(1, 5, 0), 0), (seen(1, 5, 1), 0)]), None);
    }
}
