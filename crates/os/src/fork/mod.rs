// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a forked child may not keep.
//!
//! After `fork` a child holds a duplicate of every descriptor. For most that is harmless. For three it is not: a
//! duplicate of a **lock** keeps a name taken after its producer died, and a duplicate of a **connection** or
//! **listener** hides the hang-up from the peer. Those are owned through [`CloseInChild`]: a handler that the C library
//! runs in the child, before `fork` returns there, lets go of them.
//!
//! The numbers stay valid in the child: each is made to refer to something inert, so that the child's copies of the
//! Rust objects can be used (and fail) and dropped without touching a descriptor that means something else by then.
//!
//! Nor may it keep **frame memory**, ours or received. A child that writes a slot would change a frame that others
//! read; one that reads a frame would read what its parent gave back long ago. Those mappings stay with the parent:
//! in a child the calls answer [`OsError::Forked`](crate::OsError::Forked), and touching an inherited view ends the
//! child ([`guard`](crate::guard) says why). Control memory is inherited.
//!
//! [`fork_generation`] tells parent from child, one atomic load: an object that remembers the generation it was made in
//! can refuse to work in another. [`ForkLock`] holds state of the process that starts anew in a child.
//!
//! # Limits
//!
//! Handlers run for `fork` as the C library does it (also `os.fork` and `multiprocessing`). They do not run for a raw
//! `clone` system call. Children made by `vfork` or `posix_spawn` share the descriptors until they start their program,
//! which closes them. `fork` from a signal handler can deadlock, as with any handler that takes a lock.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! let made_in = uncopy_os::fork_generation();
//! // … later, perhaps in another process:
//! assert_eq!(uncopy_os::fork_generation(), made_in, "still the process that made it");
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

pub use system::{CloseInChild, ForkGuard, ForkLock, fork_generation};
#[cfg(unix)]
pub(crate) use system::{KeptFromChild, generation_now};

/// How many descriptors can be owned through [`CloseInChild`] at a time; and how many frame memories, ours and
/// received, can be mapped.
pub const MAX_GUARDED: usize = 4096;
