// SPDX-License-Identifier: MIT OR Apache-2.0
//! One end of a connection.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, connect, recvmsg, sendmsg, shutdown,
    socketpair,
};
use rustix::time::Timespec;
use uncopy_tensor::ShareHandle;

use super::{address, new_socket, peer};
use crate::pass::{MAX_HANDLES, Peer, Received, Sent};
use crate::wake::Woken;
use crate::{CloseInChild, OsError, PidFd, RuntimeDir};

/// Room for the handles of one message, as the kernel lays them out.
const HANDLE_SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_HANDLES));

/// One end of a connection that carries messages. Any thread may send and receive; each call handles one whole message.
#[derive(Debug)]
pub struct Connection {
    socket: CloseInChild,
}

impl Connection {
    /// Connects to the listener under `file_name` in `dir`.
    ///
    /// # Errors
    ///
    /// [`OsError::System`] of kind `NotFound` when the name is missing or nobody listens behind it any more;
    /// [`OsError::QueueFull`] when too many wait there already; [`OsError::InvalidPath`];
    /// [`OsError::OutOfDescriptors`]; [`OsError::TooManyGuarded`].
    pub fn connect(dir: &RuntimeDir, file_name: &str) -> Result<Connection, OsError> {
        dir.check_name(file_name)?;
        let address = address(dir, file_name)?;
        let socket = CloseInChild::make(new_socket)?;
        loop {
            match connect(socket.get()?, &address) {
                Ok(()) => return Ok(Connection { socket }),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(OsError::QueueFull { path: dir.path().join(file_name) }),
                Err(errno) => return Err(OsError::from_errno("connect", dir.show(file_name), errno)),
            }
        }
    }

    /// Two ends connected to each other, without a name.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`], [`OsError::TooManyGuarded`], [`OsError::System`].
    pub fn pair() -> Result<(Connection, Connection), OsError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = CloseInChild::make_two(|| {
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
                .map_err(|errno| OsError::from_errno("socketpair", "two message sockets", errno))
        })?;
        Ok((Connection { socket: one }, Connection { socket: other }))
    }

    pub(super) fn from_guarded(socket: CloseInChild) -> Connection {
        Connection { socket }
    }

    /// Sends one message: `bytes` (at least one) and `handles` (at most [`MAX_HANDLES`]), of which the peer gets
    /// duplicates. Never blocks, never raises SIGPIPE.
    ///
    /// # Errors
    ///
    /// [`OsError::Closed`] when the peer is gone; [`OsError::BadMessage`] (empty, too many handles, or longer than the
    /// socket's buffer); [`OsError::OutOfDescriptors`] when too many handles are in flight; [`OsError::Forked`];
    /// [`OsError::System`].
    pub fn send(&self, bytes: &[u8], handles: &[&ShareHandle]) -> Result<Sent, OsError> {
        let refused = |rule| OsError::BadMessage { len_bytes: bytes.len(), handles: handles.len(), rule };
        if bytes.is_empty() {
            return Err(refused("a message has at least one byte"));
        }
        if handles.len() > MAX_HANDLES {
            return Err(refused("a message carries at most 16 handles"));
        }
        let descriptors: Vec<BorrowedFd<'_>> = handles.iter().map(|handle| handle.as_fd()).collect();
        let mut space = [const { MaybeUninit::uninit() }; HANDLE_SPACE];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(refused("a message carries at most 16 handles"));
        }
        let socket = self.socket.get()?;
        loop {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            return match sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags) {
                Ok(_) => Ok(Sent::Done),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Ok(Sent::WouldBlock),
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(OsError::Closed),
                Err(Errno::MSGSIZE) => Err(refused("it is longer than the socket's buffer")),
                Err(errno) => Err(OsError::from_errno("sendmsg", format!("{} bytes", bytes.len()), errno)),
            };
        }
    }

    /// Receives the next message into `buffer` (not empty). Never blocks.
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`] when this process cannot take the message's handles: the message is lost, and the
    /// handles that did arrive are closed. [`OsError::BadMessage`] for an empty buffer, [`OsError::Forked`],
    /// [`OsError::System`].
    pub fn recv(&self, buffer: &mut [u8]) -> Result<Received, OsError> {
        if buffer.is_empty() {
            return Err(OsError::BadMessage {
                len_bytes: 0,
                handles: 0,
                rule: "the buffer to receive into is empty",
            });
        }
        let socket = self.socket.get()?;
        let mut space = [const { MaybeUninit::uninit() }; HANDLE_SPACE];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message = loop {
            match recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
                Ok(message) => break message,
                Err(Errno::INTR) => {}
                // The peer hung up without having read all that we sent. The kernel says so once, before it gives what
                // the peer sent before that, which may be why it hung up.
                Err(Errno::CONNRESET) => {}
                Err(Errno::AGAIN) => return Ok(Received::WouldBlock),
                Err(Errno::NOTCONN) => return Ok(Received::Closed),
                Err(errno) => return Err(OsError::from_errno("recvmsg", "a message", errno)),
            }
        };
        let mut handles = handles_in(&mut control);
        if message.bytes == 0 {
            return Ok(Received::Closed);
        }
        // With room for more handles in the message, only a full descriptor table cuts them off.
        if message.flags.contains(ReturnFlags::CTRUNC) && handles.len() < MAX_HANDLES {
            return Err(OsError::out_of_descriptors("recvmsg"));
        }
        let truncated =
            handles.len() > MAX_HANDLES || message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        handles.truncate(MAX_HANDLES);
        Ok(Received::Message { len: message.bytes, handles, truncated })
    }

    /// Waits until there is a message or a hang-up ([`Woken::Woken`]), `timeout` has passed, or a signal came.
    ///
    /// # Errors
    ///
    /// [`OsError::Forked`], [`OsError::System`].
    pub fn wait_readable(&self, timeout: Option<Duration>) -> Result<Woken, OsError> {
        self.wait(PollFlags::IN, timeout)
    }

    /// Waits until a message can be sent or the peer is gone; otherwise as [`Connection::wait_readable`].
    ///
    /// # Errors
    ///
    /// [`OsError::Forked`], [`OsError::System`].
    pub fn wait_writable(&self, timeout: Option<Duration>) -> Result<Woken, OsError> {
        self.wait(PollFlags::OUT, timeout)
    }

    /// Who is at the other end: the process that connected, or the one that listened.
    ///
    /// # Errors
    ///
    /// [`OsError::Forked`], [`OsError::System`].
    pub fn peer(&self) -> Result<Peer, OsError> {
        peer::credentials(self.socket.get()?)
    }

    /// A hold on the process at the other end, immune to its number being used again. `None` where the kernel cannot
    /// tell (before Linux 6.5, or when that process has been collected): then use [`PidFd::open_same`].
    ///
    /// # Errors
    ///
    /// [`OsError::OutOfDescriptors`], [`OsError::Forked`], [`OsError::System`].
    pub fn peer_pidfd(&self) -> Result<Option<PidFd>, OsError> {
        peer::pidfd(self.socket.get()?)
    }

    /// Hangs up in both directions now, while the value lives: the peer and all waits here see it at once.
    pub fn shutdown(&self) {
        if let Ok(socket) = self.socket.get() {
            // Fails only when there is no peer any more.
            let _ = shutdown(socket, Shutdown::Both);
        }
    }

    /// Says that nothing more comes from here; what the peer still says can be received. The peer sees a hang-up.
    pub fn shutdown_sending(&self) {
        if let Ok(socket) = self.socket.get() {
            // Fails only when there is no peer any more.
            let _ = shutdown(socket, Shutdown::Write);
        }
    }

    fn wait(&self, wanted: PollFlags, timeout: Option<Duration>) -> Result<Woken, OsError> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let socket = self.socket.get()?;
        match poll(&mut [PollFd::new(&socket, wanted)], timeout.as_ref()) {
            Ok(0) => Ok(Woken::TimedOut),
            Ok(_) => Ok(Woken::Woken),
            Err(Errno::INTR) => Ok(Woken::Interrupted),
            Err(errno) => Err(OsError::from_errno("poll", "a connection", errno)),
        }
    }
}

impl AsFd for Connection {
    /// For a [`Poller`](crate::Poller).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Takes ownership of all handles that came with a message.
fn handles_in(control: &mut RecvAncillaryBuffer<'_>) -> Vec<ShareHandle> {
    let mut handles = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            handles.extend(descriptors.map(|descriptor: OwnedFd| ShareHandle::from(descriptor)));
        }
    }
    handles
}
