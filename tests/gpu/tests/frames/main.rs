// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames on a device: whole, in order, for as long as they are held or read.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod staged;
#[cfg(feature = "skip-waits")]
mod waits;

use uncopy_gpu_tests::scene::{self, FORM, all_right};
use uncopy_tests::{Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_gpu-peer");

fn pair(stage: &Stage, producer: &[&str], consumer: &[&str]) -> (Peer, Peer) {
    let producer = stage.open(&[&["produce", "cam"], producer].concat());
    let consumer = stage.open(&[&["consume", "cam"], consumer].concat());
    (producer, consumer)
}

/// Runs both for so many frames, and checks that every one of them was right.
fn run(producer: &[&str], consumer: &[&str], frames: u64, how: &str, look: &str) {
    if !scene::has_card() {
        return;
    }
    let stage = scene::stage(PEER);
    let (mut producer, mut consumer) = pair(&stage, producer, consumer);
    consumer.tell(&format!("run {frames} {look}"));
    producer.tell(&format!("run {FORM} {frames} {how}"));
    let verified = consumer.expect("verified");
    all_right(&verified);
    assert_eq!(verified.number("frames"), frames);
    producer.expect("ran");
    consumer.quit();
    producer.quit();
}

#[test]
fn every_frame_that_is_sent_arrives_whole() {
    run(&["--block"], &["--every"], 200, "send", "cpu");
}

#[test]
fn every_frame_that_is_written_in_place_arrives_whole() {
    run(&["--block"], &["--every"], 200, "loan", "cpu");
}

#[test]
fn a_stream_that_waits_for_the_content_reads_it_whole() {
    run(&["--block"], &["--every"], 200, "send", "gpu");
}

#[test]
fn a_loan_that_a_second_stream_writes_over_arrives_as_that_stream_left_it() {
    run(&["--block"], &["--every"], 10, "over", "cpu");
}

#[test]
fn frames_of_two_streams_in_turn_arrive_whole() {
    run(&["--block"], &["--every"], 200, "two", "cpu");
}

#[test]
fn a_mirror_in_host_memory_holds_the_same_frames() {
    run(&["--block", "--mirror"], &["--every", "--host"], 200, "send", "cpu");
}

#[test]
fn f42_a_slot_is_kept_until_the_last_stream_that_reads_it_is_done() {
    if !scene::has_card() {
        return;
    }
    let stage = scene::stage(PEER);
    let (mut producer, mut consumer) = pair(&stage, &["--slots", "3"], &[]);
    producer.tell(&format!("forever {FORM} send"));
    consumer.tell("late 40");
    all_right(&consumer.expect("verified"));
    producer.tell("idle");
    producer.expect("ran");
    producer.expect("idle");
    consumer.quit();
    producer.quit();
}

#[test]
fn a_frame_that_is_held_stays_as_it_is() {
    if !scene::has_card() {
        return;
    }
    let stage = scene::stage(PEER);
    let (mut producer, mut consumer) = pair(&stage, &["--slots", "3"], &[]);
    producer.tell(&format!("run {FORM} 1"));
    consumer.tell("hold");
    consumer.expect("held");
    producer.expect("ran");
    producer.tell(&format!("run {FORM} 50 send"));
    producer.expect("ran");
    consumer.tell("check");
    all_right(&consumer.expect("verified"));
    consumer.quit();
    producer.quit();
}

#[test]
fn a_loan_that_is_dropped_is_written_anew_after_its_stream_is_done() {
    if !scene::has_card() {
        return;
    }
    let stage = scene::stage(PEER);
    let (mut producer, mut consumer) = pair(&stage, &["--slots", "2"], &[]);
    for _ in 0..10 {
        producer.tell(&format!("abandon {FORM}"));
        producer.expect("abandoned");
        // By the other stream, which knows nothing of the first.
        producer.tell(&format!("run {FORM} 1 other"));
        producer.expect("ran");
        consumer.tell("hold");
        consumer.expect("held");
        // What the first stream still does must not show in the frame.
        producer.tell("idle");
        producer.expect("idle");
        consumer.tell("check");
        all_right(&consumer.expect("verified"));
        consumer.tell("drop");
        consumer.expect("dropped");
    }
    consumer.quit();
    producer.quit();
}

#[test]
fn frames_may_change_their_size_and_their_place() {
    if !scene::has_card() {
        return;
    }
    let stage = scene::stage(PEER);
    let (mut producer, mut consumer) = pair(&stage, &["--block"], &["--every"]);
    for form in ["64x64x4", "512x512x4", "float32:64x64", "1080x1920x4", "64x64x4"] {
        consumer.tell("run 10 cpu");
        producer.tell(&format!("run {form} 10 send"));
        all_right(&consumer.expect("verified"));
        producer.expect("ran");
    }
    consumer.quit();
    producer.quit();
}

#[test]
fn f27_a_frame_that_is_held_twice_is_kept_for_both_streams() {
    if !scene::has_card() {
        return;
    }
    let stage = scene::stage(PEER);
    let (mut producer, mut consumer) = pair(&stage, &["--slots", "2"], &[]);
    producer.tell(&format!("forever {FORM} send"));
    consumer.tell("again 30");
    all_right(&consumer.expect("verified"));
    producer.tell("idle");
    producer.expect("ran");
    producer.expect("idle");
    consumer.quit();
    producer.quit();
}

#[test]
fn an_array_may_go_right_after_it_was_sent() {
    run(&["--block"], &["--every"], 30, "freed", "cpu");
}

#[test]
fn a_large_frame_is_mirrored_in_two_parts() {
    if !scene::has_card() {
        return;
    }
    let stage = scene::stage(PEER);
    let (mut producer, mut consumer) =
        pair(&stage, &["--block", "--mirror", "--slots", "3"], &["--every", "--host"]);
    consumer.tell("run 20 cpu");
    producer.tell("run 1080x1920x4 20 send");
    all_right(&consumer.expect("verified"));
    producer.expect("ran");
    consumer.quit();
    producer.quit();
}
