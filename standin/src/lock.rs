// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks that a panicking thread leaves usable: it ends the process anyway.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
