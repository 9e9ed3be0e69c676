// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many links, many ends and many restarts in few processes: one service thread while anything is open, none after, and
//! nothing that grows.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::sync::Barrier;
use std::time::Duration;

use uncopy::{Answer, LinkError, Meta, Publisher, SubscribeOptions, Subscriber};
use uncopy_tests::footprint::{Footprint, private_bytes};
use uncopy_tests::stage::eventually;
use uncopy_tests::{Stage, form, pattern};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const LONG: Duration = Duration::from_secs(60);

fn publish_one(out: &mut Publisher, text: &str) -> u64 {
    let seq = out.seq() + 1;
    let mut loan = out.loan(&form(text)).unwrap();
    pattern::fill(loan.bytes_mut(), seq);
    loan.publish(Meta::default()).unwrap()
}

#[track_caller]
fn receive_one(sub: &mut Subscriber, seq: u64) {
    let frame = sub.recv(LONG).unwrap();
    assert_eq!((frame.seq(), pattern::check(frame.bytes(), seq)), (seq, Ok(())));
}

#[track_caller]
fn wait_for_service_threads(wanted: usize) {
    eventually("the service thread starts or ends", || match Footprint::now().threads {
        threads if threads.len() == wanted => Ok(()),
        threads => Err(format!("{threads:?}")),
    });
}

#[test]
fn many_links_in_one_process_share_one_service_thread_which_ends_with_the_last_and_starts_again() {
    let stage = Stage::new(PEER);
    for round in 1..=3 {
        let names: Vec<String> = (0..8).map(|number| format!("link-{number}")).collect();
        let mut outs: Vec<Publisher> = names.iter().map(|name| stage.publish(name).open().unwrap()).collect();
        let mut subs: Vec<Subscriber> =
            names.iter().map(|name| stage.subscribe(name).open().unwrap()).collect();
        wait_for_service_threads(1);
        for seq in 1..=5 {
            for (number, out) in outs.iter_mut().enumerate() {
                publish_one(out, if number % 2 == 0 { "64x64x4" } else { "float32:10x10" });
            }
            subs.iter_mut().for_each(|sub| receive_one(sub, seq));
        }
        let listed: Vec<String> = stage.list().into_iter().map(|link| link.name).collect();
        assert_eq!(listed, names, "round {round}");
        // In any order; the thread stays for whoever is left.
        outs.truncate(3);
        subs.drain(..4);
        publish_one(&mut outs[2], "64x64x4");
        wait_for_service_threads(1);
        drop((subs, outs));
        wait_for_service_threads(0);
    }
}

#[test]
fn links_opened_and_closed_two_hundred_times_leave_the_process_as_it_was() {
    let stage = Stage::new(PEER);
    let once = || {
        let mut out = stage.publish("cam").open().unwrap();
        let mut sub = stage.subscribe("cam").open().unwrap();
        publish_one(&mut out, "64x64x4");
        receive_one(&mut sub, 1);
    };
    (0..20).for_each(|_| once());
    wait_for_service_threads(0);
    let (before, bytes) = (Footprint::now(), private_bytes(std::process::id().cast_signed()));
    (0..200).for_each(|_| once());
    wait_for_service_threads(0);
    assert_eq!(Footprint::now().grown_since(&before), Vec::<String>::new());
    let grown = private_bytes(std::process::id().cast_signed()).saturating_sub(bytes);
    assert!(grown < 1 << 20, "{grown} bytes more");
}

#[test]
fn f11_a_reader_lives_through_a_hundred_restarts_of_its_producer_and_does_not_grow() {
    let stage = Stage::new(PEER);
    // It is there before anybody publishes.
    let mut reader = stage.peer(&["consume", "cam"]);
    let mut bytes = 0;
    for restart in 1..=100 {
        reader.tell("take");
        let mut out = stage.publish("cam").open().unwrap();
        out.wait_for_consumers(1, LONG).unwrap();
        publish_one(&mut out, if restart % 2 == 0 { "64x64x4" } else { "200x200x4" });
        if restart == 1 {
            reader.expect("open");
        }
        let took = reader.expect("took");
        assert_eq!((took.number("seq"), took.value("whole")), (1, &true.into()), "restart {restart}");
        assert_eq!(reader.ask("stats", "stats").number("restarts"), restart - 1);
        reader.ask("drop", "dropped");
        if restart == 20 {
            bytes = private_bytes(reader.pid());
        }
    }
    let grown = private_bytes(reader.pid()).saturating_sub(bytes);
    assert!(grown < 1 << 20, "{grown} bytes more");
    reader.quit();
}

/// Comes and goes `visits` times, as often as there is a place; how often there was none.
fn visit(subscribe: &SubscribeOptions, visits: u32) -> u64 {
    let mut refused = 0;
    for _ in 0..visits {
        let mut sub = loop {
            match subscribe.clone().open() {
                Ok(sub) => break sub,
                Err(LinkError::TooManyConsumers { limit: 16, .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            std::thread::yield_now();
        };
        let mut last = 0;
        for _ in 0..10 {
            let frame = sub.recv(LONG).unwrap();
            assert!(frame.seq() > last, "{} after {last}", frame.seq());
            assert_eq!(pattern::check(frame.bytes(), frame.seq()), Ok(()));
            last = frame.seq();
        }
    }
    refused
}

#[test]
fn f25_thirty_two_readers_come_and_go_at_sixteen_places_and_each_sees_rising_numbers() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "8"]);
    let mut steady = stage.open(&["consume", "cam"]);
    steady.tell("run");
    // The first is there for whoever comes, before the rush.
    producer.tell("run 64x64x4,100x100x4");
    steady.expect("first");
    // All places but one are taken at least once before the first visitor leaves.
    let all_here = Barrier::new(32);
    let refused: u64 = std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..32)
            .map(|_| {
                let (subscribe, all_here) = (stage.subscribe("cam"), &all_here);
                scope.spawn(move || {
                    let first = subscribe.clone().open();
                    all_here.wait();
                    let refused = u64::from(first.is_err());
                    drop(first);
                    refused + visit(&subscribe, 5)
                })
            })
            .collect();
        visitors.into_iter().map(|visitor| visitor.join().unwrap()).sum()
    });
    assert!(refused >= 17, "only {refused} were refused: there was never more than a link takes");
    producer.halt(&[]);
    let seen = steady.halt(&[]);
    assert_eq!(seen.number("torn"), 0, "{seen}");
    producer.ask("consumers 1", "consumers");
    eventually("all have left", || match stage.info("cam").consumers.len() {
        1 => Ok(()),
        count => Err(format!("{count} consumers")),
    });
    steady.quit();
    producer.quit();
}

#[test]
fn f46_a_wait_in_one_thread_ends_when_another_thread_closes_the_link() {
    let stage = Stage::new(PEER);
    for _ in 0..50 {
        let out = stage.publish("cam").open().unwrap();
        let mut sub = stage.subscribe("cam").timeout(Some(Duration::from_millis(1))).open().unwrap();
        let waiting = std::thread::spawn(move || sub.recv_with(None, &mut Patient).map(drop));
        let closing = std::thread::spawn(move || drop(out));
        closing.join().unwrap();
        let ended = waiting.join().unwrap().unwrap_err();
        assert!(matches!(ended, LinkError::ProducerClosed { .. }), "{ended}");
    }
}

struct Patient;

impl uncopy::Waiting for Patient {}

#[test]
fn f46_both_ends_move_between_threads_and_frames_are_read_in_others() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    for seq in 1..=50 {
        out = std::thread::spawn(move || {
            publish_one(&mut out, "64x64x4");
            out
        })
        .join()
        .unwrap();
        let (back, frame) = std::thread::spawn(move || {
            let frame = sub.recv(LONG).unwrap();
            (sub, frame)
        })
        .join()
        .unwrap();
        sub = back;
        let whole = std::thread::scope(|scope| {
            let readers: Vec<_> =
                (0..3).map(|_| scope.spawn(|| pattern::check(frame.bytes(), seq).is_ok())).collect();
            readers.into_iter().all(|reader| reader.join().unwrap())
        });
        assert!(whole);
    }
    drop((out, sub));
}

#[test]
fn observers_take_no_place_and_may_look_as_often_as_they_like() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    let mut observer = stage.open(&["observe", "-"]);
    for seq in 1..=100 {
        publish_one(&mut out, "64x64x4");
        receive_one(&mut sub, seq);
        let seen = stage.info("cam");
        assert_eq!((seen.published, seen.consumers.len(), &seen.answer), (seq, 1, &Answer::Answering));
        assert_eq!(seen.form.unwrap(), form("64x64x4"));
        let names = observer.ask("list", "links");
        assert_eq!(names.value("names"), &serde_json::json!(["cam"]));
    }
    assert_eq!(out.stats().consumers, 1);
    observer.quit();
    drop((out, sub));
}
