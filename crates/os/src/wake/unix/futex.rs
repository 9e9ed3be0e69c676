// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sleeping on a word that several processes share.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{Flags, wait, wake};
use rustix::time::Timespec;

use crate::wake::Woken;

/// Sleeps while `word` holds `expected`, until woken or until `timeout` (relative, monotonic clock) has passed.
///
/// The kernel compares and falls asleep in one step, so a wake-up between the caller's own look at the word and this
/// call is not lost. The word may lie in shared memory; wakers in every process that maps it are heard.
#[inline]
pub fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Woken {
    // Longer than the kernel can count is for ever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // No PRIVATE flag: the word is looked up by the memory behind it, not by its address in this process.
    match wait(word, Flags::empty(), expected, timeout.as_ref()) {
        Ok(()) => Woken::Woken,
        Err(Errno::AGAIN) => Woken::ValueChanged,
        Err(Errno::TIMEDOUT) => Woken::TimedOut,
        // EINTR. The others (EFAULT, EINVAL) cannot come from a live, aligned word and a normal timeout; they too mean
        // that nobody woke us and that the caller should look again.
        Err(_) => Woken::Interrupted,
    }
}

/// Wakes at most `max_waiters` threads that sleep on `word`, in any process; says how many.
#[inline]
pub fn futex_wake(word: &AtomicU32, max_waiters: u32) -> usize {
    // The kernel takes the count as a signed number; more than that many threads cannot exist.
    let max_waiters = max_waiters.min(i32::MAX as u32);
    // The only errors are those of an unmapped or misaligned word, which a reference excludes.
    wake(word, Flags::empty(), max_waiters).unwrap_or(0)
}
