// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loans and frames that are dropped while their stream takes no work: what it was given before must not show in a
//! frame, nor read another one.

use crate::{FORM, is_frame, stage};

/// Abandons loans in this way, and has another stream write the same slots.
fn written_anew_after(abandon: &str, producer: &[&str], consumer: &[&str]) {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&[&["produce", "cam", "--slots", "2", "--block"], producer].concat());
    let mut consumer = stage.open(&[&["consume", "cam"], consumer].concat());
    for seq in 1..=4 {
        producer.tell(&format!("{abandon} {FORM}"));
        producer.expect("abandoned");
        // By the other stream, which knows nothing of the first.
        producer.tell(&format!("run {FORM} 1 other"));
        producer.expect("ran");
        consumer.tell("hold");
        assert_eq!(consumer.expect("held").number("seq"), seq);
        producer.tell("idle");
        producer.expect("idle");
        consumer.tell("check");
        crate::all_right(&consumer.expect("verified"));
        consumer.tell("drop");
        consumer.expect("dropped");
    }
    consumer.quit();
    producer.quit();
}

#[test]
fn a_loan_dropped_while_its_stream_is_captured_is_written_anew_after_it() {
    written_anew_after("abandon-captured", &[], &[]);
}

#[test]
fn a_loan_dropped_after_its_stream_was_destroyed_is_written_anew_after_it() {
    written_anew_after("abandon-destroyed", &[], &[]);
}

#[test]
fn a_loan_with_a_mirror_dropped_while_its_stream_is_captured_is_written_anew_after_it() {
    for place in [&[][..], &["--host"]] {
        written_anew_after("abandon-captured", &["--mirror"], place);
    }
}

#[test]
fn a_loan_with_a_mirror_dropped_after_its_stream_was_destroyed_is_written_anew_after_it() {
    for place in [&[][..], &["--host"]] {
        written_anew_after("abandon-destroyed", &["--mirror"], place);
    }
}

#[test]
fn a_loan_with_a_mirror_that_is_dropped_is_written_anew_after_it() {
    for place in [&[][..], &["--host"]] {
        written_anew_after("abandon", &["--mirror"], place);
    }
}

#[test]
fn a_stream_that_is_captured_is_refused_and_its_capture_goes_on() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--slots", "2"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    for seq in 1..=3 {
        producer.tell(&format!("on-captured {FORM}"));
        let refused = producer.expect("refused");
        for call in ["loan", "send"] {
            assert!(refused.text(call).contains("captured"), "{refused}");
        }
        // No slot was lost by it.
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        consumer.tell("take 20000");
        is_frame(&consumer.expect("took"), seq);
    }
    consumer.quit();
    producer.quit();
}

/// Drops frames in this way, while the producer wants their slots.
fn read_to_its_end_after(drop: &str) {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    for _ in 0..5 {
        consumer.tell(drop);
        consumer.expect("dropped");
        // One of two is written where the stream reads.
        producer.tell(&format!("run {FORM} 2"));
        producer.expect("ran");
    }
    consumer.tell("check");
    crate::all_right(&consumer.expect("verified"));
    consumer.quit();
    producer.quit();
}

#[test]
fn f42_a_frame_dropped_while_its_stream_is_captured_is_read_to_its_end() {
    read_to_its_end_after("drop-captured");
}

#[test]
fn f42_a_frame_dropped_after_its_stream_was_destroyed_is_read_to_its_end() {
    read_to_its_end_after("drop-destroyed");
}

#[test]
fn a_frame_is_not_received_for_a_stream_that_is_captured_and_comes_with_the_next_call() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    for seq in 1..=3 {
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        consumer.tell("on-captured");
        let refused = consumer.expect("refused");
        assert!(refused.text("text").contains("captured"), "{refused}");
        consumer.tell("take 20000");
        is_frame(&consumer.expect("took"), seq);
    }
    consumer.quit();
    producer.quit();
}
