// SPDX-License-Identifier: MIT OR Apache-2.0
//! Operating system services of uncopy: shared memory, wake-ups, handle passing, liveness.
//!
//! This crate turns what the kernel offers into small safe values, so that the protocol of the link crate can be
//! written without `unsafe` and without knowing a system call.
//!
//! | module | gives |
//! |---|---|
//! | [`map`] | sealed shared memory, mappings of a peer's memory, frame slots, atomic words |
//! | [`wake`] | futex, epoll, eventfd, directory watch |
//! | [`pass`] | message sockets that carry handles, and who is at the other end |
//! | [`process`] | who a process is and whether it still lives; random and boot ids; quiet threads |
//! | [`fork`] | what a forked child may not keep |
//! | [`dir`] | the per-user directory where links are found, and locks on names in it |
//! | [`copy`] | large copies with two threads |
//! | [`clock`] | monotonic and wall time in nanoseconds |
//! | [`guard`] | a last message when somebody writes into a received frame |
//! | [`killpoint`] | test builds: places where a process can be made to die |
//!
//! It refuses to know what is in the memory it maps or in the messages it carries, to retry or to wait on the caller's
//! behalf, and to fall back silently: what the system cannot do is an [`OsError`].
//!
//! **Systems.** Linux is implemented. On Windows every call answers [`OsError::Unsupported`]; the twins exist so that
//! the crates above compile there. Other systems do not compile.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use uncopy_os::{Mapping, SharedMemory};
//! use uncopy_tensor::Access;
//! use std::sync::atomic::Ordering;
//!
//! let ours = SharedMemory::create("example", 4096)?;
//! let handle = ours.share()?; // would travel over a `Connection`
//! let theirs = Mapping::open(&handle, 4096, Access::ReadWrite)?;
//!
//! let word = theirs.words().u64_at(64).ok_or("64 is inside and aligned")?;
//! word.store(7, Ordering::Release);
//! assert_eq!(ours.words().u64_at(64).map(|w| w.load(Ordering::Acquire)), Some(7));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

#[cfg(all(unix, not(target_os = "linux")))]
compile_error!(
    "uncopy-os knows Linux and (as refusals) Windows; other Unix systems have neither memfd nor futex"
);
#[cfg(not(target_pointer_width = "64"))]
compile_error!("uncopy supports 64-bit systems only: the protocol's slot words are 64-bit atomics");
#[cfg(not(target_endian = "little"))]
compile_error!("uncopy supports little-endian systems only: the protocol's words are little-endian");

pub mod clock;
pub mod copy;
pub mod dir;
pub mod error;
pub mod fork;
pub mod guard;
pub mod killpoint;
pub mod map;
pub mod pass;
pub mod process;
pub mod wake;

pub use clock::{machine_monotonic_nanos, monotonic_nanos, own_monotonic_nanos, realtime_nanos};
pub use copy::copy_packed;
pub use dir::{LockOutcome, LockState, NameLock, RuntimeDir};
pub use error::OsError;
pub use fork::{CloseInChild, ForkGuard, ForkLock, fork_generation};
pub use guard::{WatchGuard, watch_read_only};
pub use killpoint::kill_point;
pub use map::{
    Available, HostMemory, Mapping, Seals, SharedMemory, SlotMemory, SlotMut, Words, available_bytes,
    slot_align_bytes,
};
pub use pass::{Connection, Listener, MAX_HANDLES, Peer, Received, Sent, temporary_name};
pub use process::{PidFd, ProcessId, at_exit, boot_id, current_uid, random_id, spawn_quiet};
pub use wake::{
    Alarm, DirectoryWatch, Event, EventFd, Interest, Pollable, Poller, Woken, futex_wait, futex_wait_any,
    futex_wait_marked, futex_wake, futex_wake_marked, on_time,
};
