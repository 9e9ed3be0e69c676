// SPDX-License-Identifier: MIT OR Apache-2.0
//! When the next frame is due, for a consumer that sleeps until then.
//!
//! To be woken takes a sleeping processor 5 to 100 µs, most of what a frame takes from hand to hand. Cameras, screens and
//! audio blocks come evenly, so that their next frame can be foreseen: the consumer sets a timer, is awake when the
//! frame is due, and looks. What it looks for in vain is bounded: [`BUDGET_SHARE`] of the time between two frames.
//! Where frames come unevenly nothing is foreseen, and it is woken as ever; so it is where being woken takes no longer
//! than a timer that is off: a processor that has slept for a millisecond is awake at once.
//!
//! A frame that comes early wakes the sleeper, and one that comes late finds it asleep again: what is foreseen wrongly
//! costs time of the processor and never a frame.

use std::ops::Range;

/// What may be spent with looking: this part of the time between two frames.
const BUDGET_SHARE: u64 = 256;
/// But as much as a wake-up costs in any case, which it saves.
const LEAST_BUDGET_NANOS: u64 = 10_000;
/// And no more than this, however rarely frames come.
const MOST_BUDGET_NANOS: u64 = 200_000;
/// So many of the last frames say how even they are.
const MEMORY: usize = 16;
/// Nothing is foreseen from fewer.
const LEAST_KNOWN: usize = 8;
/// Wake-ups that take less than this are not worth to be saved: a look that comes too late costs as much.
const WORTH_NANOS: i64 = 15_000;
/// Nothing is known of wake-ups from fewer.
const LEAST_WAKES: usize = 4;
/// Frames further apart than this are no series: a pause begins it anew.
const LONGEST_GAP_FRAMES: u64 = 8;
/// Nor are frames that are off by more than this part of the time between them.
const LARGEST_ERROR_SHARE: u64 = 16;
/// A timer that is nearer than this would not be on time.
const NEAREST_TIMER_NANOS: u64 = 30_000;
/// Of timers of which none was seen yet.
const UNKNOWN_LATENESS: Spread = Spread { early: 20_000, middle: 50_000, late: 80_000 };
/// After so many frames that were mostly foreseen in vain, another attempt is made.
const REST_FRAMES: u32 = 64;

/// How evenly the frames of one producer come, and how late timers of this thread are.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    /// Number and foreseen time of the last frame: half of what it was off by is taken for its own.
    last: Option<(u64, u64)>,
    period_nanos: u64,
    /// By how much frames came later than foreseen.
    errors: Recent,
    /// By how much the timer did.
    lateness: Recent,
    /// How long after its frame a sleeper was awake that was woken.
    wakes: Recent,
    /// When it was last woken, until the frame is known.
    woken: Option<u64>,
    /// Of the last looks, those that saw a frame, one bit each.
    hits: u16,
    looks: u32,
    /// Frames to be left alone.
    resting: u32,
}

impl Cadence {
    /// Notes a frame, its number and when it was published.
    pub(super) fn note(&mut self, seq: u64, published_nanos: u64) {
        self.resting = self.resting.saturating_sub(1);
        if let Some(late) = self.woken.take().and_then(|woken| woken.checked_sub(published_nanos)) {
            self.wakes.push(late.cast_signed());
        }
        let series = self.last.and_then(|(last, foreseen)| {
            let frames = seq.checked_sub(last).filter(|frames| (1..=LONGEST_GAP_FRAMES).contains(frames))?;
            Some((frames, foreseen, published_nanos.checked_sub(foreseen)?))
        });
        let Some((frames, foreseen, elapsed)) = series else { return self.begin(seq, published_nanos) };
        // What a stamp says is the producer's word; it may be any.
        let due = foreseen.saturating_add(frames.saturating_mul(self.period_nanos));
        let error = published_nanos.cast_signed().wrapping_sub(due.cast_signed());
        if error.unsigned_abs() > self.period_nanos / LARGEST_ERROR_SHARE {
            self.begin(seq, published_nanos);
            self.period_nanos = elapsed / frames;
            return;
        }
        self.errors.push(error);
        self.last = Some((seq, due.saturating_add_signed(error / 2)));
        self.period_nanos = self.period_nanos.saturating_add_signed(error / (8 * frames.cast_signed()));
    }

    fn begin(&mut self, seq: u64, published_nanos: u64) {
        self.last = Some((seq, published_nanos));
        self.period_nanos = 0;
        self.errors = Recent::default();
        self.wakes = Recent::default();
    }

    /// Whether it is of use to know when a sleeper is woken. (To read the clock takes time, too.)
    pub(super) fn asks_for_wakes(&self) -> bool {
        self.errors.len >= LEAST_KNOWN - LEAST_WAKES
    }

    /// Notes that a sleeper was woken for the frame that is noted next.
    pub(super) fn note_wake(&mut self, now_nanos: u64) {
        self.woken = Some(now_nanos);
    }

    /// From when until when to look for the next frame, on the monotonic clock; `None` where it can't be foreseen, or is
    /// due so soon that a timer is of no use.
    pub(super) fn next_look(&self, now_nanos: u64) -> Option<Range<u64>> {
        if self.resting > 0 || self.errors.len < LEAST_KNOWN || !self.are_wakes_slow() {
            return None;
        }
        let due = self.last?.1.saturating_add(self.period_nanos);
        let budget = self.period_nanos / BUDGET_SHARE;
        let budget = budget.clamp(LEAST_BUDGET_NANOS, MOST_BUDGET_NANOS).cast_signed();
        let errors = self.errors.spread();
        let lateness = if self.lateness.len == 0 { UNKNOWN_LATENESS } else { self.lateness.spread() };
        if errors.late - errors.early > 4 * budget {
            return None;
        }
        // Awake for the earliest of the frames, as long as that is not to look for too long for most of them.
        let begin = (errors.early - lateness.late).max(errors.middle - lateness.middle - budget);
        let end = errors.late.min(begin + lateness.middle + 3 * budget).max(begin + lateness.middle + budget);
        let look = due.saturating_add_signed(begin)..due.saturating_add_signed(end);
        (look.start > now_nanos + NEAREST_TIMER_NANOS).then_some(look)
    }

    fn are_wakes_slow(&self) -> bool {
        self.wakes.len >= LEAST_WAKES && self.wakes.spread().middle >= WORTH_NANOS
    }

    /// Notes that a timer for the begin of a look ended at `woke_nanos`, and whether the look saw a frame.
    pub(super) fn note_look(&mut self, look: &Range<u64>, woke_nanos: u64, has_seen: bool) {
        self.lateness.push(woke_nanos.saturating_sub(look.start).cast_signed());
        self.hits = self.hits << 1 | u16::from(has_seen);
        self.looks = self.looks.saturating_add(1);
        if self.looks >= u16::BITS && self.hits.count_ones() < u16::BITS / 2 {
            (self.looks, self.resting) = (0, REST_FRAMES);
        }
    }
}

/// The last few of a quantity, in nanoseconds.
#[derive(Debug, Default)]
struct Recent {
    values: [i64; MEMORY],
    next: usize,
    len: usize,
}

/// Where most of it lies.
#[derive(Default)]
struct Spread {
    early: i64,
    middle: i64,
    late: i64,
}

impl Recent {
    fn push(&mut self, value: i64) {
        if let Some(place) = self.values.get_mut(self.next) {
            *place = value;
        }
        self.next = (self.next + 1) % MEMORY;
        self.len = (self.len + 1).min(MEMORY);
    }

    /// The lowest and highest but one, and the middle: one that stands out is nothing to go by.
    fn spread(&self) -> Spread {
        let mut sorted = self.values;
        let Some(known) = sorted.get_mut(..self.len) else { return Spread::default() };
        known.sort_unstable();
        let at = |index: usize| known.get(index).copied().unwrap_or_default();
        Spread { early: at(1), middle: at(known.len() / 2), late: at(known.len().saturating_sub(2)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: u64 = 16_666_667;
    /// When frame 0 would have been.
    const START: u64 = 1_000_000_000;

    /// A few microseconds to either side, the same in every run.
    fn jitter(seq: u64, most_nanos: i64) -> i64 {
        (seq.wrapping_mul(7919) % 101).cast_signed() * most_nanos / 50 - most_nanos
    }

    fn due(seq: u64) -> u64 {
        START + seq * PERIOD
    }

    /// What is known after frames that came evenly but for so much, and woke the sleeper late.
    fn after(frames: u64, most_nanos: i64) -> Cadence {
        after_wakes(frames, most_nanos, 30_000)
    }

    fn after_wakes(frames: u64, most_nanos: i64, wake_nanos: u64) -> Cadence {
        let mut cadence = Cadence::default();
        for seq in 1..=frames {
            let published = due(seq).saturating_add_signed(jitter(seq, most_nanos));
            if cadence.asks_for_wakes() {
                cadence.note_wake(published + wake_nanos);
            }
            cadence.note(seq, published);
        }
        cadence
    }

    fn note_timers(cadence: &mut Cadence, lateness_nanos: u64, has_seen: bool, count: u32) {
        for _ in 0..count {
            cadence.note_look(&(0..1), lateness_nanos, has_seen);
        }
    }

    #[test]
    fn who_looks_is_awake_before_an_even_frame_and_looks_until_after_it() {
        let mut cadence = after(40, 5_000);
        for lateness in [5_000, 60_000] {
            note_timers(&mut cadence, lateness, true, MEMORY as u32);
            let look = cadence.next_look(due(40)).unwrap();
            assert!(look.start + lateness <= due(41) - 5_000, "{look:?} for {}", due(41));
            assert!(look.end >= due(41) + 5_000, "{look:?} for {}", due(41));
        }
    }

    #[test]
    fn no_look_costs_more_than_its_share() {
        for most_nanos in [0, 1_000, 20_000, 60_000] {
            let mut cadence = after(40, most_nanos);
            note_timers(&mut cadence, 50_000, true, MEMORY as u32);
            let Some(look) = cadence.next_look(due(40)) else { continue };
            let begins = look.start + 50_000;
            let budget = PERIOD / BUDGET_SHARE;
            assert!(begins + budget + 2_000 >= due(41) - u64::try_from(most_nanos).unwrap(), "{most_nanos}");
            assert!(look.end - begins <= 3 * budget, "{most_nanos}: {look:?}");
        }
    }

    #[test]
    fn uneven_frames_and_few_are_not_foreseen() {
        assert!(after(8, 1_000).next_look(due(8)).is_none());
        assert!(after(20, 1_000).next_look(due(20)).is_some());
        assert!(after(200, 500_000).next_look(due(200)).is_none(), "within one series");
        assert!(after(200, 5_000_000).next_look(due(200)).is_none(), "every frame begins a new one");
    }

    #[test]
    fn who_is_woken_at_once_sets_no_timer() {
        assert!(after_wakes(40, 5_000, 6_000).next_look(due(40)).is_none());
        let mut cadence = Cadence::default();
        (1..=40).for_each(|seq| cadence.note(seq, due(seq)));
        assert!(cadence.next_look(due(40)).is_none(), "nothing is known of wake-ups");
    }

    #[test]
    fn a_missed_frame_is_no_pause_and_a_pause_begins_anew() {
        let mut cadence = after(40, 5_000);
        cadence.note(43, due(43));
        let look = cadence.next_look(due(43)).unwrap();
        assert!(look.contains(&due(44)), "{look:?} for {}", due(44));
        cadence.note(44, due(200));
        assert!(cadence.next_look(due(200)).is_none());
    }

    #[test]
    fn a_frame_that_is_due_at_once_is_no_matter_of_timers() {
        let cadence = after(40, 5_000);
        assert!(cadence.next_look(due(41) - 10_000).is_none());
        assert!(cadence.next_look(due(41) + PERIOD / 2).is_none(), "it is late, and may come at any time");
    }

    #[test]
    fn looks_in_vain_end_and_are_tried_again() {
        let mut cadence = after(40, 5_000);
        note_timers(&mut cadence, 50_000, false, 16);
        assert!(cadence.next_look(due(40)).is_none());
        let then = 40 + u64::from(REST_FRAMES);
        for seq in 41..=then {
            cadence.note(seq, due(seq));
        }
        assert!(cadence.next_look(due(then)).is_some());
    }

    #[test]
    fn stamps_may_be_anything() {
        let mut cadence = Cadence::default();
        let stamps = [0, u64::MAX, 1, u64::MAX / 2, u64::MAX, u64::MAX - 1, 5, 5, 5];
        for (seq, stamp) in stamps.iter().cycle().take(200).enumerate() {
            cadence.note(seq as u64, *stamp);
            cadence.next_look(*stamp);
        }
        let mut far = Cadence::default();
        (1..=60).for_each(|seq| far.note(seq, seq << 57));
        far.next_look(0);
    }
}
