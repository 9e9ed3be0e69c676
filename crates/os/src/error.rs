// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the operating system refused, with the values that were asked for and found.
//!
//! One enum for the crate. Each variant maps to one [`ErrorKind`], from which C codes and exceptions are made.
//!
//! ```
//! use uncopy_core::ErrorKind;
//! use uncopy_os::OsError;
//!
//! let error = OsError::OutOfMemory { need_bytes: 8 << 30, free_bytes: 1 << 30, limit: "cgroup memory.max" };
//! assert_eq!(error.kind(), ErrorKind::OutOfMemory);
//! assert!(error.to_string().contains("cgroup memory.max"));
//! ```

use std::io;
use std::path::PathBuf;

use uncopy_core::ErrorKind;

use crate::map::Seals;

/// Why an operating system service was not given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OsError {
    /// The system, or this version of it, has no such service.
    #[error("{what} is not available on this system")]
    Unsupported {
        /// The service.
        what: &'static str,
    },
    /// A system call failed for a reason that no other variant names.
    #[error("{call} failed for {detail}: {source}")]
    System {
        /// The system call.
        call: &'static str,
        /// What it was called for.
        detail: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The memory would not fit; nothing was allocated.
    #[error(
        "{need_bytes} bytes of shared memory are needed and {free_bytes} are free under {limit}; use fewer or smaller slots, or raise that limit"
    )]
    OutOfMemory {
        /// What was asked for, in bytes.
        need_bytes: u64,
        /// What the tightest limit leaves, in bytes.
        free_bytes: u64,
        /// The tightest limit: `cgroup memory.max`, `MemAvailable`, `RLIMIT_FSIZE`, …
        limit: &'static str,
    },
    /// The process or the system has no file descriptor left.
    #[error(
        "no file descriptor left for {call} (this process may open {limit}); close links or raise ulimit -n"
    )]
    OutOfDescriptors {
        /// The system call that wanted one.
        call: &'static str,
        /// The soft limit of this process.
        limit: u64,
    },
    /// The system starts no more threads for this user.
    #[error("cannot start thread {name}: {source}; end threads or raise ulimit -u")]
    OutOfThreads {
        /// The thread's name.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
    /// More descriptors or frame memories are to be kept from forked children than the table holds.
    #[error("more than {max} sockets and locks, or frame memories, are open in this process; close links")]
    TooManyGuarded {
        /// Entries in the table.
        max: usize,
    },
    /// A file or directory belongs to somebody else, or lets somebody else in.
    #[error("{} is refused: it has owner uid {owner} and mode {mode:04o}; wanted {wanted}", path.display())]
    Permission {
        /// The path.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// What would be accepted, as a phrase.
        wanted: String,
    },
    /// Shared memory without the seals that make it safe to map.
    #[error("shared memory is sealed {found}, but {wanted} is needed; the peer does not follow the protocol")]
    NotSealed {
        /// The missing seal.
        wanted: &'static str,
        /// The seals that are there.
        found: Seals,
    },
    /// Shared memory that is smaller than its description says.
    #[error("shared memory has {got_bytes} bytes, but its description needs {need_bytes}")]
    TooSmall {
        /// Bytes needed.
        need_bytes: u64,
        /// Bytes there.
        got_bytes: u64,
    },
    /// Shared memory with pages that its maker has not allocated.
    #[error(
        "shared memory of {len_bytes} bytes has only {allocated_bytes} allocated; the peer does not follow the protocol"
    )]
    NotAllocated {
        /// Its length.
        len_bytes: u64,
        /// Bytes that are behind it.
        allocated_bytes: u64,
    },
    /// A length that cannot be mapped.
    #[error("{what} of {len_bytes} bytes cannot be mapped: it must be at least 1 and at most 2^63 - 1 bytes")]
    BadLength {
        /// What has the length.
        what: &'static str,
        /// The length; saturated when it was not representable.
        len_bytes: u64,
    },
    /// A number that must be a multiple of another.
    #[error("{what} is {value}, but must be a multiple of {multiple_of}")]
    BadAlignment {
        /// What the number is.
        what: &'static str,
        /// The number.
        value: usize,
        /// What it must be a multiple of.
        multiple_of: usize,
    },
    /// A range that does not lie inside the memory.
    #[error("{len_bytes} bytes at offset {offset_bytes} do not fit into {of_bytes} bytes")]
    OutOfBounds {
        /// First byte.
        offset_bytes: usize,
        /// Length of the range.
        len_bytes: usize,
        /// Length of the memory.
        of_bytes: usize,
    },
    /// A slot index past the last slot.
    #[error("slot {slot} does not exist: there are {slots}")]
    NoSuchSlot {
        /// The index asked for.
        slot: usize,
        /// How many there are.
        slots: usize,
    },
    /// The slot is claimed, or a writable region of it is still alive.
    #[error("slot {slot} is in use: {}", if *lent { "a writable view of it is still alive; drop it first" } else { "it is claimed already" })]
    SlotTaken {
        /// The slot.
        slot: usize,
        /// Whether a region made by `SlotMut::region` is what holds it.
        lent: bool,
    },
    /// A path or file name that cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    InvalidPath {
        /// The path.
        path: PathBuf,
        /// Why, as a clause.
        reason: &'static str,
    },
    /// A message that a socket cannot carry.
    #[error("a message of {len_bytes} bytes with {handles} handles cannot be sent: {rule}")]
    BadMessage {
        /// Its length.
        len_bytes: usize,
        /// How many handles it carries.
        handles: usize,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The peer hung up.
    #[error("the peer closed the connection")]
    Closed,
    /// The listener's queue of waiting connections is full.
    #[error("{} accepts no connections at the moment: its queue is full; try again", path.display())]
    QueueFull {
        /// The socket.
        path: PathBuf,
    },
    /// The object was made before `fork`, and this is the child.
    #[error("this object belongs to the parent process; open it again after fork")]
    Forked,
}

impl OsError {
    /// The one kind that this error is reported as in every language.
    pub fn kind(&self) -> ErrorKind {
        match self {
            OsError::Unsupported { .. } => ErrorKind::Unsupported,
            OsError::System { source, .. } => kind_of_io(source),
            OsError::OutOfMemory { .. } => ErrorKind::OutOfMemory,
            OsError::OutOfDescriptors { .. }
            | OsError::OutOfThreads { .. }
            | OsError::TooManyGuarded { .. }
            | OsError::QueueFull { .. } => ErrorKind::OutOfResources,
            OsError::Permission { .. } => ErrorKind::PermissionDenied,
            OsError::NotSealed { .. } | OsError::TooSmall { .. } | OsError::NotAllocated { .. } => {
                ErrorKind::CorruptLink
            }
            OsError::BadLength { .. }
            | OsError::BadAlignment { .. }
            | OsError::OutOfBounds { .. }
            | OsError::NoSuchSlot { .. }
            | OsError::InvalidPath { .. }
            | OsError::BadMessage { .. } => ErrorKind::InvalidArgument,
            OsError::SlotTaken { .. } => ErrorKind::NoFreeSlot,
            OsError::Closed => ErrorKind::Closed,
            OsError::Forked => ErrorKind::ForkedProcess,
        }
    }

    /// The same as an [`io::Error`], for traits that speak of those; a system's own error keeps its code.
    pub fn into_io(self) -> io::Error {
        match self {
            OsError::System { source, .. } => source,
            other => io::Error::other(other),
        }
    }
}

/// Kinds of plain system errors; everything that is not listed is `System`.
fn kind_of_io(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ErrorKind::NotFound,
        io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ErrorKind::OutOfMemory
        }
        io::ErrorKind::Interrupted => ErrorKind::Interrupted,
        io::ErrorKind::TimedOut => ErrorKind::TimedOut,
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected => {
            ErrorKind::Closed
        }
        io::ErrorKind::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::System,
    }
}

#[cfg(unix)]
mod unix {
    use std::path::Path;

    use rustix::fs::Stat;
    use rustix::io::Errno;
    use rustix::process::{Resource, getrlimit};

    use super::OsError;

    impl OsError {
        /// The error for a system call that failed with `errno`; running out of descriptors gets its own variant.
        pub(crate) fn from_errno(call: &'static str, detail: impl Into<String>, errno: Errno) -> OsError {
            match errno {
                Errno::MFILE | Errno::NFILE | Errno::TOOMANYREFS => OsError::out_of_descriptors(call),
                _ => OsError::System { call, detail: detail.into(), source: errno.into() },
            }
        }

        /// No descriptor is left for `call`.
        pub(crate) fn out_of_descriptors(call: &'static str) -> OsError {
            let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
            OsError::OutOfDescriptors { call, limit }
        }

        /// A refusal that shows who owns `path` and with which mode.
        pub(crate) fn permission(path: &Path, stat: &Stat, wanted: impl Into<String>) -> OsError {
            let mode = stat.st_mode & 0o7777;
            OsError::Permission { path: path.to_owned(), owner: stat.st_uid, mode, wanted: wanted.into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_get_the_kind_of_what_the_system_said() {
        let kind = |code: io::ErrorKind| {
            OsError::System { call: "open", detail: "x".into(), source: code.into() }.kind()
        };
        assert_eq!(kind(io::ErrorKind::PermissionDenied), ErrorKind::PermissionDenied);
        assert_eq!(kind(io::ErrorKind::NotFound), ErrorKind::NotFound);
        assert_eq!(kind(io::ErrorKind::StorageFull), ErrorKind::OutOfMemory);
        assert_eq!(kind(io::ErrorKind::BrokenPipe), ErrorKind::Closed);
        assert_eq!(kind(io::ErrorKind::InvalidData), ErrorKind::System);
    }

    #[test]
    fn a_permission_error_names_path_owner_and_mode() {
        let error = OsError::Permission {
            path: "/run/x".into(),
            owner: 1000,
            mode: 0o755,
            wanted: "a directory of uid 0 with mode 0700".into(),
        };
        assert_eq!(
            error.to_string(),
            "/run/x is refused: it has owner uid 1000 and mode 0755; wanted a directory of uid 0 with mode 0700"
        );
    }

    #[cfg(unix)]
    #[test]
    fn running_out_of_descriptors_is_told_apart() {
        let error = OsError::from_errno("socket", "a test", rustix::io::Errno::MFILE);
        assert!(matches!(error, OsError::OutOfDescriptors { call: "socket", .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::OutOfResources);
    }
}
