// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checked directory, held as a descriptor.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::{lock, place, shared};
use crate::dir::{LockOutcome, LockState};
use crate::{OsError, current_uid};

/// A directory that belongs to this user alone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RuntimeDir {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    path: PathBuf,
    /// Opened as a path: good for working relative to it, for nothing else.
    directory: OwnedFd,
}

impl RuntimeDir {
    /// Opens this user's directory (see the module's header for where it is), making it if it is missing.
    ///
    /// # Errors
    ///
    /// Those of [`RuntimeDir::open_at`]; [`OsError::InvalidPath`] for a relative `UNCOPY_RUNTIME_DIR`.
    pub fn open() -> Result<RuntimeDir, OsError> {
        RuntimeDir::open_at(place::choose()?)
    }

    /// Opens the directory `path`, absolute, making its last component with mode 0700 if it is missing.
    ///
    /// # Errors
    ///
    /// [`OsError::Permission`] when it belongs to another user or lets others in; [`OsError::InvalidPath`] when it is
    /// relative, a symbolic link or no directory; [`OsError::System`].
    pub fn open_at(path: impl AsRef<Path>) -> Result<RuntimeDir, OsError> {
        let path = path.as_ref();
        if !path.is_absolute() {
            return Err(OsError::InvalidPath {
                path: path.into(),
                reason: "a runtime directory is an absolute path",
            });
        }
        match mkdirat(CWD, path, Mode::RWXU) {
            // A read-only file system answers EROFS also for a directory that exists; opening it decides.
            Ok(()) | Err(Errno::EXIST | Errno::ROFS) => {}
            Err(errno) => return Err(OsError::from_errno("mkdir", path.display().to_string(), errno)),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory =
            openat(CWD, path, flags, Mode::empty()).map_err(|errno| not_a_directory(path, errno))?;
        let stat = fstat(&directory)
            .map_err(|errno| OsError::from_errno("fstat", path.display().to_string(), errno))?;
        let uid = current_uid();
        if stat.st_uid != uid || stat.st_mode & 0o077 != 0 {
            let wanted = format!(
                "a directory of uid {uid} with mode 0700; chmod 700 it if it is yours, or set UNCOPY_RUNTIME_DIR"
            );
            return Err(OsError::permission(path, &stat, wanted));
        }
        Ok(RuntimeDir { held: Arc::new(Held { path: path.to_owned(), directory }) })
    }

    /// The path it was opened by. For messages: the directory may have been moved since.
    pub fn path(&self) -> &Path {
        &self.held.path
    }

    /// The names in it, in no order. Names that are not UTF-8 are not ours and are left out.
    ///
    /// # Errors
    ///
    /// [`OsError::System`], [`OsError::OutOfDescriptors`].
    pub fn entries(&self) -> Result<Vec<String>, OsError> {
        let failed = |errno| OsError::from_errno("readdir", self.path().display().to_string(), errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let readable = openat(self, ".", flags, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in Dir::new(readable).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Removes a file; says whether it was there.
    ///
    /// # Errors
    ///
    /// [`OsError::InvalidPath`] for anything but a plain file name, [`OsError::System`].
    pub fn remove(&self, file_name: &str) -> Result<bool, OsError> {
        self.check_name(file_name)?;
        match unlinkat(self, file_name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(OsError::from_errno("unlink", self.show(file_name), errno)),
        }
    }

    /// The content of a file, at most `max_len` bytes of it; `None` where there is none. It may be read in the midst
    /// of an [edit](Self::edit).
    ///
    /// # Errors
    ///
    /// [`OsError::InvalidPath`] for anything but a plain file, [`OsError::System`], [`OsError::OutOfDescriptors`].
    pub fn read(&self, file_name: &str, max_len: usize) -> Result<Option<Vec<u8>>, OsError> {
        self.check_name(file_name)?;
        shared::read(self, file_name, max_len)
    }

    /// Gives the content of a file (at most `max_len` bytes of it; nothing where there is none) to `change` and
    /// writes what it returns, with mode 0600 if it is new. `false`, and nothing is changed, while another process or
    /// thread is at it. Never waits.
    ///
    /// # Errors
    ///
    /// [`OsError::InvalidPath`] for anything but a plain file, [`OsError::System`], [`OsError::OutOfDescriptors`].
    pub fn edit(
        &self,
        file_name: &str,
        max_len: usize,
        change: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Result<bool, OsError> {
        self.check_name(file_name)?;
        shared::edit(self, file_name, max_len, change)
    }

    /// Tries to take the lock `file_name`. Never waits.
    ///
    /// The kernel holds the lock for this process until [`NameLock`](crate::NameLock) is dropped or the process dies,
    /// however it dies. Forked children do not share it.
    ///
    /// # Errors
    ///
    /// [`OsError::InvalidPath`], [`OsError::OutOfDescriptors`], [`OsError::TooManyGuarded`], [`OsError::System`].
    pub fn lock(&self, file_name: &str) -> Result<LockOutcome, OsError> {
        self.check_name(file_name)?;
        lock::take(self, file_name)
    }

    /// Whether somebody has the lock `file_name`. Makes no file, changes none, and never waits.
    ///
    /// A free lock is shared for an instant; who tries to take it just then finds it held and has to try again, as when
    /// two take it at once.
    ///
    /// # Errors
    ///
    /// [`OsError::InvalidPath`], [`OsError::OutOfDescriptors`], [`OsError::TooManyGuarded`], [`OsError::System`].
    pub fn look_at_lock(&self, file_name: &str) -> Result<LockState, OsError> {
        self.check_name(file_name)?;
        lock::look(self, file_name)
    }

    /// Whether the directory itself was removed: nobody can be found in it any more, and it has to be opened again.
    pub fn is_gone(&self) -> bool {
        fstat(self).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// What `file_name` is, itself and not what it points to; `None` when it is not there.
    pub(crate) fn stat(&self, file_name: &str) -> Result<Option<Stat>, OsError> {
        match statat(self, file_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(OsError::from_errno("stat", self.show(file_name), errno)),
        }
    }

    /// A path to `file_name` that is short however long the directory's own path is, and that leads into the directory
    /// that was checked. For calls that take no directory descriptor.
    pub(crate) fn short_path(&self, file_name: &str) -> String {
        format!("/proc/self/fd/{}/{file_name}", self.as_fd().as_raw_fd())
    }

    /// The path of `file_name` for messages.
    pub(crate) fn show(&self, file_name: &str) -> String {
        self.path().join(file_name).display().to_string()
    }

    /// Refuses what would lead out of the directory.
    pub(crate) fn check_name(&self, file_name: &str) -> Result<(), OsError> {
        if file_name.is_empty() || file_name == "." || file_name == ".." || file_name.contains(['/', '\0']) {
            let reason = "a file name in the runtime directory is not empty and has no slash";
            return Err(OsError::InvalidPath { path: file_name.into(), reason });
        }
        Ok(())
    }
}

impl AsFd for RuntimeDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.directory.as_fd()
    }
}

/// Why `path` could not be opened as a directory: with what it is, where that can be told.
fn not_a_directory(path: &Path, errno: Errno) -> OsError {
    let found = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    match (errno, found.map(|stat| FileType::from_raw_mode(stat.st_mode))) {
        (Errno::NOTDIR | Errno::LOOP, Ok(FileType::Symlink)) => OsError::InvalidPath {
            path: path.into(),
            reason: "it is a symbolic link, which anybody could have made",
        },
        (Errno::NOTDIR, Ok(_)) => OsError::InvalidPath { path: path.into(), reason: "it is no directory" },
        _ => OsError::from_errno("open", path.display().to_string(), errno),
    }
}
