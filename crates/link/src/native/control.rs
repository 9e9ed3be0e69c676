// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control memory of one link as typed words, which producer and consumers change.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use uncopy_core::{DeviceUuid, LinkName};
use uncopy_os::{Mapping, OsError, SharedMemory, Words, futex_wake, futex_wake_marked};
use uncopy_tensor::SharedPages;

use super::header::Header;
use super::order::{DeviceCells, DeviceWord};
use super::ring::{self, Cells, Word32, Word64};
use super::wire::{
    self, MAX_CONSUMERS, MemoryInfo, ages, block, device, header, live, place, producer_state, trail,
};
use crate::ages::BUCKETS;
use crate::error::LinkError;

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
        control.live().producer_state().store(producer_state::LIVE, Release);
        Ok(control)
    }

    /// Reads and checks the header of a mapped control memory.
    pub(crate) fn open(mapping: Arc<Mapping>, name: &str) -> Result<(Self, Header), LinkError> {
        let mut copy = [0u8; header::LEN];
        if mapping.words().load_bytes(0, &mut copy).is_none() {
            let detail = format!("control memory of {} bytes has no room for a header", mapping.len_bytes());
            return Err(LinkError::Corrupt { name: name.to_owned(), detail });
        }
        // Shrinking and growing are refused by the mapping; the seal of seals keeps peers from locking later ones out.
        if !mapping.seals().seal {
            let detail =
                format!("control memory is sealed {}: anybody could seal it further", mapping.seals());
            return Err(LinkError::Corrupt { name: name.to_owned(), detail });
        }
        let header = Header::decode(&copy, mapping.len_bytes(), name)?;
        Ok((Self { slots: header.slots, backing: Backing::Peer(mapping) }, header))
    }

    #[inline]
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

    /// The words, found once: what a call that touches several works on.
    #[inline]
    pub(crate) fn live(&self) -> Live<'_> {
        Live { words: self.words(), slots: self.slots }
    }

    /// Number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// The pages of the device words, for a device that writes them.
    pub(crate) fn device_pages(&self) -> Result<SharedPages, OsError> {
        let (offset, len) = (wire::device_offset(self.slots), wire::device_len_bytes(self.slots));
        match &self.backing {
            Backing::Own(memory) => memory.shared_pages(offset, len),
            Backing::Peer(mapping) => mapping.shared_pages(offset, len),
        }
    }
}

/// The words of a control memory, borrowed for one call: where they are was asked once.
#[derive(Clone, Copy)]
pub(crate) struct Live<'a> {
    words: &'a Words,
    slots: usize,
}

impl<'a> Live<'a> {
    #[inline]
    fn u32_at(self, offset: usize) -> &'a AtomicU32 {
        // Every offset here is a multiple of 4 below the length that `create` allocated and `open` checked. Should
        // that ever be wrong, a word that nobody else sees is safer than a panic in somebody's render loop.
        static NOWHERE: AtomicU32 = AtomicU32::new(0);
        self.words.u32_at(offset).unwrap_or(&NOWHERE)
    }

    #[inline]
    fn u64_at(self, offset: usize) -> &'a AtomicU64 {
        static NOWHERE: AtomicU64 = AtomicU64::new(0);
        self.words.u64_at(offset).unwrap_or(&NOWHERE)
    }

    pub(crate) fn producer_state(self) -> &'a AtomicU32 {
        self.u32_at(live::PRODUCER_STATE)
    }

    pub(crate) fn epoch(self) -> &'a AtomicU32 {
        self.u32_at(live::EPOCH)
    }

    pub(crate) fn dropped(self) -> &'a AtomicU64 {
        self.u64_at(live::DROPPED)
    }

    pub(crate) fn when_full(self) -> &'a AtomicU32 {
        self.u32_at(live::WHEN_FULL)
    }

    pub(crate) fn evicted(self) -> &'a AtomicU64 {
        self.u64_at(live::EVICTED)
    }

    /// Nanoseconds for which the producer has waited for room.
    pub(crate) fn blocked(self) -> &'a AtomicU64 {
        self.u64_at(live::BLOCKED)
    }

    /// Says where the frames of the epoch that begins lie: for those who look, and for nothing else.
    pub(crate) fn show_memory(self, memory: &MemoryInfo) {
        self.u32_at(live::MEMORY_KIND).store(memory.kind, Relaxed);
        self.u32_at(live::HAS_MIRROR).store(u32::from(memory.mirror_len > 0), Relaxed);
        // Control memory is longer than that: what was created can't refuse it.
        let _ = self.store_bytes(live::DEVICE_UUID, &memory.uuid);
    }

    /// What [`show_memory`](Self::show_memory) says: the kind, whether there is a mirror, and the device.
    pub(crate) fn shown_memory(self) -> (u32, bool, DeviceUuid) {
        let mut uuid = [0; 16];
        let _ = self.load_bytes(live::DEVICE_UUID, &mut uuid);
        let kind = AtomicU32::load(self.u32_at(live::MEMORY_KIND), Relaxed);
        (kind, AtomicU32::load(self.u32_at(live::HAS_MIRROR), Relaxed) != 0, DeviceUuid(uuid))
    }

    /// A count of the ages of the frames that the consumer at `place` has received.
    pub(crate) fn age_count(self, place: u32, bucket: usize) -> &'a AtomicU32 {
        let row = wire::ages_offset(self.slots) + (place as usize).min(MAX_CONSUMERS - 1) * ages::STRIDE;
        self.u32_at(row + 4 * bucket.min(BUCKETS - 1))
    }

    /// A word of the device words of a slot; `field` is an offset of [`device`].
    #[inline]
    fn device_u32(self, slot: usize, field: usize) -> &'a AtomicU32 {
        self.u32_at(wire::device_offset(self.slots) + slot.min(self.slots - 1) * device::STRIDE + field)
    }

    pub(crate) fn slot_stride(self) -> &'a AtomicU64 {
        self.u64_at(live::SLOT_STRIDE)
    }

    /// The word of a consumer's row at `field`; places beyond the table share the last row.
    pub(crate) fn place_u32(self, place: u32, field: usize) -> &'a AtomicU32 {
        self.u32_at(place_offset(place) + field)
    }

    pub(crate) fn place_u64(self, place: u32, field: usize) -> &'a AtomicU64 {
        self.u64_at(place_offset(place) + field)
    }

    /// Offset of the block of a slot. The caller has checked the slot against [`Cells::slots`].
    #[inline]
    pub(crate) fn block_offset(slot: usize) -> usize {
        block::TABLE + slot * block::STRIDE
    }

    /// The words of a slot's block.
    #[inline]
    pub(crate) fn block(self, slot: usize) -> &'a Block {
        // As in `u32_at`: slots are below the number that was checked against the length.
        static NOWHERE: Block = [const { AtomicU64::new(0) }; block::STRIDE / 8];
        self.words.u64s_at(Self::block_offset(slot)).unwrap_or(&NOWHERE)
    }

    /// See [`Words::load_bytes`].
    pub(crate) fn load_bytes(self, offset: usize, out: &mut [u8]) -> Option<()> {
        self.words.load_bytes(offset, out)
    }

    /// See [`Words::store_bytes`].
    pub(crate) fn store_bytes(self, offset: usize, bytes: &[u8]) -> Option<()> {
        self.words.store_bytes(offset, bytes)
    }

    pub(crate) fn meta_offset(self, slot: usize) -> usize {
        wire::meta_offset(self.slots) + slot * block::META_STRIDE
    }

    /// A hint that the next frame is about to be named: brings the word here while the frame is being described.
    #[inline]
    pub(crate) fn about_to_publish(self) {
        self.words.prefetch_for_write(live::LATEST);
    }

    /// A hint that a frame on a device is about to be written to `slot`: brings here who is done with it and what will be
    /// written for it, all at once.
    #[inline]
    pub(crate) fn about_to_write_on_device(self, slot: usize) {
        let (block, device) =
            (Self::block_offset(slot), wire::device_offset(self.slots) + slot * device::STRIDE);
        for offset in [block, block + block::COPIES, device] {
            self.words.prefetch_for_write(offset);
        }
        self.words.prefetch(device + device::WANTED);
        self.words.prefetch(device + device::DONE);
    }

    /// A hint that the word is about to be read by which a device says that it has written `slot`.
    #[inline]
    pub(crate) fn about_to_ask_device(self, slot: usize) {
        self.words.prefetch(wire::device_offset(self.slots) + slot * device::STRIDE);
    }

    /// A hint that another process is about to read the line of a slot, which lies in our private cache.
    #[inline]
    pub(crate) fn demote(self, slot: usize) {
        self.words.demote(Self::block_offset(slot));
    }

    /// Makes everyone who sleeps on this link look up. Any side may do it.
    pub(crate) fn kick(self) {
        // Changed, so that who is about to sleep does not; a frame that is published meanwhile has done that already.
        // What the sleeper is to see is there before it can be woken, also if the exchange below fails.
        self.fence();
        let latest = Cells::latest(&self);
        let seen = AtomicU64::load(latest, Acquire);
        let _ = latest.compare_exchange(seen, ring::kicked(seen), AcqRel, Relaxed);
        self.wake_all();
    }

    /// Wakes everyone who sleeps on this link.
    pub(crate) fn wake_all(self) {
        futex_wake(self.latest_futex(), u32::MAX);
    }

    /// Wakes the first of those who sleep on this link, who wakes the next: so many sleepers cost a producer what one
    /// does.
    pub(crate) fn wake_first(self) {
        futex_wake(self.latest_futex(), 1);
    }

    /// Wakes the next of those who sleep on this link, after the frame that woke the consumer at `place`.
    #[inline]
    pub(crate) fn pass_wake_on(self, place: u32) {
        /// Two each: the last of many is woken sooner, and one that is stopped holds up no more than its half.
        const FOLLOWERS: u32 = 2;
        if ring::others_sleep(&self, place) {
            // Who has seen this frame and sleeps until the next is to be left alone.
            let newest = AtomicU64::load(Cells::latest(&self), Acquire);
            futex_wake_marked(self.latest_futex(), FOLLOWERS, ring::marks_of_others(newest));
        }
    }

    /// The half of the newest-frame word that the kernel compares: its lower one, which changes with every frame. Only
    /// the kernel reads it through this.
    pub(crate) fn latest_futex(self) -> &'a AtomicU32 {
        self.u32_at(live::LATEST)
    }

    /// Wakes the producer, which waits for room. Any side may do it.
    pub(crate) fn make_room_known(self) {
        let room = self.room();
        room.fetch_add(1, Release);
        futex_wake(room, u32::MAX);
    }

    /// Counts how often room was made while the producer waited; what it sleeps on.
    pub(crate) fn room(self) -> &'a AtomicU32 {
        self.u32_at(live::ROOM)
    }

    /// What names the newest frame, for a hint: nothing that it leads to happens before.
    #[inline]
    pub(crate) fn newest(self) -> u64 {
        Cells::latest(&self).load(Relaxed)
    }

    /// Sequence number of the newest frame, 0 before the first.
    pub(crate) fn newest_seq(self) -> u64 {
        ring::seq_of(Cells::latest(&self).load(Acquire))
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

impl DeviceCells for Live<'_> {
    type W32 = AtomicU32;

    #[inline]
    fn slots(&self) -> usize {
        self.slots
    }
    #[inline]
    fn ready(&self, slot: usize) -> &AtomicU32 {
        self.device_u32(slot, device::READY)
    }
    #[inline]
    fn mirrored(&self, slot: usize) -> &AtomicU32 {
        self.device_u32(slot, device::MIRRORED)
    }
    #[inline]
    fn promised(&self, slot: usize) -> &AtomicU32 {
        self.device_u32(slot, device::PROMISED)
    }
    #[inline]
    fn wanted(&self, slot: usize, place: u32) -> &AtomicU32 {
        self.device_u32(slot, device::WANTED + 4 * (place as usize % MAX_CONSUMERS))
    }
    #[inline]
    fn done(&self, slot: usize, place: u32) -> &AtomicU32 {
        self.device_u32(slot, device::DONE + 4 * (place as usize % MAX_CONSUMERS))
    }
}

impl DeviceWord for AtomicU32 {
    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        AtomicU32::load(self, order)
    }
    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        AtomicU32::store(self, value, order);
    }
    #[inline]
    fn swap_if(&self, current: u32, new: u32, ok: Ordering) -> Result<u32, u32> {
        self.compare_exchange(current, new, ok, Relaxed)
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
    #[inline]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        AtomicU32::swap(self, value, order)
    }
}

impl Cells for Live<'_> {
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
    fn armed(&self) -> &AtomicU32 {
        self.u32_at(live::ARMED)
    }
    #[inline]
    fn trail(&self, index: usize) -> &AtomicU64 {
        self.u64_at(trail::TABLE + (index % trail::LEN) * 8)
    }
    #[inline]
    fn cursor(&self, place: u32) -> &AtomicU64 {
        self.place_u64(place, place::CURSOR)
    }
    #[inline]
    fn described(&self, slot: usize) -> u64 {
        self.block(slot)[block::SEQ / 8].load(Relaxed)
    }
    #[inline]
    fn wants_room(&self) -> &AtomicU32 {
        self.u32_at(live::WANTS_ROOM)
    }
    #[inline]
    fn about_to_change(&self, slot: usize) {
        self.words.prefetch_for_write(Self::block_offset(slot));
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
#[allow(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::native::header::tests::header;

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

    #[test]
    fn where_frames_lie_is_shown_at_its_place() {
        let name = LinkName::parse("camera").expect("a plain name is a name");
        let control = Control::create(&name, &header()).unwrap();
        let uuid: [u8; 16] = std::array::from_fn(|at| at as u8 + 1);
        let memory = MemoryInfo { kind: 1, uuid, mirror_len: 4096, ..MemoryInfo::default() };
        control.live().show_memory(&memory);
        let mut bytes = [0; 80];
        control.words().load_bytes(560, &mut bytes).unwrap();
        assert_eq!(bytes[..8], [1, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!((&bytes[8..24], &bytes[24..]), (&uuid[..], &[0; 56][..]), "and nothing else");
        assert_eq!(control.live().shown_memory(), (1, true, DeviceUuid(uuid)));
    }
}
