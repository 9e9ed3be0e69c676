// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames one after the other, until the user, the producer or the clock ends it.

use std::time::Duration;

use uncopy::{Frame, LinkError, Read, Subscriber, Where};

use crate::error::CliError;
use crate::host::Session;
use crate::recv::Which;

/// How long to be without a producer, unless told.
const DEFAULT_ABSENCE: Duration = Duration::from_secs(5);
/// With `until_closed`: how long the link may be without a producer until it counts as closed. In a takeover it is, for
/// a moment.
const CLOSED_AFTER: Duration = Duration::from_millis(100);

/// A subscriber with the patience that the command line asks for.
pub(crate) struct Reception<'s> {
    subscriber: Subscriber,
    session: &'s Session<'s>,
    timeout: Option<Duration>,
    until_closed: bool,
}

impl<'s> Reception<'s> {
    /// Waits for the producer and takes a place.
    pub fn open(
        name: &str,
        which: Which,
        place: Where,
        timeout: Option<Duration>,
        until_closed: bool,
        session: &'s Session<'s>,
    ) -> Result<Self, CliError> {
        let read = match which {
            Which::Latest => Read::Latest,
            Which::Every => Read::Every,
        };
        let absence = Some(timeout.unwrap_or(DEFAULT_ABSENCE));
        let mut options = uncopy::subscribe(name).read(read).place(place).timeout(absence);
        if until_closed {
            options = options.restart_timeout(Some(CLOSED_AFTER));
        }
        let subscriber = options.open_with(&mut session.waiting())?;
        Ok(Self { subscriber, session, timeout, until_closed })
    }

    /// The next frame; `None` once the producer has closed the link and that is what was waited for.
    pub fn next(&mut self) -> Result<Option<Frame>, CliError> {
        self.session.check()?;
        match self.subscriber.recv_with(self.timeout, &mut self.session.waiting()) {
            Ok(frame) => Ok(Some(frame)),
            Err(LinkError::ProducerClosed { .. }) if self.until_closed => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
