// SPDX-License-Identifier: MIT OR Apache-2.0
//! A doorbell for event loops.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, readlink};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read, write};
use uncopy_tensor::ShareHandle;

use crate::OsError;

/// A doorbell: readable once rung, until drained. Any thread may ring it, as often as it likes.
#[derive(Debug)]
pub struct EventFd {
    bell: OwnedFd,
}

impl EventFd {
    /// A silent doorbell.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`], [`OsError::System`].
    pub fn new() -> Result<EventFd, OsError> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| OsError::from_errno("eventfd", "a doorbell", errno))?;
        Ok(EventFd { bell })
    }

    /// A handle by which another process can ring it.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`].
    pub fn share(&self) -> Result<ShareHandle, OsError> {
        fcntl_dupfd_cloexec(&self.bell, 3)
            .map(ShareHandle::from)
            .map_err(|errno| OsError::from_errno("fcntl(F_DUPFD_CLOEXEC)", "a doorbell", errno))
    }

    /// The doorbell of a peer. Anything else is refused: a write into a pipe or a file of the peer's choice could
    /// block, or do harm.
    ///
    /// # Errors
    ///
    /// [`OsError::System`] (`EINVAL`) for what is no eventfd, [`OsError::OutOfDescriptors`].
    pub fn open(handle: &ShareHandle) -> Result<EventFd, OsError> {
        let wrong = |errno| OsError::from_errno("eventfd", "a doorbell of a peer", errno);
        let bell = fcntl_dupfd_cloexec(handle, 3).map_err(wrong)?;
        // The kernel's own name for it (proc_pid_fd(5)).
        let path = format!("/proc/self/fd/{}", bell.as_raw_fd());
        let what = readlink(path, Vec::new()).map_err(wrong)?;
        if what.as_bytes() != b"anon_inode:[eventfd]" {
            return Err(wrong(Errno::INVAL));
        }
        // Shared with the peer, who could have made it blocking, and whose it is to read.
        let flags = fcntl_getfl(&bell).map_err(wrong)?;
        fcntl_setfl(&bell, flags | OFlags::NONBLOCK).map_err(wrong)?;
        Ok(EventFd { bell })
    }

    /// Rings: whoever polls it sees it readable. Never blocks; ringing twice before a drain is ringing once.
    pub fn ring(&self) {
        // EAGAIN: rung 2^64 - 2 times without a drain, so readable anyway. EINTR cannot come: it does not block.
        let _ = write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Silences it; says whether it had been rung.
    pub fn drain(&self) -> bool {
        let mut count = [0; 8];
        loop {
            match read(&self.bell, &mut count) {
                Ok(_) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
