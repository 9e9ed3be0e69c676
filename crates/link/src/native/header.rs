// SPDX-License-Identifier: MIT OR Apache-2.0
//! The static header of a control memory: written once by the producer, checked by everyone who maps it.
//!
//! A reader copies it once, checks the copy, and computes every later offset from that copy alone. Whatever is
//! scribbled into the header afterwards changes nothing for it. (link-v1.md, "Control memory: header")

use uncopy_core::LinkName;
use uncopy_os::ProcessId;

use super::wire::{
    self, KNOWN_REQUIRED_FEATURES, MAX_SLOTS, MIN_SLOTS, VERSION_MAJOR, VERSION_MINOR, ages, block, device,
    header, place,
};
use crate::error::LinkError;

/// What the static header says, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) slots: usize,
    pub(crate) link_id: [u8; 16],
    pub(crate) boot_id: [u8; 16],
    pub(crate) producer: ProcessId,
    pub(crate) created_nanos: u64,
    pub(crate) minor: u16,
}

impl Header {
    /// The bytes that a producer writes for a link called `name`.
    pub(crate) fn encode(&self, name: &LinkName) -> [u8; header::LEN] {
        let mut bytes = [0u8; header::LEN];
        let mut put = |at: usize, value: &[u8]| {
            if let Some(place) = bytes.get_mut(at..at + value.len()) {
                place.copy_from_slice(value);
            }
        };
        let meta = wire::meta_offset(self.slots);
        put(header::OFFSET_MAGIC, &header::MAGIC.to_le_bytes());
        put(header::OFFSET_VERSION_MAJOR, &VERSION_MAJOR.to_le_bytes());
        put(header::OFFSET_VERSION_MINOR, &self.minor.to_le_bytes());
        put(header::OFFSET_HEADER_LEN, &(header::LEN as u32).to_le_bytes());
        put(header::OFFSET_TOTAL_LEN, &(wire::control_len_bytes(self.slots) as u64).to_le_bytes());
        put(header::OFFSET_REQUIRED, &KNOWN_REQUIRED_FEATURES.to_le_bytes());
        put(header::OFFSET_OPTIONAL, &0u64.to_le_bytes());
        put(header::OFFSET_LINK_ID, &self.link_id);
        put(header::OFFSET_BOOT_ID, &self.boot_id);
        put(header::OFFSET_PID, &self.producer.pid.to_le_bytes());
        put(header::OFFSET_SLOTS, &(self.slots as u32).to_le_bytes());
        put(header::OFFSET_START_TICKS, &self.producer.start_ticks.to_le_bytes());
        put(header::OFFSET_CREATED, &self.created_nanos.to_le_bytes());
        put(header::OFFSET_BLOCKS, &(block::TABLE as u32).to_le_bytes());
        put(header::OFFSET_BLOCK_STRIDE, &(block::STRIDE as u32).to_le_bytes());
        put(header::OFFSET_PLACES, &(place::TABLE as u32).to_le_bytes());
        put(header::OFFSET_PLACE_STRIDE, &(place::STRIDE as u32).to_le_bytes());
        put(header::OFFSET_META, &(meta as u32).to_le_bytes());
        put(header::OFFSET_META_STRIDE, &(block::META_STRIDE as u32).to_le_bytes());
        put(header::OFFSET_AGES, &(wire::ages_offset(self.slots) as u32).to_le_bytes());
        put(header::OFFSET_AGES_STRIDE, &(ages::STRIDE as u32).to_le_bytes());
        put(header::OFFSET_DEVICE, &(wire::device_offset(self.slots) as u32).to_le_bytes());
        put(header::OFFSET_DEVICE_STRIDE, &(device::STRIDE as u32).to_le_bytes());
        let name = name.as_str().as_bytes();
        put(header::OFFSET_NAME, name.get(..header::NAME_LEN).unwrap_or(name));
        let crc = bytes.get(..header::OFFSET_CRC).map_or(0, wire::crc32);
        if let Some(place) = bytes.get_mut(header::OFFSET_CRC..) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    /// Reads a header from `bytes`, a private copy of the start of a control memory of `total_len` bytes.
    pub(crate) fn decode(bytes: &[u8; header::LEN], total_len: usize, name: &str) -> Result<Self, LinkError> {
        let corrupt = |detail: String| LinkError::Corrupt { name: name.to_owned(), detail };
        let magic = u64::from_le_bytes(field(bytes, header::OFFSET_MAGIC));
        if magic != header::MAGIC {
            return Err(corrupt(format!(
                "control memory starts with {magic:#018x}, not {:#018x}",
                header::MAGIC
            )));
        }
        let major = u16::from_le_bytes(field(bytes, header::OFFSET_VERSION_MAJOR));
        let minor = u16::from_le_bytes(field(bytes, header::OFFSET_VERSION_MINOR));
        let required = u64::from_le_bytes(field(bytes, header::OFFSET_REQUIRED));
        if major != VERSION_MAJOR || required & !KNOWN_REQUIRED_FEATURES != 0 {
            return Err(LinkError::VersionMismatch {
                name: name.to_owned(),
                theirs: format!("{major}.{minor} with required features {required:#x}"),
                ours: format!("{VERSION_MAJOR}.{VERSION_MINOR} with {KNOWN_REQUIRED_FEATURES:#x}"),
            });
        }
        let said = u32::from_le_bytes(field(bytes, header::OFFSET_CRC));
        let crc = bytes.get(..header::OFFSET_CRC).map_or(0, wire::crc32);
        if said != crc {
            return Err(corrupt(format!("header checksum is {crc:#010x}, the header says {said:#010x}")));
        }
        let slots = u32::from_le_bytes(field(bytes, header::OFFSET_SLOTS)) as usize;
        if !(MIN_SLOTS..=MAX_SLOTS).contains(&slots) {
            return Err(corrupt(format!("{slots} slots; a link has {MIN_SLOTS} to {MAX_SLOTS}")));
        }
        let expected = [
            (header::OFFSET_HEADER_LEN, header::LEN, "header length"),
            (header::OFFSET_BLOCKS, block::TABLE, "offset of the slot blocks"),
            (header::OFFSET_BLOCK_STRIDE, block::STRIDE, "stride of the slot blocks"),
            (header::OFFSET_PLACES, place::TABLE, "offset of the places"),
            (header::OFFSET_PLACE_STRIDE, place::STRIDE, "stride of the places"),
            (header::OFFSET_META, wire::meta_offset(slots), "offset of the metadata"),
            (header::OFFSET_META_STRIDE, block::META_STRIDE, "stride of the metadata"),
            (header::OFFSET_AGES, wire::ages_offset(slots), "offset of the ages"),
            (header::OFFSET_AGES_STRIDE, ages::STRIDE, "stride of the ages"),
            (header::OFFSET_DEVICE, wire::device_offset(slots), "offset of the device words"),
            (header::OFFSET_DEVICE_STRIDE, device::STRIDE, "stride of the device words"),
        ];
        for (offset, want, what) in expected {
            let got = u32::from_le_bytes(field(bytes, offset)) as usize;
            if got != want {
                return Err(corrupt(format!("{what} is {got}, protocol {major}.{minor} has {want}")));
            }
        }
        let said_len = u64::from_le_bytes(field(bytes, header::OFFSET_TOTAL_LEN));
        let need = wire::control_len_bytes(slots);
        if said_len != need as u64 || total_len < need {
            return Err(corrupt(format!(
                "control memory has {total_len} bytes and says {said_len}; {need} are needed"
            )));
        }
        Ok(Self {
            slots,
            link_id: field(bytes, header::OFFSET_LINK_ID),
            boot_id: field(bytes, header::OFFSET_BOOT_ID),
            producer: ProcessId {
                pid: i32::from_le_bytes(field(bytes, header::OFFSET_PID)),
                start_ticks: u64::from_le_bytes(field(bytes, header::OFFSET_START_TICKS)),
            },
            created_nanos: u64::from_le_bytes(field(bytes, header::OFFSET_CREATED)),
            minor,
        })
    }
}

fn field<const N: usize>(bytes: &[u8; header::LEN], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn header() -> Header {
        Header {
            slots: 4,
            link_id: [7; 16],
            boot_id: [9; 16],
            producer: ProcessId { pid: 4711, start_ticks: 123_456 },
            created_nanos: 987_654_321,
            minor: VERSION_MINOR,
        }
    }

    fn bytes() -> [u8; header::LEN] {
        header().encode(&LinkName::parse("camera").expect("a plain name is a name"))
    }

    fn decode(bytes: &[u8; header::LEN]) -> Result<Header, LinkError> {
        Header::decode(bytes, wire::control_len_bytes(4), "camera")
    }

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        assert_eq!(decode(&bytes()).unwrap(), header());
    }

    #[test]
    fn f14_no_bit_of_a_header_can_flip_unnoticed() {
        for at in 0..header::LEN {
            for bit in 0..8 {
                let mut flipped = bytes();
                flipped[at] ^= 1 << bit;
                let error = decode(&flipped).expect_err("a flipped bit is noticed");
                assert!(
                    matches!(error, LinkError::Corrupt { .. } | LinkError::VersionMismatch { .. }),
                    "byte {at}: {error}"
                );
            }
        }
    }

    #[test]
    fn f14_uniform_headers_are_refused() {
        for byte in [0x00, 0xFF, b'U'] {
            assert!(matches!(decode(&[byte; header::LEN]), Err(LinkError::Corrupt { .. })));
        }
    }

    #[test]
    fn f14_a_header_that_claims_more_than_the_memory_has_is_refused() {
        for total_len in [0, header::LEN, wire::control_len_bytes(4) - 1] {
            let error = Header::decode(&bytes(), total_len, "camera").expect_err("the memory is too short");
            assert!(error.to_string().contains(&total_len.to_string()), "{error}");
        }
    }

    /// A header whose fields were changed by someone who knows how to make a checksum.
    fn forged(at: usize, value: &[u8]) -> [u8; header::LEN] {
        let mut bytes = bytes();
        bytes[at..at + value.len()].copy_from_slice(value);
        let crc = wire::crc32(&bytes[..header::OFFSET_CRC]);
        bytes[header::OFFSET_CRC..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn f14_geometry_that_the_protocol_does_not_have_is_refused_even_with_a_good_checksum() {
        let offsets = [
            header::OFFSET_HEADER_LEN,
            header::OFFSET_BLOCKS,
            header::OFFSET_BLOCK_STRIDE,
            header::OFFSET_PLACES,
            header::OFFSET_PLACE_STRIDE,
            header::OFFSET_META,
            header::OFFSET_META_STRIDE,
            header::OFFSET_SLOTS,
        ];
        for offset in offsets {
            for value in [0u32, 1, 3, 65, 4095, u32::MAX] {
                let error =
                    decode(&forged(offset, &value.to_le_bytes())).expect_err("it is another geometry");
                assert!(
                    matches!(error, LinkError::Corrupt { .. }),
                    "offset {offset}, value {value}: {error}"
                );
            }
        }
    }

    #[test]
    fn f20_another_major_version_or_an_unknown_required_feature_is_named() {
        for forged in
            [forged(header::OFFSET_VERSION_MAJOR, &[2, 0]), forged(header::OFFSET_REQUIRED, &[0, 1])]
        {
            let error = decode(&forged).expect_err("it can't be read");
            assert!(matches!(error, LinkError::VersionMismatch { .. }), "{error}");
            assert!(error.to_string().contains("1.0 with 0x0"), "{error}");
        }
    }

    #[test]
    fn f20_a_newer_minor_version_and_unknown_optional_features_are_read() {
        let newer = decode(&forged(header::OFFSET_VERSION_MINOR, &[3, 0])).unwrap();
        assert_eq!(newer.minor, 3);
        assert!(decode(&forged(header::OFFSET_OPTIONAL, &[0xFF; 8])).is_ok());
    }

    proptest! {
        #[test]
        fn no_header_makes_decoding_panic(noise in proptest::collection::vec(any::<u8>(), header::LEN), len in any::<usize>()) {
            let noise: [u8; header::LEN] = noise.try_into().expect("the vector has that length");
            let _ = Header::decode(&noise, len, "camera");
        }
    }
}
