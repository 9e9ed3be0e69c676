// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is at the other end, asked of the kernel.
//!
//! Not by rustix: its credentials hold a process number that cannot be 0, but 0 is what the kernel answers for a peer
//! in another pid namespace; and it has no `SO_PEERPIDFD`.
#![expect(unsafe_code, reason = "fence: getsockopt, and a descriptor that it makes")]

use std::mem::size_of;

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

use crate::pass::Peer;
use crate::{OsError, PidFd};

/// The peer's process, user and group when the connection was made.
pub(super) fn credentials(socket: BorrowedFd<'_>) -> Result<Peer, OsError> {
    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the option's value is a `struct ucred` (unix(7)); both pointers are to live values of the stated length.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    };
    if answer != 0 {
        return Err(OsError::from_errno("getsockopt(SO_PEERCRED)", "a connection", last_errno()));
    }
    let pid = Some(credentials.pid).filter(|pid| *pid > 0);
    Ok(Peer { pid, uid: credentials.uid, gid: credentials.gid })
}

/// A hold on the peer's process; `None` when the kernel cannot give one.
pub(super) fn pidfd(socket: BorrowedFd<'_>) -> Result<Option<PidFd>, OsError> {
    if acts_as_older_kernel() {
        return Ok(None);
    }
    let mut descriptor: libc::c_int = -1;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option's value is an `int` (Linux 6.5, include/uapi/asm-generic/socket.h); both pointers are to live
    // values of the stated length.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERPIDFD,
            (&raw mut descriptor).cast(),
            &raw mut len,
        )
    };
    if answer == 0 {
        // SAFETY: on success the kernel installed a new descriptor for this call alone; nobody else owns it.
        let process = unsafe { OwnedFd::from_raw_fd(descriptor) };
        return Ok(Some(PidFd::from(process)));
    }
    match last_errno() {
        // The option is not known; or the peer has been collected, and with it the number to ask by.
        Errno::NOPROTOOPT | Errno::SRCH | Errno::INVAL | Errno::NODATA => Ok(None),
        errno => Err(OsError::from_errno("getsockopt(SO_PEERPIDFD)", "a connection", errno)),
    }
}

/// Whether a test wants the answer of a kernel before Linux 6.5. Never in normal builds.
fn acts_as_older_kernel() -> bool {
    cfg!(feature = "kill-points")
        && std::env::var_os("UNCOPY_WITHOUT_PEERPIDFD").is_some_and(|set| set == "1")
}

/// The error of the C library call just made.
fn last_errno() -> Errno {
    std::io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}
