// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control memory of one link as typed words: written by the producer, checked by everyone who maps it.
//!
//! A reader copies the static header once, checks the copy, and computes every later offset from that copy alone.
//! Whatever is scribbled into the header afterwards changes nothing for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use uncopy_core::LinkName;
use uncopy_os::{Mapping, ProcessId, SharedMemory, Words, futex_wake};

use super::ring::{self, Cells, Word32, Word64};
use super::wire::{
    self, KNOWN_REQUIRED_FEATURES, MAX_CONSUMERS, MAX_SLOTS, MIN_SLOTS, VERSION_MAJOR, VERSION_MINOR, block,
    header, live, place, producer_state,
};
use crate::error::LinkError;

/// What the static header says, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) slots: usize,
    pub(crate) link_id: [u8; 16],
    pub(crate) boot_id: [u8; 16],
    pub(crate) producer: ProcessId,
    pub(crate) created_nanos: u64,
    pub(crate) minor: u16,
}

impl Header {
    /// The bytes that a producer writes for a link called `name`.
    pub(crate) fn encode(&self, name: &LinkName) -> [u8; header::LEN] {
        let mut bytes = [0u8; header::LEN];
        let mut put = |at: usize, value: &[u8]| {
            if let Some(place) = bytes.get_mut(at..at + value.len()) {
                place.copy_from_slice(value);
            }
        };
        let meta = wire::meta_offset(self.slots);
        put(header::OFFSET_MAGIC, &header::MAGIC.to_le_bytes());
        put(header::OFFSET_VERSION_MAJOR, &VERSION_MAJOR.to_le_bytes());
        put(header::OFFSET_VERSION_MINOR, &self.minor.to_le_bytes());
        put(header::OFFSET_HEADER_LEN, &(header::LEN as u32).to_le_bytes());
        put(header::OFFSET_TOTAL_LEN, &(wire::control_len_bytes(self.slots) as u64).to_le_bytes());
        put(header::OFFSET_REQUIRED, &KNOWN_REQUIRED_FEATURES.to_le_bytes());
        put(header::OFFSET_OPTIONAL, &0u64.to_le_bytes());
        put(header::OFFSET_LINK_ID, &self.link_id);
        put(header::OFFSET_BOOT_ID, &self.boot_id);
        put(header::OFFSET_PID, &self.producer.pid.to_le_bytes());
        put(header::OFFSET_SLOTS, &(self.slots as u32).to_le_bytes());
        put(header::OFFSET_START_TICKS, &self.producer.start_ticks.to_le_bytes());
        put(header::OFFSET_CREATED, &self.created_nanos.to_le_bytes());
        put(header::OFFSET_BLOCKS, &(block::TABLE as u32).to_le_bytes());
        put(header::OFFSET_BLOCK_STRIDE, &(block::STRIDE as u32).to_le_bytes());
        put(header::OFFSET_PLACES, &(place::TABLE as u32).to_le_bytes());
        put(header::OFFSET_PLACE_STRIDE, &(place::STRIDE as u32).to_le_bytes());
        put(header::OFFSET_META, &(meta as u32).to_le_bytes());
        put(header::OFFSET_META_STRIDE, &(block::META_STRIDE as u32).to_le_bytes());
        let name = name.as_str().as_bytes();
        put(header::OFFSET_NAME, name.get(..header::NAME_LEN).unwrap_or(name));
        let crc = bytes.get(..header::OFFSET_CRC).map_or(0, wire::crc32);
        if let Some(place) = bytes.get_mut(header::OFFSET_CRC..) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    /// Reads a header from `bytes`, a private copy of the start of a control memory of `total_len` bytes.
    pub(crate) fn decode(bytes: &[u8; header::LEN], total_len: usize, name: &str) -> Result<Self, LinkError> {
        let corrupt = |detail: String| LinkError::Corrupt { name: name.to_owned(), detail };
        let magic = u64::from_le_bytes(field(bytes, header::OFFSET_MAGIC));
        if magic != header::MAGIC {
            return Err(corrupt(format!(
                "control memory starts with {magic:#018x}, not {:#018x}",
                header::MAGIC
            )));
        }
        let major = u16::from_le_bytes(field(bytes, header::OFFSET_VERSION_MAJOR));
        let minor = u16::from_le_bytes(field(bytes, header::OFFSET_VERSION_MINOR));
        let required = u64::from_le_bytes(field(bytes, header::OFFSET_REQUIRED));
        if major != VERSION_MAJOR || required & !KNOWN_REQUIRED_FEATURES != 0 {
            return Err(LinkError::VersionMismatch {
                name: name.to_owned(),
                theirs: format!("{major}.{minor} with required features {required:#x}"),
                ours: format!("{VERSION_MAJOR}.{VERSION_MINOR} with {KNOWN_REQUIRED_FEATURES:#x}"),
            });
        }
        let said = u32::from_le_bytes(field(bytes, header::OFFSET_CRC));
        let crc = bytes.get(..header::OFFSET_CRC).map_or(0, wire::crc32);
        if said != crc {
            return Err(corrupt(format!("header checksum is {crc:#010x}, the header says {said:#010x}")));
        }
        let slots = u32::from_le_bytes(field(bytes, header::OFFSET_SLOTS)) as usize;
        if !(MIN_SLOTS..=MAX_SLOTS).contains(&slots) {
            return Err(corrupt(format!("{slots} slots; a link has {MIN_SLOTS} to {MAX_SLOTS}")));
        }
        let expected = [
            (header::OFFSET_HEADER_LEN, header::LEN, "header length"),
            (header::OFFSET_BLOCKS, block::TABLE, "offset of the slot blocks"),
            (header::OFFSET_BLOCK_STRIDE, block::STRIDE, "stride of the slot blocks"),
            (header::OFFSET_PLACES, place::TABLE, "offset of the places"),
            (header::OFFSET_PLACE_STRIDE, place::STRIDE, "stride of the places"),
            (header::OFFSET_META, wire::meta_offset(slots), "offset of the metadata"),
            (header::OFFSET_META_STRIDE, block::META_STRIDE, "stride of the metadata"),
        ];
        for (offset, want, what) in expected {
            let got = u32::from_le_bytes(field(bytes, offset)) as usize;
            if got != want {
                return Err(corrupt(format!("{what} is {got}, protocol {major}.{minor} has {want}")));
            }
        }
        let said_len = u64::from_le_bytes(field(bytes, header::OFFSET_TOTAL_LEN));
        let need = wire::control_len_bytes(slots);
        if said_len != need as u64 || total_len < need {
            return Err(corrupt(format!(
                "control memory has {total_len} bytes and says {said_len}; {need} are needed"
            )));
        }
        Ok(Self {
            slots,
            link_id: field(bytes, header::OFFSET_LINK_ID),
            boot_id: field(bytes, header::OFFSET_BOOT_ID),
            producer: ProcessId {
                pid: i32::from_le_bytes(field(bytes, header::OFFSET_PID)),
                start_ticks: u64::from_le_bytes(field(bytes, header::OFFSET_START_TICKS)),
            },
            created_nanos: u64::from_le_bytes(field(bytes, header::OFFSET_CREATED)),
            minor,
        })
    }
}

fn field<const N: usize>(bytes: &[u8; header::LEN], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

/// The words of one slot's block; indexed by the offsets of [`block`] divided by 8.
pub(crate) type Block = [AtomicU64; block::STRIDE / 8];

/// Where the words of a control memory are: ours, or somebody else's.
#[derive(Clone)]
enum Backing {
    Own(Arc<SharedMemory>),
    Peer(Arc<Mapping>),
}

/// The live words of one control memory.
#[derive(Clone)]
pub(crate) struct Control {
    backing: Backing,
    slots: usize,
}

impl Control {
    /// Makes the control memory of a new link and writes its header.
    pub(crate) fn create(name: &LinkName, header: &Header) -> Result<Self, LinkError> {
        let memory = SharedMemory::create("uncopy-control", wire::control_len_bytes(header.slots))?;
        // So that no consumer can seal it further and lock later ones out.
        memory.seal()?;
        let control = Self { slots: header.slots, backing: Backing::Own(Arc::new(memory)) };
        // The memory is whole pages, so that storing a header at its start can't fail.
        let stored = control.words().store_bytes(0, &header.encode(name));
        debug_assert!(stored.is_some());
        control.producer_state().store(producer_state::LIVE, Release);
        Ok(control)
    }

    /// Reads and checks the header of a mapped control memory.
    pub(crate) fn open(mapping: Arc<Mapping>, name: &str) -> Result<(Self, Header), LinkError> {
        let mut copy = [0u8; header::LEN];
        if mapping.words().load_bytes(0, &mut copy).is_none() {
            let detail = format!("control memory of {} bytes has no room for a header", mapping.len_bytes());
            return Err(LinkError::Corrupt { name: name.to_owned(), detail });
        }
        let header = Header::decode(&copy, mapping.len_bytes(), name)?;
        Ok((Self { slots: header.slots, backing: Backing::Peer(mapping) }, header))
    }

    pub(crate) fn words(&self) -> &Words {
        match &self.backing {
            Backing::Own(memory) => memory.words(),
            Backing::Peer(mapping) => mapping.words(),
        }
    }

    /// What a peer maps it by; `None` for a peer's own.
    pub(crate) fn handle(&self) -> Option<&uncopy_tensor::ShareHandle> {
        match &self.backing {
            Backing::Own(memory) => Some(memory.handle()),
            Backing::Peer(_) => None,
        }
    }

    #[inline]
    fn u32_at(&self, offset: usize) -> &AtomicU32 {
        // Every offset here is a multiple of 4 below the length that `create` allocated and `open` checked. Should
        // that ever be wrong, a word that nobody else sees is safer than a panic in somebody's render loop.
        static NOWHERE: AtomicU32 = AtomicU32::new(0);
        self.words().u32_at(offset).unwrap_or(&NOWHERE)
    }

    #[inline]
    fn u64_at(&self, offset: usize) -> &AtomicU64 {
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        self.words().u64_at(offset).unwrap_or(&NOWHERE)
    }

    pub(crate) fn producer_state(&self) -> &AtomicU32 {
        self.u32_at(live::PRODUCER_STATE)
    }

    pub(crate) fn epoch(&self) -> &AtomicU32 {
        self.u32_at(live::EPOCH)
    }

    pub(crate) fn dropped(&self) -> &AtomicU64 {
        self.u64_at(live::DROPPED)
    }

    pub(crate) fn slot_stride(&self) -> &AtomicU64 {
        self.u64_at(live::SLOT_STRIDE)
    }

    /// The word of a consumer's row at `field`; places beyond the table share the last row.
    pub(crate) fn place_u32(&self, place: u32, field: usize) -> &AtomicU32 {
        self.u32_at(place_offset(place) + field)
    }

    pub(crate) fn place_u64(&self, place: u32, field: usize) -> &AtomicU64 {
        self.u64_at(place_offset(place) + field)
    }

    /// Offset of the block of a slot. The caller has checked the slot against [`Cells::slots`].
    #[inline]
    pub(crate) fn block_offset(slot: usize) -> usize {
        block::TABLE + slot * block::STRIDE
    }

    /// The words of a slot's block.
    #[inline]
    pub(crate) fn block(&self, slot: usize) -> &Block {
        // As in `u32_at`: slots are below the number that was checked against the length.
        static NOWHERE: Block = [const { AtomicU64::new(0) }; block::STRIDE / 8];
        self.words().u64s_at(Self::block_offset(slot)).unwrap_or(&NOWHERE)
    }

    pub(crate) fn meta_offset(&self, slot: usize) -> usize {
        wire::meta_offset(self.slots) + slot * block::META_STRIDE
    }

    /// Makes everyone who sleeps on this link look up. Any side may do it.
    pub(crate) fn kick(&self) {
        // Changed, so that who is about to sleep does not; a frame that is published meanwhile has done that already.
        // What the sleeper is to see is there before it can be woken, also if the exchange below fails.
        self.fence();
        let latest = Cells::latest(self);
        let seen = AtomicU64::load(latest, Acquire);
        let _ = latest.compare_exchange(seen, ring::kicked(seen), AcqRel, Relaxed);
        self.wake_all();
    }

    /// Wakes everyone who sleeps on this link.
    pub(crate) fn wake_all(&self) {
        futex_wake(self.latest_futex(), u32::MAX);
    }

    /// The half of the newest-frame word that the kernel compares: its lower one, which changes with every frame. Only
    /// the kernel reads it through this.
    pub(crate) fn latest_futex(&self) -> &AtomicU32 {
        self.u32_at(live::LATEST)
    }

    /// Sequence number of the newest frame, 0 before the first.
    pub(crate) fn newest_seq(&self) -> u64 {
        ring::seq_of(Cells::latest(self).load(Acquire))
    }
}

fn place_offset(place: u32) -> usize {
    place::TABLE + (place as usize).min(MAX_CONSUMERS - 1) * place::STRIDE
}

impl Word64 for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }
    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        AtomicU64::store(self, value, order);
    }
    #[inline]
    fn swap_if(&self, current: u64, new: u64, ok: Ordering) -> Result<u64, u64> {
        self.compare_exchange(current, new, ok, Relaxed)
    }
    #[inline]
    fn clear_bits(&self, bits: u64, order: Ordering) -> u64 {
        self.fetch_and(!bits, order)
    }
}

impl Word32 for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
    #[inline]
    fn set_bits(&self, bits: u32, order: Ordering) -> u32 {
        self.fetch_or(bits, order)
    }
    #[inline]
    fn clear_bits(&self, bits: u32, order: Ordering) -> u32 {
        self.fetch_and(!bits, order)
    }
}

impl Cells for Control {
    type W64 = AtomicU64;
    type W32 = AtomicU32;

    #[inline]
    fn slots(&self) -> usize {
        self.slots
    }
    #[inline]
    fn word(&self, slot: usize) -> Option<&AtomicU64> {
        (slot < self.slots).then(|| &self.block(slot)[block::WORD / 8])
    }
    #[inline]
    fn latest(&self) -> &AtomicU64 {
        self.u64_at(live::LATEST)
    }
    #[inline]
    fn sleepers(&self) -> &AtomicU32 {
        self.u32_at(live::SLEEPERS)
    }
    #[inline]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
    #[inline]
    fn release_fence(&self) {
        fence(Release);
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> Header {
        Header {
            slots: 4,
            link_id: [7; 16],
            boot_id: [9; 16],
            producer: ProcessId { pid: 4711, start_ticks: 123_456 },
            created_nanos: 987_654_321,
            minor: VERSION_MINOR,
        }
    }

    fn bytes() -> [u8; header::LEN] {
        header().encode(&LinkName::parse("camera").expect("a plain name is a name"))
    }

    fn decode(bytes: &[u8; header::LEN]) -> Result<Header, LinkError> {
        Header::decode(bytes, wire::control_len_bytes(4), "camera")
    }

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        assert_eq!(decode(&bytes()).unwrap(), header());
    }

    #[test]
    fn f14_no_bit_of_a_header_can_flip_unnoticed() {
        for at in 0..header::LEN {
            for bit in 0..8 {
                let mut flipped = bytes();
                flipped[at] ^= 1 << bit;
                let error = decode(&flipped).expect_err("a flipped bit is noticed");
                assert!(
                    matches!(error, LinkError::Corrupt { .. } | LinkError::VersionMismatch { .. }),
                    "byte {at}: {error}"
                );
            }
        }
    }

    #[test]
    fn f14_uniform_headers_are_refused() {
        for byte in [0x00, 0xFF, b'U'] {
            assert!(matches!(decode(&[byte; header::LEN]), Err(LinkError::Corrupt { .. })));
        }
    }

    #[test]
    fn f14_a_header_that_claims_more_than_the_memory_has_is_refused() {
        for total_len in [0, header::LEN, wire::control_len_bytes(4) - 1] {
            let error = Header::decode(&bytes(), total_len, "camera").expect_err("the memory is too short");
            assert!(error.to_string().contains(&total_len.to_string()), "{error}");
        }
    }

    /// A header whose fields were changed by someone who knows how to make a checksum.
    fn forged(at: usize, value: &[u8]) -> [u8; header::LEN] {
        let mut bytes = bytes();
        bytes[at..at + value.len()].copy_from_slice(value);
        let crc = wire::crc32(&bytes[..header::OFFSET_CRC]);
        bytes[header::OFFSET_CRC..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn f14_geometry_that_the_protocol_does_not_have_is_refused_even_with_a_good_checksum() {
        let offsets = [
            header::OFFSET_HEADER_LEN,
            header::OFFSET_BLOCKS,
            header::OFFSET_BLOCK_STRIDE,
            header::OFFSET_PLACES,
            header::OFFSET_PLACE_STRIDE,
            header::OFFSET_META,
            header::OFFSET_META_STRIDE,
            header::OFFSET_SLOTS,
        ];
        for offset in offsets {
            for value in [0u32, 1, 3, 65, 4095, u32::MAX] {
                let error =
                    decode(&forged(offset, &value.to_le_bytes())).expect_err("it is another geometry");
                assert!(
                    matches!(error, LinkError::Corrupt { .. }),
                    "offset {offset}, value {value}: {error}"
                );
            }
        }
    }

    #[test]
    fn f20_another_major_version_or_an_unknown_required_feature_is_named() {
        for forged in
            [forged(header::OFFSET_VERSION_MAJOR, &[2, 0]), forged(header::OFFSET_REQUIRED, &[0, 1])]
        {
            let error = decode(&forged).expect_err("it can't be read");
            assert!(matches!(error, LinkError::VersionMismatch { .. }), "{error}");
            assert!(error.to_string().contains("1.0 with 0x0"), "{error}");
        }
    }

    #[test]
    fn f20_a_newer_minor_version_and_unknown_optional_features_are_read() {
        let newer = decode(&forged(header::OFFSET_VERSION_MINOR, &[3, 0])).unwrap();
        assert_eq!(newer.minor, 3);
        assert!(decode(&forged(header::OFFSET_OPTIONAL, &[0xFF; 8])).is_ok());
    }

    proptest! {
        #[test]
        fn no_header_makes_decoding_panic(noise in proptest::collection::vec(any::<u8>(), header::LEN), len in any::<usize>()) {
            let noise: [u8; header::LEN] = noise.try_into().expect("the vector has that length");
            let _ = Header::decode(&noise, len, "camera");
        }
    }

    #[test]
    fn the_words_of_a_new_link_are_at_their_places() {
        let name = LinkName::parse("camera").expect("a plain name is a name");
        let control = Control::create(&name, &header()).unwrap();
        let word = |offset: usize| control.words().u64_at(offset).map(|w| AtomicU64::load(w, Relaxed));
        assert_eq!(word(0), Some(header::MAGIC));
        assert_eq!(word(live::LATEST), Some(0));
        assert_eq!(word(live::PRODUCER_STATE), Some(u64::from(producer_state::LIVE)));
        assert_eq!(control.words().len_bytes(), wire::control_len_bytes(4));
        for slot in 0..4 {
            assert_eq!(word(4096 + slot * 384), Some(0), "slot {slot} begins free");
        }
    }
}
