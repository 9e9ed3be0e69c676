// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readers that are in the way for too long: their places are taken away, and what they hold on the device stays theirs
//! until their streams are done.

use crate::{FORM, all_right, is_frame, stage};

/// A reader holds one of two slots and is evicted for it.
fn evicted_with_a_frame(producer: &[&str], consumer: &[&str], ends: &str) {
    let Some(stage) = stage() else { return };
    let role = ["produce", "cam", "--slots", "2", "--evict-after", "0"];
    let mut producer = stage.open(&[&role, producer].concat());
    let mut reader = stage.open(&[&["consume", "cam"], consumer].concat());
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    reader.tell("hold");
    reader.expect("held");
    // One goes into the other slot; nothing else has room, which it is in the way of.
    producer.tell(&format!("run {FORM} 4"));
    let ran = producer.expect("ran");
    assert_eq!((ran.number("seq"), ran.number("dropped")), (2, 3), "{ran}");
    reader.tell("take 200");
    let said = reader.expect("error");
    assert_eq!(said.text("kind"), "evicted", "{said}");
    // What it holds is still what it was.
    reader.tell("check");
    all_right(&reader.expect("verified"));
    reader.tell(ends);
    reader.expect("dropped");
    // The slot is written where its late stream reads, after that.
    producer.tell(&format!("run {FORM} 2"));
    let ran = producer.expect("ran");
    assert_eq!((ran.number("seq"), ran.number("dropped")), (4, 0), "{ran}");
    producer.tell("idle");
    producer.expect("idle");
    reader.tell("check");
    all_right(&reader.expect("verified"));
    // It takes a new place by itself.
    reader.tell("take 20000");
    is_frame(&reader.expect("took"), 4);
    reader.quit();
    producer.quit();
}

#[test]
fn a_reader_that_is_evicted_keeps_its_frame_on_the_device_and_comes_again() {
    evicted_with_a_frame(&[], &[], "drop");
}

#[test]
fn a_slot_of_an_evicted_reader_is_written_after_the_stream_that_reads_it() {
    evicted_with_a_frame(&[], &[], "let-go");
}

#[test]
fn a_reader_that_is_evicted_keeps_its_frame_in_the_mirror_and_comes_again() {
    evicted_with_a_frame(&["--mirror"], &["--host"], "drop");
}
