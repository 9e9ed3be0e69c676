// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a name: a kernel lock on a file that exists only while it is taken.
//!
//! The file is removed by its holder before the lock is given back. A taker that opened the file before that and locks
//! it after that holds a file without a name, while another may make and lock a new one. So whoever gets the lock looks
//! whether the name still leads to the file that is locked, and tries again if not: exactly one wins.

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, Stat, flock, fstat, ftruncate, openat};
use rustix::io::{Errno, pread, pwrite};

use super::RuntimeDir;
use crate::dir::{LockOutcome, LockState, MAX_NOTE_BYTES};
use crate::{CloseInChild, OsError};

/// A name that this process holds. Dropping it removes the file and gives the name back.
///
/// In a forked child it holds nothing and its drop removes nothing.
#[derive(Debug)]
pub struct NameLock {
    dir: RuntimeDir,
    file_name: String,
    file: CloseInChild,
}

/// Tries to lock `file_name`, which the caller has checked.
pub(super) fn take(dir: &RuntimeDir, file_name: &str) -> Result<LockOutcome, OsError> {
    loop {
        let file = CloseInChild::make(|| open(dir, file_name))?;
        match flock(file.get()?, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(LockOutcome::Held { holder: read_note(&file)? }),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(OsError::from_errno("flock", dir.show(file_name), errno)),
        }
        // Each further round means that somebody else has had the lock and removed the file in between.
        if is_named(dir, file_name, &file)? {
            let lock = NameLock { dir: dir.clone(), file_name: file_name.to_owned(), file };
            lock.write_note("")?; // of a holder that was killed
            return Ok(LockOutcome::Locked(lock));
        }
    }
}

/// Looks whether somebody has `file_name`, which the caller has checked, without taking it.
pub(super) fn look(dir: &RuntimeDir, file_name: &str) -> Result<LockState, OsError> {
    let file = match CloseInChild::make(|| open_existing(dir, file_name)) {
        Ok(file) => file,
        Err(_) if dir.stat(file_name)?.is_none() => return Ok(LockState::Missing),
        Err(error) => return Err(error),
    };
    loop {
        // Shared, so that two who look don't take each other for a holder; given back with the descriptor.
        match flock(file.get()?, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(LockState::Free),
            Err(Errno::AGAIN) => return Ok(LockState::Held { holder: read_note(&file)? }),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(OsError::from_errno("flock", dir.show(file_name), errno)),
        }
    }
}

impl NameLock {
    /// The file's name in the runtime directory.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Says who holds the name: what others get as [`LockOutcome::Held`]'s `holder`, up to [`MAX_NOTE_BYTES`].
    ///
    /// # Errors
    ///
    /// [`OsError::Forked`] in a forked child, [`OsError::System`].
    pub fn write_note(&self, note: &str) -> Result<(), OsError> {
        let failed = |call| move |errno| OsError::from_errno(call, self.dir.show(&self.file_name), errno);
        let file = self.file.get()?;
        let mut rest = note.as_bytes();
        let mut offset = 0;
        while !rest.is_empty() {
            match pwrite(file, rest, offset) {
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed("write")(errno)),
            }
        }
        ftruncate(file, offset).map_err(failed("ftruncate"))
    }

    /// Gives the name back now; the same as dropping, with the error told.
    ///
    /// # Errors
    ///
    /// [`OsError::Forked`] in a forked child, [`OsError::System`] when the file cannot be removed; the lock is given
    /// back all the same.
    pub fn unlink(self) -> Result<(), OsError> {
        self.file.get()?;
        self.remove_file()
        // Dropping `self` removes nothing more: the name is gone, or somebody else's.
    }

    /// Removes the file while it is still locked, so that nobody else's can be meant: whoever makes a new one under
    /// this name has found none.
    fn remove_file(&self) -> Result<(), OsError> {
        if is_named(&self.dir, &self.file_name, &self.file)? {
            self.dir.remove(&self.file_name)?;
        }
        Ok(())
    }
}

impl Drop for NameLock {
    fn drop(&mut self) {
        if self.file.is_from_parent() {
            return;
        }
        if let Err(error) = self.remove_file() {
            tracing::warn!(%error, "a lock file stays behind; the lock itself is given back");
        }
    }
}

fn open(dir: &RuntimeDir, file_name: &str) -> Result<OwnedFd, OsError> {
    open_with(dir, file_name, OFlags::RDWR | OFlags::CREATE)
}

fn open_existing(dir: &RuntimeDir, file_name: &str) -> Result<OwnedFd, OsError> {
    open_with(dir, file_name, OFlags::RDONLY)
}

fn open_with(dir: &RuntimeDir, file_name: &str, flags: OFlags) -> Result<OwnedFd, OsError> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    openat(dir, file_name, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| {
        match (errno, dir.stat(file_name)) {
            (Errno::ACCESS | Errno::PERM, Ok(Some(stat))) => {
                let path = dir.path().join(file_name);
                OsError::permission(&path, &stat, "a file that this user can read and write")
            }
            (Errno::LOOP, _) => {
                OsError::InvalidPath { path: dir.path().join(file_name), reason: "it is a symbolic link" }
            }
            _ => OsError::from_errno("open", dir.show(file_name), errno),
        }
    })
}

/// Whether `file_name` leads to `file`.
fn is_named(dir: &RuntimeDir, file_name: &str, file: &CloseInChild) -> Result<bool, OsError> {
    let ours =
        fstat(file.get()?).map_err(|errno| OsError::from_errno("fstat", dir.show(file_name), errno))?;
    Ok(dir.stat(file_name)?.is_some_and(|named| is_same(&named, &ours)))
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    one.st_dev == other.st_dev && one.st_ino == other.st_ino
}

/// What the holder wrote, if anything; at most [`MAX_NOTE_BYTES`], with control characters replaced.
fn read_note(file: &CloseInChild) -> Result<Option<String>, OsError> {
    let mut note = [0; MAX_NOTE_BYTES];
    let read = loop {
        match pread(file.get()?, &mut note, 0) {
            Ok(read) => break read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(OsError::from_errno("read", "a lock file", errno)),
        }
    };
    let text = String::from_utf8_lossy(note.get(..read).unwrap_or_default());
    let text = text.trim().replace(char::is_control, "?");
    Ok((!text.is_empty()).then_some(text))
}
