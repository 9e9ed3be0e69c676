// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults of devices, drivers and processes at work on frames of a device: no stream hangs, no frame is wrong, and
//! whoever is left goes on or is told.
//!
//! | module | faults |
//! |---|---|
//! | `absence` | no driver, no symbol, no device, another order of devices |
//! | `calls` | every call of the driver fails, or ends its process, in turn |
//! | `claims` | loans that are dropped while their stream can take no work |
//! | `eviction` | readers that are in the way for too long |
//! | `forged` | a producer that lies about memory of a device |
//! | `layouts` | padded rows, and records of copies |
//! | `memory` | no memory is left, or its owner is gone |
//! | `mirrors` | frames in host memory that a device has not finished |
//! | `owed` | work that a dead, closed or broken process owes to another |
//! | `points` | processes that are killed between two steps of a frame on a device |
//! | `processes` | processes that are stopped, forked, or in another namespace |
//! | `receiving` | frames that are not there yet when they are asked for |
//! | `words` | a reader's words that somebody else writes |
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod absence;
mod calls;
mod claims;
mod eviction;
mod forged;
mod layouts;
mod memory;
mod mirrors;
mod owed;
mod points;
mod processes;
mod receiving;
mod words;

use std::path::Path;

use uncopy_gpu_tests::scene;
use uncopy_tests::stage::eventually;
use uncopy_tests::{Event, Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_gpu-peer");
const FORM: &str = "256x256x4";
/// Longer than any test: work that never comes to be done.
const NEVER_MS: u32 = 600_000;

/// A stage, where there is a device.
fn stage() -> Option<Stage> {
    scene::has_card().then(|| scene::stage(PEER))
}

/// A stage, where the driver is one that can be told to fail and to be late.
fn standin_stage() -> Option<Stage> {
    if scene::has_card() && !scene::is_standin() {
        println!("SKIP a card can't be told to fail; the stand-in driver can");
        return None;
    }
    stage()
}

/// Opens a peer with settings of the stand-in: `LAG_US`, `FAULTS` and so on, without their prefix.
#[track_caller]
fn open_with(stage: &Stage, role: &[&str], settings: &[(&str, &str)]) -> Peer {
    let mut peer = stage.peer_in(role, |command| {
        for (name, value) in settings {
            command.env(format!("UNCOPY_STANDIN_{name}"), value);
        }
    });
    peer.expect("open");
    peer
}

#[track_caller]
fn all_right(event: &Event) {
    assert_eq!(event.name(), "verified", "{event}");
    assert_eq!(event.number("wrong"), 0, "{event}");
    assert!(event.number("frames") > 0, "{event}");
}

/// A frame that was looked at: whole, and with this number.
#[track_caller]
fn is_frame(event: &Event, seq: u64) {
    assert_eq!(event.name(), "took", "{event}");
    assert_eq!((event.number("seq"), event.value("right")), (seq, &true.into()), "{event}");
}

/// What a peer says that was asked for a frame that nobody may be given.
#[track_caller]
fn says_none(peer: &mut Peer) -> Event {
    let said = peer.next_event().expect("it says something");
    assert!(["error", "nothing"].contains(&said.name()), "a frame that never came was given out: {said}");
    said
}

/// Calls that make something, and the one that undoes them.
struct Undone {
    makers: &'static [&'static str],
    undo: &'static str,
    /// It is not made for a link alone: an array that a test keeps has it too.
    is_in_arrays: bool,
}

const UNDONE: &[Undone] = &[
    // Given back as soon as it is mapped: the mapping keeps the memory.
    Undone {
        makers: &["cuMemCreate", "cuMemImportFromShareableHandle"],
        undo: "cuMemRelease",
        is_in_arrays: false,
    },
    Undone { makers: &["cuMemAddressReserve"], undo: "cuMemAddressFree", is_in_arrays: true },
    Undone { makers: &["cuMemMap"], undo: "cuMemUnmap", is_in_arrays: true },
    Undone { makers: &["cuMemHostRegister_v2"], undo: "cuMemHostUnregister", is_in_arrays: false },
];

/// How often a function has succeeded, by the stand-in's log.
fn succeeded(log: &Path, function: &str) -> usize {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    log.lines().filter(|line| *line == format!("{function} 0")).count()
}

/// Waits until everything that a process has made on the device is undone, but for so many arrays that it keeps.
#[track_caller]
fn nothing_is_left(log: &Path, arrays: usize) {
    eventually("what was made on the device is undone", || {
        for Undone { makers, undo, is_in_arrays } in UNDONE {
            let kept = if *is_in_arrays { arrays } else { 0 };
            let made: usize = makers.iter().map(|maker| succeeded(log, maker)).sum();
            let undone = succeeded(log, undo);
            if made != undone + kept {
                return Err(format!("{makers:?} {made} times, {undo} {undone} times, {kept} kept"));
            }
        }
        Ok(())
    });
}
