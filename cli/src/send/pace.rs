// SPDX-License-Identifier: MIT OR Apache-2.0
//! When each frame is due: a frame rate as a fraction, and a clock that never runs after lost time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::units;

/// Frames each second, exactly: 30000/1001 stays what it is over any number of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rate {
    frames: u64,
    seconds: u64,
}

impl Rate {
    /// `None` for a rate of zero, of infinity, or above a million.
    pub const fn new(frames: u64, seconds: u64) -> Option<Self> {
        if frames == 0 || seconds == 0 || frames / seconds > 1_000_000 {
            return None;
        }
        Some(Self { frames, seconds })
    }

    /// When frame `number` (from 0) is due, from the first on.
    fn due(self, number: u64) -> Duration {
        let nanos = u128::from(number) * u128::from(self.seconds) * 1_000_000_000 / u128::from(self.frames);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub fn per_second(self) -> f64 {
        self.frames as f64 / self.seconds as f64
    }

    /// Frames in so many seconds, rounded.
    pub fn frames_in(self, seconds: f64) -> u64 {
        (seconds * self.per_second()).round() as u64
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&units::rate(self.per_second()))
    }
}

impl FromStr for Rate {
    type Err = String;

    /// Reads `25`, `29.97` or `30000/1001`.
    fn from_str(text: &str) -> Result<Self, String> {
        let rate = match text.split_once('/') {
            Some((frames, seconds)) => frames.parse().ok().zip(seconds.parse().ok()),
            None => text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0).map(|rate| {
                // Six decimals are more than any rate is given with.
                ((rate * 1e6).round() as u64, 1_000_000)
            }),
        };
        rate.and_then(|(frames, seconds)| Self::new(frames, seconds))
            .ok_or_else(|| "frames each second, such as 25, 29.97 or 30000/1001".to_owned())
    }
}

/// Says when frames are due. A frame that comes late moves all later ones: frames are never sent in a burst to catch
/// up, because readers of the newest frame would miss them.
pub(super) struct Pace {
    rate: Rate,
    begun: Option<Instant>,
    frames: u64,
    late: u64,
}

impl Pace {
    pub fn new(rate: Rate) -> Self {
        Self { rate, begun: None, frames: 0, late: 0 }
    }

    /// When the next frame is due, given that it is ready `now`.
    pub fn next(&mut self, now: Instant) -> Instant {
        let begun = *self.begun.get_or_insert(now);
        let due = begun + self.rate.due(self.frames);
        self.frames += 1;
        // Waking up a little late is not the source's fault.
        if now > due + self.rate.due(1) / 2 {
            self.late += 1;
            self.begun = Some(begun + (now - due));
            return now;
        }
        due
    }

    /// How many frames were not ready when they were due.
    pub fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn rates_are_read_as_numbers_and_fractions() {
        assert_eq!("25".parse::<Rate>().unwrap().per_second(), 25.0);
        assert_eq!("30000/1001".parse::<Rate>().unwrap(), Rate::new(30_000, 1001).unwrap());
        assert_eq!("29.97".parse::<Rate>().unwrap().to_string(), "29.97");
        for wrong in ["0", "-1", "1/0", "0/0", "inf", "nan", "x", "1e9", ""] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn frames_are_due_by_the_fraction_without_drift() {
        let rate = Rate::new(30_000, 1001).unwrap();
        assert_eq!(rate.due(30_000), Duration::from_secs(1001));
        assert_eq!(rate.due(1), Duration::from_nanos(33_366_666));
    }

    #[test]
    fn a_late_frame_moves_the_later_ones_and_is_counted() {
        let mut pace = Pace::new(Rate::new(100, 1).unwrap());
        let start = Instant::now();
        assert_eq!(pace.next(start), start);
        assert_eq!(pace.next(start + MS), start + 10 * MS);
        assert_eq!(pace.next(start + 50 * MS), start + 50 * MS);
        assert_eq!(pace.next(start + 51 * MS), start + 60 * MS);
        assert_eq!(pace.late(), 1);
    }
}
