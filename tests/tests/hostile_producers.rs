// SPDX-License-Identifier: MIT OR Apache-2.0
//! Producers that hand out nonsense: every answer, header and description is checked before it is believed, refused
//! with the values that were found, and costs the reader neither a panic nor memory.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create,
};
use uncopy::os::{Connection, SharedMemory};
use uncopy::{Answer, ErrorKind, LinkError, Read, ShareHandle, Subscriber, Waiting};
use uncopy_tests::hostile::{Props, SLOTS, STRIDE, Server};
use uncopy_tests::pattern::next_random;
use uncopy_tests::wire::{self, Description, HEADER_BYTES, Welcome, kind};
use uncopy_tests::{Stage, footprint};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const SHORT: Duration = Duration::from_millis(1);

/// What a producer sends when it is greeted.
#[derive(Default)]
struct Answering {
    message: Vec<u8>,
    handles: Vec<ShareHandle>,
}

/// A producer whose answer can be changed between two readers.
struct Liar {
    answer: Arc<Mutex<Answering>>,
    _server: Server,
}

impl Liar {
    fn new(stage: &Stage) -> Self {
        let answer: Arc<Mutex<Answering>> = Arc::default();
        let said = Arc::clone(&answer);
        let server = Server::start(&stage.runtime_dir(), "cam", move |guest: &Connection, message| {
            if message.get(4..6) == Some(&kind::HELLO.to_le_bytes()) {
                let said = said.lock().unwrap();
                let handles: Vec<&ShareHandle> = said.handles.iter().collect();
                let _ = guest.send(&said.message, &handles);
            }
        });
        Self { answer, _server: server }
    }

    fn say(&self, message: Vec<u8>, handles: Vec<ShareHandle>) {
        *self.answer.lock().unwrap() = Answering { message, handles };
    }

    fn say_with(&self, props: &Props, header: &[u8; HEADER_BYTES]) {
        props.control.words().store_bytes(0, header).unwrap();
        self.say(props.welcome.encode(), props.handles().into());
    }
}

fn open(stage: &Stage) -> Result<Subscriber, LinkError> {
    stage.subscribe("cam").timeout(Some(SHORT)).open()
}

/// The error of a reader that must not be let in.
#[track_caller]
fn refused(stage: &Stage, what: &str) -> LinkError {
    match open(stage) {
        Ok(_) => panic!("a reader accepts {what}"),
        Err(error) => error,
    }
}

#[test]
fn f19_control_memory_that_anybody_could_seal_further_is_refused() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    let len = props.welcome.control_len as usize;
    let copy = memfd_create("uncopy-test-control", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    let mut bytes = vec![0; len];
    props.control.words().load_bytes(0, &mut bytes).unwrap();
    rustix::io::write(&copy, &bytes).unwrap();
    fcntl_add_seals(&copy, SealFlags::SHRINK | SealFlags::GROW).unwrap();
    let [_, frames] = props.handles();
    liar.say(props.welcome.encode(), vec![ShareHandle::from(copy), frames]);
    let error = refused(&stage, "control memory without a seal of seals");
    assert_eq!(error.kind(), ErrorKind::CorruptLink);
    assert!(error.to_string().contains("sealed shrink+grow: anybody could seal it further"), "{error}");
}

#[test]
fn f20_a_producer_of_a_newer_minor_version_is_read_whatever_else_it_says() {
    let stage = Stage::new(PEER);
    let props = Props::new("cam");
    let server = Server::start(&stage.runtime_dir(), "cam", move |guest, message| {
        if message.get(4..6) == Some(&kind::HELLO.to_le_bytes()) {
            let _ = guest.send(&wire::newer_message(), &[]);
            props.greet(guest);
            let _ = guest.send(&wire::newer_message(), &[]);
        }
    });
    let mut sub = stage.subscribe("cam").open().unwrap();
    let nothing = sub.recv(Duration::from_millis(50)).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::TimedOut, "{nothing}");
    assert!(sub.connected());
    drop((sub, server));
}

#[test]
fn f14_every_flipped_byte_of_the_header_is_a_corrupt_link_or_another_version() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    let good = wire::header("cam", SLOTS);
    liar.say_with(&props, &good);
    drop(open(&stage).expect("what is changed below is right to begin with"));
    for at in 0..HEADER_BYTES {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bad = good;
            bad[at] ^= flip;
            liar.say_with(&props, &bad);
            let error = refused(&stage, &format!("byte {at} ^ {flip:#x}"));
            let is_version = (8..10).contains(&at) || (24..32).contains(&at);
            let wanted = if is_version { ErrorKind::VersionMismatch } else { ErrorKind::CorruptLink };
            assert_eq!(error.kind(), wanted, "byte {at} ^ {flip:#x}: {error}");
        }
    }
}

#[test]
fn f14_headers_of_one_value_or_of_noise_are_refused_also_with_a_right_checksum() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    let mut state = 14;
    let good = wire::header("cam", SLOTS);
    for round in 0..600 {
        let mut bad = [0; HEADER_BYTES];
        match round {
            0 => {}
            1 => bad = [0xFF; HEADER_BYTES],
            _ => bad.iter_mut().for_each(|byte| *byte = next_random(&mut state) as u8),
        }
        if round % 2 == 1 {
            // Past magic, version and features, to where the numbers are.
            bad[..12].copy_from_slice(&good[..12]);
            bad[24..32].copy_from_slice(&[0; 8]);
            wire::seal_header(&mut bad);
        }
        liar.say_with(&props, &bad);
        let error = refused(&stage, &format!("noise {round}"));
        assert!([ErrorKind::CorruptLink, ErrorKind::VersionMismatch].contains(&error.kind()), "{error}");
    }
}

#[test]
fn f14_each_number_of_the_header_is_checked_against_the_protocol_and_the_memory() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    let numbers = [12, 16, 20, 76, 96, 100, 104, 108, 112, 116];
    let values = [0, 1, 2, 3, 5, 64, 65, 255, 4096, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];
    for at in numbers {
        for value in values {
            let mut bad = wire::header("cam", SLOTS);
            if bad[at..at + 4] == value.to_le_bytes() {
                continue;
            }
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            wire::seal_header(&mut bad);
            liar.say_with(&props, &bad);
            let error = refused(&stage, &format!("{value} at {at}"));
            assert_eq!(error.kind(), ErrorKind::CorruptLink, "{value} at {at}: {error}");
        }
    }
}

#[test]
fn f20_another_major_version_and_unknown_required_features_are_named_and_what_is_newer_and_optional_is_read()
{
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    wire::publish(props.control.words(), 0, &Description::of_bytes(&[64, 64]));
    let with = |change: &dyn Fn(&mut [u8; HEADER_BYTES])| {
        let mut header = wire::header("cam", SLOTS);
        change(&mut header);
        wire::seal_header(&mut header);
        liar.say_with(&props, &header);
        open(&stage)
    };
    for (what, change) in [
        ("2.0", (&|h: &mut [u8; HEADER_BYTES]| h[8] = 2) as &dyn Fn(&mut [u8; HEADER_BYTES])),
        ("0.0", &|h| h[8] = 0),
        ("1.0 with required features 0x1", &|h| h[24] = 1),
        ("1.0 with required features 0x8000000000000000", &|h| h[31] = 0x80),
    ] {
        let error = with(change).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::VersionMismatch, "{error}");
        for part in [what, "this build 1.0", "update"] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }
    for change in [
        &(|h: &mut [u8; HEADER_BYTES]| h[10..12].fill(0xFF)) as &dyn Fn(&mut [u8; HEADER_BYTES]),
        &|h| h[32..40].fill(0xFF),
        &|h| h[200..252].fill(0xAB),
    ] {
        let mut sub = with(change).unwrap();
        assert_eq!(sub.newest().unwrap().unwrap().form().shape(), [64, 64]);
    }
    // The same in messages: the major version counts, the minor one and what comes after known fields do not.
    let welcome = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = props.welcome.encode();
        change(&mut message);
        liar.say(message, props.handles().into());
        open(&stage)
    };
    liar.say_with(&props, &wire::header("cam", SLOTS));
    assert_eq!(welcome(&|m| m[6] = 2).err().unwrap().kind(), ErrorKind::VersionMismatch);
    drop(welcome(&|m| m[7] = 200).unwrap());
    drop(
        welcome(&|m| {
            m.extend([0xEE; 40]);
            let len = m.len() as u32;
            m[8..12].copy_from_slice(&len.to_le_bytes());
        })
        .unwrap(),
    );
}

#[test]
fn f14_answers_with_any_byte_changed_or_cut_off_are_refused_or_harmless() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    let good = props.welcome.encode();
    for at in 0..good.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            liar.say(bad, props.handles().into());
            // Place, epoch, minor version and reserved fields may have other values, and what is said to be on a device
            // is refused with its first frame. More memory than is needed is not mapped.
            let may_pass = at == 7 || (12..20).contains(&at) || (32..37).contains(&at) || at >= 48;
            match open(&stage) {
                Ok(mut sub) => {
                    assert!(may_pass, "byte {at} ^ {flip:#x}");
                    let _ = sub.newest();
                }
                // Another kind of message may be a refusal, with any words.
                Err(error) => assert!(
                    (4..6).contains(&at)
                        || [ErrorKind::CorruptLink, ErrorKind::VersionMismatch, ErrorKind::NotFound]
                            .contains(&error.kind()),
                    "byte {at} ^ {flip:#x}: {error}"
                ),
            }
        }
    }
    for len in 1..good.len() {
        liar.say(good[..len].to_vec(), props.handles().into());
        assert_eq!(refused(&stage, "a part of a message").kind(), ErrorKind::CorruptLink);
    }
    for handles in [vec![], vec![props.control.share().unwrap()]] {
        liar.say(good.clone(), handles);
        assert_eq!(refused(&stage, "memory that was not sent").kind(), ErrorKind::CorruptLink);
    }
    for message in
        [wire::message(kind::EPOCH, &[0; 24]), wire::message(kind::HELLO, &[1; 24]), wire::message(99, &[])]
    {
        liar.say(message, vec![]);
        assert_eq!(refused(&stage, "another message").kind(), ErrorKind::CorruptLink);
    }
    let code = |code: i32| {
        wire::message(kind::REFUSE, &[&code.to_le_bytes()[..], &9u32.to_le_bytes(), b"not today"].concat())
    };
    for (number, wanted) in [(ErrorKind::OutOfMemory.code(), ErrorKind::OutOfMemory), (-5, ErrorKind::System)]
    {
        liar.say(code(number), vec![]);
        let error = refused(&stage, "a refusal");
        assert_eq!(error.kind(), wanted, "{error}");
        assert!(error.to_string().contains("not today"), "{error}");
    }
}

#[test]
fn f14_numbers_of_a_welcome_never_map_or_allocate_more_than_there_is() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    let good = props.welcome;
    let huge = 1u64 << 40;
    for bad in [
        Welcome { control_len: huge, ..good },
        Welcome { control_len: u64::MAX, ..good },
        Welcome { control_len: good.control_len + 1, ..good },
        Welcome { stride: huge, ..good },
        Welcome { stride: u64::MAX, ..good },
        Welcome { stride: u64::MAX - 4095, ..good },
        Welcome { stride: 0, ..good },
        Welcome { stride: 100, ..good },
        Welcome { frames_len: huge, stride: huge / 4, ..good },
        Welcome { frames_len: good.frames_len - 1, ..good },
        Welcome { slots: 0, ..good },
        Welcome { slots: 3, ..good },
        Welcome { slots: 5, ..good },
        Welcome { slots: u32::MAX, ..good },
        Welcome { place: 16, ..good },
        Welcome { place: u32::MAX, ..good },
    ] {
        liar.say(bad.encode(), props.handles().into());
        let error = refused(&stage, &format!("{bad:?}"));
        assert_eq!(error.kind(), ErrorKind::CorruptLink, "{bad:?}: {error}");
    }
}

/// Memory that looks large and has no pages, sealed or not.
fn hollow(len_bytes: u64, seals: SealFlags) -> ShareHandle {
    let file = memfd_create("uncopy-test-hollow", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, len_bytes).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    ShareHandle::from(file)
}

#[test]
fn f19_memory_that_can_be_cut_off_or_written_by_others_is_refused() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    let message = props.welcome.encode();
    let plain = |len: usize| SharedMemory::create("uncopy-test-plain", len).unwrap().share().unwrap();
    let frames_len = SLOTS * STRIDE;
    let [control, frames] = props.handles();
    // Control memory that is not sealed against shrinking would kill its reader by SIGBUS.
    let unsealed = hollow(wire::control_len(SLOTS) as u64, SealFlags::empty());
    liar.say(message.clone(), vec![unsealed, frames]);
    let error = refused(&stage, "unsealed control memory");
    assert_eq!(error.kind(), ErrorKind::CorruptLink, "{error}");
    assert!(error.to_string().contains("sealed"), "{error}");
    // Frame memory that anybody could map for writing.
    liar.say(message.clone(), vec![control, plain(frames_len)]);
    let error = match open(&stage) {
        Err(error) => error,
        Ok(mut sub) => {
            wire::publish(props.control.words(), 0, &Description::of_bytes(&[64, 64]));
            sub.newest().map(drop).expect_err("a frame in memory that others can write")
        }
    };
    assert_eq!(error.kind(), ErrorKind::CorruptLink, "{error}");
    // Files and pipes are no memory.
    let not_memory = std::fs::File::open("/proc/self/exe").unwrap();
    let [_, frames] = props.handles();
    liar.say(message, vec![ShareHandle::from(std::os::fd::OwnedFd::from(not_memory)), frames]);
    let error = refused(&stage, "a file");
    assert!(!error.to_string().is_empty() && error.kind() != ErrorKind::NotFound, "{error}");
}

#[test]
fn f14_memory_without_pages_is_refused_instead_of_allocated() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    let len = 1u64 << 30;
    let frozen = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE;
    let hollow = hollow(len, frozen);
    let welcome = Welcome { stride: len / SLOTS as u64, frames_len: len, ..props.welcome };
    let kept = ShareHandle::from(rustix::io::fcntl_dupfd_cloexec(&hollow, 0).unwrap());
    liar.say(welcome.encode(), vec![props.control.share().unwrap(), hollow]);
    let before = footprint::private_bytes(std::process::id().cast_signed());
    let error = refused(&stage, "a gigabyte that nobody has allocated");
    assert_eq!(error.kind(), ErrorKind::CorruptLink, "{error}");
    assert_eq!(rustix::fs::fstat(&kept).unwrap().st_blocks, 0, "looking at it has allocated it");
    let after = footprint::private_bytes(std::process::id().cast_signed());
    assert!(after < before + (16 << 20), "{before} bytes grew to {after}");
}

#[test]
fn f18_impossible_descriptions_are_refused_with_what_they_say() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    let good = Description::of_bytes(&[64, 64]);
    let axes = |dims: &[(u64, i64)]| {
        let mut all = [(0, 0); 8];
        all[..dims.len()].copy_from_slice(dims);
        all
    };
    let bad = [
        ("ndim 65", Description { ndim: 65, ..good.clone() }),
        ("ndim 9", Description { ndim: 9, ..good.clone() }),
        ("ndim 255", Description { ndim: 255, ..good.clone() }),
        ("an overflowing shape", Description { dims: axes(&[(u64::MAX, 1), (2, 1)]), ..good.clone() }),
        (
            "a product that wraps to 0",
            Description { dims: axes(&[(1 << 32, 1 << 32), (1 << 32, 1)]), len_bytes: 0, ..good.clone() },
        ),
        ("a length beyond 2^63", Description { dims: axes(&[(1 << 63, 1), (1, 1)]), ..good.clone() }),
        ("a backward stride", Description { dims: axes(&[(64, -64), (64, 1)]), ..good.clone() }),
        ("the lowest stride", Description { dims: axes(&[(64, i64::MIN), (64, 1)]), ..good.clone() }),
        ("the highest stride", Description { dims: axes(&[(64, i64::MAX), (64, 1)]), ..good.clone() }),
        ("strides beyond the named bytes", Description { dims: axes(&[(64, 65), (64, 1)]), ..good.clone() }),
        (
            "bytes beyond the slot",
            Description { dims: axes(&[(65, 128), (128, 1)]), len_bytes: 65 * 128, ..good.clone() },
        ),
        (
            "bytes far beyond the memory",
            Description { dims: axes(&[(1 << 30, 1)]), ndim: 1, len_bytes: 1 << 30, ..good.clone() },
        ),
        ("fewer named bytes than the shape has", Description { len_bytes: 1, ..good.clone() }),
        ("all named bytes", Description { len_bytes: u64::MAX, ..good.clone() }),
        ("dtype code 200", Description { dtype: (200, 8, 1), ..good.clone() }),
        ("0 bits", Description { dtype: (1, 0, 1), ..good.clone() }),
        ("7 bits of float", Description { dtype: (2, 7, 1), ..good.clone() }),
        ("no lanes", Description { dtype: (1, 8, 0), ..good.clone() }),
        ("all lanes", Description { dtype: (1, 8, u16::MAX), ..good.clone() }),
        ("metadata beyond its place", Description { meta_len: 4097, ..good.clone() }),
        ("all metadata", Description { meta_len: u16::MAX, ..good.clone() }),
        ("9 copies", Description { copies: 9, ..good.clone() }),
        ("no planes", Description { planes: 0, ..good.clone() }),
        ("2 planes", Description { planes: 2, ..good.clone() }),
        ("no form number", Description { form_number: 0, ..good.clone() }),
    ];
    for (what, description) in bad {
        wire::publish(props.control.words(), 1, &description);
        let mut sub = open(&stage).unwrap();
        let error = sub.newest().map(|frame| format!("{frame:?}")).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::CorruptLink, "{what}: {error}");
        // The same through the call that waits, and after it the reader still lives.
        assert_eq!(sub.recv(SHORT).map(drop).unwrap_err().kind(), ErrorKind::CorruptLink, "{what}");
        let word = wire::load_u64(props.control.words(), wire::BLOCKS + wire::BLOCK_BYTES);
        assert_eq!(word & 0xFFFF, 0, "{what}: the slot stays held");
        wire::publish(props.control.words(), 1, &Description { form_number: 7, ..good.clone() });
        assert_eq!(sub.newest().unwrap().unwrap().form().shape(), [64, 64], "{what}");
    }
}

#[test]
fn f18_shapes_that_are_odd_and_possible_are_read() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    for shape in [&[][..], &[0], &[5, 0, 3], &[1; 8], &[1, 1, 7, 1], &[8192], &[2, 2, 2, 2, 2, 2, 2, 2]] {
        wire::publish(props.control.words(), 2, &Description::of_bytes(shape));
        let frame = open(&stage).unwrap().newest().unwrap().unwrap();
        let found: Vec<u64> = frame.form().shape().iter().map(|len| *len as u64).collect();
        assert_eq!(found, shape);
        assert_eq!(frame.bytes().len() as u64, shape.iter().product::<u64>(), "{shape:?}");
        assert!(frame.tensor().is_ok());
    }
    // Strides that overlap are odd, and reading through them is safe.
    let mut broadcast = Description::of_bytes(&[64, 64]);
    broadcast.dims[0].1 = 0;
    broadcast.len_bytes = 64;
    wire::publish(props.control.words(), 2, &broadcast);
    let frame = open(&stage).unwrap().newest().unwrap().unwrap();
    assert_eq!((frame.bytes().len(), frame.view::<u8, 2>().unwrap().iter().count()), (64, 64 * 64));
}

#[test]
fn f15_a_header_that_changes_after_it_was_checked_changes_nothing() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    wire::publish(props.control.words(), 3, &Description::of_bytes(&[64, 64]));
    let mut sub = open(&stage).unwrap();
    props.control.words().store_bytes(0, &[0xFF; HEADER_BYTES]).unwrap();
    let frame = sub.newest().unwrap().unwrap();
    assert_eq!((frame.form().shape(), frame.bytes().len()), (&[64, 64][..], 4096));
}

#[test]
fn f14_live_words_of_any_value_are_corrupt_or_nothing_new() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    let words = props.control.words();
    let good = Description::of_bytes(&[64, 64]);
    for latest in [wire::latest(1, 4), wire::latest(1, 63), u64::MAX, 63, wire::latest(5, 3)] {
        wire::publish(words, 0, &good);
        wire::store_u64(words, wire::LIVE, latest);
        let mut sub = open(&stage).unwrap();
        match sub.recv(SHORT) {
            Ok(frame) => panic!("{latest:#x} names a frame: {frame:?}"),
            Err(error) => assert!(
                [ErrorKind::CorruptLink, ErrorKind::TimedOut].contains(&error.kind()),
                "{latest:#x}: {error}"
            ),
        }
        // Observers read the same words.
        assert_eq!(stage.info("cam").answer, Answer::Answering);
    }
    // The highest number that a frame can have, twice.
    let highest = u64::MAX >> 12;
    let last = Description { seq: highest, ..good.clone() };
    wire::publish(words, 0, &last);
    wire::store_u64(words, wire::LIVE, wire::latest(highest, 0));
    let mut sub = open(&stage).unwrap();
    for _ in 0..2 {
        assert_eq!(sub.newest().unwrap().unwrap().seq(), highest);
    }
    // A frame that claims a number below the one that named it, and one that no frame can have.
    for seq in [1, highest - 1, highest + 1, u64::MAX] {
        wire::publish(words, 0, &Description { seq, ..good.clone() });
        wire::store_u64(words, wire::LIVE, wire::latest(highest, 0));
        assert_eq!(open(&stage).unwrap().newest().unwrap_err().kind(), ErrorKind::CorruptLink, "{seq}");
    }
    wire::publish(words, 0, &good);
    wire::store_u64(words, wire::LIVE, wire::latest(1, 0));
    // A slot that is free, being written, poisoned, or in no state at all is not held.
    for state in [0, 1, 3, 4, 15] {
        let word = 1 << 36 | state << 32;
        wire::publish(words, 0, &good);
        wire::store_u64(words, wire::BLOCKS, word);
        let mut sub = open(&stage).unwrap();
        assert_eq!(sub.recv(SHORT).unwrap_err().kind(), ErrorKind::CorruptLink, "state {state}");
        assert_eq!(wire::load_u64(words, wire::BLOCKS), word, "state {state}");
    }
    wire::publish(words, 0, &good);
    // A bit of ours that nobody will ever clear.
    let mut sub = open(&stage).unwrap();
    wire::store_u64(words, wire::BLOCKS, 1 << 36 | 2 << 32 | 1);
    assert_eq!(sub.recv(SHORT).unwrap_err().kind(), ErrorKind::CorruptLink);
    // Places and counters of any value.
    for at in (wire::LIVE..4096).step_by(8) {
        wire::store_u64(words, at, u64::MAX);
    }
    assert_eq!(stage.info("cam").consumers.len(), 16);
}

#[test]
fn f14_a_trail_without_the_newest_frame_is_corrupt_and_no_reader_of_every_frame_spins_on_it() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    // It names frame 1 as the newest, and never writes a trail.
    wire::publish(props.control.words(), 0, &Description::of_bytes(&[64, 64]));
    let mut sub = stage.subscribe("cam").read(Read::Every).open().unwrap();
    for error in [sub.recv(SHORT).unwrap_err(), sub.poll_recv().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::CorruptLink, "{error}");
    }
    // The newest frame is named without the trail.
    drop(sub.newest().unwrap());
    let word = wire::load_u64(props.control.words(), wire::BLOCKS);
    assert_eq!(word & 0xFFFF, 0, "the slot stays held");
}

#[test]
fn f14_messages_that_come_later_end_the_attachment_at_most() {
    let stage = Stage::new(PEER);
    let props = Arc::new(Props::new("cam"));
    wire::publish(props.control.words(), 0, &Description::of_bytes(&[64, 64]));
    let epoch = |number: u32, stride: u64, len: u64| {
        wire::message(kind::EPOCH, &wire::epoch_of_host_memory(number, stride, len))
    };
    let later: Vec<Vec<u8>> = vec![
        epoch(2, u64::MAX, u64::MAX),
        epoch(2, 0, 0),
        epoch(u32::MAX, STRIDE as u64, (SLOTS * STRIDE) as u64),
        epoch(0, STRIDE as u64, (SLOTS * STRIDE) as u64),
        wire::message(kind::BYE, &77u32.to_le_bytes()),
        wire::message(kind::BYE, &[]),
        wire::message(kind::WELCOME, &[0xFF; 48]),
        wire::message(kind::TAKE_OVER, &[1; 4]),
        wire::message(4242, &[3; 100]),
        b"UNCP".to_vec(),
        vec![0; 512],
        vec![0xFF; 1000],
    ];
    for message in later {
        let said = message.clone();
        let host = Arc::clone(&props);
        let server = Server::start(&stage.runtime_dir(), "cam", move |guest, first| {
            if first.get(4..6) == Some(&kind::HELLO.to_le_bytes()) {
                host.greet(guest);
                let [_, frames] = host.handles();
                let _ = guest.send(&said, &[&frames]);
            }
        });
        let mut sub = stage.subscribe("cam").timeout(None).open().unwrap();
        // Whatever it heard, what it has stays readable, and asking again is an answer.
        for _ in 0..3 {
            match sub.newest() {
                Ok(frame) => drop(frame),
                Err(error) => assert_ne!(error.kind(), ErrorKind::System, "{message:?}: {error}"),
            }
        }
        let _ = sub.recv(SHORT);
        drop((sub, server));
    }
}

/// A frame whose memory never comes, from a producer that answers the first question with what was there before: that
/// rings, and a wait for several must not take the ring for news for ever.
#[test]
fn a_wait_for_memory_that_never_comes_sleeps_between_its_questions() {
    let stage = Stage::new(PEER);
    let props = Arc::new(Props::new("cam"));
    wire::publish(props.control.words(), 0, &Description { epoch: 2, ..Description::of_bytes(&[64, 64]) });
    let host = Arc::clone(&props);
    let has_answered = AtomicBool::new(false);
    let server = Server::start(&stage.runtime_dir(), "cam", move |guest, message| {
        if message.get(4..6) == Some(&kind::HELLO.to_le_bytes()) {
            host.greet(guest);
        } else if !has_answered.swap(true, SeqCst)
            && message.get(4..6) == Some(&kind::EPOCH_TAKEN.to_le_bytes())
        {
            let body = wire::epoch_of_host_memory(1, STRIDE as u64, (SLOTS * STRIDE) as u64);
            let [_, frames] = host.handles();
            let _ = guest.send(&wire::message(kind::EPOCH, &body), &[&frames]);
        }
    });
    let mut sub = stage.subscribe("cam").open().unwrap();
    let mut looks = Looks(0);
    let waited = Duration::from_millis(300);
    assert_eq!(uncopy::wait_with(&mut [&mut sub], Some(waited), &mut looks).unwrap(), [0; 0]);
    // It asks again every 10 ms.
    assert!(looks.0 <= 100, "{} looks", looks.0);
    drop((sub, server));
}

struct Looks(u32);

impl Waiting for Looks {
    fn keep_waiting(&mut self) -> bool {
        self.0 += 1;
        true
    }
}

#[test]
fn a_producer_that_never_answers_is_said_to_be_silent() {
    let stage = Stage::new(PEER);
    let server = Server::start(&stage.runtime_dir(), "cam", |_, _| {});
    assert_eq!(stage.info("cam").answer, Answer::Silent);
    let error = refused(&stage, "silence");
    assert!(error.to_string().contains("does not answer"), "{error}");
    drop(server);
}

#[test]
fn an_observer_says_why_it_cannot_read_a_link() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    let mut header = wire::header("cam", SLOTS);
    header[100] ^= 1;
    liar.say_with(&props, &header);
    let Answer::Refused(why) = stage.info("cam").answer else { panic!("a corrupt header answers nothing") };
    assert!(why.contains("checksum"), "{why}");
}

/// A memfd of `len_bytes`, all of it allocated, with these seals.
fn memory_with(len_bytes: u64, seals: SealFlags) -> ShareHandle {
    let memory = memfd_create("uncopy-test-other", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    fallocate(&memory, FallocateFlags::empty(), 0, len_bytes).unwrap();
    fcntl_add_seals(&memory, seals).unwrap();
    ShareHandle::from(memory)
}

/// A descriptor for each kind of thing that is no memory of a link, by name.
fn wrong_descriptors() -> Vec<(&'static str, ShareHandle)> {
    use rustix::event::{EventfdFlags, epoll, eventfd};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let (pipe, _) = rustix::pipe::pipe().unwrap();
    let sockets = (AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC);
    let (socket, _) = socketpair(sockets.0, sockets.1, sockets.2, None).unwrap();
    let file = |path| std::os::fd::OwnedFd::from(std::fs::File::open(path).unwrap());
    let len = wire::control_len(SLOTS) as u64;
    let whole = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    vec![
        ("a pipe", ShareHandle::from(pipe)),
        ("a socket", ShareHandle::from(socket)),
        ("an eventfd", ShareHandle::from(eventfd(0, EventfdFlags::CLOEXEC).unwrap())),
        ("an epoll", ShareHandle::from(epoll::create(epoll::CreateFlags::CLOEXEC).unwrap())),
        ("a file", ShareHandle::from(file("/proc/self/exe"))),
        ("a directory", ShareHandle::from(file("/"))),
        ("a device", ShareHandle::from(file("/dev/zero"))),
        ("a file of the system", ShareHandle::from(file("/proc/self/status"))),
        ("memory without seals", memory_with(len, SealFlags::empty())),
        ("memory that can still shrink", memory_with(len, SealFlags::GROW | SealFlags::SEAL)),
        ("memory that can still grow", memory_with(len, SealFlags::SHRINK | SealFlags::SEAL)),
        ("a page less", memory_with(len - 4096, whole)),
        ("an empty memory", memory_with(4096, whole)),
    ]
}

/// F16 where the memory is the host's: descriptors that are no memory of a link. On a GPU a handle can also be noise,
/// or name memory that was freed, and the driver's context must work afterwards.
#[test]
fn f16_descriptors_of_every_other_kind_are_refused_wherever_they_stand_and_nothing_is_kept_of_them() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    let message = props.welcome.encode();
    let count = wrong_descriptors().len();
    for index in 0..count {
        for stands_first in [true, false] {
            let [control, frames] = props.handles();
            let (what, wrong) = wrong_descriptors().swap_remove(index);
            let handles = if stands_first { vec![wrong, frames] } else { vec![control, wrong] };
            liar.say(message.clone(), handles);
            let error = refused(&stage, what);
            assert_eq!(error.kind(), ErrorKind::CorruptLink, "{what}, first: {stands_first}: {error}");
        }
    }
    // Frame memory where the control memory belongs, and the other way round.
    let [control, frames] = props.handles();
    liar.say(message.clone(), vec![frames, control]);
    assert_eq!(refused(&stage, "memories in the wrong order").kind(), ErrorKind::CorruptLink);
    // The same reader is let in as soon as the answer is right.
    liar.say(message, props.handles().into());
    assert!(open(&stage).unwrap().connected());
}

#[test]
fn f16_too_few_descriptors_are_refused_and_those_too_many_are_closed() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    let message = props.welcome.encode();
    let [control, _] = props.handles();
    for (what, handles) in [("no memory at all", Vec::new()), ("no frame memory", vec![control])] {
        liar.say(message.clone(), handles);
        let error = refused(&stage, what);
        assert_eq!(error.kind(), ErrorKind::CorruptLink, "{what}: {error}");
        assert!(error.to_string().contains("sent no"), "{what}: {error}");
    }
    let mut many: Vec<ShareHandle> = props.handles().into();
    many.extend((0..14).map(|_| props.frames.handle().try_clone().unwrap()));
    liar.say(message, many);
    let sub = open(&stage).unwrap();
    assert!(sub.connected());
    // The stage looks for descriptors that were kept.
    drop(sub);
}

/// F17 where the memory is the host's: a producer that says more than there is. On a GPU the size comes from the
/// driver's own account of the allocation.
#[test]
fn f17_a_size_beyond_the_real_allocation_is_refused_before_anything_is_mapped() {
    let stage = Stage::new(PEER);
    let (liar, props) = (Liar::new(&stage), Props::new("cam"));
    liar.say_with(&props, &wire::header("cam", SLOTS));
    let good = props.welcome;
    let real = good.frames_len;
    for claimed in [real + 1, real + 4096, real * 2, 1 << 40, u64::MAX / 2] {
        let stride = claimed.next_multiple_of(4 * 4096) / 4;
        liar.say(Welcome { frames_len: claimed, stride, ..good }.encode(), props.handles().into());
        let error = refused(&stage, &format!("{claimed} of {real} bytes"));
        assert_eq!(error.kind(), ErrorKind::CorruptLink, "{claimed}: {error}");
    }
    // Slots that reach beyond the memory although the length is right.
    for stride in [good.stride + 4096, real, 1 << 40] {
        liar.say(Welcome { stride, ..good }.encode(), props.handles().into());
        assert_eq!(refused(&stage, &format!("a stride of {stride}")).kind(), ErrorKind::CorruptLink);
    }
    // Memory of the length that was said, of which less is really there: looking at it would allocate it, or kill.
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE;
    let [control, _] = props.handles();
    liar.say(good.encode(), vec![control, hollow(real, seals)]);
    let error = refused(&stage, "memory without pages");
    assert!(error.to_string().contains("only 0 allocated"), "{error}");
    // A frame that says more bytes than its slot has.
    liar.say(good.encode(), props.handles().into());
    let mut sub = open(&stage).unwrap();
    let mut description = Description::of_bytes(&[64, 64]);
    (description.dims[0].0, description.len_bytes) = (1 << 30, 1 << 36);
    wire::publish(props.control.words(), 0, &description);
    assert_eq!(sub.newest().map(drop).unwrap_err().kind(), ErrorKind::CorruptLink);
}
