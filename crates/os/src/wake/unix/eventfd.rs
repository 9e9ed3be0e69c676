// SPDX-License-Identifier: MIT OR Apache-2.0
//! A doorbell for event loops.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, read, write};

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
