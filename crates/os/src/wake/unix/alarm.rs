// SPDX-License-Identifier: MIT OR Apache-2.0
//! A time that event loops can wait for.

use std::time::Duration;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::OsError;

/// Readable once its time has come, until it is set anew. Runs on the monotonic clock.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`], [`OsError::System`].
    pub fn new() -> Result<Alarm, OsError> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)
            .map_err(|errno| OsError::from_errno("timerfd_create", "an alarm", errno))?;
        Ok(Alarm { timer })
    }

    /// Sets it to this long from now, and silences it; `None` takes it back.
    ///
    /// # Errors
    ///
    /// [`OsError::System`].
    pub fn set(&self, after: Option<Duration>) -> Result<(), OsError> {
        const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        // All zeros would take it back; and longer than the kernel can count is never.
        let after = after.map(|after| after.max(Duration::from_nanos(1)));
        let it_value = after.and_then(|after| Timespec::try_from(after).ok()).unwrap_or(NEVER);
        let value = Itimerspec { it_interval: NEVER, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value)
            .map(drop)
            .map_err(|errno| OsError::from_errno("timerfd_settime", "an alarm", errno))
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
