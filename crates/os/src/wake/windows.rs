// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting on Windows: not available yet, except that nobody ever waits.
#![expect(missing_docs, reason = "the Unix twin documents the same names")]

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use uncopy_tensor::ShareHandle;

use super::{Event, Interest, Woken};
use crate::{Connection, Listener, OsError, PidFd, RuntimeDir};

const UNSUPPORTED: OsError = OsError::Unsupported { what: "waiting for handles" };

/// Without shared memory nobody can wake us: a mismatch is reported, and a wait ends at once as interrupted.
pub fn futex_wait(word: &AtomicU32, expected: u32, _timeout: Option<Duration>) -> Woken {
    if word.load(Ordering::Relaxed) == expected { Woken::Interrupted } else { Woken::ValueChanged }
}

pub fn futex_wait_marked(
    word: &AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
    _marks: NonZeroU32,
) -> Woken {
    futex_wait(word, expected, timeout)
}

pub fn futex_wait_any(_words: &[(&AtomicU32, u32)], _timeout: Option<Duration>) -> Option<Woken> {
    None
}

pub fn futex_wake(_word: &AtomicU32, _max_waiters: u32) -> usize {
    0
}

pub fn futex_wake_marked(_word: &AtomicU32, _max_waiters: u32, _marks: NonZeroU32) -> usize {
    0
}

pub fn on_time<R>(wait: impl FnOnce() -> R) -> R {
    wait()
}

pub trait Pollable {}

impl Pollable for Alarm {}
impl Pollable for Connection {}
impl Pollable for DirectoryWatch {}
impl Pollable for EventFd {}
impl Pollable for Listener {}
impl Pollable for PidFd {}
impl Pollable for Poller {}
impl<T: Pollable + ?Sized> Pollable for &T {}

#[derive(Debug)]
pub struct Poller(Infallible);

impl Poller {
    pub fn new() -> Result<Poller, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn add(&self, _source: impl Pollable, _token: u64, _interest: Interest) -> Result<(), OsError> {
        match self.0 {}
    }

    pub fn modify(&self, _source: impl Pollable, _token: u64, _interest: Interest) -> Result<(), OsError> {
        match self.0 {}
    }

    pub fn remove(&self, _source: impl Pollable) -> Result<(), OsError> {
        match self.0 {}
    }

    pub fn wait(&self, _events: &mut Vec<Event>, _timeout: Option<Duration>) -> Result<(), OsError> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub struct EventFd(Infallible);

impl EventFd {
    pub fn new() -> Result<EventFd, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn share(&self) -> Result<ShareHandle, OsError> {
        match self.0 {}
    }

    pub fn open(_handle: &ShareHandle) -> Result<EventFd, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn ring(&self) {
        match self.0 {}
    }

    pub fn drain(&self) -> bool {
        match self.0 {}
    }
}

#[derive(Debug)]
pub struct Alarm(Infallible);

impl Alarm {
    pub fn new() -> Result<Alarm, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn set(&self, _after: Option<Duration>) -> Result<(), OsError> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub struct DirectoryWatch(Infallible);

impl DirectoryWatch {
    pub fn new(_dir: &RuntimeDir) -> Result<DirectoryWatch, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn drain(&self) -> Result<Vec<String>, OsError> {
        match self.0 {}
    }

    pub fn has_lost_changes(&self) -> bool {
        match self.0 {}
    }
}
