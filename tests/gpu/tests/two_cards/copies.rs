// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies on another card: how long they are kept, which is made when, and how they are waited for.

use uncopy_gpu_tests::scene::NEVER_MS;

use crate::{FORM, Way, all_right_by, is_frame, stage, standin_stage};

/// A copy takes that long, so that it is not made when it is asked for.
const SLOW: (&str, &str) = ("UNCOPY_STANDIN_LAG_US", "20000");

#[test]
fn a_copy_that_is_held_holds_no_slot() {
    let way = Way::Asked;
    let Some(stage) = stage(way) else { return };
    let (mut producer, mut consumer) = way.pair(&stage, &["--slots", "3"], &[]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    consumer.tell("hold");
    consumer.expect("held");
    let links = stage.list();
    let holding: Vec<u32> =
        links.iter().flat_map(|link| &link.consumers).map(|consumer| consumer.holds).collect();
    assert_eq!(holding, [0], "slots that the consumer holds");
    producer.tell(&format!("run {FORM} 50 send"));
    producer.expect("ran");
    consumer.tell("check");
    all_right_by(way, &consumer.expect("verified"));
    consumer.quit();
    producer.quit();
}

#[test]
fn the_newest_of_every_frame_can_be_looked_at_on_another_card() {
    for way in [Way::Reach, Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let (mut producer, mut consumer) = way.pair(&stage, &[], &["--every"]);
        producer.tell(&format!("run {FORM} 3 send"));
        producer.expect("ran");
        consumer.tell("newest 5");
        all_right_by(way, &consumer.expect("verified"));
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn a_look_at_the_newest_comes_by_frames_that_change_faster_than_copies_are_made() {
    for (way, read) in [(Way::Apart, &[][..]), (Way::Asked, &["--every"])] {
        let Some(stage) = stage(way) else { continue };
        let mut producer = way.open(&stage, &["produce", "cam"]);
        let role = [&["consume", "cam"], way.consumer(), read].concat();
        let mut consumer = way.open_with(&stage, &role, &[SLOW]);
        producer.tell(&format!("forever {FORM} send"));
        consumer.tell("newest 5");
        all_right_by(way, &consumer.expect("verified"));
        producer.tell("idle");
        producer.expect("ran");
        producer.expect("idle");
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn a_frame_that_is_looked_at_again_is_not_copied_again() {
    for way in [Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let (mut producer, mut consumer) = way.pair(&stage, &[], &[]);
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        consumer.tell("take 20000");
        let took = consumer.expect("took");
        is_frame(&took, 1);
        for _ in 0..3 {
            consumer.tell("newest");
            let again = consumer.expect("took");
            is_frame(&again, 1);
            assert_eq!(again.value("address"), took.value("address"));
            assert_eq!(again.number("copies"), took.number("copies"));
        }
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        consumer.tell("take 20000");
        let next = consumer.expect("took");
        is_frame(&next, 2);
        assert_ne!(next.value("address"), took.value("address"));
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn f42_a_slot_is_kept_until_the_stream_that_copies_it_is_done() {
    for way in [Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let mut producer = way.open(&stage, &["produce", "cam", "--slots", "2"]);
        let role = [&["consume", "cam"], way.consumer()].concat();
        let mut consumer = way.open_with(&stage, &role, &[SLOW]);
        producer.tell(&format!("forever {FORM} send"));
        consumer.tell("run 8 cpu");
        all_right_by(way, &consumer.expect("verified"));
        producer.tell("idle");
        producer.expect("ran");
        producer.expect("idle");
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn f42_a_copy_is_made_after_every_stream_that_reads_what_was_there_before() {
    for way in [Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let (mut producer, mut consumer) = way.pair(&stage, &["--slots", "2", "--block"], &["--every"]);
        // Each frame is dropped at once, and read for so long: a third copy has no place that nobody reads.
        consumer.tell("use 8 20");
        producer.tell(&format!("run {FORM} 8"));
        consumer.expect("used");
        producer.expect("ran");
        consumer.tell("check");
        let verified = consumer.expect("verified");
        assert_eq!(verified.number("wrong"), 0, "{verified}");
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn copies_go_by_way_of_the_host_only_between_cards_that_do_not_reach_each_other() {
    for way in [Way::Reach, Way::Apart, Way::Asked] {
        let Some(stage) = standin_stage(way) else { return };
        let mut producer = way.open(&stage, &["produce", "cam", "--block"]);
        let log = stage.path("calls");
        let role = [&["consume", "cam"], way.consumer(), &["--every"]].concat();
        let mut consumer = way.open_with(&stage, &role, &[("UNCOPY_STANDIN_LOG", log.to_str().unwrap())]);
        consumer.tell("run 3 cpu");
        producer.tell(&format!("run {FORM} 3"));
        all_right_by(way, &consumer.expect("verified"));
        producer.expect("ran");
        consumer.quit();
        producer.quit();
        let calls = std::fs::read_to_string(&log).unwrap();
        let count = |name: &str| calls.lines().filter(|line| line.split(' ').next() == Some(name)).count();
        let staged = if way == Way::Apart { 3 } else { 0 };
        assert_eq!(count("cuMemcpyPeerAsync"), staged, "{calls}");
    }
}

#[test]
fn more_copies_than_there_can_be_are_refused_until_one_goes() {
    for way in [Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let (mut producer, mut consumer) = way.pair(&stage, &["--slots", "2", "--block"], &["--every"]);
        consumer.tell("keep 2");
        producer.tell(&format!("run {FORM} 2"));
        consumer.expect("kept");
        producer.expect("ran");
        producer.tell(&format!("run {FORM} 1"));
        producer.expect("ran");
        for _ in 0..2 {
            consumer.tell("take 20000");
            let said = consumer.expect("error");
            assert_eq!(said.text("kind"), "no_free_slot", "{said}");
            assert!(said.text("text").contains("each of the 2 copies"), "{said}");
        }
        consumer.tell("drop");
        consumer.expect("dropped");
        consumer.tell("take 20000");
        is_frame(&consumer.expect("took"), 3);
        consumer.quit();
        producer.quit();
    }
}

#[test]
fn a_frame_that_is_never_finished_keeps_no_other_one_from_being_copied() {
    for way in [Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let (mut producer, mut consumer) = way.pair(&stage, &[], &[]);
        producer.tell(&format!("stall {NEVER_MS} {FORM}"));
        producer.expect("ran");
        for look in ["take 50", "take-on 50"] {
            consumer.tell(look);
            let said = consumer.expect("error");
            assert_eq!(said.text("kind"), "timed_out", "{said}");
        }
        // By a stream that is not stalled.
        producer.tell(&format!("run {FORM} 2 other"));
        producer.expect("ran");
        consumer.tell("take 20000");
        is_frame(&consumer.expect("took"), 3);
        consumer.quit();
        producer.kill();
    }
}

#[test]
fn who_polls_is_called_when_a_copy_is_made() {
    for way in [Way::Reach, Way::Apart, Way::Asked] {
        let Some(stage) = stage(way) else { continue };
        let mut producer = way.open(&stage, &["produce", "cam"]);
        let role = [&["consume", "cam"], way.consumer()].concat();
        let mut consumer = way.open_with(&stage, &role, &[SLOW]);
        for (round, wait) in (1..).zip(["poll 20000", "several 20000", "poll 20000", "several 20000"]) {
            producer.tell(&format!("run {FORM} 1"));
            producer.expect("ran");
            consumer.tell(wait);
            let took = consumer.next_event().unwrap();
            is_frame(&took, round);
            assert_eq!(took.text("device"), "cuda:1", "{took}");
        }
        consumer.quit();
        producer.quit();
    }
}
