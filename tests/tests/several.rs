// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for several links at once: with a kernel that can sleep on several words, and with one that can't.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::time::{Duration, Instant};

use serde_json::json;
use uncopy_tests::stage::eventually;
use uncopy_tests::{Peer, Stage, points};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const FORM: &str = "64x64x4";
const NAMES: [&str; 3] = ["color", "depth", "flow"];

fn producers(stage: &Stage) -> Vec<Peer> {
    NAMES.iter().map(|name| stage.open(&["produce", name])).collect()
}

/// A consumer of all links, in a process that sees a kernel with `futex_waitv` or one without.
fn consumer_of_all(stage: &Stage, has_waitv: bool) -> Peer {
    let mut peer = stage.peer_in(&["several", &NAMES.join(",")], |command| {
        command.env("UNCOPY_WITHOUT_FUTEX_WAITV", if has_waitv { "0" } else { "1" });
    });
    peer.expect("open");
    peer
}

/// Waits until the consumer of all is about to sleep for each link: marked as a sleeper, or armed.
fn wait_until_asleep(stage: &Stage, has_waitv: bool) {
    for name in NAMES {
        eventually("it sleeps", || {
            let waits = if has_waitv { stage.sleepers(name) } else { stage.armed(name) };
            if waits == 1 { Ok(()) } else { Err(format!("{waits} wait for {name}")) }
        });
    }
}

fn any_of_several_links_ends_a_wait(has_waitv: bool) {
    let stage = Stage::new(PEER);
    let mut producers = producers(&stage);
    let mut consumer = consumer_of_all(&stage, has_waitv);
    for round in 0..30 {
        let chosen = round % NAMES.len();
        consumer.tell("wait");
        wait_until_asleep(&stage, has_waitv);
        producers[chosen].ask(&format!("frame {FORM}"), "published");
        assert_eq!(consumer.expect("ready").value("names"), &json!([NAMES[chosen]]));
        // Nothing was received by waiting: what is ready stays so.
        assert_eq!(consumer.ask("wait", "ready").value("names"), &json!([NAMES[chosen]]));
        let mut expected = [0; 3];
        expected[chosen] = 1;
        assert_eq!(consumer.ask("receive", "received").value("frames"), &json!(expected));
    }
    for producer in &mut producers {
        producer.ask(&format!("frame {FORM}"), "published");
    }
    assert_eq!(consumer.ask("wait", "ready").value("names"), &json!(NAMES));
    assert_eq!(consumer.ask("receive", "received").value("frames"), &json!([1, 1, 1]));
    producers.into_iter().chain([consumer]).for_each(|peer| drop(peer.quit()));
}

#[test]
fn any_of_several_links_ends_a_sleep_on_their_words() {
    any_of_several_links_ends_a_wait(true);
}

#[test]
fn any_of_several_links_ends_a_poll_of_their_doorbells() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    any_of_several_links_ends_a_wait(false);
}

#[test]
fn a_wait_for_several_ends_with_its_time_and_names_nobody() {
    let stage = Stage::new(PEER);
    let out = stage.publish("color").open().unwrap();
    let mut color = stage.subscribe("color").open().unwrap();
    let mut depth = stage.subscribe("depth").start().unwrap();
    let timeout = Duration::from_millis(50);
    let begun = Instant::now();
    assert_eq!(uncopy::wait(&mut [&mut color], Some(timeout)).unwrap(), [0; 0]);
    assert!(begun.elapsed() >= timeout);
    let begun = Instant::now();
    assert_eq!(uncopy::wait(&mut [&mut color, &mut depth], Some(timeout)).unwrap(), [0; 0]);
    assert!(begun.elapsed() >= timeout);
    assert_eq!(uncopy::wait(&mut [&mut color, &mut depth], Some(Duration::ZERO)).unwrap(), [0; 0]);
    drop((color, depth, out));
}

#[test]
fn f13_a_producer_that_appears_during_a_wait_for_several_is_heard() {
    let stage = Stage::new(PEER);
    let mut color = stage.open(&["produce", "color"]);
    let mut consumer = consumer_of_all(&stage, true);
    consumer.tell("wait");
    // With one link that is there and two that are not, it polls.
    eventually("it polls", || match stage.armed("color") {
        1 => Ok(()),
        armed => Err(format!("{armed} are armed")),
    });
    let mut depth = stage.open(&["produce", "depth"]);
    depth.ask(&format!("frame {FORM}"), "published");
    assert_eq!(consumer.expect("ready").value("names"), &json!(["depth"]));
    color.ask(&format!("frame {FORM}"), "published");
    assert_eq!(consumer.ask("wait", "ready").value("names"), &json!(["color", "depth"]));
    // A form that needs new memory is ready when the memory is there.
    consumer.ask("receive", "received");
    consumer.tell("wait");
    depth.ask("frame 500x500x4", "published");
    assert_eq!(consumer.expect("ready").value("names"), &json!(["depth"]));
    assert_eq!(consumer.ask("receive", "received").value("frames"), &json!([0, 1, 0]));
    [consumer, color, depth].into_iter().for_each(|peer| drop(peer.quit()));
}

#[test]
fn f01_a_producer_that_dies_during_a_wait_for_several_is_followed_by_the_next() {
    let stage = Stage::new(PEER);
    let mut producers = producers(&stage);
    let mut consumer = consumer_of_all(&stage, true);
    consumer.tell("wait");
    wait_until_asleep(&stage, true);
    let mut killed = producers.remove(0);
    killed.kill();
    drop(killed.collect());
    let mut next = stage.open(&["produce", "color"]);
    next.ask("consumers 1", "consumers");
    next.ask(&format!("frame {FORM}"), "published");
    assert_eq!(consumer.expect("ready").value("names"), &json!(["color"]));
    producers.into_iter().chain([next, consumer]).for_each(|peer| drop(peer.quit()));
}

#[test]
fn an_end_that_is_to_be_seen_is_ready_and_comes_with_the_next_call() {
    let stage = Stage::new(PEER);
    let mut lonely = stage.subscribe("color").timeout(Some(Duration::from_millis(30))).start().unwrap();
    assert_eq!(uncopy::wait(&mut [&mut lonely], None).unwrap(), [0]);
    assert_eq!(uncopy_tests::kind(&lonely.poll_recv().map(drop).unwrap_err()), "not_found");

    let mut out = stage.publish("depth").slots(2).evict_after(Some(Duration::from_millis(1))).open().unwrap();
    let mut sub = stage.subscribe("depth").open().unwrap();
    let form = uncopy_tests::form(FORM);
    out.loan(&form).unwrap().publish(uncopy::Meta::default()).unwrap();
    let held = sub.recv(Duration::from_secs(30)).unwrap();
    out.loan(&form).unwrap().publish(uncopy::Meta::default()).unwrap();
    let newer = sub.recv(Duration::from_secs(30)).unwrap();
    eventually("it is evicted", || match out.loan(&form) {
        Err(_) if stage.info("depth").consumers.iter().all(|consumer| consumer.evicted) => Ok(()),
        other => Err(format!("{:?}", other.map(drop))),
    });
    assert_eq!(uncopy::wait(&mut [&mut sub], None).unwrap(), [0]);
    assert_eq!(uncopy_tests::kind(&sub.poll_recv().map(drop).unwrap_err()), "evicted");
    drop((held, newer, sub, out, lonely));
}

#[test]
fn who_waits_for_several_passes_a_wake_up_on() {
    const SLEEPERS: u32 = 4;
    const FRAMES: u64 = 60;
    let stage = Stage::new(PEER);
    let mut color = stage.open(&["produce", "color"]);
    let depth = stage.open(&["produce", "depth"]);
    let mut consumers: Vec<Peer> = (1..SLEEPERS).map(|_| stage.open(&["several", "depth,color"])).collect();
    consumers.push(stage.open(&["consume", "color"]));
    for consumer in &mut consumers {
        consumer.tell(&format!("await {FRAMES}"));
    }
    for frame in 0..FRAMES {
        eventually("all have the frame and sleep", || {
            let all = stage.info("color").consumers;
            let have = all.iter().filter(|consumer| consumer.received == frame).count();
            match (have, stage.sleepers("color")) {
                (4, SLEEPERS) => Ok(()),
                (have, asleep) => Err(format!("{have} have {frame} frames, {asleep} sleep")),
            }
        });
        color.ask(&format!("frame {FORM}"), "published");
    }
    let looks: Vec<u64> =
        consumers.iter_mut().map(|consumer| consumer.expect("awaited").number("looks")).collect();
    // The last waits for one link only. Three times of four one of the others is woken first; if that did not pass the
    // wake-up on, the last would receive the frame by looking up itself, as in `waking.rs`.
    assert!(looks[3] < FRAMES / 4, "{looks:?} looks");
    consumers.into_iter().chain([color, depth]).for_each(|peer| drop(peer.quit()));
}
