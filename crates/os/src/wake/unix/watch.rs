// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names that appear in and vanish from the runtime directory.

use std::ffi::{CStr, OsString};
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
    /// The watch on the parent directory, which alone tells that the directory itself is removed: the system reports a
    /// removal inside a removed directory's own watch only once nobody holds it open, and [`RuntimeDir`] does.
    parent: Option<Parent>,
    has_lost_changes: AtomicBool,
}

#[derive(Debug)]
struct Parent {
    watch: i32,
    own_name: OsString,
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
        let gone = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::ONLYDIR;
        let come = WatchFlags::CREATE | WatchFlags::MOVED_TO;
        // Through the descriptor, so that exactly the directory whose owner and mode were checked is watched.
        let path = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
        inotify::add_watch(&inotify, &path, come | gone).map_err(|errno| {
            OsError::from_errno("inotify_add_watch", dir.path().display().to_string(), errno)
        })?;
        let parent = dir.path().file_name().and_then(|own_name| {
            let watch = inotify::add_watch(&inotify, format!("{path}/.."), gone);
            watch.map(|watch| Parent { watch, own_name: own_name.to_owned() }).ok()
        });
        if parent.is_none() {
            tracing::debug!(dir = %dir.path().display(), "the removal of this directory would go unnoticed");
        }
        Ok(DirectoryWatch { inotify, parent, has_lost_changes: AtomicBool::new(false) })
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
                Ok(event) => names.extend(self.name_in(&event)),
                Err(Errno::AGAIN) => return Ok(names),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(OsError::from_errno("read", "a directory watch", errno)),
            }
        }
    }

    /// The name in the directory that an event tells of; takes note of what makes names go missing.
    fn name_in(&self, event: &inotify::Event<'_>) -> Option<String> {
        let is_from_parent = self.parent.as_ref().is_some_and(|parent| parent.watch == event.wd());
        let tells_of_us = |name: &CStr| {
            self.parent.as_ref().is_some_and(|parent| parent.own_name.as_encoded_bytes() == name.to_bytes())
        };
        let is_end = is_from_parent && event.file_name().is_some_and(tells_of_us);
        if is_end || event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            self.has_lost_changes.store(true, Ordering::Relaxed);
        }
        if is_from_parent { None } else { event.file_name()?.to_str().ok().map(str::to_owned) }
    }

    /// Whether changes may have gone unreported since the last call, because there were too many or because the
    /// directory itself was removed or moved: open it again and look at everything. Known after a
    /// [`drain`](DirectoryWatch::drain).
    pub fn has_lost_changes(&self) -> bool {
        self.has_lost_changes.swap(false, Ordering::Relaxed)
    }
}

impl AsFd for DirectoryWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
