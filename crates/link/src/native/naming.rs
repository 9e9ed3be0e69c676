// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who publishes under a name: the files of a link, the lock that decides, and taking over from a holder.

use std::time::{Duration, Instant};

use uncopy_core::LinkName;
use uncopy_os::{LockOutcome, NameLock, ProcessId, RuntimeDir, monotonic_nanos};

use super::conversation::{Conversation, Reached, Reply};
use super::wire::Message;
use crate::error::LinkError;

/// The file under which a link's socket is found.
pub(crate) fn socket_file(name: &str) -> String {
    format!("{name}.sock")
}

/// The file whose lock decides who may publish under a name.
pub(crate) fn lock_file(name: &str) -> String {
    format!("{name}.lock")
}

/// How long the lock may be in the hands of somebody who does not say so: who has not written its note yet, or
/// removes what the dead have left. Both take an instant, unless the process is stopped or its disk is busy in the
/// middle of it.
const NAMELESS_PATIENCE: Duration = Duration::from_secs(2);

/// How long the holder of a name has to answer a takeover.
const TAKEOVER_PATIENCE: Duration = Duration::from_secs(2);

/// Takes the name, or says who has it.
pub(crate) fn take_name(dir: &RuntimeDir, name: &LinkName, takeover: bool) -> Result<NameLock, LinkError> {
    let begun = Instant::now();
    loop {
        let holder = match dir.lock(&lock_file(name.as_str()))? {
            LockOutcome::Locked(lock) => {
                let us = ProcessId::current();
                lock.write_note(&format!(
                    "{} {} {} {}",
                    us.pid,
                    us.start_ticks,
                    monotonic_nanos(),
                    us.command()
                ))?;
                return Ok(lock);
            }
            LockOutcome::Held { holder } => Holder::parse(holder.as_deref()),
        };
        let waited = begun.elapsed();
        match holder {
            // The note of a dead holder is still there while somebody removes what it left. Who takes over asks
            // whoever it is.
            None | Some(Holder { is_alive: false, .. }) if !takeover && waited < NAMELESS_PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            holder if !takeover => return Err(holder.unwrap_or_default().taken(name)),
            holder if waited > TAKEOVER_PATIENCE => {
                let pid = holder.unwrap_or_default().pid;
                return Err(LinkError::TakeoverUnanswered { name: name.as_str().to_owned(), pid, waited });
            }
            _ => ask_to_leave(dir, name, TAKEOVER_PATIENCE.saturating_sub(waited))?,
        }
    }
}

/// Who holds a name, as it noted in the lock file.
pub(crate) struct Holder {
    pub(crate) pid: i32,
    is_alive: bool,
    opened_nanos: u64,
    pub(crate) command: String,
}

impl Default for Holder {
    fn default() -> Self {
        Self { pid: 0, is_alive: false, opened_nanos: monotonic_nanos(), command: "unknown".to_owned() }
    }
}

impl Holder {
    pub(crate) fn parse(note: Option<&str>) -> Option<Self> {
        let mut parts = note?.splitn(4, ' ');
        let (pid, start_ticks, opened, command) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let process = ProcessId { pid: pid.parse().ok()?, start_ticks: start_ticks.parse().ok()? };
        let (is_alive, opened_nanos) = (process.is_alive(), opened.parse().ok()?);
        Some(Self { pid: process.pid, is_alive, opened_nanos, command: command.trim().to_owned() })
    }

    fn taken(self, name: &LinkName) -> LinkError {
        LinkError::NameTaken {
            name: name.as_str().to_owned(),
            pid: self.pid,
            command: self.command,
            uptime: Duration::from_nanos(monotonic_nanos().saturating_sub(self.opened_nanos)),
        }
    }
}

/// Asks the holder of a name to give it up and waits for its answer, at most `patience`.
fn ask_to_leave(dir: &RuntimeDir, name: &LinkName, patience: Duration) -> Result<(), LinkError> {
    let begun = Instant::now();
    let us = ProcessId::current().pid;
    let answered = match Conversation::begin(dir, name.as_str(), &Message::TakeOver { pid: us })? {
        Reached::Talking(conversation) => conversation.reply_by(begun + patience)?,
        // It holds the lock and does not listen (it is just opening, or just closing), or its queue is full.
        Reached::Absent | Reached::Busy(_) => Reply::Silence,
    };
    if !matches!(answered, Reply::HungUp) {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
