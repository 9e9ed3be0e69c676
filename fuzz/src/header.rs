// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a control memory. (link-v1.md, "Control memory: header")
//!
//! Input: u8 flags (bit 0: write the right checksum, bit 1: the memory has the length that its slots need), u64
//! length of the memory, 256 bytes.

use uncopy::ErrorKind;
use uncopy_link::fuzzing::{HEADER_BYTES, header};
use uncopy_tests::wire::{self, u32_of, u64_of};

use crate::{Body, Input, Seed, Target};

/// See the [module](self).
pub const TARGET: Target = Target { name: "header", begin: || -> Body { Box::new(check) }, seeds };

const SEALED: u8 = 1;
const RIGHT_LEN: u8 = 2;

fn check(input: &[u8]) {
    let mut input = Input::new(input);
    let (flags, len) = (input.number::<u8>(), input.number::<u64>());
    let mut bytes = [0; HEADER_BYTES];
    let given = input.bytes(HEADER_BYTES);
    bytes[..given.len()].copy_from_slice(given);
    if flags & SEALED != 0 {
        wire::seal_header(&mut bytes);
    }
    let slots = u32_of(&bytes, 76) as usize;
    let len = if flags & RIGHT_LEN == 0 || slots > 64 { len as usize } else { wire::control_len(slots) };
    match (header(&bytes, len), expected(&bytes, len)) {
        (Ok(read), None) => {
            assert_eq!((read.slots, u32::from(read.minor)), (slots, u32_of(&bytes, 8) >> 16));
            assert_eq!([read.link_id, read.boot_id].concat(), bytes[40..72]);
            let process = (read.producer.pid.cast_unsigned(), read.producer.start_ticks);
            assert_eq!(process, (u32_of(&bytes, 72), u64_of(&bytes, 80)));
            assert_eq!(read.created_nanos, u64_of(&bytes, 88));
        }
        (Err(error), Some(kind)) => {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(!error.to_string().is_empty());
        }
        (read, expected) => panic!("{read:?}, expected {expected:?}"),
    }
}

/// Why the tables refuse a header; `None` for one that they accept.
fn expected(bytes: &[u8; HEADER_BYTES], len: usize) -> Option<ErrorKind> {
    if &bytes[..8] != b"UNCOPY\x01\n" {
        return Some(ErrorKind::CorruptLink);
    }
    if bytes[8..10] != [1, 0] || bytes[24..32] != [0; 8] {
        return Some(ErrorKind::VersionMismatch);
    }
    let slots = u32_of(bytes, 76) as usize;
    let is_whole = u32_of(bytes, 252) == wire::crc32(&bytes[..252])
        && (2..=64).contains(&slots)
        && u32_of(bytes, 12) == 256
        && u64_of(bytes, 16) == wire::control_len(slots) as u64
        && len >= wire::control_len(slots);
    let count = slots.min(64);
    let tables = [
        (96, 4096),
        (100, 384),
        (104, 2048),
        (108, 128),
        (112, wire::meta_offset(count)),
        (116, 4096),
        (184, wire::ages_offset(count)),
        (188, 512),
        (192, wire::device_offset(count)),
        (196, 256),
    ];
    let is_laid_out = tables.iter().all(|(at, number)| u32_of(bytes, *at) as usize == *number);
    (!is_whole || !is_laid_out).then_some(ErrorKind::CorruptLink)
}

fn seeds() -> Vec<Seed> {
    let seed = |flags: u8, bytes: &[u8]| [&[flags][..], &0u64.to_le_bytes(), bytes].concat();
    let golden: Vec<u8> =
        uncopy_tests::golden::read("control-header").iter().map(|byte| byte.unwrap_or(0)).collect();
    let forged = |at: usize, value: u8| {
        let mut bytes = golden.clone();
        bytes[at] = value;
        seed(SEALED | RIGHT_LEN, &bytes)
    };
    vec![
        ("golden".into(), seed(SEALED | RIGHT_LEN, &golden)),
        ("golden-unsealed".into(), seed(RIGHT_LEN, &golden)),
        ("golden-in-no-memory".into(), seed(SEALED, &golden)),
        ("another-major".into(), forged(8, 2)),
        ("newer-minor".into(), forged(10, 3)),
        ("unknown-feature".into(), forged(25, 1)),
        ("another-block-stride".into(), forged(100, 0)),
        ("ages-at-the-start".into(), forged(185, 0)),
        ("no-slots".into(), forged(76, 0)),
        ("too-many-slots".into(), forged(76, 65)),
        ("nothing".into(), Vec::new()),
    ]
}
