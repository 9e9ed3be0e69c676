// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which frames a consumer gets and what a producer does without room: every frame or the newest, dropping or blocking,
//! and the end of patience.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use uncopy_tests::stage::eventually;
use uncopy_tests::{Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const FORM: &str = "64x64x4";

/// Waits until the producer sleeps because there is no room.
fn wait_until_blocked(stage: &Stage) {
    eventually("the producer waits for room", || match stage.wants_room("cam") {
        true => Ok(()),
        false => Err("it does not".to_owned()),
    });
}

#[test]
fn every_frame_of_a_producer_that_blocks_reaches_every_reader_of_all() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "3", "--block"]);
    let mut readers: Vec<Peer> = (0..3).map(|_| stage.open(&["consume", "cam", "--every"])).collect();
    let mut latest = stage.open(&["consume", "cam"]);
    for reader in readers.iter_mut().chain([&mut latest]) {
        reader.tell("run");
    }
    let burst = producer.ask(&format!("burst 3000 {FORM}"), "burst");
    assert_eq!((burst.number("published"), burst.number("dropped")), (3000, 0));
    for reader in &mut readers {
        // What was published last is still on its way to one that is slow.
        let pid = reader.pid();
        eventually("it has all", || {
            let info = stage.info("cam");
            let received = info.consumers.iter().find(|c| c.pid == pid).map(|c| c.received);
            if received == Some(3000) { Ok(()) } else { Err(format!("{received:?}")) }
        });
        let ran = reader.halt(&["first"]);
        assert_eq!((ran.number("received"), ran.number("missed"), ran.number("torn")), (3000, 0, 0));
    }
    let ran = latest.halt(&["first"]);
    assert_eq!(ran.number("torn"), 0);
    assert!(ran.number("received") + ran.number("missed") <= 3000);
    assert!(stage.info("cam").consumers.iter().filter(|consumer| consumer.every).count() == 3);
    readers.into_iter().chain([latest, producer]).for_each(|peer| drop(peer.quit()));
}

#[test]
fn a_slow_reader_of_every_frame_gets_what_is_left_in_order_and_is_told_what_is_not() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "4"]);
    let mut reader = stage.open(&["consume", "cam", "--every"]);
    producer.ask(&format!("burst 10 {FORM}"), "burst");
    for (seq, missed) in [(7, 6), (8, 0), (9, 0), (10, 0)] {
        let took = reader.ask("take", "took");
        assert_eq!((took.number("seq"), took.number("missed")), (seq, missed));
        assert_eq!(took.value("whole"), true);
        reader.ask("drop", "dropped");
    }
    let stats = reader.ask("stats", "stats");
    assert_eq!((stats.number("received"), stats.number("missed")), (4, 6));
    // Far more than the trail names.
    producer.ask(&format!("burst 1000 {FORM}"), "burst");
    let took = reader.ask("take", "took");
    assert_eq!((took.number("seq"), took.number("missed")), (1007, 996));
    reader.quit();
    producer.quit();
}

#[test]
fn who_comes_late_gets_the_newest_frame_and_every_one_after_it() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--block"]);
    producer.ask(&format!("burst 5 {FORM}"), "burst");
    let mut reader = stage.open(&["consume", "cam", "--every"]);
    producer.ask(&format!("burst 2 {FORM}"), "burst");
    for seq in 5..=7 {
        let took = reader.ask("take", "took");
        assert_eq!((took.number("seq"), took.number("missed")), (seq, 0));
        reader.ask("drop", "dropped");
    }
    reader.quit();
    producer.quit();
}

#[test]
fn f09_a_producer_that_blocks_goes_on_when_a_frame_is_given_back() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
    let mut reader = stage.open(&["consume", "cam"]);
    for _ in 0..200 {
        producer.ask(&format!("frame {FORM}"), "published");
        reader.ask("take", "took");
        producer.ask(&format!("frame {FORM}"), "published");
        // The held frame and the newest are the two slots.
        producer.tell(&format!("frame {FORM}"));
        wait_until_blocked(&stage);
        reader.ask("drop", "dropped");
        producer.expect("published");
    }
    assert_eq!(producer.ask("stats", "stats").number("dropped"), 0);
    reader.quit();
    producer.quit();
}

#[test]
fn f09_the_end_of_a_wait_for_room_names_who_is_in_the_way() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "3", "--block", "--room-timeout", "30"]);
    let mut holder = stage.open(&["consume", "cam"]);
    let mut laggard = stage.open(&["consume", "cam", "--every"]);
    producer.ask(&format!("frame {FORM}"), "published");
    holder.ask("take", "took");
    producer.ask(&format!("burst 2 {FORM}"), "burst");
    let error = producer.ask(&format!("frame {FORM}"), "error");
    assert_eq!(error.text("kind"), "no_free_slot");
    let text = error.text("text");
    assert!(text.contains(&format!("process {}", holder.pid())) && text.contains("holds 1"), "{text}");
    assert!(text.contains(&format!("process {}", laggard.pid())), "{text}");
    assert!(text.contains("has not received the last 3"), "{text}");
    assert_eq!(producer.ask("stats", "stats").number("dropped"), 1);
    // Nothing is lost by the time-out: the same frame goes through later.
    holder.ask("drop", "dropped");
    for seq in 1..=3 {
        assert_eq!(laggard.ask("take", "took").number("seq"), seq);
        laggard.ask("drop", "dropped");
    }
    producer.ask(&format!("frame {FORM}"), "published");
    assert_eq!(laggard.ask("take", "took").number("missed"), 0);
    [holder, laggard, producer].into_iter().for_each(|peer| drop(peer.quit()));
}

#[test]
fn f02_a_reader_of_every_frame_that_is_killed_does_not_stop_a_producer_that_blocks() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "3", "--block"]);
    let mut doomed = stage.open(&["consume", "cam", "--every"]);
    let mut bystander = stage.open(&["consume", "cam", "--every"]);
    bystander.tell("run");
    producer.tell(&format!("burst 100 {FORM}"));
    wait_until_blocked(&stage);
    doomed.kill();
    assert_eq!(producer.expect("burst").number("published"), 100);
    let pid = bystander.pid();
    eventually("the other has all", || {
        let received = stage.info("cam").consumers.iter().find(|c| c.pid == pid).map(|c| c.received);
        if received == Some(100) { Ok(()) } else { Err(format!("{received:?}")) }
    });
    assert_eq!(bystander.halt(&["first"]).number("missed"), 0);
    drop(doomed);
    bystander.quit();
    producer.quit();
}

#[test]
fn a_producer_that_waits_for_room_can_be_superseded() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block"]);
    let mut laggard = stage.open(&["consume", "cam", "--every"]);
    producer.tell(&format!("burst 9 {FORM}"));
    wait_until_blocked(&stage);
    let successor = stage.open(&["produce", "cam", "--takeover"]);
    let error = producer.expect("error");
    assert_eq!(error.text("kind"), "superseded");
    laggard.ask("take", "took");
    laggard.ask("drop", "dropped");
    [laggard, successor, producer].into_iter().for_each(|peer| drop(peer.quit()));
}

#[test]
fn f08_a_consumer_that_hangs_is_evicted_keeps_what_it_holds_and_is_told_so() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "4", "--block", "--evict-after", "60"]);
    let mut hanging = stage.open(&["consume", "cam", "--every"]);
    let mut bystander = stage.open(&["consume", "cam", "--every"]);
    producer.ask(&format!("frame {FORM}"), "published");
    hanging.ask("take", "took");
    bystander.tell("run");
    hanging.stop();
    let burst = producer.ask(&format!("burst 200 {FORM}"), "burst");
    assert_eq!((burst.number("published"), burst.number("dropped")), (200, 0));
    let evicted: Vec<i32> = stage.info("cam").consumers.iter().filter(|c| c.evicted).map(|c| c.pid).collect();
    assert_eq!(evicted, [hanging.pid()]);
    hanging.go_on();
    // Its slot was not written: what it holds is what it was.
    assert_eq!(hanging.ask("check", "checked").value("whole"), true);
    let error = hanging.ask("take", "error");
    assert_eq!(error.text("kind"), "evicted", "{}", error.text("text"));
    // Then it takes a place like anybody else, and the old one is free when the last frame of it is given back.
    assert_eq!(hanging.ask("take", "took").number("seq"), 201);
    assert_eq!(hanging.ask("check", "checked").value("whole"), true);
    hanging.ask("drop", "dropped");
    eventually("the old place is free", || {
        let consumers = stage.info("cam").consumers;
        if consumers.len() == 2 && !consumers.iter().any(|c| c.evicted) {
            Ok(())
        } else {
            Err(format!("{consumers:?}"))
        }
    });
    // A halt is not told what is still on its way.
    eventually("the bystander has received the last frame", || {
        let consumers = stage.info("cam").consumers;
        match consumers.iter().any(|c| c.pid == bystander.pid() && c.received == 201) {
            true => Ok(()),
            false => Err(format!("{consumers:?}")),
        }
    });
    let ran = bystander.halt(&["first"]);
    assert_eq!((ran.number("received"), ran.number("missed"), ran.number("torn")), (201, 0, 0));
    [hanging, bystander, producer].into_iter().for_each(|peer| drop(peer.quit()));
}

#[test]
fn f08_who_receives_frames_slowly_is_not_evicted() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--block", "--evict-after", "2000"]);
    let mut slow = stage.open(&["consume", "cam", "--every"]);
    producer.tell(&format!("burst 40 {FORM}"));
    for seq in 1..=40 {
        let took = slow.ask("take", "took");
        assert_eq!((took.number("seq"), took.number("missed")), (seq, 0));
        slow.ask("check", "checked");
        slow.ask("drop", "dropped");
    }
    assert_eq!(producer.expect("burst").number("published"), 40);
    assert!(stage.info("cam").consumers.iter().all(|consumer| !consumer.evicted));
    slow.quit();
    producer.quit();
}

#[test]
fn the_newest_frame_is_a_look_ahead_for_a_reader_of_every_frame() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "8", "--block"]);
    let mut reader = stage.open(&["consume", "cam", "--every"]);
    producer.ask(&format!("burst 5 {FORM}"), "burst");
    for seq in 1..=5 {
        assert_eq!(reader.ask("newest", "took").number("seq"), 5);
        let took = reader.ask("take", "took");
        assert_eq!((took.number("seq"), took.number("missed")), (seq, 0));
        reader.ask("drop", "dropped");
    }
    assert_eq!(reader.ask("newest", "took").number("seq"), 5);
    let stats = reader.ask("stats", "stats");
    assert_eq!((stats.number("received"), stats.number("missed")), (5, 0));
    reader.ask("drop", "dropped");
    reader.quit();
    producer.quit();
}
