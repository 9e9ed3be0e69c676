// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hold on one process, whatever becomes of its number.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::Timespec;

use crate::process::sees_processes;
use crate::wake::Woken;
use crate::{OsError, ProcessId};

/// One process, held by the kernel. Readable (for a [`Poller`](crate::Poller)) once it is dead, also as a zombie.
#[derive(Debug)]
pub struct PidFd {
    process: OwnedFd,
}

impl PidFd {
    /// Holds on to the process that has the number `pid` now. Compare its start time afterwards, or use
    /// [`PidFd::open_same`].
    ///
    /// # Errors
    ///
    /// [`OsError::System`] of kind `System` when there is no such process (ESRCH), [`OsError::OutOfDescriptors`],
    /// [`OsError::Unsupported`] before Linux 5.3.
    pub fn open(pid: i32) -> Result<PidFd, OsError> {
        let Some(number) = (if pid > 0 { Pid::from_raw(pid) } else { None }) else {
            return Err(OsError::from_errno("pidfd_open", format!("process {pid}"), Errno::SRCH));
        };
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(process) => Ok(PidFd { process }),
            Err(Errno::NOSYS) => Err(OsError::Unsupported { what: "holding on to a process (pidfd_open)" }),
            Err(errno) => Err(OsError::from_errno("pidfd_open", format!("process {pid}"), errno)),
        }
    }

    /// Holds on to exactly that process; `None` when it is dead, or when its number means another process by now.
    ///
    /// # Errors
    ///
    /// As for [`PidFd::open`], except that a missing process is `None`; [`OsError::Unsupported`] where start times
    /// [cannot be told](crate::process::sees_processes).
    pub fn open_same(process: ProcessId) -> Result<Option<PidFd>, OsError> {
        if !sees_processes() {
            return Err(OsError::Unsupported {
                what: "telling processes by their start time (/proc is another's)",
            });
        }
        let held = match PidFd::open(process.pid) {
            Ok(held) => held,
            Err(OsError::System { source, .. }) if is_no_such_process(&source) => return Ok(None),
            Err(error) => return Err(error),
        };
        // The number cannot be used again while the process that is held has not been collected. So if the start time
        // fits now and the held process lives after that, the two were the same.
        let is_same = process.is_alive() && !held.is_dead();
        Ok(is_same.then_some(held))
    }

    /// Whether the process is dead: all its threads have ended. A zombie is dead.
    pub fn is_dead(&self) -> bool {
        self.wait_dead(Some(Duration::ZERO)) == Woken::Woken
    }

    /// Waits until the process is dead ([`Woken::Woken`]), `timeout` has passed, or a signal came.
    pub fn wait_dead(&self, timeout: Option<Duration>) -> Woken {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut watched = [PollFd::new(&self.process, PollFlags::IN)];
        match poll(&mut watched, timeout.as_ref()) {
            Ok(0) => Woken::TimedOut,
            Ok(_) => Woken::Woken,
            // EINTR; ENOMEM, the only other that a live descriptor allows, is as good a reason to look again.
            Err(_) => Woken::Interrupted,
        }
    }
}

impl From<OwnedFd> for PidFd {
    /// Takes a descriptor that the kernel handed out as a process, as `SO_PEERPIDFD` does.
    fn from(process: OwnedFd) -> PidFd {
        PidFd { process }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

fn is_no_such_process(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}
