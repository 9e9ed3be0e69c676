// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that are killed between two steps of a frame on a device, at each point that the sources name.

use std::collections::BTreeSet;

use uncopy_tests::{Stage, points};

use crate::{FORM, is_frame, stage};

const KILLED: Option<i32> = Some(9);

fn armed_stage() -> Option<Stage> {
    if !points::ARMED {
        println!("{}", points::UNARMED);
    }
    stage().filter(|_| points::ARMED)
}

#[test]
fn every_point_of_a_frame_on_a_device_has_a_test() {
    if !points::are_known() {
        println!("{}", points::NO_SOURCES);
        return;
    }
    // Those of `device.brought` are in `two_cards`.
    let known = ["device.brought", "device.copied", "device.ticketed"];
    let known: BTreeSet<String> = known.map(str::to_owned).into();
    assert_eq!(points::named("device."), known);
}

/// A producer is killed when a copy is in its stream, and not yet published.
fn producer_dies_behind_a_copy(pass: u32, producer: &[&str], consumer: &[&str]) {
    let Some(stage) = armed_stage() else { return };
    let role = [&["produce", "cam", "--slots", "2"], producer].concat();
    let mut doomed = stage.doomed("device.copied", pass, &role);
    doomed.expect("open");
    let mut consumer = stage.open(&[&["consume", "cam"], consumer].concat());
    for seq in 1..u64::from(pass) {
        doomed.tell(&format!("run {FORM} 1"));
        doomed.expect("ran");
        consumer.tell("take 20000");
        is_frame(&consumer.expect("took"), seq);
    }
    doomed.tell(&format!("run {FORM} 1"));
    let ending = doomed.collect();
    assert_eq!(ending.signal, KILLED, "it was not reached: {ending:?}");
    // A frame that was not published is given to nobody, and the next producer is followed.
    consumer.tell("take 200");
    let said = consumer.expect("error");
    assert_eq!(said.text("kind"), "producer_lost", "{said}");
    let mut next = stage.open(&[&["produce", "cam", "--life", "2"], producer].concat());
    next.tell(&format!("run {FORM} 1"));
    next.expect("ran");
    consumer.tell("take 20000");
    is_frame(&consumer.expect("took"), 1);
    consumer.quit();
    next.quit();
}

#[test]
fn f01_a_producer_killed_behind_a_copy_has_not_published_it() {
    for pass in [1, 3] {
        producer_dies_behind_a_copy(pass, &[], &[]);
        producer_dies_behind_a_copy(pass, &["--mirror"], &["--host"]);
    }
}

#[test]
fn f02_a_reader_killed_with_a_ticket_that_no_stream_writes_stops_nobody() {
    let Some(stage) = armed_stage() else { return };
    for pass in [1, 3] {
        let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
        let mut doomed = stage.doomed("device.ticketed", pass, &["consume", "cam"]);
        doomed.expect("open");
        for _ in 1..pass {
            producer.tell(&format!("run {FORM} 1"));
            producer.expect("ran");
            doomed.tell("use 1 0");
            doomed.expect("used");
        }
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        doomed.tell("use 1 0");
        let ending = doomed.collect();
        assert_eq!(ending.signal, KILLED, "it was not reached: {ending:?}");
        // Both slots are written anew, the one with the ticket too.
        producer.tell(&format!("run {FORM} 4"));
        producer.expect("ran");
        producer.tell("idle");
        producer.expect("idle");
        let mut other = stage.open(&["consume", "cam"]);
        other.tell("take 20000");
        is_frame(&other.expect("took"), u64::from(pass) + 4);
        other.quit();
        producer.quit();
    }
}
