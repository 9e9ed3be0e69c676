// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run has counted and measured.

use std::time::Duration;

use serde_json::{Value, json};

/// What participants count, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of which every byte was checked on arrival. What the last beat before a kill did not tell is not in it.
    pub verified: u64,
    /// Frames that were checked once more before they were given back.
    pub rechecked: u64,
    /// Frames that went by, as told by the frames that came.
    pub missed: u64,
    /// Frames published.
    pub published: u64,
    /// Frames for which there was no slot.
    pub dropped: u64,
    /// Places taken away by producers.
    pub evicted: u64,
    /// Attempts that found all places taken.
    pub turned_away: u64,
    /// Subscriptions begun.
    pub joined: u64,
}

impl Counts {
    /// From a participant's beat.
    pub(super) fn of(event: &Value) -> Self {
        let number = |key: &str| event[key].as_u64().unwrap_or_default();
        Self {
            verified: number("verified"),
            rechecked: number("rechecked"),
            missed: number("missed"),
            published: number("published"),
            dropped: number("dropped"),
            evicted: number("evicted"),
            turned_away: number("turned_away"),
            joined: number("joined"),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.verified += other.verified;
        self.rechecked += other.rechecked;
        self.missed += other.missed;
        self.published += other.published;
        self.dropped += other.dropped;
        self.evicted += other.evicted;
        self.turned_away += other.turned_away;
        self.joined += other.joined;
    }

    pub(super) fn json(&self) -> Value {
        let Self { verified, rechecked, missed, published, dropped, evicted, turned_away, joined } = self;
        json!({
            "frames_verified": verified, "frames_rechecked": rechecked, "frames_missed": missed,
            "frames_published": published, "frames_dropped": dropped, "evicted": evicted,
            "turned_away": turned_away, "joined": joined,
        })
    }
}

/// Samples of a time in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<u64>);

impl Samples {
    pub(super) fn push(&mut self, nanos: u64) {
        self.0.push(nanos);
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sample that this share of them does not exceed, by nearest rank; `None` without samples.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<u64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "p50_ns": self.percentile(0.5), "p99_ns": self.percentile(0.99), "max_ns": self.percentile(1.0),
            "n": self.len(),
        })
    }
}

/// What a participant that stays for the whole run takes from the machine, early and at the end.
#[derive(Clone, Debug)]
pub struct Stay {
    /// Who.
    pub name: String,
    /// Its process.
    pub pid: i32,
    /// Private memory when it had warmed up, bytes; `None` where the run was too short.
    pub warm_bytes: Option<u64>,
    /// The same at the end.
    pub last_bytes: u64,
    /// Descriptors before anybody else came.
    pub first_descriptors: usize,
    /// Descriptors when everybody else had gone.
    pub last_descriptors: usize,
}

impl Stay {
    /// How much its memory has grown since it was warm, bytes.
    #[must_use]
    pub fn growth_bytes(&self) -> u64 {
        self.warm_bytes.map_or(0, |warm| self.last_bytes.saturating_sub(warm))
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name, "warm_bytes": self.warm_bytes, "last_bytes": self.last_bytes,
            "first_descriptors": self.first_descriptors, "last_descriptors": self.last_descriptors,
        })
    }

    /// How many descriptors it has more.
    #[must_use]
    pub fn more_descriptors(&self) -> usize {
        self.last_descriptors.saturating_sub(self.first_descriptors)
    }
}

/// Everything that a run found.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Of all participants.
    pub counts: Counts,
    /// Producers killed.
    pub producers_killed: u64,
    /// Consumers killed.
    pub consumers_killed: u64,
    /// Processes stopped for a while.
    pub stops: u64,
    /// Processes started in the place of another.
    pub restarts: u64,
    /// Names taken over.
    pub takeovers: u64,
    /// Processes that were told to leave.
    pub farewells: u64,
    /// From the kill of a producer until a consumer knew.
    pub producer_missed: Samples,
    /// From the kill of a consumer until its producer had freed its places.
    pub consumer_missed: Samples,
    /// From a new producer's opening until a consumer of the one before had its first frame.
    pub reattached: Samples,
    /// Who stayed.
    pub stays: Vec<Stay>,
    /// Slots that surviving producers could claim at the end, all together.
    pub slots_back: u64,
    /// How long it played.
    pub played: Duration,
}

impl Tally {
    /// Processes killed.
    #[must_use]
    pub fn kills(&self) -> u64 {
        self.producers_killed + self.consumers_killed
    }

    /// The most that the memory of one who stayed has grown, bytes.
    #[must_use]
    pub fn growth_bytes(&self) -> u64 {
        self.stays.iter().map(Stay::growth_bytes).max().unwrap_or_default()
    }

    /// The most descriptors that one who stayed has more.
    #[must_use]
    pub fn more_descriptors(&self) -> usize {
        self.stays.iter().map(Stay::more_descriptors).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let samples = Samples((1..=200).rev().collect());
        assert_eq!(samples.percentile(0.5), Some(100));
        assert_eq!(samples.percentile(0.99), Some(198));
        assert_eq!(samples.percentile(1.0), Some(200));
        assert_eq!(Samples::default().percentile(0.5), None);
    }

    #[test]
    fn counts_are_read_from_a_beat_and_summed() {
        let mut sum = Counts::default();
        for _ in 0..2 {
            sum.add(&Counts::of(&json!({ "event": "beat", "verified": 7, "dropped": 1 })));
        }
        assert_eq!(sum, Counts { verified: 14, dropped: 2, ..Counts::default() });
    }

    #[test]
    fn memory_that_was_given_back_is_no_growth() {
        let stay = |warm, last| Stay {
            name: String::new(),
            pid: 1,
            warm_bytes: warm,
            last_bytes: last,
            first_descriptors: 5,
            last_descriptors: 6,
        };
        assert_eq!(stay(Some(10), 4).growth_bytes(), 0);
        assert_eq!(stay(Some(10), 14).growth_bytes(), 4);
        let tally = Tally { stays: vec![stay(None, 9), stay(Some(1), 3)], ..Tally::default() };
        assert_eq!((tally.growth_bytes(), tally.more_descriptors()), (2, 1));
    }
}
