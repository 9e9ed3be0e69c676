// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work that one process owes to the streams of another, and never does.

use uncopy_tests::{Peer, Stage};

use crate::{FORM, NEVER_MS, open_with, stage, standin_stage};

/// The first call of this function finds the device lost. No link makes it.
const LOST: (&str, &str) = ("FAULTS", "cuStreamQuery:1+=700!");

/// A producer with these settings that never finishes a frame, and a consumer whose stream waits for it.
fn with_a_stream_that_waits(stage: &Stage, producer: &[(&str, &str)]) -> (Peer, Peer) {
    let mut producer = open_with(stage, &["produce", "cam"], producer);
    let mut consumer = stage.open(&["consume", "cam"]);
    producer.tell(&format!("stall {NEVER_MS} {FORM}"));
    producer.expect("ran");
    consumer.tell("take-on 20000");
    consumer.expect("took-on");
    (producer, consumer)
}

/// A producer of two slots, and a consumer with these settings that has dropped a frame which its stream never stops to
/// read.
fn with_a_stream_that_reads(stage: &Stage, consumer: &[(&str, &str)]) -> (Peer, Peer) {
    let mut producer = stage.open(&["produce", "cam", "--slots", "2"]);
    let mut consumer = open_with(stage, &["consume", "cam"], consumer);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    consumer.tell(&format!("use 1 {NEVER_MS}"));
    consumer.expect("used");
    (producer, consumer)
}

#[test]
fn f02_a_stream_of_a_reader_that_has_left_does_not_wait_for_a_dead_producer() {
    let Some(stage) = stage() else { return };
    let (mut producer, mut consumer) = with_a_stream_that_waits(&stage, &[]);
    consumer.tell("close");
    consumer.expect("closed");
    consumer.tell("sync");
    producer.kill();
    consumer.expect("synced");
    consumer.quit();
}

#[test]
fn f02_a_stream_of_a_reader_that_stays_does_not_wait_for_a_dead_producer() {
    let Some(stage) = stage() else { return };
    let (mut producer, mut consumer) = with_a_stream_that_waits(&stage, &[]);
    consumer.tell("sync");
    producer.kill();
    consumer.expect("synced");
    consumer.quit();
}

#[test]
fn f02_a_stream_of_a_reader_that_has_joined_a_successor_does_not_wait_for_the_dead() {
    let Some(stage) = stage() else { return };
    let (mut first, mut consumer) = with_a_stream_that_waits(&stage, &[]);
    let mut second = stage.open(&["produce", "cam", "--takeover", "--life", "2"]);
    second.tell(&format!("run {FORM} 3"));
    second.expect("ran");
    // Looked at by a stream of its own.
    consumer.tell("take 20000");
    let took = consumer.expect("took");
    assert_eq!(took.value("right"), true, "{took}");
    consumer.tell("sync");
    first.kill();
    consumer.expect("synced");
    consumer.quit();
    second.quit();
}

#[test]
fn f03_a_stream_of_a_producer_that_has_closed_does_not_wait_for_a_dead_reader() {
    let Some(stage) = stage() else { return };
    let (mut producer, mut consumer) = with_a_stream_that_reads(&stage, &[]);
    // The second of these is written where the reader's stream reads.
    producer.tell(&format!("run {FORM} 2"));
    producer.expect("ran");
    producer.tell("close");
    producer.expect("closed");
    producer.tell("idle");
    consumer.kill();
    producer.expect("idle");
    producer.quit();
}

#[test]
fn f02_a_stream_of_a_producer_that_goes_on_does_not_wait_for_a_dead_reader() {
    let Some(stage) = stage() else { return };
    let (mut producer, mut consumer) = with_a_stream_that_reads(&stage, &[]);
    producer.tell(&format!("run {FORM} 4"));
    producer.expect("ran");
    producer.tell("idle");
    consumer.kill();
    producer.expect("idle");
    producer.quit();
}

/// A reader that owes a ticket loses its device, with the producer's stream waiting for it; then says what it is told.
/// `how` the device is found lost.
fn reader_loses_its_device(how: &str, then: &[(&str, &[&str])]) {
    let Some(stage) = standin_stage() else { return };
    let (mut producer, mut consumer) = with_a_stream_that_reads(&stage, &[LOST]);
    producer.tell(&format!("run {FORM} 2"));
    producer.expect("ran");
    consumer.tell(how);
    consumer.expect("broken");
    for (line, answers) in then {
        consumer.tell(line);
        let said = consumer.next_event().unwrap();
        assert!(answers.contains(&said.name()) && said.value("right") != true, "{said}");
    }
    producer.tell("idle");
    producer.expect("idle");
    producer.tell(&format!("run {FORM} 4"));
    producer.expect("ran");
    producer.tell("idle");
    producer.expect("idle");
    let mut other = stage.open(&["consume", "cam"]);
    other.tell("take 20000");
    let took = other.expect("took");
    assert_eq!(took.value("right"), true, "{took}");
    other.quit();
    consumer.kill();
    producer.quit();
}

#[test]
fn f29_a_producer_goes_on_when_a_reader_that_owes_a_ticket_loses_its_device_and_leaves() {
    reader_loses_its_device("break", &[("close", &["closed"])]);
}

#[test]
fn f29_a_producer_goes_on_when_a_reader_that_owes_a_ticket_loses_its_device_and_stays() {
    // The second frame is there, and can't be read: it says so, as often as it is asked.
    for reads in ["take 200", "take-on 200", "newest"] {
        reader_loses_its_device("break", &[(reads, &["error"]), (reads, &["error"])]);
    }
}

#[test]
fn f29_a_producer_goes_on_when_a_reader_that_owes_a_ticket_loses_its_device_and_never_calls_again() {
    reader_loses_its_device("break", &[]);
    reader_loses_its_device("break-unseen", &[]);
}

/// A producer loses its device to this code while a frame of its is unfinished: what it says, and that readers are told.
fn producer_loses_its_device(code: i32, how: &str) {
    let Some(stage) = standin_stage() else { return };
    let fault = format!("cuStreamQuery:1+={code}!");
    let mut producer = open_with(&stage, &["produce", "cam", "--mirror"], &[("FAULTS", &fault)]);
    let mut consumer = stage.open(&["consume", "cam"]);
    let mut on_host = stage.open(&["consume", "cam", "--host"]);
    producer.tell(&format!("stall {NEVER_MS} {FORM}"));
    producer.expect("ran");
    producer.tell("break");
    producer.expect("broken");
    producer.tell(&format!("run {FORM} 1 loan"));
    let refused = producer.expect("error");
    assert!(refused.text("text").contains(&format!("({code}, ")), "{refused}");
    consumer.tell(how);
    // A second is what a reader may be left in the dark; by then the link has ended, and it looks for another.
    on_host.tell("take 1000");
    for reader in [&mut consumer, &mut on_host] {
        let said = reader.next_event().expect("it is told");
        // A frame that never came is given to nobody, and nobody takes its producer for a slow one. A stream that waits
        // for it goes on.
        let is_told = match said.name() {
            "error" => said.text("kind") != "timed_out",
            "verified" => how.contains("gpu"),
            _ => false,
        };
        assert!(is_told, "{how}: {said}");
    }
    consumer.quit();
    on_host.quit();
    producer.kill();
}

#[test]
fn f29_readers_are_told_when_their_producer_loses_its_device() {
    producer_loses_its_device(700, "take 1000");
}

#[test]
fn f29_a_stream_goes_on_when_the_producer_that_it_waits_for_loses_its_device() {
    let Some(stage) = standin_stage() else { return };
    let (mut producer, mut consumer) = with_a_stream_that_waits(&stage, &[LOST]);
    consumer.tell("sync");
    producer.tell("break");
    producer.expect("broken");
    producer.tell(&format!("run {FORM} 1 loan"));
    producer.expect("error");
    consumer.expect("synced");
    consumer.quit();
    producer.kill();
}

/// A producer loses its device while a reader's stream waits for it, and makes no call of the link.
fn producer_loses_its_device_and_stays(how: &str) {
    let Some(stage) = standin_stage() else { return };
    let (mut producer, mut consumer) = with_a_stream_that_waits(&stage, &[LOST]);
    consumer.tell("sync");
    producer.tell(how);
    producer.expect("broken");
    consumer.expect("synced");
    // The link has ended, and its producer is told why, as often as it asks.
    for _ in 0..2 {
        producer.tell(&format!("run {FORM} 1 loan"));
        let refused = producer.next_event().unwrap();
        assert_eq!((refused.name(), refused.text("kind")), ("error", "device_lost"), "{refused}");
        assert!(refused.text("text").contains("(700, "), "{refused}");
    }
    consumer.quit();
    producer.kill();
}

#[test]
fn f29_a_stream_goes_on_when_the_producer_that_it_waits_for_loses_its_device_and_never_calls_again() {
    producer_loses_its_device_and_stays("break");
    producer_loses_its_device_and_stays("break-unseen");
}

#[test]
fn f29_a_stream_goes_on_when_the_producer_that_it_waits_for_loses_its_device_and_closes() {
    let Some(stage) = standin_stage() else { return };
    let (mut producer, mut consumer) = with_a_stream_that_waits(&stage, &[LOST]);
    consumer.tell("sync");
    producer.tell("break-unseen");
    producer.expect("broken");
    producer.tell("close");
    producer.expect("closed");
    consumer.expect("synced");
    consumer.quit();
    producer.kill();
}

#[test]
fn f30_readers_are_told_when_the_device_of_their_producer_is_gone() {
    // Unavailable, uncorrectable memory, driver shutting down.
    for code in [46, 214, 4] {
        producer_loses_its_device(code, "take 1000");
    }
}
