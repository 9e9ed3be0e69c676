// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames one after the other, until the user, the producer or the clock ends it.

use std::time::{Duration, Instant};

use uncopy::{Frame, LinkError, Read, Subscriber, Where};

use crate::error::CliError;
use crate::host::Session;
use crate::recv::Which;

/// How long to be without a producer, unless told.
const DEFAULT_ABSENCE: Duration = Duration::from_secs(5);
/// With `until_closed`: how soon a closed link is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
        let options = uncopy::subscribe(name).read(read).place(place).timeout(absence);
        let subscriber = options.open_with(&mut session.waiting())?;
        Ok(Self { subscriber, session, timeout, until_closed })
    }

    /// The next frame; `None` once the producer has closed the link and that is what was waited for.
    pub fn next(&mut self) -> Result<Option<Frame>, CliError> {
        self.session.check()?;
        if self.until_closed { self.next_or_closed() } else { self.receive(self.timeout).map(Some) }
    }

    fn receive(&mut self, timeout: Option<Duration>) -> Result<Frame, CliError> {
        Ok(self.subscriber.recv_with(timeout, &mut self.session.waiting())?)
    }

    /// Looks again and again, because one long wait would also wait for the next producer of the name.
    fn next_or_closed(&mut self) -> Result<Option<Frame>, CliError> {
        let begun = Instant::now();
        loop {
            let left = self.timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            match self.receive(Some(left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY)))) {
                Ok(frame) => return Ok(Some(frame)),
                Err(CliError::Link(LinkError::ProducerClosed { .. })) => return Ok(None),
                Err(CliError::Link(LinkError::TimedOut { name, last_seq, .. })) => {
                    if let Some(timeout) = self.timeout.filter(|timeout| begun.elapsed() >= *timeout) {
                        return Err(LinkError::TimedOut { name, waited: timeout, last_seq }.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}
