// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that are asked for while a device writes them.

use uncopy_tests::Event;

use crate::{FORM, NEVER_MS, is_frame, stage};

/// Long enough for a reader to come while the device is at work. What is asserted holds also if it comes too late.
const BUSY_MS: u32 = 150;

#[track_caller]
fn has_timed_out(event: &Event) {
    assert_eq!(event.name(), "error", "{event}");
    assert_eq!(event.text("kind"), "timed_out", "{event}");
}

#[test]
fn no_frame_is_received_twice_after_a_look_at_the_newest() {
    let Some(stage) = stage() else { return };
    for read in [&[][..], &["--every"]] {
        let mut producer = stage.open(&["produce", "cam"]);
        let mut consumer = stage.open(&[&["consume", "cam"], read].concat());
        producer.tell(&format!("stall {BUSY_MS} {FORM}"));
        producer.expect("ran");
        consumer.tell("take-on 20000");
        assert_eq!(consumer.expect("took-on").number("seq"), 1);
        // It is not there yet, most likely.
        consumer.tell("newest");
        let newest = consumer.next_event().unwrap();
        assert!(["nothing", "took"].contains(&newest.name()), "{newest}");
        consumer.tell(&format!("take {}", 3 * BUSY_MS));
        has_timed_out(&consumer.next_event().unwrap());
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        consumer.tell("take 20000");
        is_frame(&consumer.expect("took"), 2);
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn a_reader_of_the_latest_that_has_given_up_on_a_frame_gets_the_newest_next() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    producer.tell(&format!("stall {NEVER_MS} {FORM}"));
    producer.expect("ran");
    consumer.tell("take 50");
    has_timed_out(&consumer.next_event().unwrap());
    // By a stream that is not stalled.
    producer.tell(&format!("run {FORM} 2 other"));
    producer.expect("ran");
    consumer.tell("take 20000");
    is_frame(&consumer.expect("took"), 3);
    consumer.quit();
    producer.kill();
}

#[test]
fn a_look_at_the_newest_finds_it_when_an_older_one_is_not_there() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    producer.tell(&format!("stall {NEVER_MS} {FORM}"));
    producer.expect("ran");
    consumer.tell("newest");
    consumer.expect("nothing");
    producer.tell(&format!("run {FORM} 1 other"));
    producer.expect("ran");
    producer.tell(&format!("run {FORM} 1 other"));
    producer.expect("ran");
    // Published is not yet there; receiving waits for it.
    consumer.tell("take 20000");
    is_frame(&consumer.expect("took"), 3);
    consumer.tell("newest");
    is_frame(&consumer.expect("took"), 3);
    consumer.quit();
    producer.kill();
}

#[test]
fn a_frame_that_was_received_for_a_stream_says_whether_it_never_came() {
    let Some(stage) = stage() else { return };
    for (millis, dies) in [(NEVER_MS, true), (BUSY_MS, false)] {
        let mut producer = stage.open(&["produce", "cam"]);
        let mut consumer = stage.open(&["consume", "cam"]);
        producer.tell(&format!("stall {millis} {FORM}"));
        producer.expect("ran");
        consumer.tell("keep-on 20000");
        consumer.expect("kept");
        consumer.tell("torn");
        assert_eq!(consumer.expect("torn").value("torn"), false, "it may still come");
        if dies {
            producer.kill();
        }
        consumer.tell("sync");
        consumer.expect("synced");
        if !dies {
            producer.kill();
        }
        consumer.tell("torn");
        assert_eq!(consumer.expect("torn").value("torn"), dies);
        consumer.quit();
    }
}

#[test]
fn frames_in_host_memory_and_on_a_device_come_in_one_order() {
    let Some(stage) = stage() else { return };
    for (producer, consumer) in [(&[][..], &[][..]), (&["--mirror"], &[]), (&["--mirror"], &["--host"])] {
        let mut producer = stage.open(&[&["produce", "cam", "--block"], producer].concat());
        let mut consumer = stage.open(&[&["consume", "cam", "--every"], consumer].concat());
        consumer.tell("takes 24 20000");
        producer.tell(&format!("mixed {FORM} 24"));
        for seq in 1..=24 {
            let took = consumer.next_event().unwrap();
            is_frame(&took, seq);
        }
        producer.expect("ran");
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn a_doorbell_that_is_asked_for_late_rings_when_the_device_is_done() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    producer.tell(&format!("stall {BUSY_MS} {FORM}"));
    producer.expect("ran");
    consumer.tell("poll 20000");
    is_frame(&consumer.next_event().unwrap(), 1);
    // And as usual: asked for before.
    producer.tell(&format!("stall {BUSY_MS} {FORM}"));
    producer.expect("ran");
    consumer.tell("poll 20000");
    let took = consumer.next_event().unwrap();
    is_frame(&took, 2);
    // For the frame, for its being there, and now and then for nothing; not again and again while the device writes.
    let wakeups = took.value("wakeups");
    assert!(wakeups.as_u64().is_some_and(|wakeups| wakeups <= 4), "{wakeups} wake-ups");
    consumer.quit();
    producer.quit();
}
