// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers that nobody guesses by accident.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// A number that no other call in any process is likely to have had.
pub fn number() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(CALLS.fetch_add(1, Ordering::Relaxed));
    hasher.finish() | 1
}
