// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a link counts, as an observer sees it.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::time::{Duration, Instant};

use uncopy::{LinkError, Meta, Publisher, Read, WhenFull};
use uncopy_tests::stage::eventually;
use uncopy_tests::wire::{self, Guest};
use uncopy_tests::{Stage, form};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const LONG: Duration = Duration::from_secs(60);

fn publish(out: &mut Publisher) {
    out.loan(&form("64x64x4")).unwrap().publish(Meta::default()).unwrap();
}

#[test]
fn the_age_of_each_frame_that_was_slept_for_is_counted_and_none_is_younger_than_it_was() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut consumer = stage.peer(&["consume", "cam"]);
    consumer.expect("open");
    for frames in 1..=10 {
        consumer.tell("take");
        eventually(
            "it sleeps",
            || if stage.sleepers("cam") == 1 { Ok(()) } else { Err("not yet".to_owned()) },
        );
        let published = Instant::now();
        publish(&mut out);
        consumer.expect("took");
        // It was received somewhere in this time.
        let at_most = published.elapsed();
        let info = &stage.info("cam").consumers[0];
        assert_eq!(info.ages.count(), frames);
        let oldest = info.ages.quantile(1.0).unwrap();
        assert!(
            frames > 1 || oldest <= at_most + at_most / 4 + Duration::from_nanos(400),
            "{oldest:?} > {at_most:?}"
        );
        consumer.ask("drop", "dropped");
    }
    consumer.quit();

    // The next one at the place begins with nothing.
    let mut late = stage.subscribe("cam").open().unwrap();
    assert_eq!(stage.info("cam").consumers[0].ages.count(), 0);
    let _ = late.recv(LONG).unwrap();
    drop((late, out));
}

#[test]
fn frames_that_come_fast_are_counted_by_sixteenths_and_add_up() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    for _ in 0..160 {
        publish(&mut out);
        drop(sub.recv(LONG).unwrap());
    }
    assert_eq!(stage.info("cam").consumers[0].ages.count(), 160);
    // By hand, from the document: the words behind the metadata.
    let guest = Guest::join(&stage.runtime_dir(), "cam", wire::OBSERVER);
    let row = guest.bytes(wire::ages_offset(4), 512);
    let counts: Vec<u32> = (0..128).map(|at| wire::u32_of(&row, 4 * at)).collect();
    assert_eq!(counts[..104].iter().sum::<u32>(), 160);
    assert_eq!(counts[104..], [0; 24]);
    assert!(counts.iter().all(|count| count % 16 == 0));
    drop((guest, sub, out));
}

#[test]
fn f24_who_holds_which_frame_is_seen_with_the_time_since_it_was_published() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(4).open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    publish(&mut out);
    let first = sub.recv(LONG).unwrap();
    publish(&mut out);
    publish(&mut out);
    let third = sub.recv(LONG).unwrap();
    let info = stage.info("cam");
    let holding = &info.consumers[0].holding;
    assert_eq!(holding.iter().map(|held| held.seq).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(info.consumers[0].holds, 2);
    assert!(holding[0].age > holding[1].age);
    assert!(holding[0].age <= first.age().unwrap(), "it only gets older");
    drop(first);
    let info = stage.info("cam");
    assert_eq!(info.consumers[0].holding.iter().map(|held| held.seq).collect::<Vec<_>>(), [3]);
    drop((third, sub, out));
}

#[test]
fn waits_for_room_and_evictions_are_counted() {
    let stage = Stage::new(PEER);
    let wait = Duration::from_millis(20);
    let mut out = stage
        .publish("cam")
        .slots(2)
        .when_full(WhenFull::Block(Some(wait)))
        .evict_after(Some(Duration::from_secs(3600)))
        .open()
        .unwrap();
    let mut sub = stage.subscribe("cam").read(Read::Every).open().unwrap();
    publish(&mut out);
    let held = sub.recv(LONG).unwrap();
    publish(&mut out);
    assert_eq!((stage.info("cam").blocks, stage.info("cam").blocked), (true, Duration::ZERO));
    assert!(matches!(out.loan(&form("64x64x4")), Err(LinkError::NoFreeSlot { .. })));
    let info = stage.info("cam");
    assert!(info.blocked >= wait, "{:?}", info.blocked);
    assert_eq!((info.evicted, info.dropped), (0, 1));
    drop((held, sub, out));

    let mut out = stage.publish("cam").slots(2).evict_after(Some(Duration::ZERO)).open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    publish(&mut out);
    let held = sub.recv(LONG).unwrap();
    publish(&mut out);
    eventually("it is evicted", || {
        let full = out.loan(&form("64x64x4")).is_err();
        if full && stage.info("cam").evicted == 1 { Ok(()) } else { Err("not yet".to_owned()) }
    });
    assert!(!stage.info("cam").blocks);
    drop((held, sub, out));
}
