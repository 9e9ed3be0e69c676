// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of processes, boots and runs.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::clock::{offsets, realtime_nanos};

/// Length of a tick of `/proc/PID/stat`: `USER_HZ` is 100 on every architecture of today.
const TICK_NANOS: i64 = 10_000_000;

/// The kernel adds the offset of the reader's time namespace to start times; two processes that compare must not.
pub(in crate::process) fn machine_ticks(start_ticks: u64) -> u64 {
    start_ticks.wrapping_sub((offsets().boottime_nanos / TICK_NANOS).cast_unsigned())
}

/// This process's number in the pid namespace that `/proc` shows, if it has one there.
pub(in crate::process) fn own_number_in_proc() -> Option<i32> {
    fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()
}

/// `/proc/PID/stat`, if there is such a process. A name that is not UTF-8 is read with replacement characters.
pub(in crate::process) fn read_stat(pid: i32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/stat")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `/proc/PID/comm` without its newline, and with control characters replaced: it goes into messages.
pub(in crate::process) fn read_command(pid: i32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let name = String::from_utf8_lossy(&bytes);
    Some(name.trim_end_matches('\n').replace(char::is_control, "?"))
}

/// A number for this boot of this machine: monotonic times with the same one can be compared. All zero where `/proc` is
/// not mounted.
pub fn boot_id() -> [u8; 16] {
    static BOOT_ID: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        parse_uuid(&text).unwrap_or_default()
    })
}

/// 32 hexadecimal digits with dashes anywhere.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

/// 16 random bytes: a name that nobody else has. An identity, not a secret.
pub fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    loop {
        match getrandom(&mut id, GetRandomFlags::empty()) {
            Ok(got) if got == id.len() => return id,
            // Up to 256 bytes come whole, unless a signal arrives before the system has any randomness at all.
            Ok(_) | Err(Errno::INTR) => {}
            // A sandbox that forbids the call. The standard library's hash keys are random by other ways, and the
            // time, the process and the address differ between callers.
            Err(_) => return hashed_id(),
        }
    }
}

/// An identity from random hash keys, for systems on which `getrandom` is forbidden.
fn hashed_id() -> [u8; 16] {
    let mut id = [0; 16];
    for (half, salt) in id.chunks_mut(8).zip(0u8..) {
        let seen = (realtime_nanos(), std::process::id(), &raw const salt as usize, salt);
        half.copy_from_slice(&RandomState::new().hash_one(seen).to_le_bytes());
    }
    id
}

/// The user id that this process acts as (effective), which is what peers see.
pub fn current_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_read_as_a_uuid() {
        let text = "00112233-4455-6677-8899-aabbccddeeff\n";
        let expected =
            [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        assert_eq!(parse_uuid(text), Some(expected));
        for wrong in
            ["", "00112233", "+0112233-4455-6677-8899-aabbccddeeff", "g0112233-4455-6677-8899-aabbccddeeff"]
        {
            assert_eq!(parse_uuid(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn this_boot_has_an_id_that_stays() {
        assert_ne!(boot_id(), [0; 16]);
        assert_eq!(boot_id(), boot_id());
    }

    #[test]
    fn random_ids_differ_however_they_are_made() {
        assert_ne!(random_id(), random_id());
        assert_ne!(hashed_id(), hashed_id());
        let id = hashed_id();
        assert_ne!(id[..8], id[8..]);
    }
}
