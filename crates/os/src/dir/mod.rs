// SPDX-License-Identifier: MIT OR Apache-2.0
//! The per-user directory in which links are found, and locks on names in it.
//!
//! Where it is, first that applies:
//!
//! | place | when |
//! |---|---|
//! | `$UNCOPY_RUNTIME_DIR` | set (tests, containers); must be absolute |
//! | `$XDG_RUNTIME_DIR/uncopy` | that directory exists and is ours |
//! | `$TMPDIR/uncopy-UID` or `/tmp/uncopy-UID` | otherwise |
//!
//! A program that runs with more rights than its caller (setuid, file capabilities: `AT_SECURE`) believes none of these
//! variables and uses `/tmp/uncopy-UID`.
//!
//! The last component is made with mode 0700 if it is missing. It is refused when it is a symbolic link, belongs to
//! another user, or lets group or others in: whoever can write there can pretend to be a producer. What was checked is
//! held as a descriptor, and everything is done relative to that descriptor, so a later swap of the path changes
//! nothing.
//!
//! A **name** is taken by a lock on a file, held by the kernel for as long as the process lives: [`RuntimeDir::lock`].
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use uncopy_os::{LockOutcome, RuntimeDir};
//! # let path = std::env::temp_dir().join(format!("uncopy-doc-{}", std::process::id()));
//!
//! let dir = RuntimeDir::open_at(&path)?;
//! let LockOutcome::Locked(lock) = dir.lock("camera.lock")? else { panic!("nobody else is here") };
//! lock.write_note("process 17 (example)")?;
//! let LockOutcome::Held { holder } = dir.lock("camera.lock")? else { panic!("taken once only") };
//! assert_eq!(holder.as_deref(), Some("process 17 (example)"));
//! drop(lock); // gone, and its file with it
//! assert_eq!(dir.entries()?, Vec::<String>::new());
//! # std::fs::remove_dir(&path).map_err(|e| e.to_string())?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use system::{NameLock, RuntimeDir};

/// The environment variable that names the directory for tests and containers.
pub const RUNTIME_DIR_VARIABLE: &str = "UNCOPY_RUNTIME_DIR";

/// A note in a lock file is read up to this length, in bytes.
pub const MAX_NOTE_BYTES: usize = 512;

/// What became of an attempt to take a name.
#[derive(Debug)]
pub enum LockOutcome {
    /// It is ours until the value is dropped or the process ends.
    Locked(NameLock),
    /// Somebody else has it.
    Held {
        /// What the holder wrote about itself, at most [`MAX_NOTE_BYTES`]; `None` when it has not (yet).
        holder: Option<String>,
    },
}

/// What was seen of a name's lock without taking it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LockState {
    /// There is no such file.
    Missing,
    /// Nobody has it: its holder died, or is about to remove it.
    Free,
    /// Somebody has it.
    Held {
        /// As in [`LockOutcome::Held`].
        holder: Option<String>,
    },
}
