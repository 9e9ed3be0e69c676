// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runtime directory on Windows: not available yet.
#![expect(missing_docs, reason = "the Unix twin documents the same names")]

use std::convert::Infallible;
use std::path::Path;

use super::{LockOutcome, LockState};
use crate::OsError;

const UNSUPPORTED: OsError = OsError::Unsupported { what: "the runtime directory" };

#[derive(Clone, Debug)]
pub struct RuntimeDir(Infallible);

impl RuntimeDir {
    pub fn open() -> Result<RuntimeDir, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn open_at(_path: impl AsRef<Path>) -> Result<RuntimeDir, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn path(&self) -> &Path {
        match self.0 {}
    }

    pub fn entries(&self) -> Result<Vec<String>, OsError> {
        match self.0 {}
    }

    pub fn remove(&self, _file_name: &str) -> Result<bool, OsError> {
        match self.0 {}
    }

    pub fn read(&self, _file_name: &str, _max_len: usize) -> Result<Option<Vec<u8>>, OsError> {
        match self.0 {}
    }

    pub fn edit(
        &self,
        _file_name: &str,
        _max_len: usize,
        _change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Result<bool, OsError> {
        match self.0 {}
    }

    pub fn lock(&self, _file_name: &str) -> Result<LockOutcome, OsError> {
        match self.0 {}
    }

    pub fn look_at_lock(&self, _file_name: &str) -> Result<LockState, OsError> {
        match self.0 {}
    }

    pub fn is_gone(&self) -> bool {
        match self.0 {}
    }
}

#[derive(Debug)]
pub struct NameLock(Infallible);

impl NameLock {
    pub fn file_name(&self) -> &str {
        match self.0 {}
    }

    pub fn write_note(&self, _note: &str) -> Result<(), OsError> {
        match self.0 {}
    }

    pub fn unlink(self) -> Result<(), OsError> {
        match self.0 {}
    }
}
