// SPDX-License-Identifier: MIT OR Apache-2.0
//! Receiving in an event loop: one descriptor to poll, and a call that never waits.
//!
//! The descriptor is an epoll of what can bring news: a doorbell that the producer rings (only when asked, so that a
//! link that nobody polls costs it nothing), and, while there is no producer, the runtime directory, the connection
//! to one that was greeted, and the end of the time without one. It stays the same for the subscriber's life.

use std::sync::Arc;
use std::time::Duration;

use uncopy_os::{Alarm, Connection, DirectoryWatch, EventFd, Interest, Poller};

use super::Subscriber;
use super::receive::Taken;
use super::search::{Join, ProducerWatch};
use crate::error::LinkError;
use crate::native::frame::Frame;
use crate::native::ring;

/// How long a producer that was greeted may take to answer before the time without one counts again.
const ANSWER_PATIENCE: Duration = Duration::from_millis(300);

/// What came of looking for a producer without waiting.
pub(super) enum Sought {
    Joined,
    /// There will be an event.
    Coming,
    /// There was none for as long as the subscriber has patience.
    Absent {
        obstacle: Option<String>,
    },
}

/// What an event loop polls.
pub(super) struct Events {
    bell: Arc<EventFd>,
    /// Set while there is no producer.
    alarm: Alarm,
    pub(super) poller: Arc<Poller>,
    greeted: Option<Arc<Connection>>,
    directory: Option<Arc<DirectoryWatch>>,
}

impl Events {
    fn new() -> Result<Self, LinkError> {
        let (bell, alarm, poller) = (Arc::new(EventFd::new()?), Alarm::new()?, Arc::new(Poller::new()?));
        poller.add(&*bell, 0, Interest::READ)?;
        poller.add(&alarm, 0, Interest::READ)?;
        Ok(Self { bell, alarm, poller, greeted: None, directory: None })
    }

    pub(super) fn bell(&self) -> &Arc<EventFd> {
        &self.bell
    }

    /// Polls the doorbell alone.
    pub(super) fn follow_nothing(&mut self) -> Result<(), LinkError> {
        self.follow(None, None)
    }

    /// Polls this connection and this directory, and no others.
    fn follow(
        &mut self,
        greeted: Option<&Arc<Connection>>,
        directory: Option<&Arc<DirectoryWatch>>,
    ) -> Result<(), LinkError> {
        follow(&self.poller, &mut self.greeted, greeted)?;
        follow(&self.poller, &mut self.directory, directory)
    }
}

/// Replaces one polled source by another.
fn follow<T>(poller: &Poller, now: &mut Option<Arc<T>>, wanted: Option<&Arc<T>>) -> Result<(), LinkError>
where
    for<'a> &'a T: uncopy_os::Pollable,
{
    if now.as_ref().map(Arc::as_ptr) != wanted.map(Arc::as_ptr) {
        if let Some(before) = now.take() {
            poller.remove(&*before)?;
        }
        if let Some(wanted) = wanted {
            poller.add(&**wanted, 0, Interest::READ)?;
            *now = Some(Arc::clone(wanted));
        }
    }
    Ok(())
}

impl Subscriber {
    /// What an event loop polls for reading: when it is readable, call [`poll_recv`](Self::poll_recv). The same
    /// object for the subscriber's life, whatever becomes of the producer.
    ///
    /// Call `poll_recv` once before the first poll, and until it gives nothing: that asks the producer to ring.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn events(&mut self) -> Result<&Poller, LinkError> {
        self.check_usable()?;
        Ok(&self.make_events()?.poller)
    }

    /// The same, for those who poll it on another thread.
    #[cfg(feature = "futures")]
    pub(super) fn shared_events(&mut self) -> Result<Arc<Poller>, LinkError> {
        self.check_usable()?;
        Ok(Arc::clone(&self.make_events()?.poller))
    }

    /// The same, whatever there is to be told.
    pub(super) fn make_events(&mut self) -> Result<&Events, LinkError> {
        let events = match self.events.take() {
            Some(events) => events,
            None => {
                let events = Events::new()?;
                if let Some(attachment) = &self.attachment {
                    attachment.set_bell(&events.bell)?;
                }
                events
            }
        };
        Ok(self.events.insert(events))
    }

    /// The next frame that was not received yet, if it is there. Never waits: `None` says that there will be an
    /// [event](Self::events) when there is news.
    ///
    /// # Errors
    /// As for [`recv`](Self::recv), but never [`LinkError::TimedOut`]: without a producer for the subscriber's own
    /// time, or for the [time of a restart](super::SubscribeOptions::restart_timeout), what became of it.
    pub fn poll_recv(&mut self) -> Result<Option<Frame>, LinkError> {
        self.poll_frame(false)
    }

    /// Like [`poll_recv`](Self::poll_recv), in a wait that has a time of its own and lasts that long without a producer
    /// too: only the end of the [time of a restart](super::SubscribeOptions::restart_timeout) is told. When the wait's
    /// own time is over, [`recv`](Self::recv) without any says what became of the producer.
    ///
    /// # Errors
    /// As for [`poll_recv`](Self::poll_recv).
    pub fn poll_recv_timed(&mut self) -> Result<Option<Frame>, LinkError> {
        self.poll_frame(true)
    }

    fn poll_frame(&mut self, has_own_time: bool) -> Result<Option<Frame>, LinkError> {
        let polled = self.try_poll(has_own_time);
        match &polled {
            Err(LinkError::NotFound(_) | LinkError::ProducerLost { .. }) if self.absence_told => {}
            Err(error) => {
                self.absence_told = matches!(error, LinkError::NotFound(_) | LinkError::ProducerLost { .. });
                self.log.note(error);
            }
            Ok(_) => {}
        }
        polled
    }

    fn try_poll(&mut self, has_own_time: bool) -> Result<Option<Frame>, LinkError> {
        self.check_usable()?;
        self.look_anew();
        loop {
            let ended = !self.connected();
            match self.take(self.cursor.after())? {
                Taken::Frame(frame) => return Ok(Some(frame)),
                Taken::Unready if !self.is_there_soon() => return Ok(None),
                Taken::Unready => continue,
                Taken::Nothing | Taken::Later => {}
            }
            if ended {
                match self.poll_producer(has_own_time)? {
                    Sought::Joined => continue,
                    Sought::Coming => return Ok(None),
                    Sought::Absent { obstacle } => {
                        self.note_absence_told();
                        return Err(self.absence(obstacle));
                    }
                }
            }
            if !self.ask_for_ring() {
                return Ok(None);
            }
            // What came before the request was made rings no more; what comes later does.
            if let Taken::Frame(frame) = self.take(self.cursor.after())? {
                return Ok(Some(frame));
            }
            if self.connected() {
                return self.check_usable().map(|()| None);
            }
        }
    }

    /// Asks the producer to ring with the next frame; whether there is a bell. Frames must be looked for once more
    /// afterwards.
    pub(super) fn ask_for_ring(&self) -> bool {
        let (Some(attachment), Some(events)) = (&self.attachment, &self.events) else { return false };
        events.bell.drain();
        ring::arm(&attachment.control.live(), attachment.place);
        true
    }

    /// Takes a step towards a producer without waiting.
    pub(super) fn poll_producer(&mut self, has_own_time: bool) -> Result<Sought, LinkError> {
        self.note_end();
        if let Some(watch) = &self.watch {
            watch.drain()?;
        }
        if let Some(events) = &self.events {
            // It rang for the end, and for nothing that is still to be seen.
            events.bell.drain();
        }
        let obstacle = loop {
            match self.take_step()? {
                Join::Joined => break None,
                Join::Pending(obstacle) => break Some(obstacle),
                // Watched before looking again, so that a producer that comes in between is not missed.
                Join::Absent if self.watch.is_none() => self.watch = Some(ProducerWatch::new(&self.dir)?),
                Join::Absent => break Some(None),
            }
        };
        if let Some(events) = &mut self.events {
            let greeted = self.joining.as_ref().map(|conversation| conversation.connection());
            events.follow(greeted, self.watch.as_ref().map(ProducerWatch::directory))?;
        }
        let patience = self.patience(has_own_time);
        let left = patience.map(|patience| patience.saturating_sub(self.absent_since.elapsed()));
        let next_look = match (&obstacle, &self.joining) {
            (None, _) => None,
            // A producer that was just greeted answers in a moment, however long there was none before.
            (Some(None), Some(_)) => Some(ANSWER_PATIENCE),
            // Nothing tells when one that is there and busy isn't any more.
            (Some(Some(_)), None) => Some(left.map_or(ANSWER_PATIENCE, |left| left.min(ANSWER_PATIENCE))),
            _ => left,
        };
        let is_over = next_look == Some(Duration::ZERO);
        if let Some(events) = &self.events {
            // Who goes on after an absence was told is not to be woken at once, again and again.
            events.alarm.set(if is_over { Some(ANSWER_PATIENCE) } else { next_look })?;
        }
        Ok(match obstacle {
            None => Sought::Joined,
            Some(obstacle) if is_over => Sought::Absent { obstacle },
            Some(_) => Sought::Coming,
        })
    }
}
