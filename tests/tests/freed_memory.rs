// SPDX-License-Identifier: MIT OR Apache-2.0
//! A producer lets go of its memory while a consumer still reads it: whatever the way, what is held stays as it was,
//! and the memory goes with its last holder.
//!
//! This is F07 where the memory is the host's, and a mapping is enough to keep it. GPU memory that its owner frees is
//! gone at once for everybody: there the tests have to show that the owner waits for its readers.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use uncopy_tests::footprint::frame_memory_of;
use uncopy_tests::stage::eventually;
use uncopy_tests::{Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const FORM: &str = "300x200x4";

/// Which of these memories the process still has.
fn kept(pid: i32, memories: &BTreeSet<u64>) -> BTreeSet<u64> {
    frame_memory_of(pid).intersection(memories).copied().collect()
}

/// A consumer holds a frame and a tensor; the producer loses its memory by `free`, and comes back as the peer that it
/// returns, which fills memory of its own with other frames.
#[track_caller]
fn what_is_held_stays(free: impl FnOnce(&Stage, Peer) -> Peer) {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    producer.ask(&format!("frame {FORM}"), "published");
    reader.ask("take", "took");
    reader.ask("tensors", "kept");
    producer.ask(&format!("frame {FORM}"), "published");
    reader.ask("take", "took");
    let memories = frame_memory_of(producer.pid());
    assert_eq!(memories.len(), 1, "{memories:?}");
    assert_eq!(kept(reader.pid(), &memories), memories);

    let mut next = free(&stage, producer);
    next.ask(&format!("burst 20 {FORM}"), "burst");
    let keeps_nothing = |peer: &Peer| match kept(peer.pid(), &memories) {
        kept if kept.is_empty() => Ok(()),
        kept => Err(format!("{kept:?}")),
    };
    eventually("the producer has let go", || keeps_nothing(&next));
    let checked = reader.ask("check", "checked");
    assert_eq!(checked.value("whole"), true, "{checked}");
    assert_eq!((checked.number("frames"), checked.number("tensors")), (1, 1));
    assert_eq!(kept(reader.pid(), &memories), memories, "the reader alone keeps it");

    // Nobody else has it, so that it goes when this one lets go.
    reader.ask("close", "closed");
    assert_eq!(kept(reader.pid(), &memories), memories, "what is held outlives the subscriber");
    reader.ask("drop", "dropped");
    eventually("the reader has let go", || keeps_nothing(&reader));
    reader.quit();
    next.quit();
}

#[test]
fn f07_a_frame_that_is_held_stays_when_its_producer_closes_the_link() {
    what_is_held_stays(|stage, mut producer| {
        producer.ask("close", "closed");
        assert_eq!(frame_memory_of(producer.pid()), BTreeSet::new(), "the producer keeps nothing");
        producer.quit();
        stage.open(&["produce", "cam"])
    });
}

#[test]
fn f07_a_frame_that_is_held_stays_when_its_producer_is_killed() {
    what_is_held_stays(|stage, mut producer| {
        producer.kill();
        drop(producer);
        stage.open(&["produce", "cam"])
    });
}

#[test]
fn f07_a_frame_that_is_held_stays_when_its_producer_has_moved_to_larger_memory() {
    what_is_held_stays(|_, mut producer| {
        producer.ask("frame 2000x1000x4", "published");
        producer
    });
}

#[test]
fn f07_a_frame_that_is_held_stays_when_another_takes_the_name_over() {
    what_is_held_stays(|stage, producer| {
        let next = stage.open(&["produce", "cam", "--takeover"]);
        // It still has its end of the link, and with it its memory, until it ends.
        producer.quit();
        next
    });
}
