// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of the C library that have no safe form elsewhere.

#![expect(unsafe_code, reason = "calls the C library")]

use std::{mem::MaybeUninit, ptr};

/// Lets the calling thread take no signals.
pub fn block_all_signals() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: fills the set that it is given.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: the set is filled, and null says that the old mask is not wanted.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut()) };
}
