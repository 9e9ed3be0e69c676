// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who has a name: races for it, leftovers of the dead under it, handing it over, and readers who come before anybody
//! has it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use uncopy::os::LockOutcome;
use uncopy::{Answer, ErrorKind, LinkError, Meta};
use uncopy_tests::{Peer, Stage, form, pattern};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const LONG: Duration = Duration::from_secs(60);

fn publish_one(out: &mut uncopy::Publisher) -> u64 {
    let seq = out.seq() + 1;
    let mut loan = out.loan(&form("64x64x4")).unwrap();
    pattern::fill(loan.bytes_mut(), seq);
    loan.publish(Meta::default()).unwrap()
}

#[test]
fn f10_of_eight_who_want_a_name_at_once_exactly_one_gets_it_and_the_others_are_told_who() {
    let stage = Stage::new(PEER);
    let mut peers: Vec<Peer> = (0..8).map(|_| stage.peer(&["contend", "cam"])).collect();
    peers.iter_mut().for_each(|peer| drop(peer.expect("open")));
    for round in 0..60 {
        peers.iter_mut().for_each(|peer| peer.tell("try"));
        let answers: Vec<_> = peers.iter_mut().map(|peer| peer.next_event().expect("an answer")).collect();
        let winners: Vec<usize> = (0..8).filter(|i| answers[*i].name() == "won").collect();
        assert_eq!(winners.len(), 1, "round {round}: {answers:?}");
        let winner = peers[winners[0]].pid();
        for answer in answers.iter().filter(|answer| answer.name() != "won") {
            assert_eq!(answer.name(), "taken", "round {round}: {answer}");
            assert_eq!(answer.number("pid"), u64::from(winner.unsigned_abs()), "{answer}");
            assert_eq!(answer.text("command"), "peer", "{answer}");
            assert!(answer.text("text").contains("ago"), "{answer}");
        }
        peers[winners[0]].ask("close", "closed");
    }
    peers.into_iter().for_each(|peer| drop(peer.quit()));
}

#[test]
fn f10_a_name_never_has_two_holders_while_eight_take_it_in_turn_and_readers_sweep() {
    let stage = Stage::new(PEER);
    let mut readers: Vec<Peer> = (0..2).map(|_| stage.peer(&["consume", "cam"])).collect();
    readers.iter_mut().for_each(|reader| reader.tell("run"));
    let mut peers: Vec<Peer> = (0..8).map(|_| stage.peer(&["contend", "cam"])).collect();
    peers.iter_mut().for_each(|peer| drop(peer.expect("open")));
    let proof = stage.path("the-one");
    for peer in &mut peers {
        peer.tell(&format!("storm 20 {}", proof.display()));
    }
    for peer in &mut peers {
        let stormed = peer.expect("stormed");
        assert_eq!(stormed.number("nameless"), 0, "a loser was not told who won: {stormed}");
    }
    peers.into_iter().for_each(|peer| drop(peer.quit()));
    // The readers may have met nobody who stayed long enough to let them in.
    let last = stage.publish("cam").open().unwrap();
    last.wait_for_consumers(2, LONG).unwrap();
    drop(last);
    for mut reader in readers {
        reader.halt(&["open", "gone"]);
        reader.quit();
    }
}

#[test]
fn f10_who_is_slow_to_remove_what_the_dead_left_keeps_the_next_producer_waiting_and_not_out() {
    let stage = Stage::new(PEER);
    let LockOutcome::Locked(sweeping) = stage.runtime_dir().lock("cam.lock").unwrap() else {
        panic!("nobody else has it")
    };
    let mut producer = stage.peer(&["produce", "cam"]);
    // The time that a busy disk takes is the input of this test; nothing waits for it.
    std::thread::sleep(Duration::from_millis(500));
    drop(sweeping);
    producer.expect("open");
    producer.quit();
}

#[test]
fn f10_a_takeover_hands_the_name_over_and_readers_follow() {
    let stage = Stage::new(PEER);
    let mut old = stage.peer(&["produce", "cam"]);
    old.expect("open");
    old.ask("frame 64x64x4", "published");
    let mut sub = stage.subscribe("cam").open().unwrap();
    let held = sub.recv(LONG).unwrap();
    let mut new = stage.publish("cam").takeover(true).open().unwrap();
    let refused = old.ask("frame 64x64x4", "error");
    assert_eq!(refused.text("kind"), "superseded", "{refused}");
    publish_one(&mut new);
    assert_eq!((sub.recv(LONG).unwrap().seq(), sub.restarts()), (1, 1));
    assert!(pattern::check(held.bytes(), held.seq()).is_ok(), "the old frame stays");
    assert_eq!(stage.info("cam").producer.unwrap().pid, std::process::id().cast_signed());
    // Its owner closes what it has lost; nobody notices.
    old.ask("close", "closed");
    publish_one(&mut new);
    assert_eq!(sub.recv(LONG).unwrap().seq(), 2);
    drop((sub, held, new));
    old.quit();
}

#[test]
fn a_takeover_of_a_free_name_takes_it() {
    let stage = Stage::new(PEER);
    let out = stage.publish("cam").takeover(true).open().unwrap();
    assert_eq!(stage.info("cam").answer, Answer::Answering);
    drop(out);
}

#[test]
fn f13_a_reader_that_is_first_waits_and_is_served_at_once() {
    let stage = Stage::new(PEER);
    let mut reader = stage.peer(&["consume", "cam"]);
    // The reader has made the directory before anybody published: it is looking.
    uncopy_tests::stage::eventually("the reader looks for a producer", || {
        if stage.dir().is_dir() { Ok(()) } else { Err("no directory".to_owned()) }
    });
    let mut out = stage.publish("cam").open().unwrap();
    out.wait_for_consumers(1, LONG).unwrap();
    reader.expect("open");
    publish_one(&mut out);
    assert_eq!(reader.ask("take", "took").number("seq"), 1);
    reader.quit();
}

#[test]
fn f13_a_reader_that_gives_up_says_what_it_waited_for_and_which_links_are_live() {
    let stage = Stage::new(PEER);
    let outs = ["camera", "screen"].map(|name| stage.publish(name).open().unwrap());
    let timeout = Some(Duration::from_millis(1));
    let error = stage.subscribe("camra").timeout(timeout).open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    for part in ["'camra'", "live links: camera, screen", "did you mean 'camera'?"] {
        assert!(text.contains(part), "{text}");
    }
    drop(outs);
}

/// Every file of a link, with content that no producer would write.
fn litter(dir: &Path, content: &[u8]) {
    for name in ["cam.lock", "cam.sock", ".cam.sock.tmp"] {
        fs::write(dir.join(name), content).unwrap();
    }
}

#[test]
fn f09_leftovers_of_any_content_are_replaced_by_the_next_producer() {
    let contents: [&[u8]; 6] =
        [b"", b"\0\0\0\0", b"1 1 1\nold", b"not a note", &[0xFF; 5000], b"-7 99999999999999999999 x\n\n\n"];
    for content in contents {
        let stage = Stage::new(PEER);
        let dir = stage.runtime_dir();
        litter(dir.path(), content);
        let mut out = stage.publish("cam").open().unwrap();
        let is_socket = fs::symlink_metadata(stage.dir().join("cam.sock")).unwrap().file_type().is_socket();
        assert!(is_socket, "{content:?}");
        let mut sub = stage.subscribe("cam").open().unwrap();
        publish_one(&mut out);
        assert_eq!(sub.recv(LONG).unwrap().seq(), 1);
        drop((sub, out));
    }
}

#[test]
fn f09_leftovers_are_swept_by_whoever_lists_or_subscribes_and_other_files_are_left_alone() {
    let stage = Stage::new(PEER);
    let dir = stage.runtime_dir();
    let own = stage.dir().join("notes.txt");
    fs::write(&own, "mine").unwrap();
    let sweepers: [(&str, &dyn Fn()); 2] = [
        ("list", &|| assert_eq!(stage.list(), [])),
        ("subscribe", &|| {
            let timeout = Some(Duration::from_millis(1));
            let error = stage.subscribe("cam").timeout(timeout).open().err().unwrap();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }),
    ];
    for (who, sweep) in sweepers {
        for leftovers in
            [&["cam.lock"][..], &["cam.sock"], &[".cam.sock.tmp"], &["cam.lock", ".cam.sock.tmp"]]
        {
            for name in leftovers {
                fs::write(dir.path().join(name), "of a dead producer").unwrap();
            }
            sweep();
            assert_eq!(stage.files(), ["notes.txt"], "{who} leaves {leftovers:?}");
        }
    }
    fs::remove_file(own).unwrap();
}

#[test]
fn f09_sweeping_never_touches_the_files_of_a_live_producer() {
    let stage = Stage::new(PEER);
    let out = stage.publish("cam").open().unwrap();
    let before = stage.files();
    for _ in 0..50 {
        assert_eq!(stage.list().len(), 1);
        assert_eq!(stage.files(), before);
    }
    drop(out);
}

#[test]
fn f09_a_directory_or_a_link_in_the_place_of_a_file_is_refused_by_its_path_and_nothing_is_left() {
    for name in ["cam.lock", "cam.sock", ".cam.sock.tmp"] {
        for is_link in [false, true] {
            let stage = Stage::new(PEER);
            let dir = stage.runtime_dir();
            let target = stage.path("target");
            let obstacle = dir.path().join(name);
            if is_link {
                fs::write(&target, "not ours to write").unwrap();
                symlink(&target, &obstacle).unwrap();
            } else {
                fs::create_dir(&obstacle).unwrap();
            }
            match stage.publish("cam").open() {
                // A link is a file like any other where it is only replaced.
                Ok(out) => {
                    assert!(is_link && name != "cam.lock", "{name}");
                    drop(out);
                }
                Err(error) => assert!(error.to_string().contains("cam"), "{name}: {error}"),
            }
            if is_link {
                assert_eq!(fs::read(&target).unwrap(), b"not ours to write", "{name}");
                let _ = fs::remove_file(&obstacle);
            } else {
                fs::remove_dir(&obstacle).unwrap();
            }
            // The obstacle gone, the name is as good as any.
            drop(stage.publish("cam").open().unwrap());
        }
    }
}

#[test]
fn f36_every_file_of_a_link_is_its_users_alone() {
    let stage = Stage::new(PEER);
    let out = stage.publish("cam").open().unwrap();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&stage.dir()), 0o700);
    assert_eq!(stage.files(), ["cam.lock", "cam.sock"]);
    for file in stage.files() {
        assert_eq!(mode(&stage.dir().join(&file)), 0o600, "{file}");
    }
    drop(out);
}

#[test]
fn f37_files_removed_while_a_link_runs_hurt_nobody_who_has_joined() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    for file in stage.files() {
        fs::remove_file(stage.dir().join(file)).unwrap();
    }
    publish_one(&mut out);
    assert_eq!(sub.recv(LONG).unwrap().seq(), 1);
    let timeout = Some(Duration::from_millis(1));
    let late = stage.subscribe("cam").timeout(timeout).open().err().unwrap();
    assert_eq!(late.kind(), ErrorKind::NotFound, "{late}");
    // The name is free: another producer takes it, and the first one's end does not take that away.
    let second = stage.publish("cam").open().unwrap();
    drop((sub, out));
    assert_eq!(stage.info("cam").answer, Answer::Answering);
    drop(second);
}

#[test]
fn names_that_break_the_rule_are_refused_before_anything_is_made() {
    let stage = Stage::new(PEER);
    for name in ["", ".hidden", "a/b", "../x", "a b", "ä", &"x".repeat(65)] {
        let published = stage.publish(name).open().err().unwrap();
        let subscribed = stage.subscribe(name).open().err().unwrap();
        for error in [published, subscribed] {
            assert!(matches!(error, LinkError::Name(_)), "{name:?}: {error}");
        }
    }
    let unknown = stage.publish("cipd:cam").open().err().unwrap();
    assert_eq!(unknown.kind(), ErrorKind::Unsupported, "{unknown}");
    assert!(!stage.dir().exists());
    // The longest name is a name.
    drop(stage.publish(&"x".repeat(64)).open().unwrap());
}
