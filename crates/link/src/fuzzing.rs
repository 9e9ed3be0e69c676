// SPDX-License-Identifier: MIT OR Apache-2.0
//! The door for fuzz targets: the functions that read bytes of a peer, without the sockets and mappings around them.
//!
//! It exists in builds with the feature `fuzzing` alone, which no crate that is shipped asks for; `cargo xtask
//! layers` checks that.

use uncopy_os::ProcessId;

use crate::error::LinkError;
use crate::native::{header, wire};

/// Bytes of the header of a control memory.
pub const HEADER_BYTES: usize = wire::header::LEN;

/// What a reader keeps of a header that it has accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Slots of the link.
    pub slots: usize,
    /// The link's own random number.
    pub link_id: [u8; 16],
    /// The machine's boot id.
    pub boot_id: [u8; 16],
    /// Who produces.
    pub producer: ProcessId,
    /// When the link was opened, ns of `CLOCK_MONOTONIC`.
    pub created_nanos: u64,
    /// Minor version of the protocol.
    pub minor: u16,
}

/// Reads the header of a control memory of `total_len` bytes, as a consumer and an observer do.
///
/// # Errors
/// [`LinkError::Corrupt`], [`LinkError::VersionMismatch`].
pub fn header(bytes: &[u8; HEADER_BYTES], total_len: usize) -> Result<Header, LinkError> {
    let header::Header { slots, link_id, boot_id, producer, created_nanos, minor } =
        header::Header::decode(bytes, total_len, "camera")?;
    Ok(Header { slots, link_id, boot_id, producer, created_nanos, minor })
}

/// Reads one message of a socket, and writes what was understood as a message again.
///
/// # Errors
/// What is wrong with it, in words.
pub fn message(bytes: &[u8]) -> Result<Vec<u8>, String> {
    wire::Message::decode(bytes).map(|message| message.encode()).map_err(|error| error.to_string())
}
