// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other users: kept out by the directory's mode, and by each side's check of who is at the other end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::time::Duration;

use uncopy::{Answer, ErrorKind, LinkError};
use uncopy_tests::{Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const NOT_ROOT: &str = "SKIP acting as another user needs root";

/// A peer that acts as another user; `None` where this test may not make one.
fn other_user(stage: &Stage, role: &str) -> Option<Peer> {
    let mut peer = stage.peer(&[role, "cam"]);
    match peer.next_event().expect("it says whether it could").name() {
        "open" => Some(peer),
        _ => {
            drop(peer.end());
            None
        }
    }
}

#[test]
fn f36_a_producer_refuses_every_client_of_another_user() {
    let stage = Stage::new(PEER);
    let mut producer = stage.peer(&["produce", "cam"]);
    producer.expect("open");
    let Some(mut other) = other_user(&stage, "foreign") else {
        producer.quit();
        return println!("{NOT_ROOT}");
    };
    for first in ["hello", "observe", "take-over"] {
        let refused = other.ask(first, "refused");
        assert_eq!(refused.number("code"), ErrorKind::PermissionDenied.code() as u64, "{refused}");
        assert_eq!(refused.value("hung_up"), true, "{refused}");
        let text = refused.text("text");
        assert!(text.contains("user 65534") && text.contains("user 0"), "{text}");
    }
    // Nobody has taken anything.
    assert_eq!(stage.info("cam").consumers, []);
    producer.ask("frame 64x64x4", "published");
    other.quit();
    producer.quit();
}

#[test]
fn f36_readers_and_observers_refuse_a_producer_of_another_user() {
    let stage = Stage::new(PEER);
    drop(stage.runtime_dir());
    let Some(other) = other_user(&stage, "foreign-producer") else { return println!("{NOT_ROOT}") };
    let error = stage.subscribe("cam").open().err().unwrap();
    assert!(matches!(error, LinkError::ForeignProducer { theirs: 65_534, ours: 0, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let Answer::Refused(why) = stage.info("cam").answer else { panic!("it is not looked at") };
    assert!(why.contains("user 65534"), "{why}");
    other.quit();
}

#[test]
fn f36_a_directory_that_lets_others_in_is_refused_with_path_owner_and_mode() {
    for mode in [0o755, 0o750, 0o701, 0o777, 0o710] {
        let stage = Stage::new(PEER);
        fs::create_dir(stage.dir()).unwrap();
        fs::set_permissions(stage.dir(), fs::Permissions::from_mode(mode)).unwrap();
        let errors =
            [stage.publish("cam").open().err().unwrap(), stage.subscribe("cam").open().err().unwrap()];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            let text = error.to_string();
            let path = stage.dir().display().to_string();
            for part in [path.as_str(), "owner uid", &format!("mode {mode:04o}"), "0700"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        assert!(stage.files().is_empty());
    }
}

#[test]
fn f36_a_directory_of_another_user_is_refused() {
    let stage = Stage::new(PEER);
    fs::create_dir(stage.dir()).unwrap();
    fs::set_permissions(stage.dir(), fs::Permissions::from_mode(0o700)).unwrap();
    if chown(stage.dir(), Some(65_534), None).is_err() {
        return println!("{NOT_ROOT}");
    }
    let error = stage.publish("cam").open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("owner uid 65534"), "{error}");
}

#[test]
fn f36_a_link_in_the_place_of_the_directory_is_refused() {
    let stage = Stage::new(PEER);
    let target = stage.path("elsewhere");
    fs::create_dir(&target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&target, stage.dir()).unwrap();
    let error = stage.publish("cam").open().err().unwrap();
    assert!(error.to_string().contains("symbolic link"), "{error}");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn f36_a_name_whose_lock_cannot_be_opened_is_refused_with_its_path() {
    let stage = Stage::new(PEER);
    let dir = stage.runtime_dir();
    let lock = dir.path().join("cam.lock");
    // Not even root opens what may not be changed, on file systems that know the flag; a directory serves everywhere.
    fs::create_dir(&lock).unwrap();
    let error = stage.publish("cam").open().err().unwrap();
    assert!(error.to_string().contains(&lock.display().to_string()), "{error}");
    let unheard = stage.subscribe("cam").timeout(Some(Duration::from_millis(1))).open().err().unwrap();
    assert_eq!(unheard.kind(), ErrorKind::NotFound, "{unheard}");
    fs::remove_dir(lock).unwrap();
}

/// The words of each line of a table of the kernel's, without its heading.
fn rows(table: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(table).unwrap_or_default();
    text.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn a_link_listens_at_its_file_and_nowhere_else() {
    let stage = Stage::new(PEER);
    let mut producer = stage.peer(&["produce", "cam"]);
    producer.expect("open");
    let fds = format!("/proc/{}/fd", producer.pid());
    let opened = fs::read_dir(fds).unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let sockets: Vec<String> = opened
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    assert!(!sockets.is_empty());
    // proc_net(5): the inode is the tenth column of these.
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let rows = rows(&format!("/proc/{}/net/{table}", producer.pid()));
        let ours = rows.iter().filter(|row| row.get(9).is_some_and(|inode| sockets.contains(inode)));
        assert_eq!(ours.count(), 0, "{table}");
    }
    // The inode is the seventh column here, the path the eighth; an abstract one begins with '@'.
    let unix = rows(&format!("/proc/{}/net/unix", producer.pid()));
    let named: Vec<&String> = unix
        .iter()
        .filter(|row| row.get(6).is_some_and(|inode| sockets.contains(inode)))
        .filter_map(|row| row.get(7))
        .collect();
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named.iter().all(|path| !path.starts_with('@') && path.contains("cam.sock")), "{named:?}");
    producer.quit();
}

#[test]
fn the_memory_of_a_link_has_no_name() {
    let stage = Stage::new(PEER);
    let mut producer = stage.peer(&["produce", "cam"]);
    producer.expect("open");
    producer.ask("frame 64x64x4", "published");
    let maps = fs::read_to_string(format!("/proc/{}/maps", producer.pid())).unwrap();
    let shared = maps
        .lines()
        .filter(|line| line.split_whitespace().nth(1).is_some_and(|rights| rights.ends_with('s')));
    let named: Vec<&str> = shared.filter_map(|line| line.split_whitespace().nth(5)).collect();
    assert!(named.len() >= 2, "control and frame memory: {maps}");
    // The counters of `cargo xtask coverage` are mapped, too.
    let named: Vec<&str> = named.into_iter().filter(|path| !path.ends_with(".profraw")).collect();
    // memfd_create(2): such a path is a label, and leads nowhere.
    assert!(named.iter().all(|path| path.starts_with("/memfd:uncopy")), "{named:?}");
    producer.quit();
}
