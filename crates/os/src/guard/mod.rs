// SPDX-License-Identifier: MIT OR Apache-2.0
//! A last message when somebody writes into a received frame.
//!
//! Received frames are mapped for reading only, so a stray write (torch cannot be told that an array is read-only) ends
//! the process with SIGSEGV and never changes the frame. The bare signal says nothing; [`watch_read_only`] makes it say
//! which memory it was and what to do. The message is made beforehand, since nothing can be formatted in a signal
//! handler, and goes to standard error.
//!
//! The same holds in a forked child, which has no frame memory at all ([`fork`](crate::fork)): there reading ends the
//! process too, and the message says that the link has to be opened again.
//!
//! It refuses to rescue: after the message the handler that was there before runs (a crash reporter, Python's
//! `faulthandler`, the Rust runtime's), or the system's default, which ends the process. Other faults go straight
//! there.
//!
//! # Limits
//!
//! The handler is installed by the first watch and stays. One that the program installs later and that does not chain
//! takes its place; one that does chain by raising the signal anew, as Python's `faulthandler` does when it is
//! enabled after the first link was opened, hides the address, and then the message is missing (the frame is as it
//! was). 256 ranges are watched at a time; further ones give a guard that is not [active](WatchGuard::is_active).
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! let frame = (0x7000_0000_0000, 0x7000_0000_2000); // where a frame is mapped, end excluded
//! let guard = uncopy_os::watch_read_only(frame, "link camera; use copy=True for an array of your own".into());
//! assert!(guard.is_active());
//! drop(guard); // before the memory is unmapped
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

pub use system::{WatchGuard, watch_read_only};

/// How many ranges can be watched at a time.
pub const MAX_WATCHED: usize = 256;

/// A note is printed up to this length, in bytes.
pub const MAX_WATCH_NOTE_BYTES: usize = 480;
