// SPDX-License-Identifier: MIT OR Apache-2.0
//! What dead producers leave: told by name, removed under the name's lock, and never taken from a live one.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use uncopy::{Cleaning, Fate, RuntimeFiles, clean_in};
use uncopy_tests::{Peer, Stage, points};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const LONG: Duration = Duration::from_secs(60);

/// Fate of the only name that has files.
#[track_caller]
fn only(mut found: Vec<RuntimeFiles>) -> RuntimeFiles {
    let files = found.pop().expect("some files");
    assert!(found.is_empty(), "{found:?}");
    files
}

fn kill_a_producer(stage: &Stage) {
    let mut producer = stage.peer(&["produce", "cam"]);
    producer.expect("open");
    producer.kill();
}

#[test]
fn f09_what_a_killed_producer_left_is_removed_and_told_by_name() {
    let stage = Stage::new(PEER);
    kill_a_producer(&stage);
    let dir = stage.runtime_dir();
    let seen = only(clean_in(&dir, Cleaning { dry_run: true, ..Cleaning::default() }).unwrap());
    assert!(matches!(seen.fate, Fate::Removed), "{seen:?}");
    assert_eq!(stage.files(), ["cam.lock", "cam.sock"], "looking removes nothing");
    let removed = only(clean_in(&dir, Cleaning::default()).unwrap());
    assert_eq!(removed.name.as_deref(), Some("cam"));
    assert_eq!(removed.files, ["cam.lock", "cam.sock"]);
    assert!(matches!(removed.fate, Fate::Removed), "{removed:?}");
    assert_eq!(stage.files(), Vec::<String>::new());
    assert!(clean_in(&dir, Cleaning::default()).unwrap().is_empty());
}

#[test]
fn f09_whatever_a_producer_left_that_died_while_opening_is_removed() {
    if !points::ARMED {
        println!("{}", points::UNARMED);
        return;
    }
    for point in ["producer.named", "producer.control", "producer.bound", "producer.open"] {
        let stage = Stage::new(PEER);
        let ending = stage.doomed(point, 1, &["produce", "cam"]).collect();
        assert_eq!(ending.signal, Some(Signal::KILL.as_raw()), "{point} was not reached");
        assert!(!stage.files().is_empty(), "{point} leaves nothing");
        let removed = only(clean_in(&stage.runtime_dir(), Cleaning::default()).unwrap());
        assert!(matches!(removed.fate, Fate::Removed), "{point}: {removed:?}");
        assert_eq!(stage.files(), Vec::<String>::new(), "{point}");
    }
}

#[test]
fn f09_files_of_a_live_producer_stay_and_its_process_is_named() {
    let stage = Stage::new(PEER);
    let mut producer = stage.peer(&["produce", "cam"]);
    producer.expect("open");
    let dir = stage.runtime_dir();
    let before = fs::read(dir.path().join("cam.lock")).unwrap();
    for dry_run in [true, false] {
        let seen = only(clean_in(&dir, Cleaning { dry_run, ..Cleaning::default() }).unwrap());
        let Fate::InUse { pid, command } = &seen.fate else { panic!("{seen:?}") };
        assert_eq!((*pid, command.as_str()), (producer.pid(), "peer"));
        assert_eq!(stage.files(), ["cam.lock", "cam.sock"]);
    }
    assert_eq!(fs::read(dir.path().join("cam.lock")).unwrap(), before);
    producer.ask("close", "closed");
    producer.quit();
}

#[test]
fn f37_a_live_producer_whose_lock_file_was_removed_keeps_its_socket() {
    let stage = Stage::new(PEER);
    let out = stage.publish("cam").open().unwrap();
    let dir = stage.runtime_dir();
    fs::remove_file(dir.path().join("cam.lock")).unwrap();
    for dry_run in [true, false] {
        let seen = only(clean_in(&dir, Cleaning { dry_run, ..Cleaning::default() }).unwrap());
        let Fate::Listening { pid } = seen.fate else { panic!("{seen:?}") };
        assert_eq!(pid, std::process::id().cast_signed());
    }
    drop(stage.subscribe("cam").open().unwrap());
    assert_eq!(stage.files(), ["cam.sock"]);
    drop(out);
}

#[test]
fn files_of_no_link_stay_and_what_can_not_be_removed_says_why() {
    let stage = Stage::new(PEER);
    let dir = stage.runtime_dir();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    fs::write(dir.path().join("old.errors"), "").unwrap();
    fs::create_dir(dir.path().join("cam.sock")).unwrap();
    let found = clean_in(&dir, Cleaning::default()).unwrap();
    let fates: Vec<_> = found.iter().map(|files| (files.files.concat(), &files.fate)).collect();
    assert!(matches!(&fates[0], (file, Fate::Foreign) if file == "notes.txt"), "{fates:?}");
    assert!(matches!(&fates[1], (file, Fate::Errors) if file == "old.errors"), "{fates:?}");
    assert!(matches!(&fates[2], (file, Fate::Failed(_)) if file == "cam.sock"), "{fates:?}");
    assert_eq!(stage.files(), ["cam.sock", "notes.txt"], "no lock is left");
    assert!(dir.path().join("old.errors").exists());
    fs::remove_dir(dir.path().join("cam.sock")).unwrap();
    fs::remove_file(dir.path().join("notes.txt")).unwrap();
}

#[test]
fn f10_cleaning_takes_nothing_from_producers_that_start_and_end_meanwhile() {
    let stage = Stage::new(PEER);
    let mut sweepers: Vec<Peer> = (0..2).map(|_| stage.peer(&["observe", "cam"])).collect();
    for sweeper in &mut sweepers {
        sweeper.expect("open");
        sweeper.tell("clean");
    }
    let mut peers: Vec<Peer> = (0..4).map(|_| stage.peer(&["contend", "cam"])).collect();
    peers.iter_mut().for_each(|peer| drop(peer.expect("open")));
    let proof = stage.path("the-one");
    for peer in &mut peers {
        // Each time that it has the name it looks whether it is found under it: its socket is there, and is its own.
        peer.tell(&format!("storm 40 {}", proof.display()));
    }
    peers.iter_mut().for_each(|peer| drop(peer.expect("stormed")));
    peers.into_iter().for_each(|peer| drop(peer.quit()));
    let mut seen_in_use = 0;
    for mut sweeper in sweepers {
        sweeper.tell("list");
        seen_in_use += sweeper.expect("cleaned").number("in_use");
        sweeper.expect("links");
        sweeper.quit();
    }
    assert!(seen_in_use > 0, "they never met");
    let out = stage.publish("cam").open().unwrap();
    drop(stage.subscribe("cam").timeout(Some(LONG)).open().unwrap());
    drop(out);
}

#[test]
fn errors_go_when_they_are_asked_to_and_nobody_publishes_under_their_name() {
    let stage = Stage::new(PEER);
    let dir = stage.runtime_dir();
    let out = stage.publish("live").open().unwrap();
    for name in ["live", "dead"] {
        fs::write(dir.path().join(format!("{name}.errors")), "").unwrap();
    }
    let removed = |cleaning| {
        let found = clean_in(&dir, cleaning).unwrap();
        let removed = found.into_iter().filter(|files| matches!(files.fate, Fate::Removed));
        removed.flat_map(|files| files.files).collect::<Vec<_>>()
    };
    let errors = Cleaning { errors: true, ..Cleaning::default() };
    assert_eq!(removed(Cleaning::default()), [""; 0]);
    assert_eq!(removed(Cleaning { dry_run: true, ..errors }), ["dead.errors"]);
    assert!(dir.path().join("dead.errors").exists());
    assert_eq!(removed(errors), ["dead.errors"]);
    assert!(!dir.path().join("dead.errors").exists());
    assert!(dir.path().join("live.errors").exists());
    drop(out);
}
