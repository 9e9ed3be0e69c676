// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names that appear in and vanish from the runtime directory.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::{OsError, RuntimeDir};

/// Watches a [`RuntimeDir`] for names that are created, renamed or removed; readable when there are changes.
#[derive(Debug)]
pub struct DirectoryWatch {
    inotify: OwnedFd,
    lost: AtomicBool,
}

impl DirectoryWatch {
    /// Watches `dir` from now on. Look at [`RuntimeDir::entries`] after this call, not before: then nothing is missed.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`] (also when the user has too many inotify instances), [`OsError::System`].
    pub fn new(dir: &RuntimeDir) -> Result<DirectoryWatch, OsError> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|errno| OsError::from_errno("inotify_init1", "a directory watch", errno))?;
        // Through the descriptor, so that exactly the directory whose owner and mode were checked is watched.
        let path = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
        let changes = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
        inotify::add_watch(&inotify, path, changes | WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR).map_err(
            |errno| OsError::from_errno("inotify_add_watch", dir.path().display().to_string(), errno),
        )?;
        Ok(DirectoryWatch { inotify, lost: AtomicBool::new(false) })
    }

    /// The names that changed since the last call, in order, possibly several times. Never blocks.
    ///
    /// # Errors
    ///
    /// [`OsError::System`].
    pub fn drain(&self) -> Result<Vec<String>, OsError> {
        let mut names = Vec::new();
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let is_loss = ReadFlags::QUEUE_OVERFLOW | ReadFlags::DELETE_SELF | ReadFlags::IGNORED;
                    if event.events().intersects(is_loss) {
                        self.lost.store(true, Ordering::Relaxed);
                    }
                    names.extend(event.file_name().and_then(|name| name.to_str().ok()).map(str::to_owned));
                }
                Err(Errno::AGAIN) => return Ok(names),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(OsError::from_errno("read", "a directory watch", errno)),
            }
        }
    }

    /// Whether changes went unreported since the last call, because there were too many or because the directory
    /// itself was removed: open the directory again and look at everything.
    pub fn has_lost_changes(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }
}

impl AsFd for DirectoryWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
