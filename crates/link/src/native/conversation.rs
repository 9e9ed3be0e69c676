// SPDX-License-Identifier: MIT OR Apache-2.0
//! Talking to a producer: reaching it, saying who we are, and taking its answer without ever waiting longer than asked.
//!
//! A conversation says goodbye when it is dropped. So a join that fails half-way gives its place back, and a process
//! that keeps trying can't use up the places of a link.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uncopy_core::ErrorKind;
use uncopy_os::{Connection, OsError, ProcessId, Received, RuntimeDir, Sent, current_uid, kill_point};
use uncopy_tensor::ShareHandle;

use super::naming::socket_file;
use super::wire::{
    BYE_CLOSED, KNOWN_REQUIRED_FEATURES, MAX_CONSUMERS, MAX_MESSAGE_BYTES, Message, MessageError, Role,
    VERSION_MAJOR, VERSION_MINOR,
};
use crate::error::LinkError;

/// When a producer that has not answered yet is called silent. Its service thread does nothing else, so only a stopped
/// process or a very busy machine takes this long.
const SILENT_AFTER: Duration = Duration::from_millis(250);

/// What became of reaching for a producer.
pub(crate) enum Reached {
    Talking(Conversation),
    /// Nobody listens under the name.
    Absent,
    /// Somebody does, and can't be reached now, for the reason given.
    Busy(String),
}

/// What a producer has said.
pub(crate) enum Reply {
    Message(Message, Vec<ShareHandle>),
    HungUp,
    /// Nothing yet.
    Silence,
}

/// A connection on which something has been said to a producer of this user.
pub(crate) struct Conversation {
    connection: Arc<Connection>,
    name: String,
    begun: Instant,
}

impl Conversation {
    /// Reaches the producer of `name` and says what we want to be.
    pub(crate) fn greet(dir: &RuntimeDir, name: &str, role: Role, read: u32) -> Result<Reached, LinkError> {
        let us = ProcessId::current();
        let hello = Message::Hello {
            role,
            pid: us.pid,
            start_ticks: us.start_ticks,
            known_features: KNOWN_REQUIRED_FEATURES,
            read,
        };
        let reached = Self::begin(dir, name, &hello);
        kill_point("consumer.connected");
        reached
    }

    /// Reaches the producer of `name` and says `first`.
    pub(crate) fn begin(dir: &RuntimeDir, name: &str, first: &Message) -> Result<Reached, LinkError> {
        let connection = match Connection::connect(dir, &socket_file(name)) {
            Ok(connection) => Arc::new(connection),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Reached::Absent),
            Err(error @ OsError::QueueFull { .. }) => return Ok(Reached::Busy(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let (theirs, ours) = (connection.peer()?.uid, current_uid());
        if theirs != ours {
            return Err(LinkError::ForeignProducer { name: name.to_owned(), theirs, ours });
        }
        match connection.send(&first.encode(), &[]) {
            Ok(Sent::Done) => {}
            // A producer that refuses at the door has hung up already. What it said before that is still there to be
            // read.
            Err(OsError::Closed) => {}
            // Unsaid, it would never be answered.
            Ok(Sent::WouldBlock) => return Ok(Reached::Busy("its queue of messages is full".to_owned())),
            Err(error) => return Err(error.into()),
        }
        Ok(Reached::Talking(Self { connection, name: name.to_owned(), begun: Instant::now() }))
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the producer may have said something, at most `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> Result<(), LinkError> {
        self.connection.wait_readable(Some(timeout))?;
        Ok(())
    }

    /// What the producer has answered. A refusal is an error in the producer's words.
    pub(crate) fn reply(&self) -> Result<Reply, LinkError> {
        let mut buffer = [0; MAX_MESSAGE_BYTES];
        let (len, handles) = match self.connection.recv(&mut buffer)? {
            Received::Message { len, handles, .. } => (len, handles),
            Received::Closed => return Ok(Reply::HungUp),
            Received::WouldBlock => return Ok(Reply::Silence),
        };
        match Message::decode(buffer.get(..len).unwrap_or_default()) {
            Ok(Message::Refuse { kind_code, detail }) => Err(self.refusal(kind_code, detail)),
            // It closed before it came to answer us.
            Ok(Message::Bye { .. }) => Ok(Reply::HungUp),
            // The answer is still to come.
            Ok(Message::Newer { .. }) => Ok(Reply::Silence),
            Ok(message) => Ok(Reply::Message(message, handles)),
            Err(MessageError::Version { major, minor }) => {
                Err(self.other_version(format!("{major}.{minor}")))
            }
            Err(error) => Err(LinkError::Corrupt { name: self.name.clone(), detail: error.to_string() }),
        }
    }

    /// The answer, waiting for it until `deadline`.
    pub(crate) fn reply_by(&self, deadline: Instant) -> Result<Reply, LinkError> {
        loop {
            match self.reply()? {
                Reply::Silence => {}
                reply => return Ok(reply),
            }
            match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => self.wait(left)?,
                _ => return Ok(Reply::Silence),
            }
        }
    }

    /// Why there is no answer, once that has taken long enough to say so.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let pid = self.connection.peer().ok().and_then(|peer| peer.pid).unwrap_or(0);
        (self.begun.elapsed() >= SILENT_AFTER)
            .then(|| format!("its producer, process {pid}, does not answer; is it stopped?"))
    }

    fn refusal(&self, kind_code: i32, detail: String) -> LinkError {
        let name = self.name.clone();
        match ErrorKind::from_code(kind_code).unwrap_or(ErrorKind::System) {
            ErrorKind::TooManyConsumers => LinkError::TooManyConsumers { name, limit: MAX_CONSUMERS },
            ErrorKind::VersionMismatch => self.other_version(format!("another version ({detail})")),
            kind => LinkError::Refused { name, kind, detail },
        }
    }

    fn other_version(&self, theirs: String) -> LinkError {
        let ours = format!("{VERSION_MAJOR}.{VERSION_MINOR}");
        LinkError::VersionMismatch { name: self.name.clone(), theirs, ours }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // A producer that can't be told sees the hang-up, and then the end of this process. In a forked child the
        // connection is the parent's and sends nothing.
        let _ = self.connection.send(&Message::Bye { reason: BYE_CLOSED }.encode(), &[]);
    }
}
