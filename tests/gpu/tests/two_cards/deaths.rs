// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that die, leave or are evicted while a frame is on its way to another card, and cards that are lost.

use uncopy_tests::{Peer, Stage, points};

use crate::{FORM, Way, all_right_by, is_frame, stage, standin_stage};

/// A frame is copied for longer than it takes to do something else meanwhile.
const SLOW: (&str, &str) = ("UNCOPY_STANDIN_LAG_US", "300000");
/// The first call of this function finds the device lost. No link makes it.
const LOST: (&str, &str) = ("UNCOPY_STANDIN_FAULTS", "cuStreamQuery:1+=700!");

#[test]
fn f01_a_producer_killed_at_work_is_followed_by_the_next_on_another_card() {
    for way in [Way::Reach, Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let mut consumer = None;
        for life in 1..=3 {
            let mut producer = way.open(&stage, &["produce", "cam", "--life", &life.to_string()]);
            let consumer = consumer.get_or_insert_with(|| {
                let mut consumer = way.open(&stage, &[&["consume", "cam"], way.consumer()].concat());
                consumer.tell("forever");
                consumer
            });
            producer.tell(&format!("forever {FORM} send"));
            consumer.until("first", &["gone"]);
            producer.kill();
            consumer.expect("gone");
        }
        let mut consumer = consumer.unwrap();
        consumer.tell("drop");
        all_right_by(way, &consumer.until("verified", &["gone"]));
        consumer.expect("dropped");
        consumer.quit();
    }
}

#[test]
fn a_producer_killed_before_its_device_is_done_leaves_no_copy_hanging() {
    for way in [Way::Reach, Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let (mut producer, mut consumer) = way.pair(&stage, &[], &[]);
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        consumer.tell("run 1 cpu");
        all_right_by(way, &consumer.expect("verified"));
        consumer.tell("run 1 gpu");
        producer.tell(&format!("stall 2000 {FORM}"));
        producer.expect("ran");
        producer.kill();
        // Whatever it says of the frame, it says something.
        let said = consumer.next_event().expect("it says something");
        assert!(["verified", "error"].contains(&said.name()), "{said}");
        consumer.kill();
    }
}

#[test]
fn f02_a_consumer_killed_while_another_card_reads_holds_nothing_up() {
    for way in [Way::Reach, Way::Apart] {
        let Some(stage) = stage(way) else { continue };
        let mut producer = way.open(&stage, &["produce", "cam", "--slots", "3", "--block"]);
        for _ in 0..3 {
            let mut consumer = way.open(&stage, &[&["consume", "cam", "--every"], way.consumer()].concat());
            consumer.tell("late 1000");
            producer.tell(&format!("run {FORM} 20 send"));
            producer.expect("ran");
            consumer.kill();
        }
        let mut consumer = way.open(&stage, &[&["consume", "cam", "--every"], way.consumer()].concat());
        consumer.tell("run 30 cpu");
        producer.tell(&format!("run {FORM} 30 send"));
        all_right_by(way, &consumer.expect("verified"));
        producer.expect("ran");
        producer.tell("idle");
        producer.expect("idle");
        consumer.quit();
        producer.quit();
    }
}

/// A reader on the second card that stops itself when its first copy is put in, and that is stopped.
fn stopped_behind_a_copy(stage: &Stage, way: Way, line: &str) -> Peer {
    let role = [&["consume", "cam"], way.consumer()].concat();
    let mut reader = stage.peer_in(&role, |command| {
        way.cards(command);
        command.env("UNCOPY_KILL", "device.brought:1:stop");
    });
    reader.expect("open");
    reader.tell(line);
    reader.wait_until_stopped();
    reader
}

#[test]
fn f02_a_reader_killed_behind_a_copy_gives_its_slot_back() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    for (way, pass) in [(Way::Apart, 1), (Way::Apart, 3), (Way::Asked, 2)] {
        let Some(stage) = stage(way) else { continue };
        let mut producer = way.open(&stage, &["produce", "cam", "--slots", "2", "--block"]);
        let role = [&["consume", "cam", "--every"], way.consumer()].concat();
        let mut doomed = stage.peer_in(&role, |command| {
            way.cards(command);
            command.env("UNCOPY_KILL", format!("device.brought:{pass}"));
        });
        doomed.expect("open");
        doomed.tell(&format!("run {pass} cpu"));
        producer.tell(&format!("run {FORM} {pass}"));
        producer.expect("ran");
        let ending = doomed.collect();
        assert_eq!(ending.signal, Some(9), "it was not reached: {ending:?}");
        // Both slots are written anew.
        producer.tell(&format!("run {FORM} 4"));
        producer.expect("ran");
        producer.tell("idle");
        producer.expect("idle");
        let mut other = way.open(&stage, &role);
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        other.tell("run 1 cpu");
        all_right_by(way, &other.expect("verified"));
        other.quit();
        producer.quit();
    }
}

#[test]
fn f01_a_copy_that_was_begun_is_received_when_its_producer_is_dead() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    for way in [Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let mut producer = way.open(&stage, &["produce", "cam"]);
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        let mut reader = stopped_behind_a_copy(&stage, way, "take 20000");
        producer.kill();
        reader.go_on();
        let took = reader.expect("took");
        is_frame(&took, 1);
        assert_eq!(took.text("device"), "cuda:1", "{took}");
        reader.quit();
    }
}

#[test]
fn a_reader_that_is_evicted_behind_a_copy_keeps_it_and_comes_again() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    for way in [Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let role = ["produce", "cam", "--slots", "2", "--evict-after", "0"];
        let mut producer = way.open(&stage, &role);
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        let mut reader = stopped_behind_a_copy(&stage, way, "hold");
        // One goes into the other slot; nothing else has room, which it is in the way of.
        producer.tell(&format!("run {FORM} 4"));
        let ran = producer.expect("ran");
        assert_eq!((ran.number("seq"), ran.number("dropped")), (2, 3), "{ran}");
        reader.go_on();
        let said = reader.next_event().unwrap();
        let is_told = said.name() == "error" && said.text("kind") == "evicted";
        assert!(is_told || said.name() == "held", "{said}");
        if !is_told {
            reader.tell("take 200");
            let said = reader.expect("error");
            assert_eq!(said.text("kind"), "evicted", "{said}");
            reader.tell("check");
            all_right_by(way, &reader.expect("verified"));
        }
        // It takes a new place by itself.
        producer.tell(&format!("run {FORM} 2"));
        let ran = producer.expect("ran");
        reader.tell("take 20000");
        is_frame(&reader.expect("took"), ran.number("seq"));
        reader.tell("drop");
        reader.expect("dropped");
        reader.quit();
        producer.quit();
    }
}

#[test]
fn the_memory_of_copies_outlives_a_reader_that_leaves() {
    for way in [Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let mut producer = way.open(&stage, &["produce", "cam"]);
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        producer.tell("idle");
        producer.expect("idle");
        let role = [&["consume", "cam"], way.consumer()].concat();
        let mut reader = way.open_with(&stage, &role, &[SLOW]);
        // Its copy is begun, and most likely not made.
        reader.tell("newest");
        let newest = reader.next_event().unwrap();
        assert!(["nothing", "took"].contains(&newest.name()), "{newest}");
        reader.tell("close");
        reader.expect("closed");
        reader.tell("sync-first");
        reader.expect("synced");
        reader.quit();
        producer.quit();
    }
}

/// A reader on the second card that has the first frame copied, which never comes to be done: of its process's streams
/// that is the third, behind one of either card. Then the first card is lost, by a call that the product does not see.
fn loses_the_card_that_copies(look: &str, answer: &str) -> Option<(Stage, Peer, Peer)> {
    let way = Way::Apart;
    let stage = standin_stage(way)?;
    let mut producer = way.open(&stage, &["produce", "cam"]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    producer.tell("idle");
    producer.expect("idle");
    let never = ("UNCOPY_STANDIN_LAG_US", "0,0,600000000,0,0,0,0,0,0,0,0,0,0,0,0,0");
    let role = [&["consume", "cam"], way.consumer()].concat();
    let mut reader = way.open_with(&stage, &role, &[never, LOST]);
    reader.tell(look);
    reader.expect(answer);
    reader.tell("break-near");
    reader.expect("broken");
    Some((stage, producer, reader))
}

#[test]
fn f29_a_reader_is_told_when_the_card_is_lost_that_copies() {
    for wait in ["take 20000", "poll 20000", "several 20000"] {
        let Some((_stage, producer, mut reader)) = loses_the_card_that_copies("newest", "nothing") else {
            return;
        };
        reader.tell(wait);
        let said = reader.expect("error");
        assert_eq!(said.text("kind"), "device_lost", "{wait}: {said}");
        reader.kill();
        producer.quit();
    }
}

#[test]
fn f29_a_stream_that_waits_for_a_copy_goes_on_when_the_card_is_lost_that_copies() {
    for leaves in [false, true] {
        let Some((_stage, producer, mut reader)) = loses_the_card_that_copies("keep-on 20000", "kept") else {
            return;
        };
        if leaves {
            reader.tell("close");
            reader.expect("closed");
        }
        reader.tell("sync");
        reader.expect("synced");
        if !leaves {
            reader.tell("torn");
            assert_eq!(reader.expect("torn").value("torn"), true, "its content never came");
        }
        reader.kill();
        producer.quit();
    }
}
