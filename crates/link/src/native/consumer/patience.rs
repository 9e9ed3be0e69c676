// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a subscriber is without a producer before it says so.
//!
//! The first producer may take long to come: its process starts, and imports what it needs. That one has ended is worth
//! knowing soon. So there are two times, `timeout` and `restart_timeout`; unless the second is given, the first one is
//! for both, in calls that have no time of their own.
//!
//! Where it is given, the end of a producer is told by the first call after that time, once. Who calls again wants the
//! next producer, and waits for it as for a first one: else a loop that goes on after the error would spin.

use std::time::Duration;

use super::Subscriber;

/// How long a producer that has gone is waited for to come again.
#[derive(Clone, Copy, Debug)]
pub(super) enum RestartTimeout {
    /// As long as a first one, and in a call with a time of its own for that time.
    LikeFirst,
    /// So long in every call; `None`: as long as the call lasts.
    Within(Option<Duration>),
}

impl Subscriber {
    /// How long a producer may have been absent before a call says so; `None`: for ever, or until the call's own time is
    /// over, if it has one.
    pub(super) fn patience(&self, has_own_time: bool) -> Option<Duration> {
        match self.restart_timeout {
            RestartTimeout::Within(limit) if self.joins > 0 && !self.end_told => limit,
            _ if has_own_time => None,
            _ => self.timeout,
        }
    }

    /// Notes that a call has said that there is no producer.
    pub(super) fn note_absence_told(&mut self) {
        if let RestartTimeout::Within(Some(limit)) = self.restart_timeout {
            // A call whose own time was shorter has not used up the time for a restart.
            self.end_told |= self.joins > 0 && self.absent_since.elapsed() >= limit;
        }
    }
}
