// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that go back after everything in the context.

use uncopy_tests::Event;

use crate::{FORM, open_with, stage, standin_stage};

/// What a reader finds whose stream nobody names, while the producer overwrites what is free.
fn read_unnamed(choice: &[&str]) -> Option<Event> {
    let stage = stage()?;
    let mut producer = stage.open(&["produce", "cam", "--slots", "2"]);
    let mut consumer = stage.open(&[&["consume", "cam"], choice].concat());
    producer.tell(&format!("forever {FORM} send"));
    consumer.tell("unnamed 40");
    let verified = consumer.expect("verified");
    producer.tell("idle");
    producer.expect("ran");
    producer.expect("idle");
    consumer.quit();
    producer.quit();
    Some(verified)
}

#[test]
fn f27_a_frame_in_a_stream_that_nobody_named_is_kept_until_everything_in_the_context_is_done() {
    if let Some(verified) = read_unnamed(&["--context"]) {
        assert_eq!((verified.number("frames"), verified.number("wrong")), (40, 0), "{verified}");
    }
}

#[test]
fn without_that_choice_a_frame_in_a_stream_that_nobody_named_is_overwritten() {
    if let Some(verified) = read_unnamed(&[]) {
        assert!(verified.number("wrong") > 0, "the test can't tell the difference: {verified}");
    }
}

/// Whether a capture stays whole in whose midst a frame is dropped; then six frames pass.
fn capture_stays_whole(choice: &[&str]) -> Option<bool> {
    let stage = stage()?;
    // Without the slot that the capture was in the way of, the producer would wait for ever.
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
    let mut consumer = stage.open(&[&["consume", "cam", "--every"], choice].concat());
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    consumer.tell("beside-capture");
    let whole = consumer.expect("captured").value("whole") == true;
    producer.tell(&format!("run {FORM} 6"));
    consumer.tell("run 6");
    let verified = consumer.expect("verified");
    assert_eq!((verified.number("frames"), verified.number("wrong")), (6, 0), "{verified}");
    producer.expect("ran");
    consumer.quit();
    producer.quit();
    Some(whole)
}

#[test]
fn a_frame_that_goes_back_after_the_context_ends_a_capture_and_goes_back_after_it() {
    if let Some(whole) = capture_stays_whole(&["--context"]) {
        assert!(!whole, "the driver says that it ends captures");
    }
}

#[test]
fn a_frame_that_goes_back_after_its_streams_leaves_a_capture_alone() {
    if let Some(whole) = capture_stays_whole(&[]) {
        assert!(whole);
    }
}

#[test]
fn a_capture_of_a_stream_that_was_named_for_the_frame_is_waited_for_and_not_ended() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--slots", "2"]);
    let mut consumer = stage.open(&["consume", "cam", "--context"]);
    for _ in 0..3 {
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        // Fails where the capture is disturbed.
        consumer.tell("drop-captured");
        consumer.expect("dropped");
    }
    consumer.tell("check");
    let verified = consumer.expect("verified");
    assert_eq!((verified.number("frames"), verified.number("wrong")), (3, 0), "{verified}");
    consumer.quit();
    producer.quit();
}

#[test]
fn f31_a_driver_without_events_of_contexts_is_refused_with_what_to_try() {
    let Some(stage) = standin_stage() else { return };
    for lack in [("WITHOUT", "cuCtxRecordEvent"), ("VERSION", "12040")] {
        let mut producer = stage.open(&["produce", "cam"]);
        let mut consumer = open_with(&stage, &["consume", "cam", "--bare", "--context"], &[lack]);
        for _ in 0..2 {
            producer.tell(&format!("run {FORM} 1"));
            producer.expect("ran");
            consumer.tell("take 20000");
            let refused = consumer.expect("error");
            for word in ["link 'cam'", "cuCtxRecordEvent", "12.5", "by their streams"] {
                assert!(refused.text("text").contains(word), "no '{word}': {refused}");
            }
        }
        consumer.quit();
        // Who does not ask for it needs it not.
        let mut other = open_with(&stage, &["consume", "cam", "--bare"], &[lack]);
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        other.tell("take 20000");
        assert_eq!(other.expect("took").value("right"), true);
        other.quit();
        producer.quit();
    }
}

#[test]
fn f29_an_event_that_can_not_be_recorded_loses_no_slot_and_tears_no_frame() {
    let Some(stage) = standin_stage() else { return };
    for fault in ["cuCtxRecordEvent:2=304", "cuCtxRecordEvent:2+=304", "cuStreamWaitEvent:2=304"] {
        let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
        let role = ["consume", "cam", "--context", "--every"];
        let mut consumer = open_with(&stage, &role, &[("FAULTS", fault)]);
        producer.tell(&format!("run {FORM} 10"));
        consumer.tell("unnamed 10");
        let verified = consumer.expect("verified");
        assert_eq!((verified.number("frames"), verified.number("wrong")), (10, 0), "{fault}: {verified}");
        producer.expect("ran");
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn a_frame_that_is_held_again_while_its_device_is_waited_for_is_kept_for_the_second_reading_too() {
    let Some(stage) = stage() else { return };
    for choice in [&[][..], &["--context"]] {
        let mut producer = stage.open(&["produce", "cam", "--slots", "2"]);
        let role = [&["consume", "cam"], choice].concat();
        // Unless the driver refuses once, such a reader never waits for its device.
        let mut consumer = open_with(&stage, &role, &[("FAULTS", "cuCtxRecordEvent:1=304")]);
        for _ in 0..3 {
            producer.tell(&format!("run {FORM} 1"));
            producer.expect("ran");
            consumer.tell("hold-again");
            consumer.expect("dropped");
            producer.tell(&format!("run {FORM} 3"));
            producer.expect("ran");
        }
        consumer.tell("check");
        let verified = consumer.expect("verified");
        assert_eq!((verified.number("frames"), verified.number("wrong")), (3, 0), "{choice:?}: {verified}");
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn f29_a_reader_that_loses_its_device_as_it_gives_a_frame_back_holds_nobody_up() {
    let Some(stage) = standin_stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
    let lost = ("FAULTS", "cuCtxRecordEvent:1=700!");
    let mut consumer = open_with(&stage, &["consume", "cam", "--context", "--bare"], &[lost]);
    producer.tell(&format!("run {FORM} 6"));
    consumer.tell("take 20000");
    consumer.expect("took");
    producer.expect("ran");
    producer.tell("idle");
    producer.expect("idle");
    consumer.end();
    producer.quit();
}

#[test]
fn work_of_a_reader_that_is_killed_is_not_waited_for() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
    let mut consumer = stage.open(&["consume", "cam", "--context"]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    consumer.tell(&format!("use 1 {}", crate::NEVER_MS));
    consumer.expect("used");
    consumer.kill();
    producer.tell(&format!("run {FORM} 6"));
    producer.expect("ran");
    producer.tell("idle");
    producer.expect("idle");
    producer.quit();
}
