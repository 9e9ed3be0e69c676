// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes on Linux.

mod exit;
mod identity;
mod pidfd;
mod thread;

pub use exit::at_exit;
pub use identity::{boot_id, current_uid, random_id};
pub(super) use identity::{machine_ticks, own_number_in_proc, read_command, read_stat};
pub use pidfd::PidFd;
pub use thread::spawn_quiet;
