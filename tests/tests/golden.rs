// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of protocol 1.0 as the product writes them, against those that were written down once: a change of the
//! protocol can't go unnoticed.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::slice::from_ref;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use uncopy::os::Connection;
use uncopy::{
    CaptureClock, Captured, CopyReason, CopyRecord, DType, Device, Form, Layout, Meta, Origin, PixelFormat,
    Publisher, Read, WhenFull,
};
use uncopy_tests::golden::{self, compare};
use uncopy_tests::hostile::{Props, Server};
use uncopy_tests::wire::{self, Guest, kind};
use uncopy_tests::{Stage, form};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const LONG: Duration = Duration::from_secs(60);

/// A link with four slots and no frame yet.
fn publisher(stage: &Stage) -> Publisher {
    stage.publish("golden").slots(4).open().unwrap()
}

/// A frame whose description uses every field, and one with padded rows.
fn publish_two(out: &mut Publisher) {
    let image = Form::image(2, 3, PixelFormat::RGBA8).unwrap().with_origin(Origin::BOTTOM_LEFT);
    let meta = Meta::default()
        .captured(Captured { nanos: -123_456_789, clock: CaptureClock::REALTIME })
        .json(r#"{"lens": 35}"#)
        .copied(CopyRecord { reason: CopyReason::GATHER, from: Device::CPU, to: Device::CPU, len_bytes: 24 })
        .copied(CopyRecord { reason: CopyReason::DTYPE, from: Device::CPU, to: Device::CPU, len_bytes: 96 });
    out.loan(&image).unwrap().publish(meta).unwrap();
    let padded = Form::from_layout(Layout::strided(DType::F32, &[5, 7], &[16, 1]).unwrap());
    out.loan(&padded).unwrap().publish(Meta::default()).unwrap();
}

#[test]
fn the_header_is_that_of_protocol_1_0() {
    let stage = Stage::new(PEER);
    let out = publisher(&stage);
    let guest = Guest::join(&stage.runtime_dir(), "golden", wire::OBSERVER);
    let live = guest.bytes(0, wire::HEADER_BYTES);
    // Link, boot, process and time; and so the checksum.
    compare("control-header", &live, &[40..56, 56..72, 72..76, 80..88, 88..96, 252..256]);
    assert_eq!(wire::u32_of(&live, 252), wire::crc32(&live[..252]));
    assert_eq!(wire::u32_of(&live, 72), std::process::id());
    // The document says the same: a header made from it alone.
    let by_hand = wire::header("golden", 4);
    for (at, golden) in golden::read("control-header").into_iter().enumerate() {
        assert!(golden.is_none_or(|golden| golden == by_hand[at]), "byte {at} of the document");
    }
    drop((guest, out));
}

#[test]
fn slot_blocks_live_words_and_places_are_those_of_protocol_1_0() {
    let stage = Stage::new(PEER);
    let mut out = publisher(&stage);
    let mut sub = stage.subscribe("golden").open().unwrap();
    publish_two(&mut out);
    let frame = sub.recv(LONG).unwrap();
    let guest = Guest::join(&stage.runtime_dir(), "golden", wire::OBSERVER);
    let time_of_publishing = from_ref(&(16..24));
    compare("slot-block-image", &guest.bytes(4096, 384), time_of_publishing);
    // This one is held by the consumer in place 0.
    compare("slot-block-padded-held", &guest.bytes(4096 + 384, 384), time_of_publishing);
    compare("slot-block-never-used", &guest.bytes(4096 + 3 * 384, 384), &[]);
    assert_eq!(guest.bytes(wire::meta_offset(4), 12), br#"{"lens": 35}"#);
    compare("live-words", &guest.bytes(256, 512), &[]);
    compare("trail", &guest.bytes(1024, 512), &[]);
    // Process and start time.
    compare("place-attached", &guest.bytes(2048, 128), &[4..8, 8..16]);
    compare("place-free", &guest.bytes(2048 + 128, 128), &[]);
    drop((frame, sub, guest, out));
}

#[test]
fn a_link_that_blocks_and_a_reader_of_every_frame_are_those_of_protocol_1_0() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("golden").slots(2).when_full(WhenFull::Block(None)).open().unwrap();
    let mut sub = stage.subscribe("golden").read(Read::Every).open().unwrap();
    publish_two(&mut out);
    let first = sub.recv(LONG).unwrap();
    assert_eq!((first.seq(), sub.recv(LONG).unwrap().seq()), (1, 2));
    let guest = Guest::join(&stage.runtime_dir(), "golden", wire::OBSERVER);
    compare("live-words-blocking", &guest.bytes(256, 512), &[]);
    compare("place-attached-every", &guest.bytes(2048, 128), &[4..8, 8..16]);
    drop((first, sub, guest, out));
}

#[test]
fn what_a_producer_says_is_that_of_protocol_1_0() {
    let stage = Stage::new(PEER);
    let dir = stage.runtime_dir();
    let mut out = publisher(&stage);
    let hear = |connection: &Connection| wire::receive(connection).expect("a message").bytes;
    let early = wire::knock(&dir, "golden", &wire::hello(wire::CONSUMER));
    compare("welcome-before-the-first-frame", &hear(&early), &[]);
    out.loan(&form("64x64x4")).unwrap().publish(Meta::default()).unwrap();
    compare("epoch", &hear(&early), &[]);
    let late = wire::knock(&dir, "golden", &wire::hello(wire::CONSUMER));
    compare("welcome", &hear(&late), &[]);
    let observer = wire::knock(&dir, "golden", &wire::hello(wire::OBSERVER));
    compare("welcome-observer", &hear(&observer), &[]);
    let mut foreign = wire::hello(wire::CONSUMER);
    foreign[6] = 2;
    compare("refuse", &hear(&wire::knock(&dir, "golden", &foreign)), &[]);
    let next = stage.publish("golden").takeover(true).open().unwrap();
    compare("bye-superseded", &hear(&early), &[]);
    let guest = wire::knock(&dir, "golden", &wire::hello(wire::OBSERVER));
    assert_eq!(wire::receive(&guest).unwrap().kind(), kind::WELCOME);
    drop(next);
    compare("bye", &hear(&guest), &[]);
    drop(out);
}

/// A producer by hand that keeps what it hears.
fn ear(stage: &Stage, props: Props) -> (Server, Receiver<Vec<u8>>) {
    let (tell, heard) = channel();
    let server = Server::start(&stage.runtime_dir(), "golden", move |guest, message| {
        if message[4..6] == kind::HELLO.to_le_bytes() {
            props.greet(guest);
            let mut second_epoch = u64::from(2u32).to_le_bytes().to_vec();
            second_epoch.extend(props.welcome.stride.to_le_bytes());
            second_epoch.extend(props.welcome.frames_len.to_le_bytes());
            let [_, frames] = props.handles();
            let _ = guest.send(&wire::message(kind::EPOCH, &second_epoch), &[&frames]);
        }
        tell.send(message.to_vec()).unwrap();
    });
    (server, heard)
}

#[test]
fn what_a_client_says_is_that_of_protocol_1_0() {
    let stage = Stage::new(PEER);
    let (server, heard) = ear(&stage, Props::new("golden"));
    let process = [20..24, 24..32];
    let sub = stage.subscribe("golden").open().unwrap();
    compare("hello-consumer", &heard.recv().unwrap(), &process);
    compare("epoch-taken", &heard.recv().unwrap(), &[]);
    drop(sub);
    compare("bye", &heard.recv().unwrap(), &[]);
    let mut sub = stage.subscribe("golden").open().unwrap();
    assert_eq!(wire::u32_of(&heard.recv().unwrap(), 16), 1);
    compare("epoch-taken", &heard.recv().unwrap(), &[]);
    sub.events().unwrap();
    compare("watch", &heard.recv().unwrap(), &[]);
    drop(sub);
    compare("bye", &heard.recv().unwrap(), &[]);
    let sub = stage.subscribe("golden").read(Read::Every).open().unwrap();
    compare("hello-consumer-every", &heard.recv().unwrap(), &process);
    compare("epoch-taken", &heard.recv().unwrap(), &[]);
    drop(sub);
    compare("bye", &heard.recv().unwrap(), &[]);
    assert_eq!(stage.list().len(), 1);
    compare("hello-observer", &heard.recv().unwrap(), &process);
    compare("bye", &heard.recv().unwrap(), &[]);
    // Until the name is free.
    let taker = stage.publish("golden").takeover(true);
    let taking = std::thread::spawn(move || taker.open().map(drop));
    compare("take-over", &heard.recv().unwrap(), from_ref(&(16..20)));
    drop(server);
    taking.join().unwrap().unwrap();
}

#[test]
fn the_lock_says_who_has_the_name() {
    let stage = Stage::new(PEER);
    let out = publisher(&stage);
    let note = std::fs::read_to_string(stage.dir().join("golden.lock")).unwrap();
    let me = uncopy::os::ProcessId::current();
    let words: Vec<&str> = note.split(' ').collect();
    assert_eq!(words[..2], [me.pid.to_string(), me.start_ticks.to_string()], "{note}");
    assert!(words[2].parse::<u64>().unwrap() <= uncopy::os::monotonic_nanos(), "{note}");
    assert_eq!(words[3..].join(" ").trim(), me.command(), "{note}");
    drop(out);
}
