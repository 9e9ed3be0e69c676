// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that never run somebody else's signal handlers.
#![expect(unsafe_code, reason = "fence: pthread_sigmask")]

use std::mem::MaybeUninit;
use std::ptr;
use std::thread::{Builder, JoinHandle};

use crate::OsError;

/// Signals that a thread brings upon itself. Blocking them would not keep them away: the kernel would kill the process
/// without asking its handler, so a crash in the quiet thread would go unreported.
const OWN_FAULTS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// Starts a thread named `name` (at most 15 bytes show) in which all signals are blocked, faults of its own excepted:
/// handlers of the program, such as Python's, never run there, and its waits are never interrupted.
///
/// # Errors
///
/// [`OsError::OutOfThreads`]; [`OsError::InvalidPath`] for a name with a NUL.
pub fn spawn_quiet(name: &str, f: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OsError> {
    if name.contains('\0') {
        return Err(OsError::InvalidPath { path: name.into(), reason: "a thread name has no NUL" });
    }
    // A new thread inherits the mask of its creator. Blocking before, and not inside, leaves no gap.
    let _blocked = BlockedSignals::new();
    Builder::new()
        .name(name.to_owned())
        .spawn(f)
        .map_err(|source| OsError::OutOfThreads { name: name.to_owned(), source })
}

/// All signals blocked in this thread until drop.
struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    fn new() -> BlockedSignals {
        let blocked = all_but_own_faults();
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: both pointers are to live sets. It fails only for an unknown first argument.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked, before.as_mut_ptr()) };
        // SAFETY: the call filled it; had it not, the zeroed set would be the empty set.
        BlockedSignals { before: unsafe { before.assume_init() } }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set is the one that this thread (the guard never leaves it) had before; null asks for nothing.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }
}

fn all_but_own_faults() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the pointer is to a live set, which the call fills; it cannot fail.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    for signal in OWN_FAULTS {
        // SAFETY: the set was filled above, and the signal exists.
        unsafe { libc::sigdelset(set.as_mut_ptr(), signal) };
    }
    // SAFETY: filled above; a zeroed set is a value too.
    unsafe { set.assume_init() }
}
