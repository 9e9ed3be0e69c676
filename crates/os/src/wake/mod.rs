// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting without a clock, and waking who waits.
//!
//! | to wait for | use |
//! |---|---|
//! | a word in shared memory to change | [`futex_wait`], [`futex_wake`]; for some of the sleepers [`futex_wait_marked`], [`futex_wake_marked`] |
//! | any of several words | [`futex_wait_any`] |
//! | any of several sockets, processes, events | [`Poller`] |
//! | a call from another thread, in an event loop | [`EventFd`] |
//! | a time, in an event loop | [`Alarm`] |
//! | names to appear in or vanish from the runtime directory | [`DirectoryWatch`] |
//!
//! Nothing here loops on its own: an interrupting signal ends the wait and is reported, so that the caller can look at
//! its own reasons to stop (Ctrl-C) before it waits again. Timeouts run on the monotonic clock.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use uncopy_os::{Woken, futex_wait, futex_wake};
//!
//! let word = AtomicU32::new(0);
//! std::thread::scope(|threads| {
//!     threads.spawn(|| {
//!         word.store(1, Ordering::Release);
//!         futex_wake(&word, u32::MAX);
//!     });
//!     while word.load(Ordering::Acquire) == 0 {
//!         assert_ne!(futex_wait(&word, 0, None), Woken::TimedOut); // no timeout was given
//!     }
//! });
//! # }
//! ```

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use system::{
    Alarm, DirectoryWatch, EventFd, Pollable, Poller, futex_wait, futex_wait_any, futex_wait_marked,
    futex_wake, futex_wake_marked, on_time,
};

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Woken {
    /// Somebody woke us, or what was waited for is there. Check what was waited for: wake-ups can be spurious.
    Woken,
    /// The word did not have the expected value, so there was nothing to wait for.
    ValueChanged,
    /// The timeout passed.
    TimedOut,
    /// A signal handler ran in this thread.
    Interrupted,
}

/// What a [`Poller`] watches a source for. Hang-ups and errors are always watched for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Interest {
    /// There is something to read, or a connection to accept, or (a process) it has died.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
    /// One event only: then nothing, until the interest is [modified](Poller::modify).
    pub once: bool,
}

impl Interest {
    /// Reading only.
    pub const READ: Interest = Interest { read: true, write: false, once: false };
    /// Reading, for one event.
    pub const READ_ONCE: Interest = Interest { read: true, write: false, once: true };
    /// Writing only.
    pub const WRITE: Interest = Interest { read: false, write: true, once: false };
    /// Both.
    pub const BOTH: Interest = Interest { read: true, write: true, once: false };
    /// Hang-ups and errors only.
    pub const HANG_UP: Interest = Interest { read: false, write: false, once: false };
}

/// What a [`Poller`] saw on one source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Event {
    /// The number that the source was added with.
    pub token: u64,
    /// Reading will not block. Also set on a hang-up, since then reading tells.
    pub readable: bool,
    /// Writing will not block.
    pub writable: bool,
    /// The other end is gone, or the source is in error.
    pub hung_up: bool,
}
