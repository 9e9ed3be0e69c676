// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an end may choose: when frames go back, how they are mapped, and how long it waits for its device at its end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod context;
mod ending;
mod read_only;
#[cfg(feature = "skip-waits")]
mod waits;

use uncopy_gpu_tests::scene::{self, FORM, NEVER_MS, open_with};
use uncopy_tests::Stage;

const PEER: &str = env!("CARGO_BIN_EXE_gpu-peer");

/// A stage, where there is a device.
fn stage() -> Option<Stage> {
    scene::has_card().then(|| scene::stage(PEER))
}

/// A stage, where the driver is one that can be told what it lacks.
fn standin_stage() -> Option<Stage> {
    if scene::can_be_told_to_fail() { stage() } else { None }
}
