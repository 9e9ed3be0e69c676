// SPDX-License-Identifier: MIT OR Apache-2.0
//! The 64 bytes by which processes name each other's memory and events: random to look at, and refused when a bit
//! was changed.
//!
//! The real driver is more lenient (most of its bytes can be changed unnoticed), and a test of a forged handle
//! that passes by chance would say nothing. The key is no secret: it keeps accidents out, not attackers.

use crate::abi::Opaque;
use std::{
    fs,
    hash::{DefaultHasher, Hasher},
};

/// What the bytes stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    Memory = 1,
    Event = 2,
    PoolPointer = 3,
}

/// What they say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clear {
    pub kind: u32,
    /// Who made them.
    pub pid: u32,
    pub started: u64,
    /// The descriptor of what they name, in that process.
    pub descriptor: u32,
    /// Which slot or granule of it.
    pub index: u32,
    /// The random number of what they name.
    pub serial: u64,
    pub len: u64,
}

const WORDS: usize = 8;

/// Makes the bytes. The same are made for the same thing.
pub fn seal(clear: &Clear) -> Opaque {
    let words = [
        u64::from(clear.kind) | u64::from(clear.pid) << 32,
        clear.started,
        u64::from(clear.descriptor) | u64::from(clear.index) << 32,
        clear.serial,
        clear.len,
        0,
    ];
    let nonce = digest(&words);
    let mut sealed = [0; WORDS];
    let covered = words.iter().enumerate().map(|(index, word)| word ^ digest(&[nonce, index as u64]));
    let all = covered.chain([nonce, digest(&[nonce, !0])]);
    sealed.iter_mut().zip(all).for_each(|(place, word)| *place = word);
    let mut bytes = [0; 64];
    bytes
        .iter_mut()
        .zip(sealed.iter().flat_map(|word| word.to_le_bytes()))
        .for_each(|(place, byte)| *place = byte);
    Opaque(bytes)
}

/// What the bytes say; None when nobody sealed them so.
pub fn open(bytes: &Opaque, kind: Kind) -> Option<Clear> {
    let (chunks, _) = bytes.0.as_chunks::<8>();
    let sealed: Vec<u64> = chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
    let nonce = *sealed.get(6)?;
    let words: Vec<u64> = sealed
        .iter()
        .take(6)
        .enumerate()
        .map(|(index, word)| word ^ digest(&[nonce, index as u64]))
        .collect();
    let [first, started, place, serial, len, 0] = *words.as_slice() else { return None };
    let halves = |word: u64| (low_half(word), low_half(word >> 32));
    let ((said_kind, pid), (descriptor, index)) = (halves(first), halves(place));
    let clear = Clear { kind: said_kind, pid, started, descriptor, index, serial, len };
    (said_kind == kind as u32 && seal(&clear) == *bytes).then_some(clear)
}

fn low_half(word: u64) -> u32 {
    u32::try_from(word & 0xFFFF_FFFF).unwrap_or_default()
}

/// The same in every process that has loaded this library.
fn digest(words: &[u64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.iter().for_each(|word| hasher.write_u64(*word));
    hasher.write(b"uncopy stand-in");
    hasher.finish()
}

impl Clear {
    /// Whether it was this process.
    pub fn is_own(&self) -> bool {
        self.pid == std::process::id() && start_of(self.pid) == Some(self.started)
    }

    /// Whether the process that made it still lives; a zombie does not.
    pub fn is_maker_alive(&self) -> bool {
        start_of(self.pid) == Some(self.started)
    }

    /// Opens what it names.
    pub fn open_descriptor(&self) -> Option<fs::File> {
        let path = format!("/proc/{}/fd/{}", self.pid, self.descriptor);
        fs::OpenOptions::new().read(true).write(true).open(path).ok()
    }
}

/// When a process was started, in clock ticks since boot; None when there is none or only a zombie.
pub fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(fields.first(), Some(&("Z" | "X"))) {
        return None;
    }
    fields.get(19)?.parse().ok()
}
