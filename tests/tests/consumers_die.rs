// SPDX-License-Identifier: MIT OR Apache-2.0
//! Consumers that die, at each step of the protocol and at any moment: what they held comes back, once, and nobody else
//! notices.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::time::Duration;

use uncopy::LinkInfo;
use uncopy_tests::pattern::next_random;
use uncopy_tests::stage::eventually;
use uncopy_tests::wire::{self, Guest};
use uncopy_tests::{Peer, Stage, points};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const KILLED: Option<i32> = Some(9);
/// One growth, and then back and forth within the same memory.
const FORMS: &str = "64x64x4,512x512x4,float32:64x64";

/// A producer with a link called `cam` and `slots` slots.
fn producer(stage: &Stage, slots: &str) -> Peer {
    let mut producer = stage.peer(&["produce", "cam", "--slots", slots]);
    producer.expect("open");
    producer
}

fn consumer(stage: &Stage) -> Peer {
    let mut consumer = stage.peer(&["consume", "cam"]);
    consumer.expect("open");
    consumer
}

/// Waits until only consumers with these processes are left.
#[track_caller]
fn wait_for_consumers(stage: &Stage, pids: &[i32]) -> LinkInfo {
    eventually("the dead leave their places", || {
        let info = stage.info("cam");
        let found: Vec<i32> = info.consumers.iter().map(|consumer| consumer.pid).collect();
        if found == pids { Ok(info) } else { Err(format!("{:?}, wanted {pids:?}", info.consumers)) }
    })
}

/// The holders of each slot, as the words say.
fn holders(stage: &Stage) -> Vec<u16> {
    let guest = Guest::join(&stage.runtime_dir(), "cam", wire::OBSERVER);
    let slots = guest.welcome.slots as usize;
    (0..slots)
        .map(|slot| wire::load_u64(guest.control.words(), wire::BLOCKS + slot * wire::BLOCK_BYTES) as u16)
        .collect()
}

#[test]
fn f02_a_consumer_killed_at_any_point_gives_its_slots_back_and_disturbs_nobody() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    for point in points::named("consumer.") {
        let happens_once =
            ["consumer.connected", "consumer.welcomed", "consumer.attached", "consumer.leaving"];
        let last =
            if happens_once.contains(&point.as_str()) || point == "consumer.epoch_taken" { 1 } else { 3 };
        for pass in if last == 1 { vec![1] } else { vec![1, last] } {
            let stage = Stage::new(PEER);
            let mut producer = producer(&stage, "4");
            let mut bystander = consumer(&stage);
            bystander.tell("run");
            let mut doomed = stage.doomed(&point, pass, &["consume", "cam"]);
            doomed.tell("run");
            if point == "consumer.epoch_taken" {
                // The memory is announced to those who are there.
                doomed.expect("open");
            }
            producer.tell(&format!("run {FORMS}"));
            if point == "consumer.leaving" {
                doomed.until("first", &["open"]);
                doomed.tell("close");
            }
            let ending = doomed.collect();
            assert_eq!(ending.signal, KILLED, "{point}:{pass} was not reached: {ending:?}");
            producer.halt(&[]);
            wait_for_consumers(&stage, &[bystander.pid()]);
            assert_eq!(producer.ask("burst 40 64x64x4", "burst").number("dropped"), 0, "{point}:{pass}");
            bystander.expect("first");
            let seen = bystander.halt(&[]);
            assert_eq!(seen.number("torn"), 0, "{point}:{pass}: {seen}");
            assert_eq!(holders(&stage), [0; 4], "{point}:{pass}");
            bystander.quit();
            producer.quit();
        }
    }
}

#[test]
fn f02_consumers_killed_at_any_moment_lose_the_producer_no_slot() {
    let stage = Stage::new(PEER);
    let mut producer = producer(&stage, "4");
    let mut bystander = consumer(&stage);
    bystander.tell("run");
    producer.tell(&format!("run {FORMS}"));
    let mut random = 7;
    for _ in 0..60 {
        let mut doomed: Vec<Peer> = (0..2).map(|_| stage.peer(&["consume", "cam"])).collect();
        doomed[0].tell("run");
        doomed[1].tell("take");
        doomed[1].tell("run");
        // The moment of death is the input of this test; nothing waits for it.
        std::thread::sleep(Duration::from_micros(next_random(&mut random) % 15_000));
        doomed.iter_mut().for_each(Peer::kill);
    }
    producer.halt(&[]);
    wait_for_consumers(&stage, &[bystander.pid()]);
    assert_eq!(producer.ask("burst 40 64x64x4", "burst").number("dropped"), 0);
    assert_eq!(bystander.halt(&["first"]).number("torn"), 0);
    assert_eq!(holders(&stage), [0; 4]);
    bystander.quit();
    producer.quit();
}

#[test]
fn f02_f04_the_holds_of_a_zombie_come_back_and_are_given_back_once() {
    let stage = Stage::new(PEER);
    let mut producer = producer(&stage, "3");
    let mut zombie = consumer(&stage);
    for _ in 0..2 {
        producer.ask("frame 64x64x4", "published");
        zombie.ask("take", "took");
    }
    // The third slot is the newest, and the two others are held.
    assert_eq!(producer.ask("burst 3 64x64x4", "burst").number("dropped"), 2);
    zombie.kill();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", zombie.pid())).unwrap();
    assert!(state.contains(") Z "), "nobody has collected it: {state}");
    wait_for_consumers(&stage, &[]);
    assert_eq!(producer.ask("burst 9 64x64x4", "burst").number("dropped"), 0);
    // Somebody else in the same place keeps what it holds when the zombie is collected.
    let mut heir = consumer(&stage);
    assert_eq!(stage.info("cam").consumers[0].place, 0, "it is the same place");
    heir.ask("take", "took");
    drop(zombie);
    assert_eq!(producer.ask("burst 200 64x64x4", "burst").number("dropped"), 0);
    assert_eq!(heir.ask("check", "checked").value("whole"), true);
    assert_eq!(holders(&stage).iter().filter(|mask| **mask == 1).count(), 1);
    heir.quit();
    producer.quit();
}

#[test]
fn f08_a_consumer_that_ends_without_closing_leaves_its_slots_behind_for_no_longer_than_it_lives() {
    for how in ["leave", "abort"] {
        let stage = Stage::new(PEER);
        let mut producer = producer(&stage, "2");
        producer.ask("frame 64x64x4", "published");
        let mut consumer = consumer(&stage);
        consumer.ask("take", "took");
        assert_eq!(producer.ask("burst 2 64x64x4", "burst").number("dropped"), 1);
        consumer.tell(how);
        drop(consumer.collect());
        wait_for_consumers(&stage, &[]);
        assert_eq!(producer.ask("burst 2 64x64x4", "burst").number("dropped"), 0, "{how}");
        producer.quit();
    }
}

#[test]
fn f03_both_sides_killed_and_started_again_in_either_order_find_each_other() {
    for producer_dies_first in [true, false] {
        for producer_starts_first in [true, false] {
            let stage = Stage::new(PEER);
            let mut witness = stage.peer(&["consume", "cam"]);
            witness.tell("run");
            let mut first = [producer(&stage, "4"), consumer(&stage)];
            witness.expect("open");
            first[0].tell(&format!("run {FORMS}"));
            first[1].tell("run");
            first[1].expect("first");
            let before = Guest::join(&stage.runtime_dir(), "cam", wire::OBSERVER).bytes(40, 16);
            if !producer_dies_first {
                first.reverse();
            }
            first.iter_mut().for_each(Peer::kill);
            witness.until("gone", &["first"]);
            let start = |role: &str| stage.peer(&[role, "cam"]);
            let mut second = if producer_starts_first {
                let mut producer = start("produce");
                producer.expect("open");
                [producer, start("consume")]
            } else {
                let consumer = start("consume");
                [start("produce"), consumer]
            };
            second[0].tell("run 64x64x4");
            second[1].tell("run");
            assert_eq!(second[1].until("first", &["open"]).number("restarts"), 0);
            assert_eq!(witness.expect("first").number("restarts"), 1);
            let after = Guest::join(&stage.runtime_dir(), "cam", wire::OBSERVER).bytes(40, 16);
            assert_ne!(before, after, "a new producer is a new link");
            assert_eq!(witness.halt(&["first"]).number("torn"), 0);
            let [mut producer, mut consumer] = second;
            assert_eq!(consumer.halt(&["first"]).number("torn"), 0);
            consumer.quit();
            witness.quit();
            producer.halt(&["open"]);
            producer.quit();
        }
    }
}

#[test]
fn f02_a_consumer_that_hangs_up_and_lives_keeps_what_it_holds() {
    let stage = Stage::new(PEER);
    let mut producer = producer(&stage, "2");
    producer.ask("frame 64x64x4", "published");
    // By hand: this process takes a place and a slot, and hangs up without a word.
    let guest = Guest::join(&stage.runtime_dir(), "cam", wire::CONSUMER);
    let word = wire::BLOCKS + wire::newest_slot(guest.control.words()) * wire::BLOCK_BYTES;
    let bit = 1 << guest.welcome.place;
    let before = wire::load_u64(guest.control.words(), word);
    wire::store_u64(guest.control.words(), word, before | bit);
    drop(guest);
    let info = eventually("the producer notices", || {
        let info = stage.info("cam");
        if info.consumers[0].quarantined { Ok(info) } else { Err(format!("{info:?}")) }
    });
    assert_eq!((info.consumers[0].pid, info.consumers[0].holds), (std::process::id().cast_signed(), 1));
    assert_eq!(producer.ask("burst 3 64x64x4", "burst").number("dropped"), 2);
    let refused = producer.ask("frame 64x64x4", "error");
    assert!(refused.text("text").contains(&format!("process {}", std::process::id())), "{refused}");
    producer.quit();
}

#[test]
fn f02_a_reader_of_every_frame_that_hangs_up_and_lives_does_not_stop_a_producer_that_blocks() {
    let stage = Stage::new(PEER);
    let mut producer = stage.peer(&["produce", "cam", "--block"]);
    producer.expect("open");
    let connection = wire::knock(&stage.runtime_dir(), "cam", &wire::hello_every());
    assert_eq!(wire::receive(&connection).expect("an answer").kind(), wire::kind::WELCOME);
    producer.tell("burst 100 64x64x4");
    eventually("the producer waits", || if stage.wants_room("cam") { Ok(()) } else { Err(String::new()) });
    drop(connection);
    assert_eq!(producer.expect("burst").number("published"), 100);
    assert!(stage.info("cam").consumers[0].quarantined);
    producer.quit();
}

#[test]
fn f02_a_consumer_that_was_hung_up_on_gives_its_place_back_by_its_goodbye() {
    let stage = Stage::new(PEER);
    let mut producer = producer(&stage, "2");
    producer.ask("frame 64x64x4", "published");
    let guest = Guest::join(&stage.runtime_dir(), "cam", wire::CONSUMER);
    let word = wire::BLOCKS + wire::newest_slot(guest.control.words()) * wire::BLOCK_BYTES;
    let before = wire::load_u64(guest.control.words(), word);
    wire::store_u64(guest.control.words(), word, before | 1 << guest.welcome.place);
    // What no consumer says; and what a consumer says is not heard any more after it.
    for kind in [wire::kind::WELCOME, wire::kind::HELLO, wire::kind::EPOCH_TAKEN, 4242] {
        guest.connection.send(&wire::message(kind, &[0; 64]), &[]).map(drop).unwrap();
    }
    assert!(wire::receive(&guest.connection).is_none(), "the producer hangs up");
    let info = stage.info("cam");
    assert_eq!((info.consumers[0].quarantined, info.consumers[0].holds), (true, 1), "{info:?}");
    guest.connection.send(&wire::message(wire::kind::BYE, &1u32.to_le_bytes()), &[]).map(drop).unwrap();
    drop(guest);
    eventually("the place is free", || match stage.info("cam").consumers {
        places if places.is_empty() => Ok(()),
        places => Err(format!("{places:?}")),
    });
    let burst = producer.ask("burst 8 64x64x4", "burst");
    assert_eq!(burst.number("dropped"), 0, "the slot is back: {burst}");
    producer.quit();
}
