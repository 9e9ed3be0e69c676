// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last frames of a producer that ends, while its device is still writing them.

use uncopy_tests::{Peer, Stage};

use crate::{FORM, NEVER_MS, open_with, stage, standin_stage};

/// Later than the end of a process that does not wait.
const LATE_MS: u32 = 300;

/// A producer whose process has ended right after it let go of the link in this way, with a late frame in its stream.
fn left(stage: &Stage, producer: &[&str], reader: &[&str], how: &str) -> Peer {
    let mut producer = stage.open(&[&["produce", "cam"], producer].concat());
    let consumer = stage.open(&[&["consume", "cam"], reader].concat());
    producer.tell(&format!("stall {LATE_MS} {FORM}"));
    producer.expect("ran");
    producer.tell(&format!("leave {how}"));
    producer.expect("left");
    // Before anybody looks, so that it can't be in time by chance.
    producer.collect();
    consumer
}

#[test]
fn f02_the_last_frame_of_a_process_that_closes_its_link_and_ends_arrives_whole() {
    let Some(stage) = stage() else { return };
    for (producer, reader) in [(&[][..], &[][..]), (&["--mirror"], &["--host"])] {
        let mut consumer = left(&stage, producer, reader, "close");
        consumer.tell("take 5000");
        let took = consumer.expect("took");
        assert_eq!((took.number("seq"), took.value("right")), (1, &true.into()), "{took}");
        consumer.quit();
    }
}

#[test]
fn f02_the_last_mirror_of_a_process_that_closes_its_link_and_ends_arrives_whole() {
    let Some(stage) = standin_stage() else { return };
    // The fourth stream makes mirrors, after the device's own and two of the peer's.
    let mut producer = open_with(&stage, &["produce", "cam", "--mirror"], &[("LAG_US", "0,0,0,400000")]);
    let mut consumer = stage.open(&["consume", "cam", "--host"]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    producer.tell("leave close");
    producer.expect("left");
    producer.collect();
    consumer.tell("take 5000");
    let took = consumer.expect("took");
    assert_eq!((took.number("seq"), took.value("right")), (1, &true.into()), "{took}");
    consumer.quit();
}

#[test]
fn f02_the_last_frame_of_a_process_that_drops_its_link_and_ends_is_passed_over() {
    let Some(stage) = stage() else { return };
    let mut consumer = left(&stage, &[], &[], "drop");
    consumer.tell("take 500");
    consumer.expect("error");
    consumer.quit();
}

#[test]
fn closing_does_not_wait_for_ever() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    producer.tell(&format!("stall {NEVER_MS} {FORM}"));
    producer.expect("ran");
    producer.tell("leave close");
    producer.expect("left");
    // It ends with its work: a card would be at it for ten minutes.
    producer.kill();
    consumer.tell("take 500");
    consumer.expect("error");
    consumer.quit();
}

#[test]
fn a_flush_says_whether_frames_and_mirrors_are_whole() {
    let Some(stage) = stage() else { return };
    for (mirror, reader) in [(&[][..], &[][..]), (&["--mirror"], &["--host"])] {
        let mut producer = stage.open(&[&["produce", "cam"], mirror].concat());
        let mut consumer = stage.open(&[&["consume", "cam"], reader].concat());
        assert_eq!(producer.ask("flush 0", "flushed").value("whole"), true, "nothing was published");
        producer.tell(&format!("stall {LATE_MS} {FORM}"));
        producer.expect("ran");
        assert_eq!(producer.ask("flush 1", "flushed").value("whole"), false);
        assert_eq!(producer.ask("flush 20000", "flushed").value("whole"), true);
        // There, with no wait.
        consumer.tell("take 0");
        assert_eq!(consumer.expect("took").value("right"), true);
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn a_flush_does_not_wait_for_a_loan_that_is_not_published() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam"]);
    producer.tell(&format!("run {FORM} 3"));
    producer.expect("ran");
    let flushed = producer.ask(&format!("flush-lent {FORM} 20000"), "flushed");
    assert_eq!(flushed.value("whole"), true);
    producer.quit();
}

#[test]
fn a_consumer_joins_receives_and_leaves_while_its_producer_flushes() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam"]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    assert_eq!(producer.ask("flush 20000", "flushed").value("whole"), true);
    let mut early = stage.open(&["consume", "cam"]);
    early.tell("hold");
    early.expect("held");
    producer.tell(&format!("stall {NEVER_MS} {FORM}"));
    producer.expect("ran");
    producer.tell(&format!("flush {NEVER_MS}"));
    early.tell("check");
    assert_eq!(early.expect("verified").number("wrong"), 0);
    early.quit();
    let late = stage.open(&["consume", "cam"]);
    late.quit();
    producer.kill();
}

#[test]
fn a_flush_ends_when_the_device_is_lost() {
    let Some(stage) = standin_stage() else { return };
    // The first call of this function finds the device lost. No link makes it.
    for lose in ["break", "break-unseen"] {
        let mut producer = open_with(&stage, &["produce", "cam"], &[("FAULTS", "cuStreamQuery:1+=700!")]);
        producer.tell(&format!("stall {NEVER_MS} {FORM}"));
        producer.expect("ran");
        producer.tell(lose);
        producer.expect("broken");
        let flushed = producer.ask(&format!("flush {NEVER_MS}"), "flushed");
        assert_eq!(flushed.value("whole"), false);
        producer.end();
    }
}
