// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for any of several descriptors.

use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::time::Timespec;

use crate::OsError;
use crate::wake::{Event, Interest};

/// What a [`Poller`] can watch: a connection, a listener, a process, an [`EventFd`](crate::EventFd), a
/// [`DirectoryWatch`](crate::DirectoryWatch), or any descriptor that epoll accepts.
pub trait Pollable: AsFd {}

impl<T: AsFd + ?Sized> Pollable for T {}

/// Events that one wait returns at most; the next wait returns the others.
const EVENTS_PER_WAIT: usize = 64;

/// Watches sources, level-triggered: an event is reported by each wait until what it tells of has been dealt with.
///
/// A poller belongs to the process that made it. After `fork` the child shares it with the parent and must not use it.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    /// A poller that watches nothing yet.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`], [`OsError::System`].
    pub fn new() -> Result<Poller, OsError> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|errno| OsError::from_errno("epoll_create1", "a poller", errno))?;
        Ok(Poller { epoll })
    }

    /// Watches `source`, whose events will carry `token`. Remove it before it is closed: a duplicate of the descriptor
    /// elsewhere (a forked child, a handle in flight) would keep reporting events.
    ///
    /// # Errors
    ///
    /// [`OsError::System`] when it is watched already or cannot be watched.
    pub fn add(&self, source: impl Pollable, token: u64, interest: Interest) -> Result<(), OsError> {
        epoll::add(&self.epoll, source.as_fd(), EventData::new_u64(token), flags_of(interest))
            .map_err(|errno| OsError::from_errno("epoll_ctl(ADD)", format!("token {token}"), errno))
    }

    /// Changes what a watched source is watched for, and its token.
    ///
    /// # Errors
    ///
    /// [`OsError::System`] when it is not watched.
    pub fn modify(&self, source: impl Pollable, token: u64, interest: Interest) -> Result<(), OsError> {
        epoll::modify(&self.epoll, source.as_fd(), EventData::new_u64(token), flags_of(interest))
            .map_err(|errno| OsError::from_errno("epoll_ctl(MOD)", format!("token {token}"), errno))
    }

    /// Stops watching a source.
    ///
    /// # Errors
    ///
    /// [`OsError::System`] when it is not watched.
    pub fn remove(&self, source: impl Pollable) -> Result<(), OsError> {
        epoll::delete(&self.epoll, source.as_fd())
            .map_err(|errno| OsError::from_errno("epoll_ctl(DEL)", "a source", errno))
    }

    /// Waits until something happens or `timeout` has passed, and replaces the contents of `events` by what happened.
    ///
    /// `events` is empty after a timeout and after a signal. `None` waits without limit.
    ///
    /// # Errors
    ///
    /// [`OsError::System`].
    pub fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> Result<(), OsError> {
        events.clear();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut seen = [const { MaybeUninit::<epoll::Event>::uninit() }; EVENTS_PER_WAIT];
        match epoll::wait(&self.epoll, &mut seen, timeout.as_ref()) {
            Ok((seen, _)) => events.extend(seen.iter().map(event_of)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(OsError::from_errno("epoll_wait", "a poller", errno)),
        }
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn flags_of(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN | EventFlags::RDHUP, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags.set(EventFlags::ONESHOT, interest.once);
    flags
}

fn event_of(event: &epoll::Event) -> Event {
    let (flags, data) = (event.flags, event.data);
    let hung_up = flags.intersects(EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR);
    Event {
        token: data.u64(),
        readable: hung_up || flags.contains(EventFlags::IN),
        writable: flags.contains(EventFlags::OUT),
        hung_up,
    }
}
