// SPDX-License-Identifier: MIT OR Apache-2.0
//! Message sockets on Linux: SOCK_SEQPACKET in the Unix domain, never abstract ones.

mod connection;
mod listener;
mod peer;

pub use connection::Connection;
pub use listener::Listener;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use crate::{OsError, RuntimeDir};

/// A new socket that never blocks and is not inherited by child programs.
fn new_socket() -> Result<OwnedFd, OsError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|errno| OsError::from_errno("socket", "a message socket", errno))
}

/// The address of `file_name` in `dir`: short enough for `sun_path` (108 bytes) whatever the directory's path.
fn address(dir: &RuntimeDir, file_name: &str) -> Result<SocketAddrUnix, OsError> {
    SocketAddrUnix::new(dir.short_path(file_name)).map_err(|errno| match errno {
        Errno::NAMETOOLONG => {
            let reason = "the name of a socket has at most 80 bytes";
            OsError::InvalidPath { path: dir.path().join(file_name), reason }
        }
        errno => OsError::from_errno("socket address", dir.show(file_name), errno),
    })
}
