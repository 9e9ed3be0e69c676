// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handles of memory that was freed, that is the reader's own, or whose process is dead.
//!
//! A handle of a link is a descriptor, and a descriptor keeps its memory: whoever has it reads what its maker left there, and
//! nobody else's bytes. What it can't do is be more than it is; and a driver that takes none of them, whatever it says, leaves the
//! reader where it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use uncopy::{DeviceMemory, ErrorKind, Form, Meta, Publisher, ShareHandle};
use uncopy_cuda::CudaDevice;
use uncopy_gpu_tests::card::Card;
use uncopy_tests::Stage;
use uncopy_tests::hostile::{Props, SLOTS, STRIDE, Server};
use uncopy_tests::wire::{self, Description, Guest, kind};

use crate::forged::{Lie, PATIENCE, memfd, memory_of, said_with, the_truth_is_believed};
use crate::{FORM, all_right, is_frame, nothing_is_left, open_with, stage, standin_stage, succeeded};

/// Bytes of the frames that forged links describe.
const FRAME_BYTES: usize = 64 * 64;

/// Memory that somebody hands on who did not make it.
struct Strange {
    handle: ShareHandle,
    stride: u64,
    len: u64,
    /// What its maker left at the beginning of `slot`.
    holds: Vec<u8>,
    slot: usize,
}

impl Strange {
    /// What a producer says that passes it for its own.
    fn lie(&self) -> Lie {
        let Self { stride, len, .. } = *self;
        Lie { stride, len, ..Lie::with(self.handle.try_clone().unwrap()) }
    }
}

/// The memory is freed, and as much is taken again and written over.
fn freed() -> (Strange, Vec<Box<dyn DeviceMemory>>) {
    let card = Card::open();
    let written = |key| {
        let (memory, handle) = memory_of(SLOTS * STRIDE);
        let tensor = uncopy_gpu_tests::card::bytes_of(memory.region());
        let stream = card.stream();
        card.fill(&tensor, key, stream);
        card.wait(stream);
        (card.read_back(&tensor), memory, handle)
    };
    let (mut holds, memory, handle) = written(5);
    drop(memory);
    let others = (6..12).map(|key| written(key).1).collect();
    holds.truncate(FRAME_BYTES);
    (Strange { handle, stride: STRIDE as u64, len: (SLOTS * STRIDE) as u64, holds, slot: 0 }, others)
}

/// The frame memory of the link `name`, whose newest frame this process reads.
fn of_link(stage: &Stage, name: &str) -> Strange {
    let mut sub = stage.subscribe(name).open().unwrap();
    let frame = sub.recv(PATIENCE).unwrap();
    let mut holds = Card::open().read_back(&frame.tensor().unwrap());
    holds.truncate(FRAME_BYTES);
    let Guest { welcome, control, mut handles, .. } = Guest::join(&stage.runtime_dir(), name, wire::CONSUMER);
    let slot = wire::newest_slot(control.words());
    Strange { handle: handles.remove(1), stride: welcome.stride, len: welcome.frames_len, holds, slot }
}

/// A link of this very process, with one frame on the device.
fn own_link(stage: &Stage) -> Publisher {
    let mut out = stage.publish("own").open().unwrap();
    publish(&mut out);
    out
}

fn publish(out: &mut Publisher) {
    let card = Card::open();
    let form: Form = uncopy_tests::form(FORM);
    let stream = card.stream();
    let claim = out.claim_on(&form, card.id(), stream, None).unwrap();
    card.fill(&claim.tensor().unwrap(), out.seq() + 1, stream);
    out.commit(claim, Meta::default()).unwrap();
    card.settle();
}

/// It is refused as more than it is, and read as what it is.
#[track_caller]
fn is_what_it_is(stage: &Stage, what: &str, strange: &Strange) {
    let said = |lie| said_with(stage, Props::new("cam"), strange.slot, lie, PATIENCE);
    // Some granules more than it has.
    let stride = 16 << 20;
    let error = said(Lie { stride, len: stride * SLOTS as u64, ..strange.lie() }).expect_err(what);
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {text}");
    assert!(text.contains("'cam'") && text.contains("67108864 bytes"), "{what}: {text}");
    the_truth_is_believed(stage);
    let frame = said(strange.lie()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let bytes = Card::open().read_back(&frame.tensor().unwrap());
    assert!(bytes == strange.holds, "{what}: other bytes than its maker left");
    drop(frame);
    the_truth_is_believed(stage);
}

#[test]
fn f16_memory_that_was_freed_is_refused_as_more_than_it_was_and_is_not_what_came_in_its_place() {
    let Some(stage) = stage() else { return };
    let (strange, others) = freed();
    is_what_it_is(&stage, "freed memory", &strange);
    drop(others);
}

#[test]
fn f16_a_readers_own_memory_is_refused_as_more_than_it_is_and_its_own_link_goes_on() {
    let Some(stage) = stage() else { return };
    let mut out = own_link(&stage);
    let mut sub = stage.subscribe("own").open().unwrap();
    is_what_it_is(&stage, "own memory", &of_link(&stage, "own"));
    for _ in 0..8 {
        publish(&mut out);
        let frame = sub.recv(PATIENCE).unwrap();
        let bytes = Card::open().read_back(&frame.tensor().unwrap());
        assert_eq!(uncopy_gpu_tests::card::check_on_host(&bytes, frame.seq()), Ok(()));
    }
}

#[test]
fn f16_memory_of_a_dead_process_is_refused_as_more_than_it_is_and_stays_what_it_was() {
    let Some(stage) = stage() else { return };
    let mut producer = stage.open(&["produce", "dead"]);
    producer.tell(&format!("run {FORM} 3"));
    producer.expect("ran");
    producer.tell("idle");
    producer.expect("idle");
    let strange = of_link(&stage, "dead");
    producer.kill();
    is_what_it_is(&stage, "memory of a dead process", &strange);
}

/// What drivers say of a handle that is no good.
const REFUSALS: &[(&str, u32)] = &[
    ("freed, or never one", 1),
    ("the reader's own", 201),
    ("of a dead process", 400),
    ("of another device", 101),
];

/// A reader whose driver refuses memory once: that of the first frames, or that of larger ones while it holds a frame.
fn refused_by_its_driver(stage: &Stage, what: &str, code: u32, nth: usize) {
    let log = stage.path(&format!("refused-{code}-{nth}"));
    let fault = format!("cuMemImportFromShareableHandle:{nth}={code}");
    let settings = [("LOG", log.to_str().unwrap()), ("FAULTS", &fault)];
    let mut producer = stage.open(&["produce", "cam", "--slots", "4"]);
    let mut reader = open_with(stage, &["consume", "cam", "--bare"], &settings);
    let mut seq = 0;
    let mut publish = |form: &str| {
        producer.tell(&format!("run {form} 1"));
        producer.expect("ran");
        seq += 1;
        seq
    };
    if nth == 2 {
        publish(FORM);
        reader.tell("hold");
        reader.expect("held");
    }
    publish("1080x1920x4");
    reader.tell("take 20000");
    let error = reader.expect("error");
    assert!(error.text("text").contains("'cam'"), "{what}: {error}");
    assert!(error.text("text").contains(&format!("({code}, ")), "{what}: {error}");
    // It asks for the memory again at once, so that more may be mapped by now: only what it was given is.
    let mapped = succeeded(&log, "cuMemMap");
    let given = succeeded(&log, "cuMemCreate") + succeeded(&log, "cuMemImportFromShareableHandle");
    assert!(mapped <= given, "{what}: {mapped} mappings of {given} pieces of memory");
    if nth == 2 {
        reader.tell("check");
        all_right(&reader.expect("verified"));
        reader.tell("drop");
        reader.expect("dropped");
    }
    let seq = publish("1080x1920x4");
    reader.tell("take 20000");
    is_frame(&reader.expect("took"), seq);
    producer.quit();
    reader.tell("close");
    reader.expect("closed");
    nothing_is_left(&log, 0);
    reader.quit();
}

#[test]
fn f16_a_handle_that_the_driver_refuses_is_refused_in_its_words_with_nothing_mapped_and_the_link_goes_on() {
    let Some(stage) = standin_stage() else { return };
    for (what, code) in REFUSALS {
        for nth in [1, 2] {
            refused_by_its_driver(&stage, what, *code, nth);
        }
    }
}

#[test]
fn f16_a_next_epoch_that_is_forged_is_refused_and_the_frame_is_read_as_soon_as_it_is_true() {
    let Some(stage) = stage() else { return };
    let smaller = || {
        let (_freed, handle) = memory_of(SLOTS * STRIDE);
        let stride = 16 * STRIDE as u64 * 1024;
        Lie { stride, len: stride * SLOTS as u64, ..Lie::with(handle) }
    };
    let (pipe, _write) = rustix::pipe::pipe().unwrap();
    let forged = [
        ("a memfd", Lie::with(memfd((SLOTS * STRIDE) as u64))),
        ("a pipe", Lie::with(ShareHandle::from(pipe))),
        ("freed memory that is too small", smaller()),
        ("no handle", Lie { handles: Vec::new(), ..smaller() }),
    ];
    for (what, lie) in forged {
        let (memory, handle) = memory_of(SLOTS * STRIDE);
        let (next_memory, next) = memory_of(SLOTS * STRIDE);
        let (first, truth) = (Lie::with(handle), Lie::with(next));
        let props = Arc::new(Props::new("cam"));
        wire::publish(props.control.words(), 0, &Description::of_bytes(&[64, 64]));
        let (host, asked) = (Arc::clone(&props), Arc::new(AtomicUsize::new(0)));
        let has_heard = Arc::new(AtomicBool::new(false));
        let (questions, heard) = (Arc::clone(&asked), Arc::clone(&has_heard));
        let server = Server::start(&stage.runtime_dir(), "cam", move |guest, said| {
            let say = |lie: &Lie| {
                let handles: Vec<&ShareHandle> = lie.handles.iter().collect();
                let _ = guest.send(&wire::message(kind::EPOCH, &lie.epoch(2)), &handles);
            };
            if said.get(4..6) == Some(&kind::HELLO.to_le_bytes()) {
                let control = host.control.share().unwrap();
                let _ = guest.send(&first.welcome(&host), &[&control, &first.handles[0]]);
                say(&lie);
            } else if said.get(4..6) == Some(&kind::EPOCH_TAKEN.to_le_bytes()) && heard.load(SeqCst) {
                // It asks again for what it could not take.
                questions.fetch_add(1, SeqCst);
                say(&truth);
            }
        });
        let mut sub = stage.subscribe("cam").timeout(Some(PATIENCE)).open().unwrap();
        let held = sub.recv(PATIENCE).unwrap();
        wire::publish(
            props.control.words(),
            1,
            &Description { seq: 2, epoch: 2, ..Description::of_bytes(&[64, 64]) },
        );
        let error = sub.recv(PATIENCE).map(drop).expect_err(what);
        assert_ne!(error.kind(), ErrorKind::TimedOut, "{what}: {error}");
        assert!(error.to_string().contains("'cam'"), "{what}: {error}");
        // What was there before is as it was.
        assert_eq!(Card::open().read_back(&held.tensor().unwrap()).len(), FRAME_BYTES);
        has_heard.store(true, SeqCst);
        let frame = sub.recv(PATIENCE).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((frame.epoch(), frame.device()), (2, held.device()), "{what}");
        assert!(asked.load(SeqCst) > 0, "{what}: it was never asked for again");
        drop((frame, held, sub, server, memory, next_memory));
    }
    assert!(CudaDevice::with_ordinal(0).unwrap().context().loss().is_none());
    the_truth_is_believed(&stage);
}
