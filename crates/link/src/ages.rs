// SPDX-License-Identifier: MIT OR Apache-2.0
//! How old frames were when they were received, as counts: small enough for shared memory, exact enough for a table.
//!
//! ```
//! use std::time::Duration;
//! use uncopy_link::Ages;
//!
//! let ages: Ages = [900, 1_000, 1_100, 30_000].map(Duration::from_nanos).into_iter().collect();
//! assert_eq!(ages.count(), 4);
//! let median = ages.quantile(0.5).unwrap();
//! assert!(median >= Duration::from_nanos(1_000) && median < Duration::from_nanos(1_300));
//! ```

use std::time::Duration;

/// Number of counts.
pub(crate) const BUCKETS: usize = 104;
/// Ages below 2^8 ns share the first count; with four counts per doubling the last one begins at 15 s.
const FIRST_OCTAVE: u32 = 8;
const PER_OCTAVE: u32 = 4;

/// Ages of frames at their reception: the time from [publishing](crate::Publisher) to the consumer's hold, on the
/// monotonic clock. Kept per consumer in the link's control memory, where observers read it.
///
/// Ages are sorted into ranges that are at most 25 % wide. A consumer reads the clock for each frame that it had to
/// sleep for and for each 16th of the others, which then counts for 16.
#[derive(Clone, PartialEq, Eq)]
pub struct Ages {
    counts: [u32; BUCKETS],
}

impl Ages {
    pub(crate) fn from_counts(counts: [u32; BUCKETS]) -> Self {
        Self { counts }
    }

    /// Number of frames. Counts wrap at 2^32 each.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// What was added since `earlier`, which was read from the same consumer.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(&earlier.counts) {
            *count = count.wrapping_sub(*before);
        }
        Self { counts }
    }

    /// The age that a share of the frames (0 to 1; 0.5 is the median) did not exceed: the upper end of its range.
    /// `None` without a frame.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (share.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(Duration::from_nanos(end_of(bucket)))
    }
}

impl FromIterator<Duration> for Ages {
    fn from_iter<I: IntoIterator<Item = Duration>>(ages: I) -> Self {
        let mut counts = [0u32; BUCKETS];
        for age in ages {
            let nanos = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
            if let Some(count) = counts.get_mut(bucket_of(nanos)) {
                *count = count.wrapping_add(1);
            }
        }
        Self { counts }
    }
}

impl std::fmt::Debug for Ages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ages({} frames", self.count())?;
        match (self.quantile(0.5), self.quantile(0.99)) {
            (Some(p50), Some(p99)) => write!(f, ", p50 {p50:.1?}, p99 {p99:.1?})"),
            _ => f.write_str(")"),
        }
    }
}

/// The count of an age. (link-v1.md, "Control memory: ages")
#[inline]
pub(crate) fn bucket_of(nanos: u64) -> usize {
    let octave = 63 - nanos.max(1 << FIRST_OCTAVE).leading_zeros();
    let part = (nanos.max(1 << FIRST_OCTAVE) >> (octave - 2)) & u64::from(PER_OCTAVE - 1);
    let bucket = (octave - FIRST_OCTAVE) * PER_OCTAVE + part as u32;
    (bucket as usize).min(BUCKETS - 1)
}

/// The end of the range of a count, in nanoseconds.
fn end_of(bucket: usize) -> u64 {
    let (octave, part) = (bucket as u32 / PER_OCTAVE + FIRST_OCTAVE, bucket as u64 % u64::from(PER_OCTAVE));
    (u64::from(PER_OCTAVE) + part + 1) << (octave - 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_follow_each_other_without_a_gap() {
        assert_eq!(bucket_of(0), 0);
        for bucket in 0..BUCKETS - 1 {
            let end = end_of(bucket);
            assert_eq!((bucket_of(end - 1), bucket_of(end)), (bucket, bucket + 1), "around {end} ns");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn without_a_frame_there_is_no_quantile_and_with_one_there_is_no_other() {
        let none: Ages = [].into_iter().collect();
        assert_eq!((none.count(), none.quantile(0.5)), (0, None));
        let one: Ages = [Duration::from_micros(10)].into_iter().collect();
        for share in [-1.0, 0.0, 0.5, 1.0, 2.0] {
            let age = one.quantile(share).map_or(0, |age| age.as_nanos());
            assert!((10_000..12_500).contains(&age), "{age} ns at {share}");
        }
    }

    #[test]
    fn what_was_added_since_is_told_apart_also_across_a_wrap() {
        let mut counts = [0; BUCKETS];
        counts[40] = u32::MAX;
        let earlier = Ages::from_counts(counts);
        counts[40] = 4;
        counts[50] = 2;
        let added = Ages::from_counts(counts).since(&earlier);
        assert_eq!(added.count(), 7);
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_a_quarter_above_the_age_of_its_rank(
            mut nanos in proptest::collection::vec(256u64..10_000_000_000, 1..200),
            share in 0.0f64..=1.0,
        ) {
            let ages: Ages = nanos.iter().map(|nanos| Duration::from_nanos(*nanos)).collect();
            nanos.sort_unstable();
            let rank = ((share * nanos.len() as f64).ceil() as usize).clamp(1, nanos.len());
            let exact = nanos[rank - 1];
            let told = ages.quantile(share).map_or(0, |age| age.as_nanos() as u64);
            prop_assert!(told > exact && told <= exact + exact / 4 + 1, "{} for {}", told, exact);
        }
    }
}
