// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checksum that travels with a frame as metadata: `{"crc32c": 305419896, "frame": 12}`.
//!
//! The producer computes CRC-32C (Castagnoli) over the bytes of the frame before it publishes them; a consumer
//! computes it again over what it received. A difference means that the frame changed on the way: it is torn. `frame`
//! counts what the producer meant to send from 1, so that a frame that was dropped before it got a number is noticed.

use serde::{Deserialize, Serialize};
use uncopy::{Frame, MetaKind};

/// What the metadata of a checked frame says.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Checksum {
    pub crc32c: u32,
    pub frame: u64,
}

impl Checksum {
    /// Of the bytes of frame number `frame`.
    pub fn of(bytes: &[u8], frame: u64) -> Self {
        Self { crc32c: crc32c::crc32c(bytes), frame }
    }

    /// As metadata.
    pub fn to_json(self) -> String {
        format!(r#"{{"crc32c":{},"frame":{}}}"#, self.crc32c, self.frame)
    }

    /// What a frame's metadata says; `None` where it says nothing of a checksum.
    pub fn stated_by(frame: &Frame) -> Option<Self> {
        let meta = frame.meta();
        if meta.kind == MetaKind::JSON { serde_json::from_slice(meta.bytes).ok() } else { None }
    }

    /// Whether these bytes have it.
    pub fn fits(self, bytes: &[u8]) -> bool {
        crc32c::crc32c(bytes) == self.crc32c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_crc_32c() {
        // The check value of CRC-32C (RFC 3720, B.4 and the catalogue of parametrised CRC algorithms).
        assert_eq!(Checksum::of(b"123456789", 1).crc32c, 0xE306_9283);
    }

    #[test]
    fn one_flipped_bit_is_noticed() {
        let mut bytes = vec![7; 4097];
        let checksum = Checksum::of(&bytes, 1);
        assert!(checksum.fits(&bytes));
        bytes[2048] ^= 1;
        assert!(!checksum.fits(&bytes));
    }

    #[test]
    fn metadata_is_read_as_it_was_written() {
        let checksum = Checksum { crc32c: u32::MAX, frame: 12 };
        assert_eq!(serde_json::from_str::<Checksum>(&checksum.to_json()).unwrap(), checksum);
    }
}
