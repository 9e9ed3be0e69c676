// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting on Linux.

mod eventfd;
mod futex;
mod poller;
mod watch;

pub use eventfd::EventFd;
pub use futex::{futex_wait, futex_wake};
pub use poller::{Pollable, Poller};
pub use watch::DirectoryWatch;
