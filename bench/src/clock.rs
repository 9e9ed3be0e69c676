// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clocks, and a pace to act at.

use crate::failure::Failure;
use rustix::{
    thread::{ClockId, Timespec, clock_nanosleep_absolute},
    time::clock_gettime,
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Nanoseconds of `CLOCK_MONOTONIC`, which all processes share.
#[must_use]
#[inline]
pub fn monotonic_nanos() -> u64 {
    nanos_of(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds of CPU time that this process has used on all its threads, in user and in system mode.
#[must_use]
pub fn process_cpu_nanos() -> u64 {
    nanos_of(clock_gettime(ClockId::ProcessCPUTime))
}

#[inline]
fn nanos_of(time: Timespec) -> u64 {
    time.tv_sec.cast_unsigned() * NANOS_PER_SECOND + time.tv_nsec.cast_unsigned()
}

/// Ticks at a steady rate. A tick that comes too late moves those after it.
pub struct Pace {
    period_nanos: u64,
    next_nanos: u64,
}

impl Pace {
    /// A tick each `period_nanos`, from now on.
    #[must_use]
    pub fn new(period_nanos: u64) -> Self {
        Self { period_nanos, next_nanos: monotonic_nanos() }
    }

    /// Sleeps until the next tick.
    ///
    /// # Errors
    /// The system refuses.
    pub fn wait(&mut self) -> Result<(), Failure> {
        self.next_nanos = (self.next_nanos + self.period_nanos).max(monotonic_nanos());
        let until = Timespec {
            tv_sec: (self.next_nanos / NANOS_PER_SECOND).cast_signed(),
            tv_nsec: (self.next_nanos % NANOS_PER_SECOND).cast_signed(),
        };
        clock_nanosleep_absolute(ClockId::Monotonic, &until).map_err(|e| Failure::system("sleep", e))
    }
}
