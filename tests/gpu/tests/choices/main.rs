// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an end may choose: when frames go back, how they are mapped, and how long it waits for its device at its end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod context;
mod ending;
mod read_only;
#[cfg(feature = "skip-waits")]
mod waits;

use uncopy_gpu_tests::scene;
use uncopy_tests::{Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_gpu-peer");
const FORM: &str = "256x256x4";
/// Longer than any test: work that never comes to be done.
const NEVER_MS: u32 = 600_000;

/// A stage, where there is a device.
fn stage() -> Option<Stage> {
    scene::has_card().then(|| scene::stage(PEER))
}

/// A stage, where the driver is one that can be told what it lacks.
fn standin_stage() -> Option<Stage> {
    if scene::has_card() && !scene::is_standin() {
        println!("SKIP a card can't be told to lack something; the stand-in driver can");
        return None;
    }
    stage()
}

/// Opens a peer with a setting of the stand-in, named without its prefix.
#[track_caller]
fn open_with(stage: &Stage, role: &[&str], (name, value): (&str, &str)) -> Peer {
    let mut peer = stage.peer_in(role, |command| {
        command.env(format!("UNCOPY_STANDIN_{name}"), value);
    });
    peer.expect("open");
    peer
}
