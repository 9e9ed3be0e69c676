// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking at a link for long: every frame's time, through deaths and restarts, and at nobody's cost.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use uncopy::{Answer, LinkError, Observer, Presence};
use uncopy_tests::stage::eventually;
use uncopy_tests::{Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

fn observer(stage: &Stage) -> Observer {
    Observer::new(&stage.runtime_dir(), "cam").unwrap()
}

/// Looks until it is so.
#[track_caller]
fn until(observer: &mut Observer, wanted: &Presence) {
    eventually("the observer sees it", || match observer.look() {
        seen if seen == *wanted => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
}

const ANSWERING: Presence = Presence::Present(Answer::Answering);

fn producer(stage: &Stage) -> Peer {
    let mut producer = stage.peer(&["produce", "cam"]);
    producer.expect("open");
    producer
}

fn publish(producer: &mut Peer, frames: usize) {
    (0..frames).for_each(|_| drop(producer.ask("frame 64x64x4", "published")));
}

#[test]
fn an_observer_sees_the_number_and_the_time_of_every_frame_that_is_still_there() {
    let stage = Stage::new(PEER);
    let mut observer = observer(&stage);
    assert_eq!(observer.look(), Presence::Absent);
    assert_eq!((observer.info(), observer.link_id()), (None, None));
    let mut producer = producer(&stage);
    until(&mut observer, &ANSWERING);
    assert_eq!((observer.newest_seq(), observer.published_after(0).len()), (0, 0));
    publish(&mut producer, 3);
    let seen = observer.published_after(0);
    assert_eq!(seen.iter().map(|frame| frame.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(seen.is_sorted_by_key(|frame| frame.nanos), "{seen:?}");
    assert!(seen[2].nanos <= uncopy::os::monotonic_nanos());
    publish(&mut producer, 7);
    let seen: Vec<u64> = observer.published_after(3).iter().map(|frame| frame.seq).collect();
    // Of four slots, as many as the producer has not taken for a newer frame.
    assert_eq!(seen, [7, 8, 9, 10]);
    assert_eq!(observer.published_after(10).len(), 0);
    producer.ask("close", "closed");
    producer.quit();
    until(&mut observer, &Presence::Absent);
}

#[test]
fn an_observer_takes_no_place_and_no_frame_from_anybody() {
    let stage = Stage::new(PEER);
    let mut producer = producer(&stage);
    let mut observers: Vec<Observer> = (0..20).map(|_| observer(&stage)).collect();
    observers.iter_mut().for_each(|observer| until(observer, &ANSWERING));
    publish(&mut producer, 20);
    for observer in &observers {
        let link = observer.info().unwrap();
        assert_eq!((link.published, link.dropped, link.consumers.len()), (20, 0, 0));
        assert_eq!((observer.dropped(), observer.slots()), (0, link.slots));
    }
    drop(observers);
    producer.ask("close", "closed");
    producer.quit();
}

#[test]
fn f06_an_observer_follows_from_a_killed_producer_to_the_next() {
    let stage = Stage::new(PEER);
    let mut observer = observer(&stage);
    let mut first = producer(&stage);
    until(&mut observer, &ANSWERING);
    publish(&mut first, 5);
    let before = observer.link_id().unwrap();
    first.kill();
    until(&mut observer, &Presence::Absent);
    // What it left is removed by looking once more.
    assert_eq!(observer.look(), Presence::Absent);
    assert_eq!(stage.files(), Vec::<String>::new());
    let mut second = producer(&stage);
    until(&mut observer, &ANSWERING);
    assert_ne!(observer.link_id().unwrap(), before);
    publish(&mut second, 1);
    assert_eq!(observer.published_after(0).len(), 1);
    second.ask("close", "closed");
    second.quit();
}

#[test]
fn a_producer_that_is_stopped_is_silent_and_answers_when_it_goes_on() {
    let stage = Stage::new(PEER);
    let producer = producer(&stage);
    producer.stop();
    let mut observer = observer(&stage);
    assert_eq!(observer.look(), Presence::Asked);
    until(&mut observer, &Presence::Present(Answer::Silent));
    let link = observer.info().unwrap();
    assert_eq!(link.producer.map(|process| process.pid), Some(producer.pid()));
    producer.go_on();
    until(&mut observer, &ANSWERING);
    drop(observer);
    producer.quit();
}

#[test]
fn names_that_nobody_can_have_are_refused() {
    let stage = Stage::new(PEER);
    for name in ["", "a/b", ".hidden"] {
        assert!(matches!(Observer::new(&stage.runtime_dir(), name), Err(LinkError::Name(_))), "{name}");
    }
}
