// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long devices take to write frames, for a consumer that waits for one: when to sleep, and how long to look.

use std::time::Duration;

/// How long one look at a word lasts at least: a copy of a frame within a card takes about half of it.
pub(crate) const SPIN: Duration = Duration::from_micros(50);
/// The longest sleep between two looks.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What a sleep may overrun by: the kernel's own tolerance for timers, and the time of waking up.
pub(super) const OVERRUN: Duration = Duration::from_micros(120);

/// How long the device took of late, from the publication of a frame until that was there.
#[derive(Debug, Default)]
pub(super) struct DevicePace {
    takes: Duration,
}

/// What a waiter does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// Sleeps for so long, if that is not zero.
    pub(super) nap: Duration,
    /// Then looks for so long.
    pub(super) look: Duration,
}

impl DevicePace {
    /// How to wait for a frame that was published so long ago. The sleep ends early, since it may overrun; the look lasts
    /// until the frame should be there, and some longer.
    pub(super) fn first(&self, age: Duration) -> Step {
        let left = self.takes.saturating_sub(age);
        Step { nap: left.saturating_sub(OVERRUN), look: left.min(OVERRUN) + SPIN }
    }

    /// How to go on waiting: the longer a frame has taken, the longer it may take.
    pub(super) fn next(age: Duration) -> Step {
        Step { nap: (age / 8).clamp(SPIN, LOOK_EVERY), look: SPIN }
    }

    /// Notes that a frame was seen to come, so long after its publication. Follows slowly, so that one frame that was
    /// late does not make the next ones late.
    pub(super) fn note_seen(&mut self, age: Duration) {
        self.takes = (self.takes * 3 + age) / 4;
    }

    /// Notes that a frame was found after a sleep: it came between these two. Taken for the later of them, a sleep that
    /// was too long would make the next one longer.
    pub(super) fn note_found(&mut self, not_yet: Duration, age: Duration) {
        self.note_seen((not_yet + age) / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a frame is noticed that is there after so long, by a sleeper that overruns.
    fn notice(pace: &mut DevicePace, takes: Duration, overrun: Duration) -> Duration {
        let mut age = Duration::from_micros(30);
        let mut step = pace.first(age);
        loop {
            let not_yet = age;
            if !step.nap.is_zero() {
                age += step.nap.min(LOOK_EVERY) + overrun;
                if age >= takes {
                    pace.note_found(not_yet, age);
                    return age;
                }
            }
            if age + step.look >= takes {
                pace.note_seen(takes);
                return takes;
            }
            age += step.look;
            step = DevicePace::next(age);
        }
    }

    #[test]
    fn who_waits_for_frames_that_take_alike_learns_to_see_them_come() {
        for overrun in [0, 60, 110] {
            for takes in [60, 90, 126, 300, 650, 900] {
                let (takes, mut pace) = (Duration::from_micros(takes), DevicePace::default());
                let noticed: Vec<_> =
                    (0..60).map(|_| notice(&mut pace, takes, Duration::from_micros(overrun))).collect();
                assert_eq!(noticed[40..], [takes; 20], "{overrun} µs over: {noticed:?}");
            }
        }
    }

    #[test]
    fn a_sleep_that_was_too_long_makes_the_next_one_shorter() {
        let mut pace = DevicePace { takes: Duration::from_millis(2) };
        let takes = Duration::from_micros(126);
        let noticed: Vec<_> = (0..60).map(|_| notice(&mut pace, takes, Duration::from_micros(60))).collect();
        assert_eq!(noticed[40..], [takes; 20], "{noticed:?}");
    }

    #[test]
    fn no_look_takes_longer_than_a_sleep_may_overrun_by_and_some() {
        for takes in [0, 50, 170, 1000, 100_000] {
            let pace = DevicePace { takes: Duration::from_micros(takes) };
            let step = pace.first(Duration::ZERO);
            assert!(step.look <= OVERRUN + SPIN && step.look >= SPIN, "{step:?}");
        }
    }
}
