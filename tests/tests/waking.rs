// SPDX-License-Identifier: MIT OR Apache-2.0
//! A publication wakes one consumer, and that one the others, whatever becomes of it.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use uncopy_tests::stage::eventually;
use uncopy_tests::{Peer, Stage, points};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const FORM: &str = "64x64x4";

/// Waits until `consumers` have received as many frames and sleep.
fn wait_until_asleep_after(stage: &Stage, frames: u64, consumers: u32) {
    eventually("all consumers have the frame and sleep", || {
        let has_all = stage.info("cam").consumers.iter().all(|consumer| consumer.received == frames);
        match stage.sleepers("cam") {
            asleep if has_all && asleep == consumers => Ok(()),
            asleep => Err(format!("{asleep} sleep, all have {frames} frames: {has_all}")),
        }
    });
}

/// Waits until the kernel holds the process in a futex, so that it is the first that a frame wakes.
fn wait_until_in_the_kernel(peer: &Peer) {
    const FUTEX: [&str; 2] = ["202", "98"];
    let path = format!("/proc/{}/syscall", peer.pid());
    eventually("it sleeps in the kernel", || {
        let call = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let is_futex = call.split(' ').next().is_some_and(|number| FUTEX.contains(&number));
        if is_futex { Ok(()) } else { Err(call) }
    });
}

#[test]
fn a_frame_wakes_everyone_who_sleeps_and_not_only_the_first() {
    const SLEEPERS: u32 = 4;
    const FRAMES: u64 = 60;
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut consumers: Vec<Peer> = (0..SLEEPERS).map(|_| stage.open(&["consume", "cam"])).collect();
    for consumer in &mut consumers {
        consumer.tell(&format!("await {FRAMES}"));
    }
    for frame in 0..FRAMES {
        wait_until_asleep_after(&stage, frame, SLEEPERS);
        producer.ask(&format!("frame {FORM}"), "published");
    }
    let looks: u64 = consumers.iter_mut().map(|consumer| consumer.expect("awaited").number("looks")).sum();
    // A wait also looks up by itself, the first time 80 ms after its begin. If only the first were woken, each of the
    // others would receive each frame by such a look.
    let unwoken = u64::from(SLEEPERS - 1) * FRAMES;
    assert!(looks < unwoken / 3, "{looks} looks; {unwoken} if nobody woke the others");
    consumers.into_iter().chain([producer]).for_each(|peer| drop(peer.quit()));
}

/// Consumers that sleep, the first of them to be woken first.
fn sleeping(stage: &Stage, mut first: Peer) -> Vec<Peer> {
    first.expect("open");
    let mut sleepers = vec![first];
    sleepers.extend((0..3).map(|_| stage.open(&["consume", "cam"])));
    for sleeper in &mut sleepers {
        sleeper.tell("take");
        wait_until_in_the_kernel(sleeper);
    }
    sleepers
}

#[test]
fn f05_a_consumer_that_is_stopped_with_a_wake_up_in_hand_does_not_keep_the_others_asleep() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let first = stage.halting("consumer.woken", 1, &["consume", "cam"]);
    let mut sleepers = sleeping(&stage, first);
    producer.ask(&format!("frame {FORM}"), "published");
    for other in &mut sleepers[1..] {
        assert_eq!(other.expect("took").number("seq"), 1);
    }
    sleepers[0].wait_until_stopped();
    sleepers[0].go_on();
    assert_eq!(sleepers[0].expect("took").number("seq"), 1);
    sleepers.into_iter().chain([producer]).for_each(|peer| drop(peer.quit()));
}

#[test]
fn f02_a_consumer_that_dies_with_a_wake_up_in_hand_leaves_nobody_asleep() {
    if !points::ARMED {
        return println!("{}", points::UNARMED);
    }
    let stage = Stage::new(PEER);
    for _ in 0..10 {
        let mut producer = stage.open(&["produce", "cam"]);
        let first = stage.doomed("consumer.woken", 1, &["consume", "cam"]);
        let mut sleepers = sleeping(&stage, first);
        producer.ask(&format!("frame {FORM}"), "published");
        for other in &mut sleepers[1..] {
            assert_eq!(other.expect("took").number("seq"), 1);
        }
        let ending = sleepers.remove(0).collect();
        assert_eq!(ending.signal, Some(9), "{ending:?}");
        sleepers.into_iter().chain([producer]).for_each(|peer| drop(peer.quit()));
    }
}
