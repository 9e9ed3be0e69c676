// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who a process is, and whether it still lives.
//!
//! A process number alone names nobody: numbers are used again. [`ProcessId`] is a number with the time at which that
//! process started; [`PidFd`] holds on to one process whatever happens to its number. A zombie (dead, not yet collected
//! by its parent) is dead.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use uncopy_os::{PidFd, ProcessId};
//!
//! let me = ProcessId::current();
//! assert!(me.is_alive());
//! assert!(!ProcessId { start_ticks: me.start_ticks + 1, ..me }.is_alive(), "same number, another process");
//! assert!(!PidFd::open(me.pid)?.is_dead());
//! # }
//! # Ok::<(), uncopy_os::OsError>(())
//! ```

mod stat;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use system::{PidFd, at_exit, boot_id, current_uid, random_id, spawn_quiet};

/// Whether [`ProcessId`] can tell anything here: `/proc` is mounted and shows the processes of this process's own pid
/// namespace. After `unshare --pid` without a `/proc` of its own it shows another's.
pub fn sees_processes() -> bool {
    system::own_number_in_proc() == Some(std::process::id().cast_signed())
}

/// One process, for ever: a number and a start time. The pair is not used again within one boot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ProcessId {
    /// The number, as this process's `/proc` shows it.
    pub pid: i32,
    /// When it started, in clock ticks (1/100 s) after boot: field 22 of `/proc/PID/stat`, as who is in no time
    /// namespace reads it.
    pub start_ticks: u64,
}

impl ProcessId {
    /// This process. `start_ticks` is 0, and matches no process, where it [cannot be told](sees_processes).
    pub fn current() -> ProcessId {
        let pid = std::process::id().cast_signed();
        ProcessId::of(pid).unwrap_or(ProcessId { pid, start_ticks: 0 })
    }

    /// The living process with that number; `None` when there is none, or only a zombie, or where it
    /// [cannot be told](sees_processes).
    pub fn of(pid: i32) -> Option<ProcessId> {
        if !sees_processes() {
            return None;
        }
        let stat = stat::parse(&system::read_stat(pid)?)?;
        let start_ticks = system::machine_ticks(stat.start_ticks);
        stat.is_alive().then_some(ProcessId { pid, start_ticks })
    }

    /// Whether this very process lives: neither collected nor a zombie, and not another one with its number. Means
    /// nothing where it [cannot be told](sees_processes).
    pub fn is_alive(self) -> bool {
        ProcessId::of(self.pid) == Some(self)
    }

    /// Its name as `/proc/PID/comm` tells it (at most 15 bytes, chosen by the process itself), or `?` when it is gone.
    /// For messages to people.
    pub fn command(self) -> String {
        match system::read_command(self.pid) {
            Some(command) if self.is_alive() => command,
            _ => "?".to_owned(),
        }
    }
}
