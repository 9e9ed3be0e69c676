// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking for a producer: at the start, and whenever one is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uncopy_os::{DirectoryWatch, Interest, Poller, RuntimeDir, spawn_quiet};

use super::super::attachment::{Attachment, Ended};
use super::super::conversation::{Conversation, Reached, Reply};
use super::super::wire::Role;
use super::super::{leftovers, observe};
use super::{Cursor, Last, Read, Subscriber, Waiting, slice_after};
use crate::error::LinkError;
use crate::service::lock;

/// When a wait for a producer says so.
const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// How far joining a producer has come.
pub(super) enum Join {
    Joined,
    /// It is there and has not answered yet; with the reason, once that takes long.
    Pending(Option<String>),
    Absent,
}

impl Subscriber {
    /// Joins a producer of the name, waiting until `deadline`, or as long as the subscriber has patience.
    pub(super) fn find_producer(
        &mut self,
        deadline: Option<Instant>,
        waiting: &mut dyn Waiting,
    ) -> Result<(), LinkError> {
        self.note_end();
        let begun = Instant::now();
        let patience = self.patience(deadline.is_some());
        let absent_until = patience.and_then(|patience| self.absent_since.checked_add(patience));
        let mut noticed = false;
        loop {
            let obstacle = match self.take_step()? {
                Join::Joined => return Ok(()),
                Join::Pending(obstacle) => obstacle,
                Join::Absent if self.watch.is_none() => {
                    // Watched before looking again, so that a producer that comes in between is not missed.
                    self.watch = Some(ProducerWatch::new(&self.dir)?);
                    continue;
                }
                Join::Absent => None,
            };
            if !noticed && begun.elapsed() >= NOTICE_AFTER {
                noticed = true;
                let missing =
                    observe::missing(&self.dir, &self.name, self.absent_since.elapsed(), obstacle.clone());
                waiting.notice(&format!("waiting for a producer: {missing}"));
            }
            // A producer that was just greeted answers in a moment, however long there was none before.
            let answering = self.joining.is_some() && obstacle.is_none();
            let absent_until = absent_until.filter(|_| !answering);
            let deadline = [deadline, absent_until].into_iter().flatten().min();
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                self.note_absence_told();
                return Err(self.absence(obstacle));
            }
            let slice = slice_after(now.saturating_duration_since(begun));
            self.wait_for_producer(deadline.map_or(slice, |deadline| slice.min(deadline - now)))?;
            if !waiting.keep_waiting() {
                return Err(LinkError::Interrupted);
            }
        }
    }

    /// Takes one step towards a producer; whether it led to one shows in the attachment.
    pub(super) fn look_for_producer(&mut self) -> Result<(), LinkError> {
        self.take_step().map(drop)
    }

    /// Waits for an answer, or for something to change in the runtime directory.
    fn wait_for_producer(&mut self, timeout: Duration) -> Result<(), LinkError> {
        match (&self.joining, &self.watch) {
            (Some(conversation), _) => conversation.wait(timeout),
            (None, Some(watch)) => watch.wait(timeout),
            (None, None) => Ok(()),
        }
    }

    /// Notes how and when the producer went, once.
    pub(super) fn note_end(&mut self) {
        let Some(attachment) = &self.attachment else { return };
        if let Some(ended) = attachment.ended() {
            self.last = Last { pid: attachment.header.producer.pid, ended: Some(ended) };
            self.absent_since =
                Instant::now().checked_sub(attachment.ended_for()).unwrap_or_else(Instant::now);
        }
    }

    /// Takes the next step towards a producer: greets one, or looks for the answer of one that was greeted.
    pub(super) fn take_step(&mut self) -> Result<Join, LinkError> {
        if self.dir.is_gone() {
            // Somebody removed the directory; the next producer makes it again.
            self.dir = RuntimeDir::open_at(self.dir.path())?;
            self.watch = None;
        }
        let was_greeted_before = self.joining.is_some();
        let conversation = match self.joining.take() {
            Some(conversation) => conversation,
            None => match Conversation::greet(&self.dir, &self.name, Role::Consumer, self.read.code())? {
                Reached::Talking(conversation) => conversation,
                Reached::Busy(reason) => return Ok(Join::Pending(Some(reason))),
                Reached::Absent => {
                    leftovers::sweep(&self.dir, &self.name);
                    return Ok(Join::Absent);
                }
            },
        };
        match conversation.reply()? {
            Reply::Silence => {
                let obstacle = conversation.obstacle();
                self.joining = Some(conversation);
                Ok(Join::Pending(obstacle))
            }
            Reply::HungUp => {
                leftovers::sweep(&self.dir, &self.name);
                // Its successor may have come before the directory was looked at last, and then nothing tells of it.
                if was_greeted_before { self.take_step() } else { Ok(Join::Absent) }
            }
            Reply::Message(message, handles) => {
                let every = self.read == Read::Every;
                let attachment = Attachment::take_place(conversation, message, &handles, every, self.wanted)?;
                let Cursor { received, missed, .. } = self.cursor;
                self.cursor = Cursor {
                    received,
                    missed,
                    seq: attachment.first_cursor(),
                    joined_at: attachment.control.live().newest_seq(),
                    ..Cursor::default()
                };
                *lock(&self.for_wakers) = Arc::downgrade(&attachment);
                if let Some(events) = &self.events {
                    attachment.set_bell(events.bell())?;
                }
                self.attachment = Some(attachment);
                if let Some(events) = &mut self.events {
                    events.follow_nothing()?;
                }
                if let Some(watch) = self.watch.take() {
                    watch.end();
                }
                self.joins += 1;
                self.absence_told = false;
                self.end_told = false;
                Ok(Join::Joined)
            }
        }
    }

    /// The error for a wait that ends without a producer.
    pub(super) fn absence(&self, obstacle: Option<String>) -> LinkError {
        match self.last.ended {
            None => LinkError::NotFound(Box::new(observe::missing(
                &self.dir,
                &self.name,
                self.absent_since.elapsed(),
                obstacle,
            ))),
            // Who was evicted was told so, and looks for a producer like anybody else.
            Some(Ended::Evicted) => LinkError::Evicted { name: self.name.clone() },
            Some(Ended::Closed) => {
                LinkError::ProducerClosed { name: self.name.clone(), since: self.absent_since.elapsed() }
            }
            Some(Ended::Lost) => LinkError::ProducerLost {
                name: self.name.clone(),
                pid: self.last.pid,
                since: self.absent_since.elapsed(),
            },
        }
    }
}

/// Sleeps until something changes in the runtime directory.
pub(super) struct ProducerWatch {
    directory: Arc<DirectoryWatch>,
    poller: Poller,
}

impl ProducerWatch {
    pub(super) fn new(dir: &RuntimeDir) -> Result<Self, LinkError> {
        let directory = Arc::new(DirectoryWatch::new(dir)?);
        let poller = Poller::new()?;
        poller.add(&*directory, 0, Interest::READ)?;
        Ok(Self { directory, poller })
    }

    pub(super) fn directory(&self) -> &Arc<DirectoryWatch> {
        &self.directory
    }

    /// Ends it beside the caller, who has a frame to receive: the kernel takes an inotify apart in tens of
    /// milliseconds.
    fn end(self) {
        // Without a thread it ends here, later than one would like.
        drop(spawn_quiet("uncopy-unwatch", move || drop(self)));
    }

    /// Forgets what has changed.
    pub(super) fn drain(&self) -> Result<(), LinkError> {
        self.directory.drain()?;
        Ok(())
    }

    fn wait(&self, timeout: Duration) -> Result<(), LinkError> {
        let mut events = Vec::new();
        self.poller.wait(&mut events, Some(timeout))?;
        if !events.is_empty() {
            self.directory.drain()?;
        }
        Ok(())
    }
}
