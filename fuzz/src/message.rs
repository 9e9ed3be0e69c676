// SPDX-License-Identifier: MIT OR Apache-2.0
//! One message of a socket, as either side reads it. (link-v1.md, "Messages")
//!
//! Input: the message.

use uncopy_link::fuzzing::message;
use uncopy_tests::wire::{self, kind, u32_of};

use crate::{Body, Seed, Target};

/// See the [module](self).
pub const TARGET: Target = Target { name: "message", begin: || -> Body { Box::new(check) }, seeds };

const HEADER: usize = 16;

/// What the tables make of a message.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    None,
    /// Of a kind that a newer minor version may have.
    Newer,
    /// Of a known kind, with these bytes of fields.
    Known {
        kind: u16,
        fields: usize,
    },
}

fn check(bytes: &[u8]) {
    match (message(bytes), meaning(bytes)) {
        (Err(why), Meaning::None) => assert!(!why.is_empty()),
        (Ok(again), Meaning::Newer) => assert_eq!(again[4..6], bytes[4..6]),
        (Ok(again), Meaning::Known { kind, fields }) => {
            assert_eq!(u16::from_le_bytes([again[4], again[5]]), kind);
            assert_eq!(u32_of(&again, 8) as usize, again.len());
            if kind == kind::REFUSE {
                check_refusal(bytes, &again);
            } else {
                let reserved = reserved(kind);
                let same = |at: usize| again[HEADER + at] == bytes[HEADER + at];
                assert!((0..fields).all(|at| reserved.contains(&at) || same(at)), "{bytes:?} as {again:?}");
            }
            // What was no text has grown by being made one.
            let is_short = again.len() <= HEADER + 8 + 400;
            assert!(
                !is_short || message(&again).as_ref() == Ok(&again),
                "a message of ours reads back as it is"
            );
        }
        (read, meaning) => panic!("{read:?}, expected {meaning:?}"),
    }
}

fn meaning(bytes: &[u8]) -> Meaning {
    if bytes.len() < HEADER
        || &bytes[..4] != b"UNCP"
        || bytes[6] != 1
        || u32_of(bytes, 8) as usize != bytes.len()
    {
        return Meaning::None;
    }
    let kind = u16::from_le_bytes([bytes[4], bytes[5]]);
    let Some(fields) = fields(kind) else {
        return if bytes[7] > 0 { Meaning::Newer } else { Meaning::None };
    };
    let has_role = kind != kind::HELLO || bytes.len() < HEADER + 4 || matches!(u32_of(bytes, HEADER), 1 | 2);
    if bytes.len() < HEADER + fields || !has_role { Meaning::None } else { Meaning::Known { kind, fields } }
}

/// Bytes of the fields of a known kind, up to the last one that means something.
fn fields(kind: u16) -> Option<usize> {
    Some(match kind {
        kind::HELLO => 32,
        kind::WELCOME => 36,
        kind::REFUSE => 8,
        kind::EPOCH => 24,
        kind::EPOCH_TAKEN | kind::BYE | kind::TAKE_OVER => 4,
        kind::WATCH => 0,
        _ => return None,
    })
}

/// Bytes of the body that are written as zero and ignored when read.
fn reserved(kind: u16) -> std::ops::Range<usize> {
    match kind {
        kind::HELLO => 28..32,
        kind::EPOCH => 4..8,
        _ => 0..0,
    }
}

/// Code and text, the text cut to what there is and to what a refusal may have.
fn check_refusal(bytes: &[u8], again: &[u8]) {
    assert_eq!(again[HEADER..HEADER + 4], bytes[HEADER..HEADER + 4]);
    let there = &bytes[HEADER + 8..];
    let len = (u32_of(bytes, HEADER + 4) as usize).min(400).min(there.len());
    assert_eq!(String::from_utf8_lossy(&there[..len]).as_bytes(), &again[HEADER + 8..]);
}

fn seeds() -> Vec<Seed> {
    let golden = [
        "bye",
        "bye-superseded",
        "epoch",
        "epoch-taken",
        "hello-consumer",
        "hello-consumer-every",
        "hello-observer",
        "refuse",
        "take-over",
        "watch",
        "welcome",
        "welcome-before-the-first-frame",
        "welcome-observer",
    ];
    let bytes = |name| uncopy_tests::golden::read(name).iter().map(|byte| byte.unwrap_or(0)).collect();
    let mut seeds: Vec<Seed> = golden.iter().map(|name| (format!("golden-{name}"), bytes(name))).collect();
    seeds.push(("newer".into(), wire::newer_message()));
    seeds.push((
        "long-text".into(),
        wire::message(kind::REFUSE, &[&[1, 0, 0, 0, 255, 255, 0, 0][..], &[0xE4; 480]].concat()),
    ));
    seeds.push(("no-role".into(), wire::message(kind::HELLO, &[3; 32])));
    seeds.push(("nothing".into(), Vec::new()));
    seeds
}
