// SPDX-License-Identifier: MIT OR Apache-2.0
//! The places of a link, looked at from outside: when has the producer noticed that a consumer is dead?

use std::time::Duration;

use uncopy::Access;
use uncopy::os::{Connection, Mapping, Received, RuntimeDir, Sent, Woken};

use crate::wire::{self, Welcome, u32_of};

/// Places, and bytes of each. (link-v1.md, "Control memory")
const COUNT: usize = 16;
const ROW_BYTES: usize = 128;

/// How long a producer has to answer. One that does not is stopped, and is not looked at.
const PATIENCE: Duration = Duration::from_millis(50);

/// The control memory of one life of a producer.
pub(super) struct Places(Mapping);

impl Places {
    /// Of the producer that has the name now; `None` when it is gone or does not answer.
    pub(super) fn of(dir: &RuntimeDir, name: &str) -> Option<Self> {
        let connection = Connection::connect(dir, &format!("{name}.sock")).ok()?;
        if connection.send(&wire::hello(wire::OBSERVER), &[]).ok()? != Sent::Done {
            return None;
        }
        if connection.wait_readable(Some(PATIENCE)).ok()? != Woken::Woken {
            return None;
        }
        let mut buffer = [0; 512];
        let Ok(Received::Message { len, handles, .. }) = connection.recv(&mut buffer) else { return None };
        // Closing, it says goodbye instead.
        if buffer[4..6] != wire::kind::WELCOME.to_le_bytes() {
            return None;
        }
        let welcome = Welcome::decode(&buffer[..len]);
        let handle = handles.first()?;
        Mapping::open(handle, welcome.control_len as usize, Access::ReadWrite).ok().map(Self)
    }

    /// Whether a place is taken by this process.
    pub(super) fn has(&self, pid: i32) -> bool {
        let mut rows = [0; COUNT * ROW_BYTES];
        let all = self.0.words().load_bytes(wire::PLACES, &mut rows);
        all.is_some() && rows.chunks(ROW_BYTES).any(|row| u32_of(row, 0) != 0 && u32_of(row, 4) == pid as u32)
    }
}
