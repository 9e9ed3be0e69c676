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
//! | `handles` | memory that was freed, that is the reader's own, or whose process is dead |
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
mod handles;
mod layouts;
mod memory;
mod mirrors;
mod owed;
mod points;
mod processes;
mod receiving;
mod words;

use std::path::Path;

use uncopy_gpu_tests::scene::{self, FORM, NEVER_MS, all_right, is_frame, open_with};
use uncopy_tests::stage::eventually;
use uncopy_tests::{Event, Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_gpu-peer");

/// A stage, where there is a device.
fn stage() -> Option<Stage> {
    scene::has_card().then(|| scene::stage(PEER))
}

/// A stage, where the driver is one that can be told to fail and to be late.
fn standin_stage() -> Option<Stage> {
    if scene::can_be_told_to_fail() { stage() } else { None }
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
