// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clocks on Linux: answered in user space (vDSO), no system call.

use rustix::time::{ClockId, Timespec, clock_gettime};

mod namespace;

pub(crate) use namespace::offsets;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// `CLOCK_MONOTONIC` of the machine: nanoseconds since boot, the same in every process, not counting suspends. In a
/// time namespace it is not what `clock_gettime` says: see [`own_monotonic_nanos`].
#[inline]
pub fn monotonic_nanos() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic)).wrapping_sub(offsets().monotonic_nanos).unsigned_abs()
}

/// A time of [`monotonic_nanos`] as this process's own `CLOCK_MONOTONIC` shows it.
pub fn own_monotonic_nanos(machine_nanos: u64) -> u64 {
    machine_nanos.wrapping_add_signed(offsets().monotonic_nanos)
}

/// A time of this process's own `CLOCK_MONOTONIC` as [`monotonic_nanos`] says it.
pub fn machine_monotonic_nanos(own_nanos: u64) -> u64 {
    own_nanos.wrapping_sub(offsets().monotonic_nanos.cast_unsigned())
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
