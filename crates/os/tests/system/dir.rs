// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runtime directory, and taking names in it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use uncopy_core::ErrorKind;
use uncopy_os::dir::MAX_NOTE_BYTES;
use uncopy_os::{LockOutcome, LockState, NameLock, OsError, RuntimeDir, current_uid};

use crate::support::{self, Child, Role, Scratch, skip};

pub const ROLES: &[Role] = &[
    ("dir::opens_by_environment", opens_by_environment),
    ("dir::opens_as_another_user", opens_as_another_user),
    ("dir::locks_and_waits", locks_and_waits),
    ("dir::locks_many_times", locks_many_times),
    ("dir::leaves_nothing", leaves_nothing),
];

fn locked(dir: &RuntimeDir, name: &str) -> NameLock {
    match dir.lock(name).unwrap() {
        LockOutcome::Locked(lock) => lock,
        LockOutcome::Held { holder } => panic!("held by {holder:?}"),
    }
}

fn holder(dir: &RuntimeDir, name: &str) -> Option<String> {
    match dir.lock(name).unwrap() {
        LockOutcome::Held { holder } => holder,
        LockOutcome::Locked(_) => panic!("free"),
    }
}

#[test]
fn the_directory_is_made_for_its_owner_alone() {
    let scratch = Scratch::new();
    let path = scratch.path().join("run");
    let dir = RuntimeDir::open_at(&path).unwrap();
    assert_eq!(dir.path(), path);
    let made = fs::metadata(&path).unwrap();
    assert_eq!((made.mode() & 0o7777, made.uid()), (0o700, current_uid()));
    fs::write(path.join("kept"), "").unwrap();
    let again = RuntimeDir::open_at(&path).unwrap();
    assert_eq!(again.entries().unwrap(), ["kept"]);
}

// F36
#[test]
fn a_directory_that_lets_others_in_is_refused_with_path_owner_and_mode() {
    let scratch = Scratch::new();
    let path = scratch.path().join("open");
    fs::create_dir(&path).unwrap();
    for mode in [0o755, 0o770, 0o701, 0o720, 0o1777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = RuntimeDir::open_at(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let text = error.to_string();
        let expected =
            [path.display().to_string(), format!("uid {}", current_uid()), format!("mode {mode:04o}")];
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    }
}

// F36
#[test]
fn a_directory_of_another_user_is_refused_with_his_number() {
    if !support::is_root() {
        return skip("only root can make a directory of another user");
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("foreign");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
    let error = RuntimeDir::open_at(&path).unwrap_err();
    assert!(matches!(error, OsError::Permission { owner: 65_534, mode: 0o700, .. }), "{error}");
}

#[test]
fn a_symbolic_link_a_file_and_a_relative_path_are_refused() {
    let scratch = Scratch::new();
    let (real, link, file) =
        (scratch.path().join("real"), scratch.path().join("link"), scratch.path().join("file"));
    RuntimeDir::open_at(&real).unwrap();
    symlink(&real, &link).unwrap();
    fs::write(&file, "").unwrap();
    for (path, reason) in [(&link, "symbolic link"), (&file, "no directory"), (&"run".into(), "absolute")] {
        let error = RuntimeDir::open_at(path).unwrap_err();
        assert!(
            matches!(error, OsError::InvalidPath { .. }) && error.to_string().contains(reason),
            "{error}"
        );
    }
    let missing = scratch.path().join("missing/run");
    assert_eq!(RuntimeDir::open_at(missing).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_link_above_the_directory_is_followed() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("real")).unwrap();
    symlink(scratch.path().join("real"), scratch.path().join("link")).unwrap();
    RuntimeDir::open_at(scratch.path().join("link/run")).unwrap();
    assert!(scratch.path().join("real/run").is_dir());
}

fn opens_as_another_user() {
    support::set_user(65_534);
    let error = RuntimeDir::open_at(support::argument()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

// F36
#[test]
fn a_directory_behind_a_closed_door_is_permission_denied() {
    if !support::is_root() {
        return skip("only root can become another user");
    }
    let scratch = Scratch::new();
    Child::start("dir::opens_as_another_user", scratch.path().join("run")).finish();
}

fn opens_by_environment() {
    match RuntimeDir::open() {
        Ok(dir) => support::tell(dir.path().display()),
        Err(error) => support::tell(error),
    }
}

#[test]
fn the_environment_says_where_the_directory_is() {
    let scratch = Scratch::new();
    let path = |name: &str| scratch.path().join(name);
    let opened = |variables: &[(&str, std::path::PathBuf)]| {
        let mut child = Child::start_with("dir::opens_by_environment", "", |command| {
            command.env_remove("UNCOPY_RUNTIME_DIR").env_remove("XDG_RUNTIME_DIR");
            command.envs(variables.iter().map(|(name, value)| (name, value)));
        });
        let told = child.hear();
        child.finish();
        told
    };
    fs::create_dir(path("xdg")).unwrap();
    let xdg = ("XDG_RUNTIME_DIR", path("xdg"));
    let temporary = ("TMPDIR", scratch.path().to_owned());
    let ours = format!("uncopy-{}", current_uid());
    assert_eq!(
        opened(&[("UNCOPY_RUNTIME_DIR", path("own")), xdg.clone()]),
        path("own").display().to_string()
    );
    assert_eq!(opened(&[xdg, temporary.clone()]), path("xdg/uncopy").display().to_string());
    assert_eq!(opened(&[("XDG_RUNTIME_DIR", path("gone")), temporary]), path(&ours).display().to_string());
    assert!(opened(&[("UNCOPY_RUNTIME_DIR", "relative".into())]).contains("must be an absolute path"));
}

#[test]
fn what_was_checked_is_what_is_used_even_when_the_path_is_swapped() {
    let scratch = Scratch::new();
    let (path, elsewhere) = (scratch.path().join("run"), scratch.path().join("elsewhere"));
    let dir = RuntimeDir::open_at(&path).unwrap();
    fs::rename(&path, &elsewhere).unwrap();
    RuntimeDir::open_at(&path).unwrap();
    let _lock = locked(&dir, "x.lock");
    let _listener = uncopy_os::Listener::bind(&dir, "x.sock").unwrap();
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 2);
}

#[test]
fn removing_says_whether_there_was_something() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(dir.remove("file").unwrap());
    assert!(!dir.remove("file").unwrap());
    fs::write(scratch.path().join("outside"), "").unwrap();
    for name in ["../outside", "", "..", "a\0"] {
        assert!(matches!(dir.remove(name).unwrap_err(), OsError::InvalidPath { .. }), "{name:?}");
    }
    assert!(scratch.path().join("outside").exists());
}

#[test]
fn a_removed_directory_is_gone_and_opening_it_makes_a_new_one() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let lock = locked(&dir, "x.lock");
    fs::remove_dir_all(dir.path()).unwrap();
    assert!(dir.is_gone());
    assert_eq!(dir.lock("y.lock").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(dir.entries().unwrap(), Vec::<String>::new());
    let again = RuntimeDir::open_at(dir.path()).unwrap();
    let _same_name = locked(&again, "x.lock");
    drop(lock);
    assert_eq!(again.entries().unwrap(), ["x.lock"], "the old holder removes nothing that is not its own");
}

// F37
#[test]
fn a_holder_whose_file_was_removed_by_hand_removes_no_successors_file() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let first = locked(&dir, "x.lock");
    fs::remove_file(dir.path().join("x.lock")).unwrap();
    let second = locked(&dir, "x.lock");
    second.write_note("the second").unwrap();
    drop(first);
    assert_eq!(holder(&dir, "x.lock").as_deref(), Some("the second"));
    fs::remove_file(dir.path().join("x.lock")).unwrap();
    second.unlink().unwrap();
    assert_eq!(dir.entries().unwrap(), Vec::<String>::new());
}

// F10
#[test]
fn a_taken_name_tells_its_holder() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let lock = locked(&dir, "camera.lock");
    assert_eq!(lock.file_name(), "camera.lock");
    let mode = fs::metadata(dir.path().join("camera.lock")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600);
    assert_eq!(holder(&dir, "camera.lock"), None, "it has not said who it is yet");
    lock.write_note("a rather long note about the holder").unwrap();
    lock.write_note("process 17").unwrap();
    assert_eq!(holder(&dir, "camera.lock").as_deref(), Some("process 17"));
    lock.unlink().unwrap();
    assert_eq!(dir.entries().unwrap(), Vec::<String>::new());
    locked(&dir, "camera.lock");
}

#[test]
fn looking_at_a_lock_tells_its_holder_and_makes_takes_and_changes_nothing() {
    let scratch = Scratch::new();
    let dir = RuntimeDir::open_at(scratch.path().join("run")).unwrap();
    assert_eq!(dir.look_at_lock("camera.lock").unwrap(), LockState::Missing);
    assert_eq!(dir.entries().unwrap(), Vec::<String>::new());
    let lock = locked(&dir, "camera.lock");
    lock.write_note("process 17").unwrap();
    let held = LockState::Held { holder: Some("process 17".to_owned()) };
    assert_eq!(dir.look_at_lock("camera.lock").unwrap(), held);
    drop(lock);
    let left = dir.path().join("camera.lock");
    fs::write(&left, "of a dead holder").unwrap();
    assert_eq!(dir.look_at_lock("camera.lock").unwrap(), LockState::Free);
    assert_eq!(fs::read(&left).unwrap(), b"of a dead holder");
    drop(locked(&dir, "camera.lock"));
    symlink("elsewhere", &left).unwrap();
    assert!(matches!(dir.look_at_lock("camera.lock"), Err(OsError::InvalidPath { .. })));
}

#[test]
fn a_note_is_cut_to_its_limit_and_cleaned_of_control_characters() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let lock = locked(&dir, "x.lock");
    lock.write_note(&"n".repeat(3 * MAX_NOTE_BYTES)).unwrap();
    assert_eq!(holder(&dir, "x.lock").unwrap().len(), MAX_NOTE_BYTES);
    lock.write_note("red \x1b[31m text\nand more\n").unwrap();
    assert_eq!(holder(&dir, "x.lock").unwrap(), "red ?[31m text?and more");
}

#[test]
fn a_lock_that_is_a_symbolic_link_is_not_followed() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    symlink(scratch.path().join("target"), dir.path().join("x.lock")).unwrap();
    let error = dir.lock("x.lock").unwrap_err();
    assert!(matches!(error, OsError::InvalidPath { .. }), "{error}");
    assert!(!scratch.path().join("target").exists());
}

fn locks_and_waits() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let lock = locked(&dir, "x.lock");
    lock.write_note("a child").unwrap();
    support::tell("locked");
    support::hear();
}

// F09
#[test]
fn a_name_is_free_as_soon_as_its_holder_is_dead_whatever_it_left() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let mut child = Child::start("dir::locks_and_waits", dir.path());
    assert_eq!(child.hear(), "locked");
    assert_eq!(holder(&dir, "x.lock").as_deref(), Some("a child"));
    child.kill();
    assert_eq!(dir.entries().unwrap(), ["x.lock"], "its file is left");
    let lock = locked(&dir, "x.lock");
    assert_eq!(holder(&dir, "x.lock"), None, "not the dead one's note");
    drop(lock);
}

// F10
#[test]
fn of_many_threads_that_want_a_name_exactly_one_gets_it_each_time() {
    const THREADS: u32 = 8;
    const ROUNDS: u32 = 400;
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let (barrier, winners) = (Barrier::new(THREADS as usize), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    barrier.wait();
                    let outcome = dir.lock("race.lock").unwrap();
                    if matches!(outcome, LockOutcome::Locked(_)) {
                        winners.fetch_add(1, Ordering::Relaxed);
                    }
                    barrier.wait(); // all have tried before the winner gives it back
                    drop(outcome);
                }
            });
        }
    });
    assert_eq!(winners.load(Ordering::Relaxed), ROUNDS);
    assert_eq!(dir.entries().unwrap(), Vec::<String>::new());
}

fn locks_many_times() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let inside = dir.path().join("inside");
    let mut wins = 0;
    while wins < 150 {
        if let LockOutcome::Locked(lock) = dir.lock("race.lock").unwrap() {
            // Fails if anybody else is inside too.
            fs::File::create_new(&inside).expect("one at a time");
            lock.write_note("inside").unwrap();
            fs::remove_file(&inside).unwrap();
            wins += 1;
        }
    }
}

// F10
#[test]
fn of_many_processes_that_take_and_give_back_a_name_never_two_have_it() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let children: Vec<_> = (0..8).map(|_| Child::start("dir::locks_many_times", dir.path())).collect();
    for child in children {
        child.finish();
    }
    assert_eq!(dir.entries().unwrap(), Vec::<String>::new());
}

fn leaves_nothing() {
    support::leaves_nothing_behind(|| {
        let dir = RuntimeDir::open_at(support::argument()).unwrap();
        let lock = locked(&dir, "x.lock");
        lock.write_note("me").unwrap();
        holder(&dir, "x.lock");
        dir.entries().unwrap();
        drop(dir); // the lock keeps it
        drop(lock);
    });
    assert_eq!(fs::read_dir(support::argument()).unwrap().count(), 0);
}

#[test]
fn locking_leaves_no_descriptor_and_no_file_behind() {
    let scratch = Scratch::new();
    Child::start("dir::leaves_nothing", scratch.path().join("run")).finish();
}
