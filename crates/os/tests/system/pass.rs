// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages and handles over sockets, and the sockets' names.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_getfd};
use uncopy_core::ErrorKind;
use uncopy_os::{
    Connection, Listener, MAX_HANDLES, Mapping, OsError, Received, RuntimeDir, Sent, SharedMemory, Woken,
};
use uncopy_tensor::{Access, ShareHandle};

use crate::support::Scratch;

/// The next message, which is known to be there.
fn message(connection: &Connection, buffer: &mut [u8]) -> (usize, Vec<ShareHandle>, bool) {
    match connection.recv(buffer).unwrap() {
        Received::Message { len, handles, truncated } => (len, handles, truncated),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_keep_their_boundaries_and_their_order() {
    let (here, there) = Connection::pair().unwrap();
    for text in ["one", "second", "3"] {
        assert_eq!(here.send(text.as_bytes(), &[]).unwrap(), Sent::Done);
    }
    let mut buffer = [0; 64];
    for text in ["one", "second", "3"] {
        let (len, handles, truncated) = message(&there, &mut buffer);
        assert_eq!((&buffer[..len], handles.len(), truncated), (text.as_bytes(), 0, false));
    }
    assert!(matches!(there.recv(&mut buffer).unwrap(), Received::WouldBlock));
}

#[test]
fn a_message_that_is_longer_than_the_buffer_says_so() {
    let (here, there) = Connection::pair().unwrap();
    let _ = here.send(b"too long", &[]).unwrap();
    let _ = here.send(b"next", &[]).unwrap();
    let mut buffer = [0; 4];
    assert!(matches!(message(&there, &mut buffer), (4, _, true)));
    assert_eq!(&buffer, b"too ");
    assert!(matches!(message(&there, &mut buffer), (4, _, false)));
    assert_eq!(&buffer, b"next");
}

#[test]
fn handles_arrive_in_order_and_lead_to_the_same_memory() {
    let (here, there) = Connection::pair().unwrap();
    let memories: Vec<_> = (0..MAX_HANDLES).map(|_| SharedMemory::create("passed", 4096).unwrap()).collect();
    let handles: Vec<_> = memories.iter().map(|memory| memory.share().unwrap()).collect();
    let _ = here.send(b"all", &handles.iter().collect::<Vec<_>>()).unwrap();
    drop(handles);
    let (_, received, truncated) = message(&there, &mut [0; 8]);
    assert_eq!((received.len(), truncated), (MAX_HANDLES, false));
    for (index, (memory, handle)) in memories.iter().zip(&received).enumerate() {
        assert!(fcntl_getfd(handle).unwrap().contains(FdFlags::CLOEXEC));
        let mapping = Mapping::open(handle, 4096, Access::ReadWrite).unwrap();
        mapping.words().store_bytes(0, &[index as u8]).unwrap();
        let mut byte = [0xFF];
        memory.words().load_bytes(0, &mut byte).unwrap();
        assert_eq!(byte, [index as u8]);
    }
}

#[test]
fn messages_that_cannot_be_carried_are_refused_before_anything_is_sent() {
    let (here, there) = Connection::pair().unwrap();
    let memory = SharedMemory::create("refused", 4096).unwrap();
    let handle = memory.share().unwrap();
    let huge = vec![0; 64 << 20];
    for (bytes, handles) in [(&b""[..], vec![]), (b"x", vec![&handle; MAX_HANDLES + 1]), (&huge, vec![])] {
        let error = here.send(bytes, &handles).unwrap_err();
        let expected = (bytes.len(), handles.len());
        let is_it = matches!(&error, OsError::BadMessage { len_bytes, handles, .. } if (*len_bytes, *handles) == expected);
        assert!(is_it, "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    assert!(matches!(there.recv(&mut [0; 8]).unwrap(), Received::WouldBlock));
    assert!(matches!(there.recv(&mut []).unwrap_err(), OsError::BadMessage { .. }));
}

#[test]
fn a_peer_that_sends_more_handles_than_allowed_has_them_closed() {
    let (here, there) = Connection::pair().unwrap();
    let memory = SharedMemory::create("many", 4096).unwrap();
    let handle = memory.share().unwrap();
    // As a peer that does not use this library would.
    let many = vec![handle.as_fd(); 100];
    let mut space = vec![std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(100))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&many)));
    let bytes = [std::io::IoSlice::new(b"x")];
    rustix::net::sendmsg(&here, &bytes, &mut control, rustix::net::SendFlags::empty()).unwrap();
    let (_, handles, truncated) = message(&there, &mut [0; 8]);
    assert_eq!((handles.len(), truncated), (MAX_HANDLES, true));
}

#[test]
fn a_full_queue_would_block_and_takes_messages_again_once_it_is_read() {
    let (here, there) = Connection::pair().unwrap();
    let mut sent = 0;
    while here.send(&[0; 1024], &[]).unwrap() == Sent::Done {
        sent += 1;
    }
    assert!(sent > 0);
    assert_eq!(here.wait_writable(Some(Duration::ZERO)).unwrap(), Woken::TimedOut);
    for _ in 0..sent {
        message(&there, &mut [0; 1024]);
    }
    assert_eq!(here.wait_writable(None).unwrap(), Woken::Woken);
    assert_eq!(here.send(b"x", &[]).unwrap(), Sent::Done);
}

#[test]
fn what_was_sent_before_a_hang_up_is_still_received() {
    let (here, there) = Connection::pair().unwrap();
    let _ = here.send(b"last", &[]).unwrap();
    drop(here);
    let mut buffer = [0; 8];
    assert_eq!(there.wait_readable(None).unwrap(), Woken::Woken);
    assert!(matches!(message(&there, &mut buffer), (4, _, _)));
    assert!(matches!(there.recv(&mut buffer).unwrap(), Received::Closed));
    assert!(matches!(there.recv(&mut buffer).unwrap(), Received::Closed));
    assert!(matches!(there.send(b"x", &[]).unwrap_err(), OsError::Closed));
}

#[test]
fn shutting_down_ends_the_waits_on_both_sides() {
    let (here, there) = Connection::pair().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| here.wait_readable(None).unwrap());
        there.shutdown();
        assert_eq!(waiter.join().unwrap(), Woken::Woken);
    });
    assert!(matches!(here.recv(&mut [0; 8]).unwrap(), Received::Closed));
    assert!(matches!(there.recv(&mut [0; 8]).unwrap(), Received::Closed));
    assert!(matches!(there.send(b"x", &[]).unwrap_err(), OsError::Closed));
}

#[test]
fn a_wait_for_a_message_ends_with_its_timeout() {
    let (here, _there) = Connection::pair().unwrap();
    assert_eq!(here.wait_readable(Some(Duration::from_millis(5))).unwrap(), Woken::TimedOut);
}

#[test]
fn a_listener_is_a_private_socket_under_its_name_and_nothing_else_is_left() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = Listener::bind(&dir, "camera.sock").unwrap();
    assert_eq!(dir.entries().unwrap(), ["camera.sock"]);
    let file = fs::symlink_metadata(dir.path().join("camera.sock")).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.mode() & 0o7777, 0o600);
    assert!(listener.accept().unwrap().is_none());
    drop(listener);
    assert_eq!(dir.entries().unwrap(), Vec::<String>::new());
}

#[test]
fn who_connects_is_accepted_and_both_can_talk() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = Listener::bind(&dir, "camera.sock").unwrap();
    let theirs = Connection::connect(&dir, "camera.sock").unwrap();
    let _ = theirs.send(b"early", &[]).unwrap();
    let ours = listener.accept().unwrap().expect("it waits");
    assert!(listener.accept().unwrap().is_none());
    let mut buffer = [0; 8];
    assert!(matches!(message(&ours, &mut buffer), (5, _, _)));
    let _ = ours.send(b"hello", &[]).unwrap();
    assert!(matches!(message(&theirs, &mut buffer), (5, _, _)));
}

#[test]
fn a_name_that_nobody_answers_to_is_not_found() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    assert_eq!(Connection::connect(&dir, "nobody.sock").unwrap_err().kind(), ErrorKind::NotFound);
    // What a killed producer leaves: a socket file without a socket.
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("dead.sock")).unwrap());
    let error = Connection::connect(&dir, "dead.sock").unwrap_err();
    assert!(error.kind() != ErrorKind::Closed, "{error}");
    Listener::bind(&dir, "dead.sock").unwrap();
}

#[test]
fn leftovers_of_a_killed_producer_are_replaced() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    fs::write(dir.path().join(".camera.sock.tmp"), "left").unwrap();
    fs::write(dir.path().join("camera.sock"), "left").unwrap();
    let _listener = Listener::bind(&dir, "camera.sock").unwrap();
    assert_eq!(dir.entries().unwrap(), ["camera.sock"]);
    Connection::connect(&dir, "camera.sock").unwrap();
}

#[test]
fn a_listener_does_not_remove_the_name_of_its_successor() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let first = Listener::bind(&dir, "camera.sock").unwrap();
    let second = Listener::bind(&dir, "camera.sock").unwrap();
    drop(first);
    Connection::connect(&dir, "camera.sock").unwrap();
    assert!(second.accept().unwrap().is_some());
}

#[test]
fn a_directory_path_longer_than_a_socket_address_works() {
    let scratch = Scratch::new();
    let mut long = scratch.path().to_owned();
    while long.as_os_str().len() < 300 {
        long.push("a-directory-with-a-long-name-in-a-deep-tree");
        fs::create_dir(&long).unwrap();
    }
    let dir = RuntimeDir::open_at(long.join("run")).unwrap();
    let name = format!("{}.sock", "n".repeat(64));
    let listener = Listener::bind(&dir, &name).unwrap();
    Connection::connect(&dir, &name).unwrap();
    assert!(listener.accept().unwrap().is_some());
}

#[test]
fn a_name_that_is_too_long_or_leads_elsewhere_is_refused() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    for name in ["", ".", "..", "a/b", "/etc/x", "a\0b", &"x".repeat(120)] {
        for error in [Listener::bind(&dir, name).unwrap_err(), Connection::connect(&dir, name).unwrap_err()] {
            assert!(matches!(error, OsError::InvalidPath { .. }), "{name}: {error}");
        }
    }
    assert_eq!(dir.entries().unwrap(), Vec::<String>::new());
}

#[test]
fn a_listener_whose_queue_is_full_says_so_and_blocks_nobody() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = Listener::bind(&dir, "camera.sock").unwrap();
    let mut waiting = Vec::new();
    let error = loop {
        match Connection::connect(&dir, "camera.sock") {
            Ok(connection) => waiting.push(connection),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10_000, "the queue has an end");
    };
    assert!(matches!(error, OsError::QueueFull { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::OutOfResources);
    assert!(listener.accept().unwrap().is_some());
    Connection::connect(&dir, "camera.sock").unwrap();
}

#[test]
fn a_connection_that_gave_up_before_it_was_accepted_is_harmless() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = Listener::bind(&dir, "camera.sock").unwrap();
    drop(Connection::connect(&dir, "camera.sock").unwrap());
    if let Some(connection) = listener.accept().unwrap() {
        assert!(matches!(connection.recv(&mut [0; 8]).unwrap(), Received::Closed));
    }
    assert!(listener.accept().unwrap().is_none());
}

#[test]
fn both_ends_of_a_pair_know_this_process() {
    let (here, there) = Connection::pair().unwrap();
    for end in [&here, &there] {
        let peer = end.peer().unwrap();
        assert_eq!(peer.pid, Some(std::process::id().cast_signed()));
        assert_eq!(peer.uid, uncopy_os::current_uid());
    }
}
