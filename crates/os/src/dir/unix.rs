// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runtime directory on Linux.

mod lock;
mod place;
mod runtime;
mod shared;

pub use lock::NameLock;
pub use runtime::RuntimeDir;
