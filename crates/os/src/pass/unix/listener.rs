// SPDX-License-Identifier: MIT OR Apache-2.0
//! A socket with a name, to which others connect.

use std::sync::{Mutex, PoisonError};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, Stat, chmodat, renameat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{SocketFlags, accept_with, bind, listen};

use super::{Connection, address, new_socket};
use crate::pass::temporary_name;
use crate::{CloseInChild, OsError, RuntimeDir};

/// Connections that may wait to be accepted; the kernel may allow fewer.
const BACKLOG: i32 = 128;

/// A socket in a runtime directory. Dropping it removes its name, unless that leads to somebody else's socket by then.
#[derive(Debug)]
pub struct Listener {
    socket: CloseInChild,
    dir: RuntimeDir,
    file_name: String,
    file: Stat,
    /// Given up to accept one connection when no other descriptor is left.
    spare: Mutex<Option<OwnedFd>>,
}

impl Listener {
    /// Listens under `file_name` in `dir`, replacing whatever has that name. The caller holds the lock that makes the
    /// name its own ([`RuntimeDir::lock`]).
    ///
    /// The socket is made under `.FILE_NAME.tmp` with mode 0600, listens, and is then renamed: whoever finds the name
    /// finds a socket that answers.
    ///
    /// # Errors
    ///
    /// [`OsError::InvalidPath`] (no plain name, or longer than 80 bytes), [`OsError::OutOfDescriptors`],
    /// [`OsError::TooManyGuarded`], [`OsError::System`].
    pub fn bind(dir: &RuntimeDir, file_name: &str) -> Result<Listener, OsError> {
        dir.check_name(file_name)?;
        let temporary = temporary_name(file_name);
        let address = address(dir, &temporary)?;
        let socket = CloseInChild::make(new_socket)?;
        dir.remove(&temporary)?; // of a process that was killed between the next steps
        let failed = |call| {
            let path = dir.show(file_name);
            move |errno| OsError::from_errno(call, path, errno)
        };
        let spare = fcntl_dupfd_cloexec(dir, 0).map_err(failed("fcntl(F_DUPFD_CLOEXEC)"))?;
        bind(socket.get()?, &address).map_err(failed("bind"))?;
        let bound = TemporaryName { dir, name: &temporary };
        chmodat(dir, &temporary, Mode::RUSR | Mode::WUSR, AtFlags::empty()).map_err(failed("chmod"))?;
        let Some(file) = dir.stat(&temporary)? else { return Err(failed("stat")(Errno::NOENT)) };
        listen(socket.get()?, BACKLOG).map_err(failed("listen"))?;
        renameat(dir, &temporary, dir, file_name).map_err(failed("rename"))?;
        std::mem::forget(bound);
        let spare = Mutex::new(Some(spare));
        Ok(Listener { socket, dir: dir.clone(), file_name: file_name.to_owned(), file, spare })
    }

    /// The next connection that waits; `None` when none does.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`], also when nobody waits: if somebody does, the listener stays readable, so go on
    /// with [`Listener::accept_to_refuse`] until it gives `None`. [`OsError::TooManyGuarded`], [`OsError::Forked`],
    /// [`OsError::System`].
    pub fn accept(&self) -> Result<Option<Connection>, OsError> {
        // Not the spare's lock in a forked child: the parent's thread that held it does not exist here.
        self.socket.get()?;
        // First: a connection that took the last descriptor would leave none to refuse the next one with.
        self.keep_spare();
        self.accept_now()
    }

    /// The next connection that waits, accepted with a descriptor kept for the case that there is no other: to say so
    /// to whoever connects, and to hang up. The next [`Listener::accept`] keeps one again, so drop the connection
    /// before.
    ///
    /// # Errors
    ///
    /// Those of [`Listener::accept`]. [`OsError::OutOfDescriptors`] when another thread has taken the descriptor in
    /// between: the connection keeps waiting and the listener stays readable, so stop watching it for a while.
    pub fn accept_to_refuse(&self) -> Result<Option<Connection>, OsError> {
        self.socket.get()?;
        drop(self.spare.lock().unwrap_or_else(PoisonError::into_inner).take());
        let accepted = self.accept_now();
        if matches!(accepted, Ok(None)) {
            self.keep_spare();
        }
        accepted
    }

    /// Keeps a descriptor in reserve; without room for it now, it is kept from a later call on.
    fn keep_spare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            *spare = fcntl_dupfd_cloexec(&self.dir, 0).ok();
        }
    }

    fn accept_now(&self) -> Result<Option<Connection>, OsError> {
        let socket = self.socket.get()?;
        let mut nobody_waits = false;
        let accepted = CloseInChild::make(|| {
            accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(|errno| {
                nobody_waits = matches!(errno, Errno::AGAIN | Errno::CONNABORTED | Errno::INTR);
                OsError::from_errno("accept", self.dir.show(&self.file_name), errno)
            })
        });
        match accepted {
            Ok(socket) => Ok(Some(Connection::from_guarded(socket))),
            Err(_) if nobody_waits => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Listener {
    /// For a [`Poller`](crate::Poller): readable when a connection waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.socket.is_from_parent() {
            return;
        }
        let named = self.dir.stat(&self.file_name);
        let is_ours = named.is_ok_and(|named| {
            named.is_some_and(|named| named.st_dev == self.file.st_dev && named.st_ino == self.file.st_ino)
        });
        if is_ours && let Err(error) = self.dir.remove(&self.file_name) {
            tracing::warn!(%error, "a socket's name stays behind; nobody answers there");
        }
    }
}

/// Removes a temporary name on the way out of a `bind` that failed.
struct TemporaryName<'a> {
    dir: &'a RuntimeDir,
    name: &'a str,
}

impl Drop for TemporaryName<'_> {
    fn drop(&mut self) {
        // The error that led here is the one to report.
        let _ = self.dir.remove(self.name);
    }
}
