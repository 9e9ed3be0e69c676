// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loans and frames that are dropped while their stream takes no work, or right before it is destroyed: what it was given
//! before must not show in a frame, nor read another one. A link that uses a stream which was destroyed ends its process.

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
fn a_loan_that_is_dropped_is_written_anew_after_every_stream_that_writes_it() {
    written_anew_after("abandon-beside", &[], &[]);
    written_anew_after("abandon-beside", &["--mirror"], &["--host"]);
}

#[test]
fn a_loan_whose_stream_is_destroyed_once_it_was_dropped_is_written_anew_after_it() {
    written_anew_after("abandon-and-destroy idle", &[], &[]);
}

#[test]
fn a_loan_whose_stream_is_destroyed_once_its_capture_is_over_is_written_anew_after_it() {
    for how in ["captured", "beside"] {
        written_anew_after(&format!("abandon-and-destroy {how}"), &[], &[]);
    }
}

#[test]
fn a_loan_with_a_mirror_dropped_while_its_stream_is_captured_is_written_anew_after_it() {
    for place in [&[][..], &["--host"]] {
        written_anew_after("abandon-captured", &["--mirror"], place);
    }
}

#[test]
fn a_loan_with_a_mirror_whose_stream_is_destroyed_once_it_was_dropped_is_written_anew_after_it() {
    for (how, place) in
        [("idle", &[][..]), ("idle", &["--host"]), ("captured", &[]), ("captured", &["--host"])]
    {
        written_anew_after(&format!("abandon-and-destroy {how}"), &["--mirror"], place);
    }
}

#[test]
fn a_frame_whose_stream_is_destroyed_once_it_was_published_arrives_whole() {
    let Some(stage) = stage() else { return };
    for (how, mirror, place) in [
        ("send", &[][..], &[][..]),
        ("loan", &[], &[]),
        ("send", &["--mirror"], &["--host"]),
        ("loan", &["--mirror"], &["--host"]),
    ] {
        let mut producer = stage.open(&[&["produce", "cam", "--slots", "2", "--block"], mirror].concat());
        let mut consumer = stage.open(&[&["consume", "cam", "--every"], place].concat());
        for _ in 0..3 {
            producer.tell(&format!("publish-and-destroy {how} {FORM}"));
            producer.expect("ran");
            consumer.tell("run 1");
            crate::all_right(&consumer.expect("verified"));
        }
        producer.tell("idle");
        producer.expect("idle");
        consumer.quit();
        producer.quit();
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
fn read_to_its_end_after(drop: &str, choice: &[&str]) {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
    let mut consumer = stage.open(&[&["consume", "cam"], choice].concat());
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
    read_to_its_end_after("drop-captured", &[]);
}

#[test]
fn f42_a_frame_whose_stream_is_destroyed_once_it_was_dropped_is_read_to_its_end() {
    for how in ["idle", "viewed", "received"] {
        read_to_its_end_after(&format!("destroy {how}"), &[]);
    }
}

#[test]
fn f42_a_frame_whose_stream_is_destroyed_once_its_capture_is_over_is_read_to_its_end() {
    for choice in [&[][..], &["--context"]] {
        read_to_its_end_after("destroy captured", choice);
    }
}

#[test]
fn f42_a_frame_whose_stream_the_link_keeps_goes_back_by_it_and_disturbs_no_capture() {
    read_to_its_end_after("destroy kept", &[]);
}

#[test]
fn f42_a_frame_that_was_received_twice_needs_the_streams_of_each_no_longer_than_that() {
    for choice in [&[][..], &["--context"]] {
        read_to_its_end_after("destroy twice", choice);
    }
}

#[test]
fn f42_a_frame_that_a_device_was_writing_when_it_was_polled_for_needs_its_stream_no_longer_than_others() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    for _ in 0..5 {
        consumer.tell("destroy polled");
        producer.tell(&format!("stall 20 {FORM}"));
        producer.expect("ran");
        consumer.expect("dropped");
    }
    consumer.tell("check");
    crate::all_right(&consumer.expect("verified"));
    consumer.quit();
    producer.quit();
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
