// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that dies with work on the device: the other goes on, or is told, and no stream hangs.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use uncopy_gpu_tests::scene::{self, FORM, all_right};
use uncopy_tests::Stage;

const PEER: &str = env!("CARGO_BIN_EXE_gpu-peer");

fn stage() -> Option<Stage> {
    scene::has_card().then(|| scene::stage(PEER))
}

#[test]
fn f01_a_producer_killed_at_work_is_followed_by_the_next() {
    let Some(stage) = stage() else { return };
    let mut consumer = None;
    for life in 1..=4 {
        let mut producer = stage.open(&["produce", "cam", "--life", &life.to_string()]);
        let consumer = consumer.get_or_insert_with(|| {
            let mut consumer = stage.open(&["consume", "cam"]);
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
    let verified = consumer.until("verified", &["gone"]);
    all_right(&verified);
    assert_eq!(verified.number("restarts"), 3, "{verified}");
    consumer.expect("dropped");
    consumer.quit();
}

#[test]
fn f02_a_consumer_killed_while_its_streams_read_holds_nothing_up() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam", "--slots", "3", "--block"]);
    for _ in 0..4 {
        let mut consumer = stage.open(&["consume", "cam", "--every"]);
        consumer.tell("late 1000");
        producer.tell(&format!("run {FORM} 20 send"));
        producer.expect("ran");
        consumer.kill();
    }
    let mut consumer = stage.open(&["consume", "cam", "--every"]);
    consumer.tell("run 50 cpu");
    producer.tell(&format!("run {FORM} 50 send"));
    all_right(&consumer.expect("verified"));
    producer.expect("ran");
    producer.tell("idle");
    producer.expect("idle");
    consumer.quit();
    producer.quit();
}

#[test]
fn a_producer_killed_before_its_device_is_done_leaves_no_stream_hanging() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "cam"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    producer.tell(&format!("run {FORM} 1"));
    producer.expect("ran");
    consumer.tell("run 1 cpu");
    all_right(&consumer.expect("verified"));
    consumer.tell("run 1 gpu");
    producer.tell(&format!("stall 2000 {FORM}"));
    producer.expect("ran");
    // The consumer has the frame, or waits for it; its stream waits for a device that will never come to it.
    producer.kill();
    // Whatever it says of the frame, it says something.
    let said = consumer.next_event().expect("it says something");
    assert!(["verified", "error"].contains(&said.name()), "{said}");
    consumer.kill();
}
