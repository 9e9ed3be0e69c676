// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long frames took to arrive: quantiles over any number of frames in a fixed piece of memory.
//!
//! Values are counted in buckets whose width is 1/64 of their size, so a quantile is at most 1.6 % too low, whatever
//! the values are. It never forgets one, unlike a sample.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets between one power of two and the next.
const STEPS: u64 = 64;
/// Values below this have a bucket of their own.
const EXACT: u64 = 2 * STEPS;

/// Counts of times by their size.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    counts: Vec<u64>,
    total: u64,
    max_nanos: u64,
}

/// Quantiles in nanoseconds, as `--json` prints them.
#[derive(Serialize)]
pub(crate) struct LatencyReport {
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

impl Latency {
    pub fn add(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket_of(nanos);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.total += 1;
        self.max_nanos = self.max_nanos.max(nanos);
    }

    /// The time in nanoseconds that this share of all times does not exceed; `None` when there are none.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(least_of(bucket).min(self.max_nanos))
    }

    /// How many times were added.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The share of the times from each power of two, in nanoseconds, to the next; only those between which there are
    /// any.
    pub fn shares(&self) -> Vec<(u64, f64)> {
        let mut shares: Vec<(u64, f64)> = Vec::new();
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let from = 1 << least_of(bucket).max(1).ilog2();
            let share = *count as f64 / self.total as f64;
            match shares.last_mut() {
                Some((last, sum)) if *last == from => *sum += share,
                _ => shares.push((from, share)),
            }
        }
        shares
    }

    pub fn report(&self) -> Option<LatencyReport> {
        Some(LatencyReport { p50: self.quantile(0.5)?, p99: self.quantile(0.99)?, max: self.max_nanos })
    }
}

/// The bucket that counts this value: its leading bits.
fn bucket_of(nanos: u64) -> usize {
    if nanos < EXACT {
        return nanos as usize;
    }
    let shift = u64::from(nanos.ilog2() - STEPS.ilog2());
    // `nanos >> shift` is in STEPS..EXACT.
    (shift * STEPS + (nanos >> shift)) as usize
}

/// The least value that a bucket counts.
fn least_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    (bucket - shift * STEPS) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_least_value_and_is_narrow() {
        for nanos in (0..4000).chain([1 << 20, (1 << 20) + 77, 123_456_789, u64::MAX / 3, u64::MAX]) {
            let least = least_of(bucket_of(nanos));
            assert!(least <= nanos && nanos - least <= nanos / STEPS, "{nanos} is counted as {least}");
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket in 0..2000 {
            assert_eq!(bucket_of(least_of(bucket)), bucket);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut latency = Latency::default();
        assert!(latency.report().is_none());
        (1..=100).for_each(|nanos| latency.add(Duration::from_nanos(nanos)));
        assert_eq!((latency.quantile(0.5), latency.quantile(0.99)), (Some(50), Some(99)));
        assert_eq!((latency.quantile(1.0), latency.quantile(0.0)), (Some(100), Some(1)));
    }

    #[test]
    fn shares_are_by_powers_of_two_and_add_up() {
        let mut latency = Latency::default();
        [3, 1000, 1023, 1024, 5000].into_iter().for_each(|nanos| latency.add(Duration::from_nanos(nanos)));
        assert_eq!(latency.shares(), [(2, 0.2), (512, 0.4), (1024, 0.2), (4096, 0.2)]);
    }

    #[test]
    fn one_value_is_every_quantile() {
        let mut latency = Latency::default();
        latency.add(Duration::from_secs(3));
        let report = latency.report().unwrap();
        assert_eq!(report.p50, report.p99);
        assert!(report.p99 <= report.max && report.max - report.p99 <= report.max / STEPS);
    }
}
