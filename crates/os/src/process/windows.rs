// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes on Windows: not available yet.
#![expect(missing_docs, reason = "the Unix twin documents the same names")]

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::wake::Woken;
use crate::{OsError, ProcessId};

const UNSUPPORTED: OsError = OsError::Unsupported { what: "holding on to a process" };

pub(super) fn own_number_in_proc() -> Option<i32> {
    None
}

pub(super) fn read_stat(_pid: i32) -> Option<String> {
    None
}

pub(super) fn read_command(_pid: i32) -> Option<String> {
    None
}

pub(super) fn machine_ticks(start_ticks: u64) -> u64 {
    start_ticks
}

pub fn boot_id() -> [u8; 16] {
    [0; 16]
}

/// From the standard library's hash keys, which the system's random generator makes.
pub fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    for (half, salt) in id.chunks_mut(8).zip(0u8..) {
        half.copy_from_slice(&RandomState::new().hash_one(salt).to_le_bytes());
    }
    id
}

pub fn current_uid() -> u32 {
    0
}

/// Windows has no signals to be quiet about.
pub fn at_exit(_handler: extern "C" fn()) -> bool {
    false
}

pub fn spawn_quiet(name: &str, f: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OsError> {
    Builder::new()
        .name(name.to_owned())
        .spawn(f)
        .map_err(|source| OsError::OutOfThreads { name: name.to_owned(), source })
}

#[derive(Debug)]
pub struct PidFd(Infallible);

impl PidFd {
    pub fn open(_pid: i32) -> Result<PidFd, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn open_same(_process: ProcessId) -> Result<Option<PidFd>, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn is_dead(&self) -> bool {
        match self.0 {}
    }

    pub fn wait_dead(&self, _timeout: Option<Duration>) -> Woken {
        match self.0 {}
    }
}
