// SPDX-License-Identifier: MIT OR Apache-2.0
//! Peers that write nonsense: over the words of a live link, and into the producer's socket. It can end the link or
//! keep slots from the producer; it never makes anybody panic or read where nothing is, and a bad message costs only
//! its sender.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::ftruncate;
use uncopy::os::{Connection, Mapping};
use uncopy::{Access, ErrorKind, ShareHandle};
use uncopy_tests::pattern::next_random;
use uncopy_tests::stage::eventually;
use uncopy_tests::wire::{self, Guest, kind};
use uncopy_tests::{Peer, Stage};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

#[test]
fn f15_words_scribbled_over_while_all_run_make_nobody_panic_or_crash() {
    // Live words, places, slot blocks, metadata, all of it.
    for (from, to) in [(256, 1024), (2048, 4096), (4096, 4096 + 4 * 384), (8192, 24_576), (256, 24_576)] {
        let stage = Stage::new(PEER);
        let mut producer = stage.open(&["produce", "cam"]);
        let mut readers: Vec<Peer> =
            [&["consume", "cam"][..], &["consume", "cam", "--every"]].map(|role| stage.open(role)).into();
        readers.iter_mut().for_each(|reader| reader.tell("run-on"));
        producer.tell("run 64x64x4,100x100x4,float32:64x64");
        let mut vandal = stage.open(&["scribble", "cam"]);
        for seed in 0..8 {
            vandal.ask(&format!("words {from} {to} 50000 {seed}"), "scribbled");
            // Whoever looks from outside survives it too.
            assert_eq!(stage.list().len(), 1);
        }
        vandal.quit();
        producer.halt(&[]);
        producer.quit();
        for mut reader in readers {
            reader.halt(&["first", "torn", "gone"]);
            reader.quit();
        }
    }
}

#[test]
fn f15_a_link_goes_on_after_its_places_and_sleepers_were_scribbled_over() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    let mut vandal = stage.open(&["scribble", "cam"]);
    vandal.ask("words 384 512 10000 1", "scribbled");
    vandal.ask("words 2048 4096 10000 2", "scribbled");
    vandal.quit();
    producer.ask("burst 10 64x64x4", "burst");
    let took = reader.ask("take", "took");
    assert_eq!((took.number("seq"), took.value("whole")), (10, &true.into()));
    // The producer knows its consumers by itself.
    assert_eq!(producer.ask("stats", "stats").number("consumers"), 1);
    reader.quit();
    producer.ask("consumers 0", "consumers");
    producer.quit();
}

/// Messages that no client may send, with what is wrong with each.
fn bad_messages() -> Vec<(&'static str, Vec<u8>)> {
    let hello = wire::hello(wire::OBSERVER);
    let changed = |at: usize, value: u8| {
        let mut message = hello.clone();
        message[at] = value;
        message
    };
    vec![
        ("one byte", vec![0]),
        ("only a magic", b"UNCP".to_vec()),
        ("zeros", vec![0; 40]),
        ("ones", vec![0xFF; 512]),
        ("another magic", changed(0, b'X')),
        ("another major version", changed(6, 2)),
        ("a length that is too long", changed(8, 41)),
        ("a length that is too short", changed(8, 39)),
        ("an unknown kind", changed(4, 99)),
        ("an unknown role", changed(16, 3)),
        ("a greeting cut short", hello[..hello.len() - 1].to_vec()),
        ("a header alone", wire::message(kind::HELLO, &[])),
        ("a producer's WELCOME", wire::message(kind::WELCOME, &[0; 48])),
        ("a producer's REFUSE", wire::message(kind::REFUSE, &[0; 8])),
        ("a producer's EPOCH", wire::message(kind::EPOCH, &[0; 24])),
        ("an EPOCH_TAKEN without a number", wire::message(kind::EPOCH_TAKEN, &[])),
        ("more than a message may have", wire::message(kind::BYE, &[0; 900])),
    ]
}

#[test]
fn f22_a_bad_message_disconnects_its_sender_and_nobody_else() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    let dir = stage.runtime_dir();
    for (what, message) in bad_messages() {
        let connection = wire::knock(&dir, "cam", &message);
        while let Some(letter) = wire::receive(&connection) {
            let (code, text) = letter.refusal();
            assert_eq!(code, ErrorKind::VersionMismatch.code(), "{what}: {text}");
        }
        producer.ask("frame 64x64x4", "published");
        assert_eq!(reader.ask("take", "took").value("whole"), true, "{what}");
        reader.ask("drop", "dropped");
    }
    assert_eq!(stage.info("cam").consumers.len(), 1);
    reader.quit();
    producer.quit();
}

#[test]
fn f20_a_client_of_a_newer_minor_version_is_served_whatever_else_it_says() {
    let stage = Stage::new(PEER);
    let producer = stage.open(&["produce", "cam"]);
    let connection = wire::knock(&stage.runtime_dir(), "cam", &wire::newer_message());
    connection.send(&wire::hello(wire::CONSUMER), &[]).map(drop).unwrap();
    assert_eq!(wire::receive(&connection).unwrap().kind(), kind::WELCOME);
    connection.send(&wire::newer_message(), &[]).map(drop).unwrap();
    // Whoever is hung up on has no place any more once a later question is answered.
    assert_eq!(stage.info("cam").consumers.len(), 1);
    drop(connection);
    producer.quit();
}

#[test]
fn f22_a_doorbell_that_is_none_disconnects_its_sender_and_is_never_written() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let dir = stage.runtime_dir();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    for (what, handles) in [("a pipe", vec![ShareHandle::from(writer)]), ("nothing", Vec::new())] {
        let guest = Guest::join(&dir, "cam", wire::CONSUMER);
        let handles: Vec<&ShareHandle> = handles.iter().collect();
        guest.connection.send(&wire::message(kind::WATCH, &[]), &handles).map(drop).unwrap();
        let (code, text) = wire::receive(&guest.connection).unwrap().refusal();
        assert_eq!(code, ErrorKind::InvalidArgument.code(), "{what}: {text}");
        assert!(wire::receive(&guest.connection).is_none(), "{what}");
        // Armed all the same.
        wire::store_u32(guest.control.words(), wire::ARMED, 0xFFFF_FFFF);
        producer.ask("frame 64x64x4", "published");
    }
    let written = rustix::io::read(&reader, &mut [0; 8]);
    assert_eq!(written, Ok(0), "the pipe is at its end, and empty");
    producer.quit();
}

/// A consumer arms in memory, its bell comes by the socket: a frame in between has no bell to ring.
#[test]
fn a_bell_that_comes_after_the_frame_that_it_was_to_ring_for_is_rung_when_it_comes() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let guest = Guest::join(&stage.runtime_dir(), "cam", wire::CONSUMER);
    wire::store_u32(guest.control.words(), wire::ARMED, 1 << guest.welcome.place);
    producer.ask("frame 64x64x4", "published");
    assert_eq!(stage.armed("cam"), 0, "the producer has done its part");
    let bell = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let handle = ShareHandle::from(bell.try_clone().unwrap());
    guest.connection.send(&wire::message(kind::WATCH, &[]), &[&handle]).map(drop).unwrap();
    eventually("the bell is rung", || {
        let mut polled = [PollFd::new(&bell, PollFlags::IN)];
        match poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    drop(guest);
    producer.quit();
}

#[test]
fn f22_bells_of_nobody_and_bells_that_are_full_cost_the_producer_nothing() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let guest = Guest::join(&stage.runtime_dir(), "cam", wire::CONSUMER);
    let bell = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&bell, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    let handle = ShareHandle::from(bell);
    guest.connection.send(&wire::message(kind::WATCH, &[]), &[&handle]).map(drop).unwrap();
    for _ in 0..100 {
        wire::store_u32(guest.control.words(), wire::ARMED, 0xFFFF_FFFF);
        // It would block for ever if the bell, which is full, were written to as its owner left it.
        producer.ask("frame 64x64x4", "published");
    }
    drop(guest);
    producer.quit();
}

#[test]
fn f06_a_client_whose_start_time_is_not_that_of_its_process_is_refused() {
    let stage = Stage::new(PEER);
    let producer = stage.open(&["produce", "cam"]);
    let mut forged = wire::hello(wire::CONSUMER);
    forged[24] ^= 1;
    let connection = wire::knock(&stage.runtime_dir(), "cam", &forged);
    let (code, text) = wire::receive(&connection).unwrap().refusal();
    assert_eq!(code, ErrorKind::PermissionDenied.code(), "{text}");
    assert!(text.contains("not the one that connected"), "{text}");
    assert!(wire::receive(&connection).is_none());
    assert_eq!(stage.info("cam").consumers, []);
    producer.quit();
}

#[test]
fn f22_a_consumer_that_greets_twice_is_disconnected() {
    let stage = Stage::new(PEER);
    let producer = stage.open(&["produce", "cam"]);
    let guest = Guest::join(&stage.runtime_dir(), "cam", wire::CONSUMER);
    guest.connection.send(&wire::hello(wire::CONSUMER), &[]).map(drop).unwrap();
    assert!(wire::receive(&guest.connection).is_none());
    drop(guest);
    producer.quit();
}

#[test]
fn f22_thousands_of_damaged_messages_leave_the_producer_as_it_was() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    reader.tell("run");
    producer.tell("run 64x64x4");
    let dir = stage.runtime_dir();
    let mut state = 22;
    let mut forged = wire::hello(wire::CONSUMER);
    forged[24] ^= 1;
    let seeds = [
        wire::hello(wire::OBSERVER),
        forged,
        wire::message(kind::EPOCH_TAKEN, &7u32.to_le_bytes()),
        wire::message(kind::BYE, &1u32.to_le_bytes()),
    ];
    for _ in 0..3000 {
        let mut message = seeds[(next_random(&mut state) % 4) as usize].clone();
        for _ in 0..next_random(&mut state) % 4 {
            let at = next_random(&mut state) as usize % message.len();
            message[at] ^= next_random(&mut state) as u8;
        }
        message.truncate(1 + next_random(&mut state) as usize % message.len());
        // The only order that a client may give.
        if message.get(4..6) == Some(&kind::TAKE_OVER.to_le_bytes()) {
            continue;
        }
        let connection = wire::knock(&dir, "cam", &message);
        let handle = Guest::join(&dir, "cam", wire::OBSERVER).handles.remove(0);
        // Handles that nobody asked for are closed, or the producer runs out of them.
        let _ = connection.send(&message, &[&handle]);
    }
    assert_eq!(stage.info("cam").consumers.len(), 1);
    producer.halt(&[]);
    assert_eq!(reader.halt(&["first"]).number("torn"), 0);
    reader.quit();
    producer.quit();
}

#[test]
fn f22_clients_that_never_say_a_word_keep_nobody_out() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let dir = stage.runtime_dir();
    let silent: Vec<Connection> = (0..200)
        .map(|_| {
            // A queue that is full is emptied by the producer.
            eventually("there is room in the queue", || {
                Connection::connect(&dir, "cam.sock").map_err(|error| error.to_string())
            })
        })
        .collect();
    let mut reader = stage.open(&["consume", "cam"]);
    producer.ask("frame 64x64x4", "published");
    reader.ask("take", "took");
    reader.quit();
    drop(silent);
    producer.quit();
}

#[test]
fn f22_who_waits_for_a_stopped_producer_is_let_in_however_many_have_knocked_and_left_since() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    producer.ask("frame 64x64x4", "published");
    producer.stop();
    let dir = stage.runtime_dir();
    let patient = wire::knock(&dir, "cam", &wire::hello(wire::CONSUMER));
    // What everybody does who is told which links are live. The queue of a socket takes 128.
    for _ in 0..100 {
        drop(Connection::connect(&dir, "cam.sock").expect("there is room in the queue"));
    }
    producer.go_on();
    let letter = wire::receive(&patient).expect("an answer");
    assert_eq!(letter.kind(), kind::WELCOME, "{:?}", String::from_utf8_lossy(&letter.bytes));
    drop((letter, patient));
    producer.quit();
}

#[test]
fn f19_nobody_can_cut_off_or_write_the_memory_of_a_link() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    producer.ask("frame 64x64x4", "published");
    let guest = Guest::join(&stage.runtime_dir(), "cam", wire::CONSUMER);
    let [control, frames] = &guest.handles[..] else { panic!("two handles: {:?}", guest.handles) };
    for (what, memory, len) in [
        ("control memory", control, guest.welcome.control_len),
        ("frame memory", frames, guest.welcome.frames_len),
    ] {
        for other in [0, len - 4096, len + 4096] {
            assert_eq!(ftruncate(memory, other), Err(rustix::io::Errno::PERM), "{what} to {other}");
        }
        assert_eq!(rustix::fs::fstat(memory).unwrap().st_size, len.cast_signed(), "{what}");
    }
    assert_eq!(rustix::io::pwrite(frames, b"mine", 0), Err(rustix::io::Errno::PERM));
    let written = Mapping::open(frames, guest.welcome.frames_len as usize, Access::ReadWrite);
    assert_eq!(written.err().unwrap().kind(), ErrorKind::PermissionDenied);
    let read = Mapping::open(frames, guest.welcome.frames_len as usize, Access::ReadOnly).unwrap();
    assert!(read.seals().shrink && read.seals().grow && read.seals().are_frozen(), "{}", read.seals());
    guest.connection.send(&wire::message(kind::BYE, &1u32.to_le_bytes()), &[]).map(drop).unwrap();
    drop((guest, read));
    producer.quit();
}
