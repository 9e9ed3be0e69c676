// SPDX-License-Identifier: MIT OR Apache-2.0
//! Message sockets between processes of one machine, which carry bytes and handles to memory.
//!
//! A [`Listener`] is a name in the runtime directory; a [`Connection`] keeps message boundaries, delivers in order, and
//! tells when the other end is gone, also when it crashed. Who is at the other end is what the kernel says
//! ([`Connection::peer`], [`Connection::peer_pidfd`]), never what the peer says.
//!
//! Nothing here blocks: a call that would have to wait says so, and waiting is done with a
//! [`Poller`](crate::Poller) or [`Connection::wait_readable`].
//!
//! It refuses messages without bytes (an empty one looks like a hang-up), more than [`MAX_HANDLES`] handles, and use in
//! a forked child. Handles that a peer sends beyond that number are closed.
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! use uncopy_os::{Connection, Received, Sent, SharedMemory};
//!
//! let (here, there) = Connection::pair()?;
//! let memory = SharedMemory::create("example", 4096)?;
//! assert_eq!(here.send(b"take this", &[&memory.share()?])?, Sent::Done);
//!
//! let mut buffer = [0; 64];
//! let Received::Message { len, handles, truncated } = there.recv(&mut buffer)? else { panic!("it is there") };
//! assert_eq!((&buffer[..len], handles.len(), truncated), (&b"take this"[..], 1, false));
//!
//! drop(here);
//! assert!(matches!(there.recv(&mut buffer)?, Received::Closed));
//! # }
//! # Ok::<(), uncopy_os::OsError>(())
//! ```

use uncopy_tensor::ShareHandle;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

pub use system::{Connection, Listener};

/// The name under which [`Listener::bind`] makes a socket before it gets the name `file_name`. A process that is killed
/// in between leaves it; it then belongs to whoever holds the lock of the name.
#[must_use]
pub fn temporary_name(file_name: &str) -> String {
    format!(".{file_name}.tmp")
}

/// The most handles in one message.
pub const MAX_HANDLES: usize = 16;

/// What became of a message to send.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use = "a message that would block was not sent"]
pub enum Sent {
    /// It is in the peer's queue.
    Done,
    /// The peer's queue is full; nothing was sent.
    WouldBlock,
}

/// What was received.
#[derive(Debug)]
pub enum Received {
    /// One whole message.
    Message {
        /// How many bytes of the buffer were filled.
        len: usize,
        /// The handles that came with it, owned by the receiver and not inherited by child programs.
        handles: Vec<ShareHandle>,
        /// Whether the message was longer than the buffer or had more than [`MAX_HANDLES`] handles; the rest is lost.
        truncated: bool,
    },
    /// There is nothing at the moment.
    WouldBlock,
    /// The peer hung up, and everything that it sent has been received.
    Closed,
}

/// Who is at the other end, as the kernel recorded it when the connection was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Peer {
    /// Its process number here; `None` when it lives in another pid namespace.
    pub pid: Option<i32>,
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
}
