// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting on Linux.

mod alarm;
mod eventfd;
mod futex;
mod poller;
mod watch;

pub use alarm::Alarm;
pub use eventfd::EventFd;
pub use futex::{futex_wait, futex_wait_any, futex_wait_marked, futex_wake, futex_wake_marked, on_time};
pub use poller::{Pollable, Poller};
pub use watch::DirectoryWatch;
