// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a frame was published, and how long ago that is.

use std::time::Duration;

use uncopy_os::{monotonic_nanos, own_monotonic_nanos};

/// The time at which a frame was published, on the machine's monotonic clock.
///
/// It does not follow the wall clock, and is the same in every time namespace. A stamp of another boot says nothing
/// here: its frame has no age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    machine_nanos: u64,
    is_of_this_boot: bool,
}

impl Stamp {
    pub(crate) fn new(machine_nanos: u64, is_of_this_boot: bool) -> Self {
        Self { machine_nanos, is_of_this_boot }
    }

    /// Nanoseconds of this process's `CLOCK_MONOTONIC`, if it is of this boot; else of a clock that is over.
    #[must_use]
    pub fn nanos(&self) -> u64 {
        own_monotonic_nanos(self.machine_nanos)
    }

    /// As [`monotonic_nanos`] counts; `None` for a stamp of another boot.
    #[inline]
    pub(crate) fn machine_nanos(&self) -> Option<u64> {
        self.is_of_this_boot.then_some(self.machine_nanos)
    }

    /// Time since then; `None` for a stamp of another boot.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age_at(monotonic_nanos())
    }

    /// Time from then to a reading of [`monotonic_nanos`].
    #[inline]
    pub(crate) fn age_at(&self, now_nanos: u64) -> Option<Duration> {
        self.is_of_this_boot.then(|| Duration::from_nanos(now_nanos.saturating_sub(self.machine_nanos)))
    }
}

/// Whether times of a link whose header has this boot id can be compared with ours. Without `/proc` there is none to
/// tell.
pub(crate) fn is_of_this_boot(boot_id: [u8; 16]) -> bool {
    let (unknown, ours) = ([0; 16], uncopy_os::boot_id());
    boot_id == ours || boot_id == unknown || ours == unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f44_a_stamp_of_another_boot_has_no_age() {
        let now = monotonic_nanos();
        assert_eq!(Stamp::new(now, false).age(), None);
        assert!(Stamp::new(now, true).age().is_some());
    }

    #[test]
    fn f44_boots_are_told_apart_by_their_id_where_both_are_known() {
        assert!(is_of_this_boot(uncopy_os::boot_id()) && is_of_this_boot([0; 16]));
        assert!(!is_of_this_boot([0x5A; 16]));
    }
}
