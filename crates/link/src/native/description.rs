// SPDX-License-Identifier: MIT OR Apache-2.0
//! The description of the frame in a slot: written word by word before the slot is published, read while it is held.
//!
//! A reader copies the words into a [`Description`] of its own, checks that copy against the memory that it mapped,
//! and never looks at the shared words again. (link-v1.md, "Control memory: slot blocks")

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use uncopy_core::{
    ChannelOrder, CopyReason, CopyRecord, DType, DTypeCode, Device, DeviceKind, Layout, MAX_COPY_RECORDS,
    MAX_NDIM, Origin, PixelFormat,
};

use uncopy_os::{machine_monotonic_nanos, own_monotonic_nanos};

use super::control::Live;
use super::wire::block;
use crate::form::Form;
use crate::meta::{CaptureClock, Captured, MAX_META_BYTES, Meta, MetaKind};

/// A private copy of the first line of a slot's block, without the slot's word. Checked by [`load`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Description {
    pub(crate) seq: u64,
    pub(crate) published_nanos: u64,
    captured: u64,
    epoch_ndim: u64,
    kind: u64,
    meta: u64,
    len_bytes: u64,
}

impl Description {
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch_ndim as u32
    }

    fn ndim(&self) -> u8 {
        self.epoch_ndim.to_le_bytes()[4]
    }

    pub(crate) fn captured(&self) -> Option<Captured> {
        let clock = CaptureClock(self.epoch_ndim.to_le_bytes()[5]);
        let own = match clock {
            CaptureClock::MONOTONIC => own_monotonic_nanos(self.captured),
            _ => self.captured,
        };
        (clock.0 != 0).then(|| Captured { nanos: own.cast_signed(), clock })
    }

    pub(crate) fn meta_len(&self) -> usize {
        usize::from(self.meta as u16)
    }

    pub(crate) fn meta_kind(&self) -> MetaKind {
        MetaKind(self.meta.to_le_bytes()[2])
    }

    pub(crate) fn copies_len(&self) -> usize {
        usize::from(self.meta.to_le_bytes()[3])
    }

    fn planes(&self) -> u8 {
        self.meta.to_le_bytes()[4]
    }

    fn form_number(&self) -> u32 {
        (self.meta >> 40) as u32
    }

    /// What tells one form, in one epoch, from another without reading all of it.
    pub(crate) fn form_key(&self) -> FormKey {
        FormKey([self.epoch_ndim & 0xFF_FFFF_FFFF, self.kind, self.len_bytes, self.meta >> 40])
    }
}

/// See [`Description::form_key`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct FormKey([u64; 4]);

impl PartialEq for FormKey {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
    }
}

/// Words of a description that only change with the form.
///
/// `number` changes with them from frame to frame, so that a reader who has checked them once need not fetch them
/// again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FormWords {
    number: u32,
    ndim: u8,
    kind: u64,
    len_bytes: u64,
    dims: [(u64, u64); MAX_NDIM],
}

impl FormWords {
    /// The words of `form` when it comes after frames that had the words `before`.
    pub(crate) fn of(form: &Form, before: Option<&Self>) -> Self {
        let layout = form.layout();
        let mut dims = [(0, 0); MAX_NDIM];
        for (dim, (&len, &stride)) in dims.iter_mut().zip(layout.shape().iter().zip(layout.strides_elems())) {
            *dim = (len as u64, (stride as i64).cast_unsigned());
        }
        let dtype = form.dtype();
        let kind = u64::from(dtype.code.0)
            | u64::from(dtype.bits) << 8
            | u64::from(dtype.lanes) << 16
            | u64::from(form.pixel().0) << 32
            | u64::from(form.origin().0) << 48
            | u64::from(form.channel_order().0) << 56;
        let number = (before.map_or(0, |before| before.number) + 1) & FORM_NUMBER_MASK;
        Self {
            number: number.max(1),
            ndim: layout.ndim() as u8,
            kind,
            len_bytes: form.len_bytes() as u64,
            dims,
        }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The form that these words tell, or why they tell none.
    fn form(&self) -> Result<Form, String> {
        let [code, bits, lanes_low, lanes_high, pixel_low, pixel_high, origin, order] =
            self.kind.to_le_bytes();
        let dtype = DType::new(DTypeCode(code), bits, u16::from_le_bytes([lanes_low, lanes_high]));
        dtype.validate().map_err(|e| e.to_string())?;
        let mut shape = [0usize; MAX_NDIM];
        let mut strides = [0isize; MAX_NDIM];
        for ((len, stride), &(len_word, stride_word)) in shape.iter_mut().zip(&mut strides).zip(&self.dims) {
            *len = usize::try_from(len_word).map_err(|e| e.to_string())?;
            *stride = isize::try_from(stride_word.cast_signed()).map_err(|e| e.to_string())?;
        }
        let ndim = usize::from(self.ndim);
        let (Some(shape), Some(strides)) = (shape.get(..ndim), strides.get(..ndim)) else {
            return Err(format!("{ndim} axes; a frame has at most {MAX_NDIM}"));
        };
        let layout = Layout::strided(dtype, shape, strides).map_err(|e| e.to_string())?;
        let form = Form::from_layout(layout)
            .with_pixel(PixelFormat(u16::from_le_bytes([pixel_low, pixel_high])))
            .with_channel_order(ChannelOrder(order))
            .with_origin(Origin(origin));
        if layout.extent_bytes().0 != 0 || form.len_bytes() as u64 != self.len_bytes {
            return Err(format!("{form} does not take the {} bytes that are named", self.len_bytes));
        }
        Ok(form)
    }
}

/// A form number has 24 bits and is never 0.
const FORM_NUMBER_MASK: u32 = 0xFF_FFFF;

/// Writes what a form says into the block of `slot`. The slot must be ours to write.
pub(crate) fn store_form(control: Live<'_>, slot: usize, form: &FormWords) {
    let words = control.block(slot);
    words[block::TYPE / 8].store(form.kind, Relaxed);
    words[block::LEN_BYTES / 8].store(form.len_bytes, Relaxed);
    let pairs =
        words.iter().skip(block::DIMS / 8).zip(form.dims.iter().flat_map(|&(len, stride)| [len, stride]));
    for (word, value) in pairs.take(2 * usize::from(form.ndim)) {
        word.store(value, Relaxed);
    }
}

/// Writes the rest of the description of a frame, whose form is in the block of `slot` already.
pub(crate) fn store(control: Live<'_>, slot: usize, head: &Head, form: &FormWords, meta: &Meta) {
    let words = control.block(slot);
    let captured = meta.captured.unwrap_or(Captured { nanos: 0, clock: CaptureClock(0) });
    let captured_nanos = match captured.clock {
        CaptureClock::MONOTONIC => machine_monotonic_nanos(captured.nanos.cast_unsigned()),
        _ => captured.nanos.cast_unsigned(),
    };
    let epoch_ndim = u64::from(head.epoch) | u64::from(form.ndim) << 32 | u64::from(captured.clock.0) << 40;
    let meta_words = meta.bytes.len() as u64
        | u64::from(meta.kind.0) << 16
        | (meta.copies.len() as u64) << 24
        | 1 << 32
        | u64::from(form.number) << 40;
    words[block::SEQ / 8].store(head.seq, Relaxed);
    words[block::PUBLISHED / 8].store(head.published_nanos, Relaxed);
    words[block::CAPTURED / 8].store(captured_nanos, Relaxed);
    words[block::EPOCH_NDIM / 8].store(epoch_ndim, Relaxed);
    words[block::META / 8].store(meta_words, Relaxed);
    let records = meta.copies.iter().take(MAX_COPY_RECORDS).flat_map(words_of_copy);
    for (word, value) in words.iter().skip(block::COPIES / 8).zip(records) {
        word.store(value, Relaxed);
    }
    if !meta.bytes.is_empty() {
        let stored = control.store_bytes(control.meta_offset(slot), &meta.bytes);
        debug_assert!(stored.is_some(), "metadata of a checked length fits its place");
    }
}

/// What changes with every frame.
pub(crate) struct Head {
    pub(crate) seq: u64,
    pub(crate) epoch: u32,
    pub(crate) published_nanos: u64,
}

/// Reads and checks the description of the frame in `slot`, which the caller holds, but for its form.
///
/// Everything that it reads lies in the line of the slot's word, which the hold has just fetched.
#[inline(always)]
pub(crate) fn load(control: Live<'_>, slot: usize) -> Result<Description, String> {
    let words = control.block(slot);
    let get = |word: &AtomicU64| word.load(Relaxed);
    let description = Description {
        seq: get(&words[block::SEQ / 8]),
        published_nanos: get(&words[block::PUBLISHED / 8]),
        captured: get(&words[block::CAPTURED / 8]),
        epoch_ndim: get(&words[block::EPOCH_NDIM / 8]),
        kind: get(&words[block::TYPE / 8]),
        meta: get(&words[block::META / 8]),
        len_bytes: get(&words[block::LEN_BYTES / 8]),
    };
    let (meta_len, copies_len) = (description.meta_len(), description.copies_len());
    let (planes, number) = (description.planes(), description.form_number());
    if meta_len > MAX_META_BYTES || copies_len > MAX_COPY_RECORDS || planes != 1 || number == 0 {
        return Err(format!(
            "{meta_len} bytes of metadata, {copies_len} copies, {planes} planes, form number {number}"
        ));
    }
    Ok(description)
}

/// Reads and checks the form of the frame in `slot`, which the caller holds and whose description it has loaded.
pub(crate) fn load_form(control: Live<'_>, slot: usize, description: &Description) -> Result<Form, String> {
    let Description { kind, len_bytes, .. } = *description;
    let (number, ndim) = (description.form_number(), description.ndim());
    let mut words = FormWords { number, ndim, kind, len_bytes, ..Default::default() };
    let mut shared = control.block(slot).iter().skip(block::DIMS / 8).map(|word| word.load(Relaxed));
    for dim in words.dims.iter_mut().take(usize::from(ndim)) {
        *dim = (shared.next().unwrap_or_default(), shared.next().unwrap_or_default());
    }
    words.form()
}

/// The user's metadata of the frame in `slot`, which the caller holds.
pub(crate) fn load_meta(control: Live<'_>, slot: usize, len: usize) -> Box<[u8]> {
    let mut bytes = vec![0; len.min(MAX_META_BYTES)].into_boxed_slice();
    let loaded = control.load_bytes(control.meta_offset(slot), &mut bytes);
    debug_assert!(loaded.is_some(), "a checked slot has a place for metadata");
    bytes
}

/// The records of copies of the frame in `slot`, which the caller holds.
pub(crate) fn load_copies(control: Live<'_>, slot: usize, len: usize) -> Box<[CopyRecord]> {
    let words: Vec<u64> =
        control.block(slot).iter().skip(block::COPIES / 8).map(|word| word.load(Relaxed)).collect();
    let (records, _) = words.as_chunks::<2>();
    records
        .iter()
        .take(len.min(MAX_COPY_RECORDS))
        .map(|&[what, len_bytes]| copy_of_words(what, len_bytes))
        .collect()
}

/// Takes what [`load_meta`] and [`load_copies`] read from one held slot to another, of another control memory, with one
/// more record: that of the copy that brought the frame there.
pub(crate) fn carry(
    (from, slot): (Live<'_>, usize),
    (to, place): (Live<'_>, usize),
    description: &mut Description,
    record: CopyRecord,
) {
    let meta = load_meta(from, slot, description.meta_len());
    let stored = to.store_bytes(to.meta_offset(place), &meta);
    debug_assert!(stored.is_some(), "metadata of a checked length fits its place");
    let mut records = load_copies(from, slot, description.copies_len()).into_vec();
    // The last is the one that is nearest.
    records.truncate(MAX_COPY_RECORDS - 1);
    records.push(record);
    let words = to.block(place).iter().skip(block::COPIES / 8);
    for (word, value) in words.zip(records.iter().flat_map(words_of_copy)) {
        word.store(value, Relaxed);
    }
    description.meta = description.meta & !(0xFF << 24) | (records.len() as u64) << 24;
}

/// A record in two words: reason, from kind and id, to kind and id; then the bytes.
fn words_of_copy(record: &CopyRecord) -> [u64; 2] {
    let device = |d: Device| [d.kind.0 as u8, d.id as u8];
    let [reason_low, reason_high] = record.reason.0.to_le_bytes();
    let ([from, from_id], [to, to_id]) = (device(record.from), device(record.to));
    [u64::from_le_bytes([reason_low, reason_high, from, from_id, to, to_id, 0, 0]), record.len_bytes]
}

fn copy_of_words(what: u64, len_bytes: u64) -> CopyRecord {
    let [reason_low, reason_high, from, from_id, to, to_id, _, _] = what.to_le_bytes();
    let device = |kind: u8, id: u8| Device { kind: DeviceKind(i32::from(kind)), id: i32::from(id) };
    CopyRecord {
        reason: CopyReason(u16::from_le_bytes([reason_low, reason_high])),
        from: device(from, from_id),
        to: device(to, to_id),
        len_bytes,
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::meta::MAX_META_BYTES;
    use crate::native::control::Control;
    use crate::native::header::Header;
    use proptest::prelude::*;
    use uncopy_core::LinkName;
    use uncopy_os::ProcessId;

    fn control() -> Control {
        let header = Header {
            slots: 2,
            link_id: [0; 16],
            boot_id: [0; 16],
            producer: ProcessId::current(),
            created_nanos: 0,
            minor: 0,
        };
        Control::create(&LinkName::parse("x").expect("a plain name is a name"), &header)
            .expect("memory for a test")
    }

    fn written(form: &Form, meta: &Meta) -> Control {
        let control = control();
        let words = FormWords::of(form, None);
        store_form(control.live(), 1, &words);
        store(control.live(), 1, &Head { seq: 42, epoch: 3, published_nanos: 77 }, &words, meta);
        control
    }

    fn forms() -> Vec<Form> {
        let of = |dtype, shape: &[usize]| Form::new(dtype, shape).expect("a small form");
        vec![
            of(DType::U8, &[]),
            of(DType::U8, &[0, 5]),
            of(DType::F32, &[2, 3, 4]),
            of(DType::COMPLEX128, &[1, 2, 3, 4, 1, 2, 1, 2]),
            of(DType::BF16, &[7]).with_origin(Origin::BOTTOM_LEFT),
            Form::image(4, 6, PixelFormat::NV12).expect("an even size"),
            Form::image(3, 5, PixelFormat::BGRA8).expect("a small picture"),
            Form::from_layout(Layout::strided(DType::U16, &[3, 4], &[8, 1]).expect("padded rows")),
        ]
    }

    #[test]
    fn every_form_reads_back_as_it_was_written() {
        for form in forms() {
            let control = written(&form, &Meta::default());
            let read = load(control.live(), 1).unwrap();
            assert_eq!(load_form(control.live(), 1, &read), Ok(form));
            assert_eq!((read.seq, read.published_nanos, read.epoch()), (42, 77, 3));
            assert_eq!(read.captured(), None);
        }
    }

    #[test]
    fn metadata_and_copies_read_back_as_they_were_written() {
        let record = CopyRecord {
            reason: CopyReason::GATHER,
            from: Device { kind: DeviceKind::CUDA, id: 3 },
            to: Device::CPU,
            len_bytes: 1 << 40,
        };
        let captured = Captured { nanos: -5, clock: CaptureClock::REALTIME };
        let mut meta = Meta::default().captured(captured).raw(vec![0xA5; MAX_META_BYTES - 3]);
        for _ in 0..MAX_COPY_RECORDS {
            meta = meta.copied(record);
        }
        let control = written(&forms()[2], &meta);
        let read = load(control.live(), 1).unwrap();
        assert_eq!(read.captured(), Some(captured));
        assert_eq!((read.meta_kind(), read.meta_len()), (MetaKind::RAW, MAX_META_BYTES - 3));
        assert_eq!(*load_meta(control.live(), 1, read.meta_len()), *meta.bytes);
        assert_eq!(*load_copies(control.live(), 1, read.copies_len()), [record; MAX_COPY_RECORDS]);
    }

    #[test]
    fn f18_a_description_that_no_memory_can_have_is_refused() {
        let form = Form::new(DType::F32, &[2, 3]).expect("a small form");
        let lies: [(usize, u64, &str); 9] = [
            (block::EPOCH_NDIM, 65 << 32, "65 axes"),
            (block::DIMS, u64::MAX, "a length that is negative as a signed number"),
            (block::DIMS, 1 << 62, "a product that overflows"),
            (block::DIMS + 8, (-3i64).cast_unsigned(), "a stride that goes backwards"),
            (block::DIMS + 8, 1 << 61, "a stride beyond the address space"),
            (block::LEN_BYTES, 23, "fewer bytes than the shape takes"),
            (block::LEN_BYTES, 1 << 50, "more bytes than the shape takes"),
            (block::TYPE, 0xFF, "a dtype of no bits"),
            (block::TYPE, 0x0001_2002 | 99, "a dtype code that nobody knows"),
        ];
        for (field, value, what) in lies {
            let control = written(&form, &Meta::default());
            control.live().block(1)[field / 8].store(value, Relaxed);
            let read = load(control.live(), 1).and_then(|read| load_form(control.live(), 1, &read));
            assert!(read.is_err(), "{what} is taken for {read:?}");
        }
    }

    #[test]
    fn a_description_with_too_much_of_anything_is_refused() {
        let good = 1u64 << 32 | 1 << 40;
        for (value, what) in [
            (good | 4097, "metadata beyond its place"),
            (good | 9 << 24, "nine copies"),
            (1 << 40, "no plane"),
            (2 << 32 | 1 << 40, "two planes"),
            (1 << 32, "no form number"),
        ] {
            let control = written(&forms()[0], &Meta::default());
            control.live().block(1)[block::META / 8].store(value, Relaxed);
            assert!(load(control.live(), 1).is_err(), "{what}");
        }
    }

    proptest! {
        #[test]
        fn f14_no_words_in_a_block_make_reading_panic(words in proptest::collection::vec(any::<u64>(), 48)) {
            let control = control();
            for (index, word) in words.iter().enumerate() {
                control.live().block(0)[index].store(*word, Relaxed);
            }
            if let Ok(read) = load(control.live(), 0) {
                let _ = load_form(control.live(), 0, &read);
                prop_assert!(load_meta(control.live(), 0, read.meta_len()).len() <= MAX_META_BYTES);
                prop_assert!(load_copies(control.live(), 0, read.copies_len()).len() <= MAX_COPY_RECORDS);
            }
        }
    }

    #[test]
    fn a_form_gets_another_number_whenever_it_changes() {
        let forms = forms();
        let first = FormWords::of(&forms[0], None);
        let second = FormWords::of(&forms[1], Some(&first));
        let third = FormWords::of(&forms[0], Some(&second));
        assert_ne!(first.number(), second.number());
        assert_ne!(second.number(), third.number());
        let last = FormWords { number: FORM_NUMBER_MASK, ..third };
        assert_eq!(FormWords::of(&forms[0], Some(&last)).number(), 1, "0 stands for no form");
    }
}
