// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows has no `fork`.
#![expect(missing_docs, reason = "the Unix twin documents the same names")]

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

#[inline]
pub fn fork_generation() -> u32 {
    1
}

#[derive(Debug)]
pub struct CloseInChild(Infallible);

impl CloseInChild {
    pub fn is_from_parent(&self) -> bool {
        match self.0 {}
    }
}

/// The value of a [`ForkLock`], for as long as this lives.
pub type ForkGuard<'a, T> = MutexGuard<'a, T>;

#[derive(Debug, Default)]
pub struct ForkLock<T>(OnceLock<Mutex<T>>);

impl<T: Default> ForkLock<T> {
    pub const fn new() -> ForkLock<T> {
        ForkLock(OnceLock::new())
    }

    pub fn lock(&self) -> ForkGuard<'_, T> {
        self.0.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }
}
