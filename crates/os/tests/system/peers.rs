// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is at the other end, with real processes there.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use uncopy_core::ErrorKind;
use uncopy_os::{
    Connection, Interest, Listener, Mapping, PidFd, Poller, ProcessId, Received, RuntimeDir, SharedMemory,
    Woken,
};
use uncopy_tensor::Access;

use crate::support::{self, Child, Role, Scratch, skip};

pub const ROLES: &[Role] = &[
    ("peers::asks_who_connected", asks_who_connected),
    ("peers::connects_and_waits", connects_and_waits),
    ("peers::connects_as_another_user", connects_as_another_user),
    ("peers::echoes", echoes),
    ("peers::cannot_take_handles", cannot_take_handles),
    ("peers::leaves_nothing", leaves_nothing),
    ("peers::sends_to_the_gone", sends_to_the_gone),
    ("peers::listens_in_a_namespace", listens_in_a_namespace),
];

fn connects_and_waits() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let _connection = Connection::connect(&dir, "peer.sock").unwrap();
    support::tell("connected");
    support::hear();
}

#[test]
fn the_kernel_says_which_process_connected() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = Listener::bind(&dir, "peer.sock").unwrap();
    let child = Child::start("peers::connects_and_waits", dir.path());
    let connection = support::accept(&listener);
    let peer = connection.peer().unwrap();
    assert_eq!((peer.pid, peer.uid), (Some(child.pid()), uncopy_os::current_uid()));
}

// F02
#[test]
fn a_killed_peer_is_a_hang_up_that_its_pidfd_confirms() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = Listener::bind(&dir, "peer.sock").unwrap();
    let mut child = Child::start("peers::connects_and_waits", dir.path());
    let connection = support::accept(&listener);
    let held = match connection.peer_pidfd().unwrap() {
        Some(held) => held,
        None => {
            skip("SO_PEERPIDFD is not known here; pidfd_open with the start time stands in");
            let id = ProcessId::of(connection.peer().unwrap().pid.unwrap()).unwrap();
            PidFd::open_same(id).unwrap().unwrap()
        }
    };
    assert!(!held.is_dead());
    assert_eq!(child.hear(), "connected");
    let poller = Poller::new().unwrap();
    poller.add(&connection, 1, Interest::READ).unwrap();
    child.process.kill().unwrap();
    let mut events = Vec::new();
    poller.wait(&mut events, None).unwrap();
    assert!(events[0].hung_up && events[0].readable, "{events:?}");
    assert!(matches!(connection.recv(&mut [0; 8]).unwrap(), Received::Closed));
    assert_eq!(held.wait_dead(None), Woken::Woken);
    child.process.wait().unwrap();
    assert!(held.is_dead());
    // Collected meanwhile: the kernel may still give a hold on it, which then is dead, or none.
    assert!(connection.peer_pidfd().unwrap().is_none_or(|held| held.is_dead()));
}

fn connects_as_another_user() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    support::tell("opened");
    support::hear();
    support::set_user(65_534);
    match Connection::connect(&dir, "peer.sock") {
        Ok(_connection) => {
            support::tell("connected");
            support::hear();
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            support::tell("refused");
        }
    }
}

// F36
#[test]
fn another_user_cannot_connect_and_where_he_could_the_kernel_tells_who_he_is() {
    if !support::is_root() {
        return skip("only root can start a process of another user");
    }
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = Listener::bind(&dir, "peer.sock").unwrap();

    let mut stranger = Child::start("peers::connects_as_another_user", dir.path());
    assert_eq!(stranger.hear(), "opened");
    stranger.tell("go");
    assert_eq!(stranger.hear(), "refused");
    stranger.finish();

    let mut stranger = Child::start("peers::connects_as_another_user", dir.path());
    assert_eq!(stranger.hear(), "opened");
    // As if somebody had opened the doors by hand.
    for path in [scratch.path(), dir.path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o711)).unwrap();
    }
    fs::set_permissions(dir.path().join("peer.sock"), fs::Permissions::from_mode(0o777)).unwrap();
    stranger.tell("go");
    let connection = support::accept(&listener);
    let peer = connection.peer().unwrap();
    assert_eq!((peer.pid, peer.uid), (Some(stranger.pid()), 65_534));
    assert_eq!(stranger.hear(), "connected");
}

fn echoes() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let connection = Connection::connect(&dir, "peer.sock").unwrap();
    let mut buffer = [0; 64];
    loop {
        connection.wait_readable(None).unwrap();
        match connection.recv(&mut buffer).unwrap() {
            Received::Message { len, handles, .. } => {
                for handle in &handles {
                    let mapping = Mapping::open(handle, 4096, Access::ReadWrite).unwrap();
                    mapping.words().store_bytes(0, &buffer[..len]).unwrap();
                }
                let handles: Vec<_> = handles.iter().collect();
                let _ = connection.send(&buffer[..len], &handles).unwrap();
            }
            Received::WouldBlock => {}
            Received::Closed => return,
        }
    }
}

#[test]
fn memory_goes_to_another_process_and_back() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = Listener::bind(&dir, "peer.sock").unwrap();
    let child = Child::start("peers::echoes", dir.path());
    let connection = support::accept(&listener);
    let memory = SharedMemory::create("there and back", 4096).unwrap();
    for word in [&b"first"[..], b"second", b"third"] {
        let _ = connection.send(word, &[&memory.share().unwrap()]).unwrap();
        connection.wait_readable(None).unwrap();
        let Received::Message { len, handles, .. } = connection.recv(&mut [0; 64]).unwrap() else { panic!() };
        assert_eq!((len, handles.len()), (word.len(), 1));
        let mut seen = vec![0; len];
        memory.words().load_bytes(0, &mut seen).unwrap();
        assert_eq!(seen, word);
        let back = Mapping::open(&handles[0], 4096, Access::ReadWrite).unwrap();
        back.words().load_bytes(0, &mut seen).unwrap();
        assert_eq!(seen, word);
    }
    drop(connection);
    child.finish();
}

fn listens_in_a_namespace() {
    if let Err(error) = support::next_child_gets_a_pid_namespace() {
        return support::tell(format!("a pid namespace cannot be made: {error}"));
    }
    let child = support::fork();
    if child != 0 {
        support::collect(child);
        return;
    }
    assert_eq!(std::process::id(), 1, "the first process of its namespace");
    assert!(!uncopy_os::process::sees_processes(), "/proc is that of the namespace outside");
    assert_eq!(ProcessId::of(1), None, "not the first process outside");
    assert_eq!(ProcessId::current(), ProcessId { pid: 1, start_ticks: 0 });
    assert_eq!(PidFd::open_same(ProcessId::current()).unwrap_err().kind(), ErrorKind::Unsupported);
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let listener = Listener::bind(&dir, "peer.sock").unwrap();
    support::tell("listening");
    let connection = support::accept(&listener);
    let peer = connection.peer().unwrap();
    assert_eq!((peer.pid, peer.uid), (None, uncopy_os::current_uid()));
    let held = connection.peer_pidfd().unwrap();
    assert!(held.is_none_or(|held| !held.is_dead()));
    let _ = connection.send(b"seen", &[]).unwrap();
    connection.wait_readable(None).unwrap();
    assert!(matches!(connection.recv(&mut [0; 8]).unwrap(), Received::Closed));
    support::leave(0);
}

// F38
#[test]
fn a_peer_of_another_pid_namespace_has_no_number_but_its_hang_up_is_seen() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let mut child = Child::start("peers::listens_in_a_namespace", dir.path());
    match child.hear().as_str() {
        "listening" => {}
        reason => return skip(reason),
    }
    let connection = Connection::connect(&dir, "peer.sock").unwrap();
    connection.wait_readable(None).unwrap();
    assert!(matches!(connection.recv(&mut [0; 8]).unwrap(), Received::Message { .. }));
    drop(connection);
    child.finish();
}

fn sends_to_the_gone() {
    // As in a C program; Rust and Python ignore the signal.
    support::restore_default(libc::SIGPIPE);
    let (here, there) = Connection::pair().unwrap();
    drop(there);
    assert_eq!(here.send(b"x", &[]).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn sending_to_a_peer_that_is_gone_raises_no_signal() {
    Child::start("peers::sends_to_the_gone", "").finish();
}

fn cannot_take_handles() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let (here, there) = Connection::pair().unwrap();
    let memory = SharedMemory::create("x", 4096).unwrap();
    let handles: Vec<_> = (0..4).map(|_| memory.share().unwrap()).collect();
    let _ = here.send(b"four", &handles.iter().collect::<Vec<_>>()).unwrap();
    let _ = here.send(b"none", &[]).unwrap();
    let room = support::Holdings::now();
    let last = rustix::fd::AsRawFd::as_raw_fd(&rustix::fd::AsFd::as_fd(&handles[3])).unsigned_abs();
    drop(handles);
    let before = support::Holdings::now();
    assert_ne!(room, before);
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Room for two of the four.
    setrlimit(Resource::Nofile, Rlimit { current: Some(u64::from(last) - 1), maximum }).unwrap();
    let error = there.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfResources, "{error}");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    assert_eq!(support::Holdings::now(), before, "the two that arrived are closed");
    assert!(
        matches!(there.recv(&mut [0; 8]).unwrap(), Received::Message { len: 4, .. }),
        "the connection goes on"
    );
}

// F34
#[test]
fn a_message_whose_handles_find_no_room_is_an_error_and_leaks_none() {
    Child::start("peers::cannot_take_handles", "").finish();
}

fn leaves_nothing() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let memory = SharedMemory::create("x", 4096).unwrap();
    support::leaves_nothing_behind(|| {
        let listener = Listener::bind(&dir, "peer.sock").unwrap();
        let theirs = Connection::connect(&dir, "peer.sock").unwrap();
        let ours = listener.accept().unwrap().unwrap();
        let handle = memory.share().unwrap();
        let _ = ours.send(b"unread", &[&handle]).unwrap();
        let _ = theirs.send(b"read", &[&handle]).unwrap();
        assert!(matches!(ours.recv(&mut [0; 8]).unwrap(), Received::Message { len: 4, .. }));
        drop(ours.peer_pidfd().unwrap());
        drop(listener);
        Connection::connect(&dir, "peer.sock").unwrap_err();
    });
    assert_eq!(dir.entries().unwrap(), Vec::<String>::new());
}

#[test]
fn talking_leaves_no_descriptor_and_no_name_behind() {
    let scratch = Scratch::new();
    Child::start("peers::leaves_nothing", scratch.runtime_dir().path()).finish();
}

fn asks_who_connected() {
    let (here, _there) = Connection::pair().unwrap();
    support::tell(here.peer_pidfd().unwrap().is_some());
}

/// Whether a process with `UNCOPY_WITHOUT_PEERPIDFD` set to `value` gets a hold on its peer.
fn gets_a_hold(value: &str) -> bool {
    let mut child = Child::start_with("peers::asks_who_connected", "", |command| {
        command.env("UNCOPY_WITHOUT_PEERPIDFD", value);
    });
    let told = child.hear() == "true";
    child.finish();
    told
}

#[test]
fn a_kernel_that_cannot_hold_on_to_a_peer_is_an_answer_and_no_error() {
    let (here, _there) = Connection::pair().unwrap();
    let older = Some((libc::SYS_getsockopt, rustix::io::Errno::NOPROTOOPT));
    let answer = support::in_thread_without_call(older, || here.peer_pidfd());
    assert!(answer.unwrap().is_none());
}

#[test]
fn only_test_builds_can_play_such_a_kernel() {
    let holds = gets_a_hold("");
    assert_eq!(gets_a_hold("0"), holds);
    assert_eq!(gets_a_hold("1"), holds && !cfg!(feature = "kill-points"));
    if !holds {
        skip("this kernel has no SO_PEERPIDFD, so there is nothing to hide");
    }
}
