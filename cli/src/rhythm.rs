// SPDX-License-Identifier: MIT OR Apache-2.0
//! How regularly a link publishes: rates and intervals from the times that its frames carry.
//!
//! A rate counts every frame, by number, also those whose time was overwritten before anybody looked. An interval is
//! the time between two frames whose numbers follow each other and whose times were both seen.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use uncopy::Published;

/// Frames of one link over the last so many seconds.
pub(crate) struct Rhythm {
    window: Duration,
    frames: VecDeque<Published>,
}

impl Rhythm {
    pub fn new(window: Duration) -> Self {
        Self { window, frames: VecDeque::new() }
    }

    /// Number of the newest frame that was seen, 0 before the first.
    pub fn newest_seq(&self) -> u64 {
        self.frames.back().map_or(0, |frame| frame.seq)
    }

    /// Takes note of frames, in the order of their numbers, and forgets those that are too old by now.
    pub fn take(&mut self, frames: &[Published], now_nanos: u64) {
        self.frames.extend(frames);
        let oldest = now_nanos.saturating_sub(self.window.as_nanos() as u64);
        // The last one before the window stays, so that a slow link has an interval at all.
        while self.frames.get(1).is_some_and(|second| second.nanos < oldest) {
            self.frames.pop_front();
        }
    }

    /// Frames each second; `None` while there were fewer than two, 0 when none came within the window.
    ///
    /// A silence that has lasted longer than any interval before it counts: the rate of a link that has stopped falls.
    pub fn fps(&self, now_nanos: u64) -> Option<f64> {
        let (first, last) = (self.frames.front()?, self.frames.back()?);
        let span = last.nanos.saturating_sub(first.nanos);
        let silence = now_nanos.saturating_sub(last.nanos);
        if last.seq == first.seq || span == 0 {
            return (u128::from(silence) > self.window.as_nanos()).then_some(0.0);
        }
        let longest = pairs(&self.frames).map(|(one, next)| next.nanos.saturating_sub(one.nanos)).max()?;
        let silence = if silence > longest { silence } else { 0 };
        Some((last.seq - first.seq) as f64 * 1e9 / (span + silence) as f64)
    }

    /// The intervals between its frames.
    pub fn intervals(&self) -> Intervals {
        let mut intervals = Intervals::default();
        consecutive(&self.frames).for_each(|nanos| intervals.add(nanos));
        intervals
    }
}

fn pairs(frames: &VecDeque<Published>) -> impl Iterator<Item = (&Published, &Published)> {
    frames.iter().zip(frames.iter().skip(1))
}

/// Nanoseconds between frames whose numbers follow each other.
fn consecutive(frames: &VecDeque<Published>) -> impl Iterator<Item = u64> + '_ {
    pairs(frames)
        .filter(|(one, next)| next.seq == one.seq + 1)
        .map(|(one, next)| next.nanos.saturating_sub(one.nanos))
}

/// Statistics over any number of intervals, kept as they come (Welford's method, which does not lose digits).
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Intervals {
    count: u64,
    min: u64,
    max: u64,
    mean: f64,
    squares: f64,
}

/// The same as `--json` prints it, in nanoseconds.
#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
pub(crate) struct IntervalReport {
    /// How many intervals were seen.
    pub count: u64,
    pub min: u64,
    pub mean: u64,
    pub max: u64,
    /// Standard deviation of the population.
    pub std: u64,
}

impl Intervals {
    pub fn add(&mut self, nanos: u64) {
        self.min = if self.count == 0 { nanos } else { self.min.min(nanos) };
        self.max = self.max.max(nanos);
        self.count += 1;
        let off = nanos as f64 - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (nanos as f64 - self.mean);
    }

    pub fn report(&self) -> Option<IntervalReport> {
        (self.count > 0).then(|| IntervalReport {
            count: self.count,
            min: self.min,
            mean: self.mean.round() as u64,
            max: self.max,
            std: (self.squares / self.count as f64).sqrt().round() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    fn frames(of: impl IntoIterator<Item = (u64, u64)>) -> Vec<Published> {
        of.into_iter().map(|(seq, millis)| Published { seq, nanos: millis * MILLI }).collect()
    }

    fn rhythm(of: &[Published], now_millis: u64) -> Rhythm {
        let mut rhythm = Rhythm::new(Duration::from_secs(1));
        rhythm.take(of, now_millis * MILLI);
        rhythm
    }

    #[test]
    fn a_steady_link_has_its_rate_and_no_deviation() {
        let rhythm = rhythm(&frames((0..20).map(|n| (n + 1, n * 20))), 385);
        assert_eq!(rhythm.fps(385 * MILLI), Some(50.0));
        let steady = IntervalReport { count: 19, min: 20 * MILLI, mean: 20 * MILLI, max: 20 * MILLI, std: 0 };
        assert_eq!(rhythm.intervals().report(), Some(steady));
    }

    #[test]
    fn frames_that_nobody_saw_count_for_the_rate_and_make_no_interval() {
        let rhythm = rhythm(&frames([(1, 0), (2, 10), (7, 60), (8, 70)]), 75);
        assert_eq!(rhythm.fps(75 * MILLI), Some(100.0));
        assert_eq!(rhythm.intervals().report().map(|seen| (seen.count, seen.max)), Some((2, 10 * MILLI)));
    }

    #[test]
    fn the_rate_of_a_link_that_has_stopped_falls() {
        let rhythm = rhythm(&frames([(1, 0), (2, 100), (3, 200)]), 290);
        assert_eq!(rhythm.fps(290 * MILLI), Some(10.0));
        assert_eq!(rhythm.fps(1000 * MILLI), Some(2.0));
        let mut stopped = rhythm;
        stopped.take(&[], 9000 * MILLI);
        assert_eq!(stopped.fps(9000 * MILLI), Some(0.0));
    }

    #[test]
    fn old_frames_leave_the_window_and_one_before_it_stays() {
        let rhythm = rhythm(&frames((0..40).map(|n| (n + 1, n * 100))), 3900);
        assert_eq!(rhythm.frames.front().map(|frame| frame.seq), Some(29));
        assert_eq!(rhythm.newest_seq(), 40);
    }

    #[test]
    fn one_frame_is_no_rate() {
        let rhythm = rhythm(&frames([(5, 0)]), 10);
        assert_eq!(rhythm.fps(10 * MILLI), None);
        assert!(rhythm.intervals().report().is_none());
    }

    #[test]
    fn deviations_are_those_of_the_numbers() {
        let mut intervals = Intervals::default();
        [2, 4, 4, 4, 5, 5, 7, 9].into_iter().for_each(|nanos| intervals.add(nanos));
        assert_eq!(intervals.report(), Some(IntervalReport { count: 8, min: 2, mean: 5, max: 9, std: 2 }));
    }
}
