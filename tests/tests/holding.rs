// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that are held: they never change, they outlive whatever they came from, nobody can write to them, and
//! holding too many of them is told to the producer by name.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::time::Duration;

use uncopy::{Frame, LinkError, Meta, Publisher, Sent, Tensor};
use uncopy_tests::stage::eventually;
use uncopy_tests::wire::{self, Guest};
use uncopy_tests::{Stage, form, pattern};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const LONG: Duration = Duration::from_secs(60);
const SEGV: Option<i32> = Some(11);

fn publish_one(out: &mut Publisher, text: &str) -> u64 {
    let seq = out.seq() + 1;
    let mut loan = out.loan(&form(text)).unwrap();
    pattern::fill(loan.bytes_mut(), seq);
    loan.publish(Meta::default()).unwrap()
}

fn is_whole(frame: &Frame) -> bool {
    pattern::check(frame.bytes(), frame.seq()).is_ok()
}

/// A peer that has opened the link `cam`.
#[test]
fn f27_a_reader_without_leases_sees_torn_frames_and_one_with_leases_sees_none() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "2"]);
    let mut unheld = stage.open(&["consume", "cam"]);
    let mut held = stage.open(&["consume", "cam"]);
    unheld.tell("run-unheld");
    held.tell("run");
    producer.tell("run 256x256x4");
    // The check of every other test finds what happens when a frame is not held.
    unheld.until("torn", &["first"]);
    let mut seen = unheld.halt(&["first", "torn"]);
    assert!(seen.number("torn") > 0, "{seen}");
    held.expect("first");
    seen = held.halt(&[]);
    assert_eq!(seen.number("torn"), 0, "{seen}");
    producer.halt(&[]);
    unheld.quit();
    held.quit();
    producer.quit();
}

#[test]
fn f23_a_held_frame_stays_bit_identical_while_ten_thousand_pass_and_both_sides_count() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "4"]);
    let mut slow = stage.open(&["consume", "cam"]);
    producer.ask("frame 64x64x4", "published");
    assert_eq!(slow.ask("take", "took").number("seq"), 1);
    for _ in 0..10 {
        let burst = producer.ask("burst 1000 64x64x4", "burst");
        assert_eq!(
            (burst.number("published"), burst.number("dropped")),
            (1000, 0),
            "the producer never waits"
        );
        assert_eq!(slow.ask("check", "checked").value("whole"), true);
    }
    let next = slow.ask("take", "took");
    assert_eq!((next.number("seq"), next.number("missed")), (10_001, 9_999));
    let stats = slow.ask("stats", "stats");
    assert_eq!((stats.number("received"), stats.number("missed")), (2, 9_999));
    let seen = stage.info("cam");
    assert_eq!((seen.published, seen.dropped), (10_001, 0));
    assert_eq!(
        (seen.consumers[0].received, seen.consumers[0].missed, seen.consumers[0].holds),
        (2, 9_999, 2)
    );
    // Held until nothing is left to write to: from here on the producer drops, and says so to whoever looks.
    for _ in 0..2 {
        producer.ask("frame 64x64x4", "published");
        slow.ask("take", "took");
    }
    assert_eq!(producer.ask("burst 7 64x64x4", "burst").number("dropped"), 7);
    assert_eq!(producer.ask("stats", "stats").number("dropped"), 7);
    assert_eq!(stage.info("cam").dropped, 7);
    assert_eq!(slow.ask("check", "checked").value("whole"), true);
    slow.quit();
    producer.quit();
}

#[test]
fn f24_a_producer_without_a_free_slot_is_told_who_holds_them() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(3).open().unwrap();
    let mut readers = [stage.open(&["consume", "cam"]), stage.open(&["consume", "cam"])];
    for taker in [0, 0, 1] {
        publish_one(&mut out, "64x64x4");
        readers[taker].ask("take", "took");
    }
    let error = out.loan(&form("64x64x4")).err().unwrap();
    assert!(matches!(error, LinkError::NoFreeSlot { .. }), "{error}");
    let text = error.to_string();
    for (reader, slots) in readers.iter().zip([2, 1]) {
        assert!(text.contains(&format!("process {} (peer) holds {slots}", reader.pid())), "{text}");
    }
    assert!(text.contains("'cam'") && text.contains("more slots"), "{text}");
    // Sending what finds no slot is no error, but it is counted.
    let source = Tensor::new(
        uncopy::HostBuffer::zeroed(64 * 64 * 4).unwrap().into_region(),
        *form("64x64x4").layout(),
        0,
    );
    assert_eq!(out.send(&source.unwrap(), Meta::default()).unwrap(), Sent::Dropped);
    assert_eq!((out.stats().published, out.stats().dropped), (3, 2));
    for reader in &mut readers {
        assert_eq!(reader.ask("check", "checked").value("whole"), true);
        reader.ask("drop", "dropped");
    }
    assert_eq!(publish_one(&mut out, "64x64x4"), 4);
    readers.into_iter().for_each(|reader| drop(reader.quit()));
    drop(out);
}

#[test]
fn f24_views_kept_from_loans_are_named_as_this_process() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(2).open().unwrap();
    let mut views = Vec::new();
    for _ in 0..2 {
        let claim = out.claim(&form("64x64x4")).unwrap();
        views.push(claim.tensor().unwrap());
        out.commit(claim, Meta::default()).unwrap();
    }
    let error = out.loan(&form("64x64x4")).err().unwrap();
    assert!(error.to_string().contains("this process holds 2 by views kept"), "{error}");
    views.clear();
    assert_eq!(publish_one(&mut out, "64x64x4"), 3);
    drop(out);
}

#[test]
fn f42_frames_and_tensors_outlive_subscriber_publisher_and_link() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    publish_one(&mut out, "300x200x4");
    let frame = sub.recv(LONG).unwrap();
    let tensor = frame.tensor().unwrap();
    let clone = frame.clone();
    drop(sub);
    assert_eq!(out.stats().consumers, 1, "a frame keeps its place");
    for _ in 0..20 {
        publish_one(&mut out, "300x200x4");
    }
    assert!(is_whole(&frame));
    drop(out);
    drop(frame);
    assert!(is_whole(&clone));
    assert_eq!(clone.address(), tensor.address(), "no copy was made");
    drop(clone);
    assert!(pattern::check(tensor.region().as_bytes().unwrap(), 1).is_ok());
    assert!(tensor.is_read_only());
}

#[test]
fn f42_frames_outlive_a_producer_of_another_process_that_is_killed() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    for _ in 0..2 {
        producer.ask("frame 300x200x4", "published");
        reader.ask("take", "took");
    }
    reader.ask("tensors", "kept");
    reader.ask("close", "closed");
    producer.kill();
    drop(producer);
    let mut next = stage.open(&["produce", "cam"]);
    next.ask("burst 50 300x200x4", "burst");
    let checked = reader.ask("check", "checked");
    assert_eq!((checked.value("whole"), checked.number("tensors")), (&true.into(), 2));
    reader.ask("drop", "dropped");
    reader.quit();
    next.quit();
}

#[test]
fn f42_a_late_write_through_a_view_of_a_loan_ends_that_process_and_leaves_the_frame_as_it_was() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    producer.ask("view 64x64x4", "published");
    let took = reader.ask("take", "took");
    assert_eq!(took.value("whole"), true);
    // The slot of the view is left alone for as long as the view lives.
    assert_eq!(producer.ask("burst 10 64x64x4", "burst").number("dropped"), 0);
    producer.tell("write");
    let ending = producer.collect();
    assert_eq!(ending.signal, SEGV, "{ending:?}");
    for part in ["uncopy: write to read-only memory", "'cam'", "published"] {
        assert!(ending.errors.contains(part), "{part}: {ending:?}");
    }
    assert_eq!(reader.ask("check", "checked").value("whole"), true);
    reader.quit();
}

#[test]
fn f42_a_slot_whose_view_was_dropped_is_written_again() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(2).open().unwrap();
    for _ in 0..20 {
        let mut claim = out.claim(&form("64x64x4")).unwrap();
        pattern::fill(claim.bytes_mut().unwrap(), out.seq() + 1);
        let view = claim.tensor().unwrap();
        out.commit(claim, Meta::default()).unwrap();
        drop(view);
    }
    assert_eq!(out.stats().dropped, 0);
    drop(out);
}

#[test]
fn f40_a_write_into_a_received_frame_ends_the_writer_and_changes_nothing_for_others() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut vandal = stage.open(&["consume", "cam"]);
    let mut other = stage.open(&["consume", "cam"]);
    producer.ask("frame 64x64x4", "published");
    vandal.ask("take", "took");
    other.ask("take", "took");
    vandal.tell("write");
    let ending = vandal.collect();
    assert_eq!(ending.signal, SEGV, "{ending:?}");
    for part in ["uncopy: write to read-only memory", "'cam'", "copy=True"] {
        assert!(ending.errors.contains(part), "{part}: {ending:?}");
    }
    assert_eq!(other.ask("check", "checked").value("whole"), true);
    let burst = producer.ask("burst 10 64x64x4", "burst");
    assert_eq!(burst.number("dropped"), 0);
    other.quit();
    producer.quit();
}

#[test]
fn clones_of_one_frame_in_two_threads_are_one_hold() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "2"]);
    let mut reader = stage.open(&["consume", "cam"]);
    for _ in 0..100 {
        producer.ask("frame 64x64x4", "published");
        reader.ask("take", "took");
        assert_eq!(reader.ask("clones", "cloned").value("whole"), true);
    }
    assert_eq!(stage.info("cam").consumers[0].holds, 0);
    reader.quit();
    producer.quit();
}

#[test]
fn a_frame_received_twice_is_one_hold_until_the_last_of_it_is_gone() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(2).open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    publish_one(&mut out, "64x64x4");
    let first = sub.recv(LONG).unwrap();
    let again = sub.newest().unwrap().unwrap();
    assert_eq!((again.seq(), again.address()), (1, first.address()));
    assert_eq!(stage.info("cam").consumers[0].holds, 1);
    drop(first);
    publish_one(&mut out, "64x64x4");
    assert!(matches!(out.loan(&form("64x64x4")), Err(LinkError::NoFreeSlot { .. })), "it is still held");
    assert!(is_whole(&again));
    drop(again);
    assert_eq!(publish_one(&mut out, "64x64x4"), 3);
    drop((sub, out));
}

#[test]
fn threads_that_drop_and_take_the_same_frame_at_once_never_lose_or_keep_a_hold() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(2).open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    let (give, take) = std::sync::mpsc::channel::<Frame>();
    let dropper = std::thread::spawn(move || take.into_iter().all(|frame| is_whole(&frame)));
    for _ in 0..2000 {
        publish_one(&mut out, "64x64x4");
        for _ in 0..3 {
            let frame = sub.newest().unwrap().unwrap();
            assert!(is_whole(&frame));
            give.send(frame).unwrap();
        }
        // Two slots: the next frame needs the one that the dropper is about to give back.
        while matches!(out.loan(&form("64x64x4")), Err(LinkError::NoFreeSlot { .. })) {
            std::thread::yield_now();
        }
    }
    drop(give);
    assert!(dropper.join().unwrap());
    eventually("nothing is held", || match stage.info("cam").consumers[0].holds {
        0 => Ok(()),
        holds => Err(format!("{holds}")),
    });
    drop((sub, out));
}

#[test]
fn f26_sixteen_consumers_are_served_and_the_seventeenth_is_told_so_until_one_has_died() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut subs: Vec<_> = (0..15).map(|_| stage.subscribe("cam").open().unwrap()).collect();
    let mut mortal = stage.open(&["consume", "cam"]);
    publish_one(&mut out, "64x64x4");
    for sub in &mut subs {
        assert!(is_whole(&sub.recv(LONG).unwrap()));
    }
    mortal.ask("take", "took");
    let error = stage.subscribe("cam").open().err().unwrap();
    assert!(matches!(error, LinkError::TooManyConsumers { limit: 16, .. }), "{error}");
    // On the wire: a refusal and a hang-up.
    let knocking = wire::knock(&stage.runtime_dir(), "cam", &wire::hello(wire::CONSUMER));
    let (code, text) = wire::receive(&knocking).unwrap().refusal();
    assert_eq!(code, uncopy::ErrorKind::TooManyConsumers.code(), "{text}");
    assert!(wire::receive(&knocking).is_none(), "it hangs up");
    // An observer needs no place.
    assert_eq!(stage.info("cam").consumers.len(), 16);
    assert_eq!(Guest::join(&stage.runtime_dir(), "cam", wire::OBSERVER).welcome.place, u32::MAX);
    // The dead leave at once when somebody needs their place.
    mortal.kill();
    let mut seventeenth = stage.subscribe("cam").open().unwrap();
    assert!(is_whole(&seventeenth.newest().unwrap().unwrap()));
    drop((subs, seventeenth, out));
}
