// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sleeping on a word that several processes share.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::thread::futex::{wait, wait_bitset, waitv, wake, wake_bitset};
use rustix::thread::{current_timer_slack, set_current_timer_slack};
use rustix::time::{ClockId, Timespec, clock_gettime};

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
    woken(wait(word, Flags::empty(), expected, timeout.as_ref()))
}

/// Like [`futex_wait`], as a sleeper with `marks`: woken by [`futex_wake`], and by a [`futex_wake_marked`] that has one
/// of them.
#[inline]
pub fn futex_wait_marked(
    word: &AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
    marks: NonZeroU32,
) -> Woken {
    woken(wait_bitset(word, Flags::empty(), expected, deadline_after(timeout).as_ref(), marks))
}

/// Calls `wait` while the timers of this thread are as exact as the system can make them. The kernel else lets them be
/// late by the thread's slack, 50 µs unless somebody changed it, to save wake-ups.
pub fn on_time<R>(wait: impl FnOnce() -> R) -> R {
    const EXACT: NonZeroU64 = NonZeroU64::MIN;
    // Where it can't be had (a sandbox that does not know the call), timers are as late as ever.
    let slack = current_timer_slack().ok().filter(|slack| *slack > EXACT.get());
    if slack.is_some() {
        let _ = set_current_timer_slack(Some(EXACT));
    }
    let waited = wait();
    if let Some(slack) = slack {
        let _ = set_current_timer_slack(NonZeroU64::new(slack));
    }
    waited
}

/// Sleeps while every word holds what is expected of it, until one of them is woken or `timeout` has passed. `None`
/// where the kernel can't wait for several (before Linux 5.16, or in a sandbox that does not know the call) or not
/// for so many.
pub fn futex_wait_any(words: &[(&AtomicU32, u32)], timeout: Option<Duration>) -> Option<Woken> {
    let waiters: Vec<Wait> = words
        .iter()
        .map(|(word, expected)| {
            let mut waiter = Wait::new();
            waiter.uaddr = WaitPtr::new(word.as_ptr().cast());
            waiter.val = u64::from(*expected);
            // As above, not PRIVATE.
            waiter.flags = WaitFlags::SIZE_U32;
            waiter
        })
        .collect();
    if acts_as_older_kernel() {
        return None;
    }
    match waitv(&waiters, WaitvFlags::empty(), deadline_after(timeout).as_ref(), ClockId::Monotonic) {
        // EPERM: what older sandboxes say of calls that they do not know. EINVAL: more words than the kernel takes,
        // or none.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => None,
        waited => Some(woken(waited.map(drop))),
    }
}

/// Whether a test wants the answer of a kernel before Linux 5.16. Never in normal builds.
fn acts_as_older_kernel() -> bool {
    cfg!(feature = "kill-points")
        && std::env::var_os("UNCOPY_WITHOUT_FUTEX_WAITV").is_some_and(|set| set == "1")
}

/// When a wait of `timeout` that begins now ends, on the monotonic clock.
fn deadline_after(timeout: Option<Duration>) -> Option<Timespec> {
    // Longer than the kernel can count is for ever.
    clock_gettime(ClockId::Monotonic).checked_add(Timespec::try_from(timeout?).ok()?)
}

fn woken(waited: Result<(), Errno>) -> Woken {
    match waited {
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

/// Like [`futex_wake`], for sleepers only that have one of these `marks`; those of [`futex_wait`] and
/// [`futex_wait_any`] have all.
#[inline]
pub fn futex_wake_marked(word: &AtomicU32, max_waiters: u32, marks: NonZeroU32) -> usize {
    wake_bitset(word, Flags::empty(), max_waiters.min(i32::MAX as u32), marks).unwrap_or(0)
}
