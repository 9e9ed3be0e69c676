// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clocks on Linux: answered in user space (vDSO), no system call.

use rustix::time::{ClockId, Timespec, clock_gettime};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// `CLOCK_MONOTONIC`: nanoseconds since boot, the same in every process (of one time namespace), not counting suspends.
#[inline]
pub fn monotonic_nanos() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic)).unsigned_abs()
}

/// `CLOCK_REALTIME`: nanoseconds since 1970 UTC; it follows the system's idea of the time, back and forth.
#[inline]
pub fn realtime_nanos() -> i64 {
    nanos(clock_gettime(ClockId::Realtime))
}

/// Saturates in the year 2262.
#[inline]
fn nanos(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(NANOS_PER_SECOND).saturating_add(time.tv_nsec)
}
