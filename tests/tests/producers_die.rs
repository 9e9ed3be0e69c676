// SPDX-License-Identifier: MIT OR Apache-2.0
//! Producers that die, at each step of the protocol and at any moment: readers get whole frames, are told, and go on
//! with the next producer by themselves.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use uncopy_tests::pattern::next_random;
use uncopy_tests::stage::eventually;
use uncopy_tests::wire::{self, Guest};
use uncopy_tests::{Peer, Stage, points};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
/// Small and large frames and another dtype, so that epochs come and go.
const FORMS: &str = "64x64x4,512x512x4,float32:64x64";
const KILLED: Option<i32> = Some(9);

/// A reader that has been told to go on until it is asked.
fn reader(stage: &Stage) -> Peer {
    stage.peer(&["consume", "cam"])
}

/// Ends a reader that is running: it has seen no torn frame and leaks nothing.
#[track_caller]
fn whole(mut reader: Peer) -> uncopy_tests::Event {
    let ran = reader.halt(&["open", "first", "gone"]);
    assert_eq!(ran.number("torn"), 0, "{ran}");
    reader.quit();
    ran
}

#[test]
fn the_registry_of_kill_points_is_passed_by_one_ordinary_run() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    let stage = Stage::new(PEER);
    let mut producer = stage.peer(&["produce", "cam"]);
    producer.expect("open");
    let mut reader = stage.peer(&["consume", "cam"]);
    reader.expect("open");
    for form in FORMS.split(',') {
        reader.tell("take");
        eventually("it sleeps", || if stage.sleepers("cam") == 0 { Err(form.to_owned()) } else { Ok(()) });
        producer.ask(&format!("frame {form}"), "published");
        reader.expect("took");
        reader.ask("drop", "dropped");
    }
    let passed = |peer: &mut Peer| -> BTreeSet<String> {
        let event = peer.ask("points", "points");
        let names = event.value("passed").as_array().unwrap().clone();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let unpassed = &points::named("producer.") - &passed(&mut producer);
    assert_eq!(unpassed, BTreeSet::new(), "no test can kill a producer there");
    reader.ask("close", "closed");
    let unpassed = &points::named("consumer.") - &passed(&mut reader);
    assert_eq!(unpassed, BTreeSet::new(), "no test can kill a consumer there");
    reader.quit();
    producer.quit();
}

#[test]
fn f01_a_producer_killed_at_any_point_leaves_whole_frames_and_the_name() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    for point in points::named("producer.") {
        // Frames grow once and then fit: there are two epochs.
        let last = if point.contains("epoch") { 2 } else { 3 };
        for pass in [1, last] {
            let opening = ["producer.named", "producer.control", "producer.bound", "producer.open"];
            if opening.contains(&point.as_str()) && pass > 1 {
                continue;
            }
            let stage = Stage::new(PEER);
            if opening.contains(&point.as_str()) || (point == "producer.seated" && pass == 1) {
                a_producer_that_dies_before_it_publishes(&stage, &point);
            } else {
                a_producer_that_dies_while_it_publishes(&stage, &point, pass);
            }
        }
    }
}

/// The reader was there first, meets nobody or a producer that dies at once, and is served by the next one.
fn a_producer_that_dies_before_it_publishes(stage: &Stage, point: &str) {
    let mut reader = reader(stage);
    reader.tell("run");
    let doomed = stage.doomed(point, 1, &["produce", "cam"]);
    assert_eq!(doomed.collect().signal, KILLED, "{point} was not reached");
    let mut next = stage.peer(&["produce", "cam"]);
    next.expect("open");
    next.ask("frame 64x64x4", "published");
    reader.until("first", &["open", "gone"]);
    whole(reader);
    next.quit();
}

/// The reader follows a producer that dies, is told so, and follows the next one.
fn a_producer_that_dies_while_it_publishes(stage: &Stage, point: &str, pass: u32) {
    let mut doomed = stage.doomed(point, pass, &["produce", "cam"]);
    doomed.expect("open");
    let mut reader = reader(stage);
    reader.expect("open");
    reader.tell("run");
    doomed.tell(&format!("run {FORMS}"));
    let mut others = Vec::new();
    if point == "producer.seated" {
        others = (1..pass).map(|_| stage.peer(&["consume", "cam", "--timeout", "0"])).collect();
    }
    let ending = doomed.collect();
    assert_eq!(ending.signal, KILLED, "{point} was not reached: {ending:?}");
    let gone = reader.until("gone", &["first"]);
    assert_eq!(gone.text("kind"), "producer_lost", "{point}: {gone}");
    // Those who came with the doomed one found it, or did not.
    others.into_iter().for_each(|other| drop(other.end()));
    let mut next = stage.peer(&["produce", "cam"]);
    next.expect("open");
    next.ask("frame 64x64x4", "published");
    let first = reader.expect("first");
    assert_eq!((first.number("seq"), first.number("restarts")), (1, 1), "{point}");
    whole(reader);
    next.quit();
}

#[test]
fn f01_a_slot_that_a_dead_producer_was_writing_is_poisoned_and_the_frame_before_stays() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    for point in ["producer.claimed", "producer.written", "producer.described"] {
        let stage = Stage::new(PEER);
        let mut doomed = stage.doomed(point, 3, &["produce", "cam"]);
        doomed.expect("open");
        let mut reader = reader(&stage);
        reader.expect("open");
        let guest = Guest::join(&stage.runtime_dir(), "cam", wire::OBSERVER);
        for _ in 0..2 {
            doomed.ask("frame 64x64x4", "published");
        }
        reader.ask("take", "took");
        doomed.tell("frame 64x64x4");
        assert_eq!(doomed.collect().signal, KILLED, "{point}");
        let word =
            |slot: usize| wire::load_u64(guest.control.words(), wire::BLOCKS + slot * wire::BLOCK_BYTES);
        let states = || (0..4).map(|slot| word(slot) >> 32 & 0xF).collect::<Vec<u64>>();
        // The reader does it, as soon as it has noticed: free 0, published 2, poisoned 3.
        eventually("nothing is being written any more", || match states() {
            states if states == [2, 2, 3, 0] => Ok(()),
            states => Err(format!("{point}: {states:?}")),
        });
        let newest = reader.ask("newest", "took");
        assert_eq!((newest.number("seq"), newest.value("whole")), (2, &true.into()), "{point}");
        assert_eq!(reader.ask("check", "checked").value("whole"), true, "{point}");
        drop(guest);
        reader.quit();
    }
}

#[test]
fn f01_two_hundred_producers_killed_at_any_moment_never_tear_a_frame() {
    let stage = Stage::new(PEER);
    let mut reader = reader(&stage);
    reader.tell("run");
    let mut random = 20_260_101;
    for round in 0..200 {
        let mut doomed = stage.peer(&["produce", "cam"]);
        doomed.tell(&format!("run {FORMS}"));
        if round % 4 == 0 {
            reader.until("first", &["open", "gone"]);
        }
        // The moment of death is the input of this test; nothing waits for it.
        std::thread::sleep(Duration::from_micros(next_random(&mut random) % 15_000));
        doomed.kill();
    }
    let mut last = stage.peer(&["produce", "cam"]);
    last.expect("open");
    last.tell("run 64x64x4");
    let ran = whole(reader);
    assert!(ran.number("received") >= 50, "{ran}");
    last.halt(&[]);
    last.quit();
}

#[test]
fn f04_a_producer_that_is_a_zombie_is_dead() {
    let stage = Stage::new(PEER);
    let mut zombie = stage.peer(&["produce", "cam"]);
    zombie.expect("open");
    zombie.ask("frame 64x64x4", "published");
    let mut sub = stage.subscribe("cam").open().unwrap();
    let held = sub.recv(Duration::from_secs(60)).unwrap();
    zombie.kill();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", zombie.pid())).unwrap();
    assert!(state.contains(") Z "), "nobody has collected it: {state}");
    // A wait can end before the death is noticed.
    let lost = loop {
        match sub.recv(Duration::from_millis(100)) {
            Err(uncopy::LinkError::TimedOut { .. }) => {}
            Err(error) => break error,
            Ok(frame) => panic!("a zombie publishes nothing: {frame:?}"),
        }
    };
    assert!(matches!(lost, uncopy::LinkError::ProducerLost { pid, .. } if pid == zombie.pid()), "{lost}");
    assert!(uncopy_tests::pattern::check(held.bytes(), held.seq()).is_ok(), "its frame outlives it");
    let mut next = stage.publish("cam").open().unwrap();
    next.loan(&uncopy_tests::form("2x2x4")).unwrap().publish(uncopy::Meta::default()).unwrap();
    assert_eq!(sub.recv(Duration::from_secs(60)).unwrap().seq(), 1);
    drop((held, sub, next, zombie));
}

#[test]
fn f08_a_producer_that_ends_without_closing_is_lost_and_one_that_closes_is_closed() {
    let endings = [
        ("leave", "producer_lost"),
        ("panic", "producer_closed"),
        ("abort", "producer_lost"),
        ("close", "producer_closed"),
    ];
    for (how, kind) in endings {
        let stage = Stage::new(PEER);
        let mut producer = stage.peer(&["produce", "cam"]);
        producer.expect("open");
        let mut reader = reader(&stage);
        reader.expect("open");
        reader.tell("run");
        producer.ask("frame 64x64x4", "published");
        reader.expect("first");
        producer.tell(how);
        drop(producer.end());
        assert_eq!(reader.expect("gone").text("kind"), kind, "{how}");
        whole(reader);
    }
}

#[test]
fn a_producer_that_publishes_into_new_memory_and_closes_at_once_is_closed_and_not_lost() {
    let stage = Stage::new(PEER);
    let mut reader = reader(&stage);
    reader.tell("run");
    let mut opened = false;
    for round in 0..60 {
        let mut producer = stage.publish("cam").open().unwrap();
        producer.wait_for_consumers(1, Duration::from_secs(60)).unwrap();
        let form = uncopy_tests::form(if round % 2 == 0 { "64x64x4" } else { "600x600x4" });
        let mut loan = producer.loan(&form).unwrap();
        uncopy_tests::pattern::fill(loan.bytes_mut(), 1);
        loan.publish(uncopy::Meta::default()).unwrap();
        producer.close();
        if !std::mem::replace(&mut opened, true) {
            reader.expect("open");
        }
        let gone = reader.until("gone", &["first"]);
        assert_eq!(gone.text("kind"), "producer_closed", "round {round}");
    }
    whole(reader);
}

#[test]
fn f05_a_stopped_producer_is_silent_but_never_replaced() {
    let stage = Stage::new(PEER);
    let mut producer = stage.peer(&["produce", "cam"]);
    producer.expect("open");
    producer.ask("frame 64x64x4", "published");
    let mut sub = stage.subscribe("cam").open().unwrap();
    sub.recv(Duration::from_secs(60)).unwrap();
    producer.stop();
    assert_eq!(stage.info("cam").answer, uncopy::Answer::Silent);
    assert_eq!(stage.info("cam").producer.unwrap().pid, producer.pid());
    // The reader that was there is told that nothing came, not that the producer died.
    let waited = sub.recv(Duration::from_millis(50)).unwrap_err();
    assert!(matches!(waited, uncopy::LinkError::TimedOut { .. }), "{waited}");
    assert!(sub.connected());
    // One that comes now is told why nobody answers.
    let absent = stage.subscribe("cam").timeout(Some(Duration::from_millis(10))).open().err().unwrap();
    assert!(absent.to_string().contains(&format!("process {}, does not answer", producer.pid())), "{absent}");
    // The name stays taken, with and without a takeover.
    let taken = stage.publish("cam").open().err().unwrap();
    assert!(matches!(taken, uncopy::LinkError::NameTaken { pid, .. } if pid == producer.pid()), "{taken}");
    let unanswered = stage.publish("cam").takeover(true).open().err().unwrap();
    assert!(
        matches!(unanswered, uncopy::LinkError::TakeoverUnanswered { pid, .. } if pid == producer.pid()),
        "{unanswered}"
    );
    producer.go_on();
    // Whoever asked for the name has given up: it goes to nobody.
    assert_eq!(producer.ask("frame 64x64x4", "published").number("seq"), 2);
    assert_eq!(sub.recv(Duration::from_secs(60)).unwrap().seq(), 2);
    drop(sub);
    producer.quit();
}
