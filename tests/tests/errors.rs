// SPDX-License-Identifier: MIT OR Apache-2.0
//! The errors of a link's processes are kept, each once, and outlive those who met them.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use uncopy::{ErrorKind, ErrorRecord, LinkError, Meta, Side};
use uncopy_tests::stage::eventually;
use uncopy_tests::{Peer, Stage, form};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const FORM: &str = "64x64x4";

fn of_kind(records: &[ErrorRecord], kind: ErrorKind, side: Side) -> &ErrorRecord {
    records
        .iter()
        .find(|record| (record.kind, record.side) == (kind, side))
        .unwrap_or_else(|| panic!("no {kind:?} of a {} in {records:#?}", side.name()))
}

#[test]
fn f01_errors_of_both_sides_are_read_after_both_have_been_killed() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "2", "--evict-after", "0"]);
    let mut consumer = stage.open(&["consume", "cam"]);
    producer.ask(&format!("frame {FORM}"), "published");
    consumer.ask("take", "took");
    producer.ask(&format!("frame {FORM}"), "published");
    // The consumer holds one slot of two, the newest frame is in the other.
    eventually("the producer has evicted it", || {
        producer.ask(&format!("frame {FORM}"), "error");
        if stage.info("cam").evicted == 1 { Ok(()) } else { Err("not yet".to_owned()) }
    });
    consumer.ask("take", "error");
    let (their_producer, their_consumer) = (producer.pid(), consumer.pid());
    for mut peer in [producer, consumer] {
        peer.kill();
        drop(peer.collect());
    }
    let records = stage.errors("cam");
    let full = of_kind(&records, ErrorKind::NoFreeSlot, Side::Producer);
    assert_eq!(full.process.pid, their_producer);
    assert!(full.text.contains(&format!("process {their_consumer}")), "{}", full.text);
    let eviction = of_kind(&records, ErrorKind::Evicted, Side::Producer);
    assert!(eviction.text.contains("its place was taken away"), "{}", eviction.text);
    let evicted = of_kind(&records, ErrorKind::Evicted, Side::Consumer);
    assert_eq!((evicted.process.pid, evicted.count), (their_consumer, 1));
    assert!(records.iter().all(|record| !record.process.is_alive()));
    assert!(records.iter().all(|record| record.first_nanos <= record.last_nanos));
    assert!(records.windows(2).all(|pair| pair[0].last_nanos >= pair[1].last_nanos), "the latest first");
    assert_eq!(stage.errors("another"), []);
    let mode = fs::metadata(stage.dir().join("cam.errors")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_error_that_comes_a_thousand_times_is_one_record_with_its_count() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(2).form(form(FORM)).open().unwrap();
    for side in 1..=1000 {
        let other = form(&format!("{side}x1"));
        assert!(matches!(out.loan(&other), Err(LinkError::FormMismatch { .. })));
    }
    drop(out);
    let records = stage.errors("cam");
    assert_eq!(records.len(), 1, "{records:#?}");
    let record = of_kind(&records, ErrorKind::FormMismatch, Side::Producer);
    assert_eq!(record.count, 1000);
    assert!(record.text.contains("1000"), "the last words: {}", record.text);
    assert_eq!(record.process.pid, std::process::id().cast_signed());
}

#[test]
fn who_could_not_join_and_who_could_not_take_the_name_are_noted() {
    let stage = Stage::new(PEER);
    let out = stage.publish("cam").open().unwrap();
    assert!(stage.publish("cam").open().is_err());
    let subs: Vec<_> = (0..16).map(|_| stage.subscribe("cam").open().unwrap()).collect();
    // It is refused as soon as the producer answers.
    assert!(stage.subscribe("cam").timeout(None).open().is_err());
    let brief = Some(Duration::from_millis(1));
    assert!(stage.subscribe("nobody").timeout(brief).open().is_err());
    drop((subs, out));
    let records = stage.errors("cam");
    of_kind(&records, ErrorKind::NameTaken, Side::Producer);
    of_kind(&records, ErrorKind::TooManyConsumers, Side::Consumer);
    // What the producer refused, it knows too.
    let refused = of_kind(&records, ErrorKind::TooManyConsumers, Side::Producer);
    assert!(refused.text.contains("was refused"), "{}", refused.text);
    of_kind(&stage.errors("nobody"), ErrorKind::NotFound, Side::Consumer);
}

#[test]
fn ordinary_waits_that_end_leave_nothing() {
    let stage = Stage::new(PEER);
    let out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").timeout(Some(Duration::from_secs(60))).open().unwrap();
    assert!(matches!(sub.recv(Duration::ZERO), Err(LinkError::TimedOut { .. })));
    drop(out);
    eventually("it knows that its producer has closed", || match sub.recv(Duration::ZERO) {
        Err(LinkError::ProducerClosed { .. }) => Ok(()),
        other => Err(format!("{:?}", other.map(drop))),
    });
    drop(sub);
    assert_eq!(stage.errors("cam"), []);
    assert!(!stage.dir().join("cam.errors").exists());
}

#[test]
fn an_error_file_that_is_locked_or_none_of_ours_holds_nobody_up_and_hides_nothing() {
    let stage = Stage::new(PEER);
    let path = stage.runtime_dir().path().join("cam.errors");
    let file = fs::File::create(&path).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    let fail = || {
        let mut out = stage.publish("cam").form(form(FORM)).open().unwrap();
        assert!(out.loan(&form("2x2")).is_err());
        out.loan(&form(FORM)).unwrap().publish(Meta::default()).unwrap();
    };
    fail();
    assert_eq!(stage.errors("cam"), [], "somebody else was at it");
    drop(file);
    fs::write(&path, "nonsense\n1\t2\tthree\n\u{0}\u{1}\n").unwrap();
    fail();
    assert_eq!(stage.errors("cam").len(), 1);
    fs::remove_file(&path).unwrap();
    let elsewhere = stage.path("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    fail();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    fail();
    assert!(uncopy::errors_in(&stage.runtime_dir(), "cam").is_err(), "it is no plain file");
    fs::remove_file(&path).unwrap();
}

/// Errors of several processes at once: none is lost, none is counted twice.
#[test]
fn several_processes_note_their_errors_in_one_file() {
    const TIMES: u64 = 20;
    let stage = Stage::new(PEER);
    let producer = stage.open(&["produce", "cam"]);
    let mut contenders: Vec<Peer> = (0..4).map(|_| stage.peer(&["produce", "cam"])).collect();
    for contender in &mut contenders {
        contender.expect("error");
    }
    let mut killed = stage.open(&["produce", "dead"]);
    let mut orphans: Vec<Peer> = (0..3).map(|_| stage.open(&["consume", "dead", "--timeout", "0"])).collect();
    killed.kill();
    drop(killed.collect());
    for orphan in &mut orphans {
        eventually("it knows that its producer is lost", || {
            match orphan.ask("take 0", "error").text("kind") {
                "producer_lost" => Ok(()),
                other => Err(other.to_owned()),
            }
        });
    }
    for _ in 1..TIMES {
        for orphan in &mut orphans {
            orphan.tell("take 0");
        }
        for orphan in &mut orphans {
            orphan.expect("error");
        }
    }
    contenders.into_iter().chain(orphans).chain([producer]).for_each(|peer| drop(peer.quit()));
    assert_eq!(stage.errors("cam").len(), 4);
    let records = stage.errors("dead");
    assert_eq!(records.iter().map(|record| record.count).collect::<Vec<_>>(), [TIMES; 3]);
}
