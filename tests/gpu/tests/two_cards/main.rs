// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames of one card, read on another: where they lie if the cards reach each other, else by one copy that is named.
//!
//! | module | what of them |
//! |---|---|
//! | here | they are whole, and each copy is named |
//! | `choices` | mapped read-only, given back after everything in the context |
//! | `copies` | copies that are held, looked at again, given up, waited for |
//! | `deaths` | processes and devices that go in the middle |
//! | `places` | cards that are counted otherwise, hidden, or not there |
//! | `waits` | each wait is needed |
//!
//! On the stand-in the cards reach each other or not, as a test needs it; on a machine with two cards they do what they
//! do, and tests of the other case say so and are skipped.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod choices;
mod copies;
mod deaths;
mod places;
#[cfg(feature = "skip-waits")]
mod waits;

use std::process::Command;

use uncopy_gpu_tests::scene::{self, FORM, all_right, is_frame};
use uncopy_tests::{Event, Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_gpu-peer");

/// How a consumer on the second card gets frames of the first.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// It reads them where they lie.
    Reach,
    /// The cards do not reach each other.
    Apart,
    /// It asks for copies.
    Asked,
}

impl Way {
    /// Two cards for a process on the stand-in.
    fn cards(self, command: &mut Command) {
        command.env("UNCOPY_STANDIN_DEVICES", "2");
        if self == Way::Apart {
            command.env("UNCOPY_STANDIN_PEER", "0");
        }
    }

    fn consumer(self) -> &'static [&'static str] {
        match self {
            Way::Reach | Way::Apart => &["--on", "1"],
            Way::Asked => &["--on", "1", "--copied"],
        }
    }

    /// How many of so many frames are copied.
    fn copies(self, frames: u64) -> u64 {
        if self == Way::Reach { 0 } else { frames }
    }

    fn open(self, stage: &Stage, role: &[&str]) -> Peer {
        self.open_with(stage, role, &[])
    }

    fn open_with(self, stage: &Stage, role: &[&str], settings: &[(&str, &str)]) -> Peer {
        let mut peer = stage.peer_in(role, |command| {
            self.cards(command);
            command.envs(settings.iter().copied());
        });
        peer.expect("open");
        peer
    }

    fn pair(self, stage: &Stage, producer: &[&str], consumer: &[&str]) -> (Peer, Peer) {
        let producer = self.open(stage, &[&["produce", "cam"], producer].concat());
        let consumer = self.open(stage, &[&["consume", "cam"], self.consumer(), consumer].concat());
        (producer, consumer)
    }
}

/// A stage for that way, where this machine has it.
fn stage(way: Way) -> Option<Stage> {
    if !scene::has_two_cards() {
        return None;
    }
    if !scene::is_standin() {
        let is_direct = second_reaches_first();
        if is_direct == (way == Way::Apart) && way != Way::Asked {
            println!("SKIP cuda:1 {} cuda:0 here", if is_direct { "reaches" } else { "does not reach" });
            return None;
        }
    }
    Some(scene::stage(PEER))
}

/// Whether streams of the second card use memory of the first: on the stand-in unless a test says otherwise.
fn second_reaches_first() -> bool {
    let reaches = || uncopy_cuda::list_reaches().expect("a driver answers");
    scene::is_standin()
        || reaches().iter().any(|reach| (reach.by.id, reach.of.id) == (1, 0) && reach.is_direct)
}

/// The same, where the driver is one that can be told to fail.
fn standin_stage(way: Way) -> Option<Stage> {
    if scene::can_be_told_to_fail() { stage(way) } else { None }
}

/// Every frame was right, on the second card, and copied or not.
fn all_right_by(way: Way, event: &Event) {
    all_right(event);
    let frames = event.number("frames");
    assert_eq!(event.number("on_card"), frames, "{event}");
    assert_eq!(event.number("copied"), way.copies(frames), "{event}");
    // Of cards that do not reach each other a copy is needed, whether it was asked for or not.
    let needless = if way == Way::Asked && second_reaches_first() { frames } else { 0 };
    assert_eq!(event.number("asked"), needless, "{event}");
}

fn run(way: Way, how: &str, look: &str) {
    const FRAMES: u64 = 100;
    let Some(stage) = stage(way) else { return };
    let (mut producer, mut consumer) = way.pair(&stage, &["--block"], &["--every"]);
    consumer.tell(&format!("run {FRAMES} {look}"));
    producer.tell(&format!("run {FORM} {FRAMES} {how}"));
    let verified = consumer.expect("verified");
    all_right_by(way, &verified);
    assert_eq!(verified.number("frames"), FRAMES);
    producer.expect("ran");
    consumer.quit();
    producer.quit();
}

#[test]
fn another_card_reads_frames_where_they_lie() {
    run(Way::Reach, "send", "cpu");
}

#[test]
fn a_stream_of_another_card_waits_for_the_content() {
    run(Way::Reach, "loan", "gpu");
}

#[test]
fn a_card_that_does_not_reach_the_frames_gets_one_named_copy_of_each() {
    run(Way::Apart, "send", "cpu");
}

#[test]
fn a_stream_of_a_card_apart_waits_for_the_copy() {
    run(Way::Apart, "loan", "gpu");
}

#[test]
fn copies_can_be_asked_for() {
    run(Way::Asked, "send", "cpu");
    run(Way::Asked, "send", "gpu");
}

fn frames_are_kept_for_streams_of_another_card(way: Way) {
    let Some(stage) = stage(way) else { return };
    let (mut producer, mut consumer) = way.pair(&stage, &["--slots", "3"], &[]);
    producer.tell(&format!("forever {FORM} send"));
    consumer.tell("late 30");
    all_right(&consumer.expect("verified"));
    consumer.tell("again 20");
    all_right(&consumer.expect("verified"));
    producer.tell("idle");
    producer.expect("ran");
    producer.expect("idle");
    consumer.quit();
    producer.quit();
}

#[test]
fn f42_a_slot_is_kept_until_the_last_stream_of_another_card_is_done() {
    frames_are_kept_for_streams_of_another_card(Way::Reach);
}

#[test]
fn f42_a_copy_is_kept_until_the_last_stream_that_reads_it_is_done() {
    frames_are_kept_for_streams_of_another_card(Way::Apart);
    frames_are_kept_for_streams_of_another_card(Way::Asked);
}

#[test]
fn frames_may_change_their_size_on_the_way_to_another_card() {
    for way in [Way::Reach, Way::Apart] {
        let Some(stage) = stage(way) else { continue };
        let (mut producer, mut consumer) = way.pair(&stage, &["--block"], &["--every"]);
        for form in ["64x64x4", "512x512x4", "float32:64x64", "1080x1920x4", "64x64x4"] {
            consumer.tell("run 6 cpu");
            producer.tell(&format!("run {form} 6 send"));
            all_right_by(way, &consumer.expect("verified"));
            producer.expect("ran");
        }
        consumer.quit();
        producer.quit();
    }
}
