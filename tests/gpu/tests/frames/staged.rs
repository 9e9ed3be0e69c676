// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies of frames in pinned host memory: whole, and the memory is there for as long as the device fills it.

use uncopy_gpu_tests::scene;
use uncopy_tests::{Peer, Stage};

use crate::{FORM, PEER, all_right};

/// A reader whose streams, the product's own among them, are late on the stand-in.
fn late_reader(stage: &Stage) -> Peer {
    let mut reader = stage.peer_in(&["consume", "cam", "--every"], |command| {
        command.env("UNCOPY_STANDIN_LAG_US", "50000");
    });
    reader.expect("open");
    reader
}

/// Has a late reader copy frames that a producer publishes as told.
fn copy(publish: &str, staged: &str) {
    if !scene::has_card() {
        return;
    }
    let stage = scene::stage(PEER);
    let mut producer = stage.open(&["produce", "cam", "--block"]);
    let mut reader = late_reader(&stage);
    reader.tell(staged);
    producer.tell(publish);
    all_right(&reader.expect("verified"));
    producer.expect("ran");
    reader.quit();
    producer.quit();
}

#[test]
fn a_copy_in_host_memory_holds_the_same_frames() {
    copy(&format!("run {FORM} 8"), "staged run 8");
}

#[test]
fn f42_pinned_memory_that_is_let_go_of_early_stays_until_it_is_filled() {
    copy(&format!("alternate 64x64x4 {FORM} 2"), "staged early");
}

#[test]
fn f42_pinned_memory_outlives_what_made_it_until_it_is_filled() {
    copy(&format!("run {FORM} 1"), "staged gone");
}
