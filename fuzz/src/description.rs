// SPDX-License-Identifier: MIT OR Apache-2.0
//! The description of a frame, its metadata and its records of copies, as a consumer reads them from a slot block.
//! (link-v1.md, "Control memory: slot blocks")
//!
//! Input: the block from its byte 8 on (376 bytes, missing ones are 0), then metadata.

use std::sync::Arc;

use uncopy::{DType, DTypeCode, ErrorKind, Frame, Subscriber};
use uncopy_tests::hostile::{Props, STRIDE, Server};
use uncopy_tests::wire::{self, BLOCK_BYTES, BLOCKS, Description, u32_of, u64_of};

use crate::place::{NAME, Place};
use crate::{Seed, Target};

/// See the [module](self).
pub const TARGET: Target = Target {
    name: "description",
    begin: || {
        let mut scene = Scene::new();
        Box::new(move |input| scene.run(input))
    },
    seeds,
};

const SLOT: usize = 1;
/// The first byte of a block that an input tells: the slot word is the ring's.
const FIRST: usize = 8;
const HIGHEST_SEQ: u64 = u64::MAX >> 12;
const MOST_META: usize = 4096;

/// A producer that publishes whatever it is told, and one consumer that stays.
struct Scene {
    sub: Subscriber,
    props: Arc<Props>,
    _server: Server,
    place: Place,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let props = Arc::new(Props::new(NAME));
        let host = Arc::clone(&props);
        let hello = wire::kind::HELLO.to_le_bytes();
        let server = Server::start(&place.dir(), NAME, move |guest, message| {
            if message.get(4..6) == Some(&hello) {
                host.greet(guest);
            }
        });
        Self { sub: subscribe(&place), props, _server: server, place }
    }

    fn run(&mut self, input: &[u8]) {
        let mut block = [0; BLOCK_BYTES];
        let len = input.len().min(BLOCK_BYTES - FIRST);
        block[FIRST..FIRST + len].copy_from_slice(&input[..len]);
        let mut meta = vec![0; MOST_META];
        let rest = input.len().saturating_sub(len).min(MOST_META);
        meta[..rest].copy_from_slice(&input[len..len + rest]);
        self.publish(&block, &meta);
        match (self.sub.newest(), meaning(&block)) {
            (Ok(Some(frame)), Meaning::Frame) => check_frame(&frame, &block, &meta),
            // What is older than a frame that was held counts as past, so that its memory is given up.
            (Ok(None), Meaning::OutOfReach) => self.sub = subscribe(&self.place),
            (Err(error), Meaning::Corrupt) => {
                assert_eq!(error.kind(), ErrorKind::CorruptLink, "{error}");
                assert!(!error.to_string().contains('\n'), "{error}");
            }
            (seen, meaning) => panic!("{seen:?}, expected {meaning:?} of {block:02x?}"),
        }
        self.check_it_goes_on(&block);
    }

    fn publish(&self, block: &[u8; BLOCK_BYTES], meta: &[u8]) {
        let words = self.props.control.words();
        let at = BLOCKS + SLOT * BLOCK_BYTES;
        words.store_bytes(at + FIRST, &block[FIRST..]).expect("inside the control memory");
        words.store_bytes(wire::meta_offset(4) + SLOT * MOST_META, meta).expect("inside the control memory");
        wire::store_u64(words, at, 1 << 36 | 2 << 32);
        // Named by the number that it can have; whether it says the same is part of the input.
        let named = u64_of(block, 8).clamp(1, HIGHEST_SEQ);
        wire::store_u64(words, wire::LIVE, wire::latest(named, SLOT));
    }

    /// A right frame of another form is received after whatever came before, and nothing is held.
    fn check_it_goes_on(&mut self, block: &[u8; BLOCK_BYTES]) {
        let words = self.props.control.words();
        let word = wire::load_u64(words, BLOCKS + SLOT * BLOCK_BYTES);
        assert_eq!(word & 0xFFFF, 0, "the slot stays held");
        // The reader keeps the form of the frame before; this one must not pass for it.
        let form_number = if u32_of(block, 52) >> 8 == 1 { 2 } else { 1 };
        wire::publish(words, 2, &Description { form_number, ..Description::of_bytes(&[3, 5, 7]) });
        let frame = self.sub.newest().expect("a right frame").expect("there is one");
        assert_eq!(frame.form().shape(), [3, 5, 7]);
    }
}

fn subscribe(place: &Place) -> Subscriber {
    place.subscribe().open().expect("a producer that answers")
}

/// What the tables make of a block.
#[derive(Debug)]
enum Meaning {
    Frame,
    /// Of frame memory that this consumer was not sent.
    OutOfReach,
    Corrupt,
}

fn meaning(block: &[u8; BLOCK_BYTES]) -> Meaning {
    let seq = u64_of(block, 8);
    let meta_len = u16::from_le_bytes([block[48], block[49]]);
    let is_countable = usize::from(meta_len) <= MOST_META && block[51] <= 8 && block[52] == 1;
    let form_number = u32_of(block, 52) >> 8;
    if !is_countable || form_number == 0 || !(1..=HIGHEST_SEQ).contains(&seq) {
        return Meaning::Corrupt;
    }
    if u32_of(block, 32) != 1 {
        return Meaning::OutOfReach;
    }
    if is_form(block) { Meaning::Frame } else { Meaning::Corrupt }
}

fn dtype(block: &[u8]) -> DType {
    DType::new(DTypeCode(block[40]), block[41], u16::from_le_bytes([block[42], block[43]]))
}

/// Length and stride of each axis.
fn axes(block: &[u8]) -> Vec<(u64, i64)> {
    let at = |axis: usize| 64 + axis * 16;
    (0..usize::from(block[36]).min(8))
        .map(|axis| (u64_of(block, at(axis)), u64_of(block, at(axis) + 8).cast_signed()))
        .collect()
}

/// A known dtype, at most 8 axes, no overflow, strides inside the named bytes, named bytes that fit the slot.
fn is_form(block: &[u8]) -> bool {
    let (dtype, axes, named) = (dtype(block), axes(block), u64_of(block, 56));
    if block[36] > 8 || dtype.validate().is_err() || named > STRIDE as u64 {
        return false;
    }
    let bits = i128::from(dtype.item_bits());
    // Also an array without items must be one that memory could hold.
    let Some(packed) = axes.iter().try_fold(1_i128, |items, axis| items.checked_mul(axis.0.max(1).into()))
    else {
        return false;
    };
    let most = i128::from(i64::MAX);
    if packed > most || packed.checked_mul(bits).is_none_or(|bits| (bits + 7) / 8 > most) {
        return false;
    }
    let is_empty = axes.iter().any(|axis| axis.0 == 0);
    let is_packed = is_empty || is_c_order(&axes);
    if is_packed {
        let bytes = (packed * bits + 7) / 8;
        return i128::from(named) == if is_empty { 0 } else { bytes };
    }
    // Items that share bytes can only be packed.
    if bits % 8 != 0 {
        return false;
    }
    let mut end = bits / 8;
    for (len, stride) in axes {
        let reach = (i128::from(len) - 1).checked_mul(i128::from(stride) * (bits / 8));
        match reach.and_then(|reach| end.checked_add(reach).filter(|_| reach >= 0)) {
            Some(further) => end = further,
            None => return false,
        }
    }
    end == i128::from(named)
}

fn is_c_order(axes: &[(u64, i64)]) -> bool {
    let mut expected = 1_i128;
    axes.iter().rev().all(|(len, stride)| {
        let is_next = *len == 1 || i128::from(*stride) == expected;
        expected = expected.saturating_mul(i128::from(*len));
        is_next
    })
}

fn check_frame(frame: &Frame, block: &[u8; BLOCK_BYTES], meta: &[u8]) {
    let form = frame.form();
    assert_eq!(
        (frame.seq(), frame.epoch(), form.dtype()),
        (u64_of(block, 8), u32_of(block, 32), dtype(block))
    );
    let read = form
        .shape()
        .iter()
        .zip(form.layout().strides_elems())
        .map(|(len, stride)| (*len as u64, *stride as i64));
    assert_eq!(read.collect::<Vec<_>>(), axes(block));
    assert_eq!(form.pixel().0, u16::from_le_bytes([block[44], block[45]]));
    assert_eq!((form.origin().0, form.channel_order().0), (block[46], block[47]));
    assert_eq!(frame.published_nanos(), u64_of(block, 16));
    let captured = frame.captured().map_or((0, 0), |captured| (captured.clock.0, captured.nanos));
    assert_eq!(captured, (block[37], if block[37] == 0 { 0 } else { u64_of(block, 24).cast_signed() }));
    let len = usize::from(u16::from_le_bytes([block[48], block[49]]));
    assert_eq!((frame.meta().kind.0, frame.meta().bytes), (block[50], &meta[..len]));
    check_copies(frame, block);
    assert_eq!(frame.bytes().len() as u64, u64_of(block, 56));
    // Frames are zeros here; what is not mapped ends the process.
    assert!(frame.bytes().iter().all(|byte| *byte == 0));
    assert!(!format!("{form} {frame:?}").is_empty() && frame.tensor().is_ok());
}

fn check_copies(frame: &Frame, block: &[u8; BLOCK_BYTES]) {
    assert_eq!(frame.copies().len(), usize::from(block[51]));
    for (index, copy) in frame.copies().iter().enumerate() {
        let at = 192 + index * 16;
        assert_eq!(copy.reason.0, u16::from_le_bytes([block[at], block[at + 1]]));
        let devices = [copy.from.kind.0, copy.from.id, copy.to.kind.0, copy.to.id];
        assert_eq!(devices.map(|number| number as u8), block[at + 2..at + 6]);
        assert_eq!(copy.len_bytes, u64_of(block, at + 8));
    }
}

fn seeds() -> Vec<Seed> {
    let golden = |name: &str| -> Vec<u8> {
        uncopy_tests::golden::read(name).iter().skip(FIRST).map(|byte| byte.unwrap_or(0)).collect()
    };
    let mut seeds: Vec<Seed> = ["slot-block-image", "slot-block-never-used", "slot-block-padded-held"]
        .iter()
        .map(|name| (format!("golden-{name}"), golden(name)))
        .collect();
    let good = block(&[(64, 64), (64, 1)], 4096);
    let with = |at: usize, bytes: &[u8]| {
        let mut block = good.clone();
        block[at - FIRST..at - FIRST + bytes.len()].copy_from_slice(bytes);
        block
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("good", good.clone()),
        ("padded-rows", block(&[(60, 128), (100, 1)], 59 * 128 + 100)),
        ("no-axes", block(&[], 1)),
        ("empty", block(&[(5, 0), (0, 9)], 0)),
        ("broadcast", block(&[(64, 0), (64, 1)], 64)),
        ("backward", block(&[(64, -64), (64, 1)], 4096)),
        ("beyond-the-slot", block(&[(65, 128), (128, 1)], 65 * 128)),
        ("product-wraps", block(&[(1 << 32, 1 << 32), (1 << 32, 1)], 0)),
        ("huge", block(&[(u64::MAX, i64::MAX), (u64::MAX, i64::MIN)], u64::MAX)),
        ("nine-axes", with(36, &[9])),
        ("sixty-five-axes", with(36, &[65])),
        ("half-bytes", with(40, &[17, 4, 1, 0])),
        ("unknown-dtype", with(40, &[99, 8, 1, 0])),
        ("another-epoch", with(32, &[2])),
        ("no-number", with(8, &[0])),
        ("highest-number", with(8, &HIGHEST_SEQ.to_le_bytes())),
        ("beyond-the-highest-number", with(8, &u64::MAX.to_le_bytes())),
        ("captured", with(24, &[&(-5i64).to_le_bytes()[..], &1u32.to_le_bytes(), &[2, 2]].concat())),
        ("metadata", [with(48, &[11, 0, 2, 0]), br#"{"lens":35}"#.to_vec()].concat()),
        ("all-metadata", [with(48, &4096u16.to_le_bytes()), vec![0xA5; MOST_META]].concat()),
        ("too-much-metadata", with(48, &4097u16.to_le_bytes())),
        ("copies", with(51, &[8])),
        ("nine-copies", with(51, &[9])),
        ("two-planes", with(52, &[2])),
        ("no-form-number", with(53, &[0])),
        ("nothing", Vec::new()),
    ];
    seeds.extend(cases.into_iter().map(|(name, bytes)| (name.into(), bytes)));
    seeds
}

/// A block of bytes in this form, frame 1 of epoch 1, from its byte 8 on.
fn block(axes: &[(u64, i64)], named: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(8, &1u64.to_le_bytes());
    put(32, &[1, 0, 0, 0, axes.len() as u8]);
    put(40, &[1, 8, 1, 0]);
    put(52, &[1, 7]);
    put(56, &named.to_le_bytes());
    for (axis, (len, stride)) in axes.iter().enumerate() {
        put(64 + axis * 16, &len.to_le_bytes());
        put(72 + axis * 16, &stride.to_le_bytes());
    }
    block.split_off(FIRST)
}
