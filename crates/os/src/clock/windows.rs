// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clocks on Windows, by the standard library.
#![expect(missing_docs, reason = "the Unix twin documents the same names")]

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the first call in this process: there are no links between processes yet.
#[inline]
pub fn monotonic_nanos() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

pub fn own_monotonic_nanos(machine_nanos: u64) -> u64 {
    machine_nanos
}

pub fn machine_monotonic_nanos(own_nanos: u64) -> u64 {
    own_nanos
}

#[inline]
pub fn realtime_nanos() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}
