// SPDX-License-Identifier: MIT OR Apache-2.0
//! The slot machine: which slot the producer may write and which frame a consumer may hold. Nothing else.
//!
//! A slot is one 64-bit word, `generation:28 | state:4 | gpu_mask:16 | cpu_mask:16`. A consumer is a *bit*, not a
//! count, so that a dead consumer's hold is removed exactly. `latest = seq:52 | slot:6 | kick:6` names the newest frame
//! and is what consumers sleep on, so that publishing is one store beyond the slot's word.
//!
//! # Why nothing tears
//! | danger | what prevents it |
//! |---|---|
//! | the producer reuses a slot under a reader | `WRITING` is entered by a compare-exchange that sees an empty mask |
//! | a reader takes a slot that is being rewritten | a hold is a compare-exchange that sees `PUBLISHED` |
//! | a reader reads an old description | the description is read only while the slot is held |
//! | a reader follows an old `latest` | it holds whatever that slot has now, whose own number is read afterwards |
//! | the generation wraps | it only guards the window of one compare-exchange |
//!
//! # Every frame
//! A consumer of every frame walks the *trail*: entry `seq % 64` names the slot of frame `seq`, until frame `seq +
//! 64` takes the entry. It holds that slot and looks whose frame it is: another number means that the producer was
//! faster. A producer that blocks does not write a slot whose frame such a consumer has not received:
//! [`oldest_wanted`].
//!
//! The machine is generic over where its words live: mapped pages in the product, loom's atomics in the models
//! (`ring_models.rs`), which check every interleaving of the same code.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A 64-bit atomic word, wherever it lives.
pub(crate) trait Word64 {
    fn load(&self, order: std::sync::atomic::Ordering) -> u64;
    fn store(&self, value: u64, order: std::sync::atomic::Ordering);
    fn swap_if(&self, current: u64, new: u64, ok: std::sync::atomic::Ordering) -> Result<u64, u64>;
    fn clear_bits(&self, bits: u64, order: std::sync::atomic::Ordering) -> u64;
}

/// A 32-bit atomic word, wherever it lives.
pub(crate) trait Word32 {
    fn load(&self, order: std::sync::atomic::Ordering) -> u32;
    fn set_bits(&self, bits: u32, order: std::sync::atomic::Ordering) -> u32;
    fn clear_bits(&self, bits: u32, order: std::sync::atomic::Ordering) -> u32;
    fn swap(&self, value: u32, order: std::sync::atomic::Ordering) -> u32;
}

/// Where the words of one ring live.
pub(crate) trait Cells {
    type W64: Word64;
    type W32: Word32;
    fn slots(&self) -> usize;
    /// The word of a slot; `None` beyond `slots()`.
    fn word(&self, slot: usize) -> Option<&Self::W64>;
    fn latest(&self) -> &Self::W64;
    fn sleepers(&self) -> &Self::W32;
    /// Who wants its doorbell rung, one bit each.
    fn armed(&self) -> &Self::W32;
    /// An entry of the trail: `index` is below [`TRAIL_LEN`].
    fn trail(&self, index: usize) -> &Self::W64;
    /// The newest frame that the consumer at `place` has received.
    fn cursor(&self, place: u32) -> &Self::W64;
    /// Number of the frame that a slot describes; of meaning to who holds the slot.
    fn described(&self, slot: usize) -> u64;
    /// Not 0 while the producer waits for room.
    fn wants_room(&self) -> &Self::W32;
    /// A hint that the word of a slot is about to be changed.
    fn about_to_change(&self, slot: usize);
    /// A sequentially consistent fence: orders "I published" against "I sleep".
    fn fence(&self);
    /// A release fence: orders "I am writing" before what is written.
    fn release_fence(&self);
}

/// States of a slot.
pub(crate) mod state {
    pub(crate) const FREE: u64 = 0;
    pub(crate) const WRITING: u64 = 1;
    pub(crate) const PUBLISHED: u64 = 2;
    /// The producer died while writing: never read, never written again.
    pub(crate) const POISONED: u64 = 3;
}

const CPU_MASK: u64 = 0xFFFF;
const GENERATION_SHIFT: u32 = 36;

fn pack(generation: u64, state: u64) -> u64 {
    (generation << GENERATION_SHIFT) | (state << 32)
}

fn generation(word: u64) -> u64 {
    word >> GENERATION_SHIFT
}

pub(crate) fn state_of(word: u64) -> u64 {
    (word >> 32) & 0xF
}

/// The consumers that hold a slot, one bit each.
pub(crate) fn holders_of(word: u64) -> u16 {
    (word & CPU_MASK) as u16
}

pub(crate) fn pack_latest(seq: u64, slot: usize) -> u64 {
    (seq << SEQ_SHIFT) | ((slot as u64) << SLOT_SHIFT)
}

const SLOT_SHIFT: u32 = 6;
const SEQ_SHIFT: u32 = 12;
const KICK_MASK: u64 = 0x3F;
/// The highest number that a frame can have.
pub(crate) const MAX_SEQ: u64 = u64::MAX >> SEQ_SHIFT;

/// Sequence number and slot of the newest frame; `None` before the first.
pub(crate) fn unpack_latest(latest: u64) -> Option<(u64, usize)> {
    let (seq, slot) = (latest >> SEQ_SHIFT, (latest >> SLOT_SHIFT) & 0x3F);
    (seq != 0).then_some((seq, slot as usize))
}

/// Sequence number of the newest frame, 0 before the first.
pub(crate) fn seq_of(latest: u64) -> u64 {
    latest >> SEQ_SHIFT
}

/// The same newest frame as another value, so that whoever sleeps on it looks up.
pub(crate) fn kicked(latest: u64) -> u64 {
    (latest & !KICK_MASK) | (latest.wrapping_add(1) & KICK_MASK)
}

/// Entries of the trail: no link has more slots, so that what it does not name is overwritten.
pub(crate) const TRAIL_LEN: u64 = 64;

/// What only the producer knows: the order in which its slots were written. Never read from shared memory.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Slots that are not being written, the one written longest ago first.
    order: Vec<u8>,
    newest: Option<usize>,
}

impl Writer {
    pub(crate) fn new(slots: usize) -> Self {
        Self { order: (0..slots as u8).collect(), newest: None }
    }

    /// Takes the slot written longest ago that nobody holds, and never the newest frame.
    ///
    /// `attached` are the consumers that exist: a bit of anyone else is noise. `usable` lets the caller keep a slot
    /// back. Returns `None` when there is no such slot.
    pub(crate) fn claim<C: Cells>(
        &mut self,
        cells: &C,
        attached: u16,
        mut usable: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let at = self.order.iter().position(|&slot| {
            let slot = usize::from(slot);
            Some(slot) != self.newest && usable(slot) && Self::take(cells, slot, attached)
        })?;
        Some(usize::from(self.order.remove(at)))
    }

    /// The slot that is most likely claimed next, and the newest frame's.
    pub(crate) fn likely(&self) -> (Option<usize>, Option<usize>) {
        let first = self.order.iter().map(|slot| usize::from(*slot)).find(|slot| Some(*slot) != self.newest);
        (first, self.newest)
    }

    fn take<C: Cells>(cells: &C, slot: usize, attached: u16) -> bool {
        let Some(cell) = cells.word(slot) else { return false };
        cells.about_to_change(slot);
        let word = cell.load(Relaxed);
        // A build with leases off takes what is held, so that the tests can prove that they would notice.
        if holders_of(word) & attached != 0 && !cfg!(feature = "leases-off") {
            return false;
        }
        // pairs with: release/clear. Acquire: what readers did with the old content happens before we overwrite it.
        // A consumer that takes hold in between makes this fail, and the slot is not ours.
        let taken = cell.swap_if(word, pack(generation(word) + 1, state::WRITING), Acquire).is_ok();
        // Who looks at the slot without holding it must see WRITING before it sees any of what we write.
        cells.release_fence();
        taken
    }

    /// Makes the frame in `slot` the newest. [`somebody_sleeps`] must follow.
    pub(crate) fn publish<C: Cells>(&mut self, cells: &C, slot: usize, seq: u64) {
        let Some(cell) = cells.word(slot) else { return };
        // Nobody else changes a WRITING word, so load and store need not be one step.
        let generation = generation(cell.load(Relaxed));
        // pairs with: hold_latest/word. The frame and its description happen before.
        cell.store(pack(generation, state::PUBLISHED), Release);
        let latest = pack_latest(seq, slot);
        // pairs with: hold_next/trail.
        cells.trail((seq % TRAIL_LEN) as usize).store(latest, Release);
        // pairs with: hold_latest/latest.
        cells.latest().store(latest, Release);
        self.order.push(slot as u8);
        self.newest = Some(slot);
    }

    /// Gives an unpublished slot back; it is the first to be written next.
    pub(crate) fn abandon<C: Cells>(&mut self, cells: &C, slot: usize) {
        let Some(cell) = cells.word(slot) else { return };
        let generation = generation(cell.load(Relaxed));
        cell.store(pack(generation, state::FREE), Release);
        self.order.insert(0, slot as u8);
    }
}

/// Whether anybody may sleep on `latest`, asked after it was changed. The caller wakes one, who wakes the others:
/// [`others_sleep`].
pub(crate) fn somebody_sleeps<C: Cells>(cells: &C) -> bool {
    // Either we see the sleeper's bit, or it sees our change: both sides fence between their store and their load.
    // pairs with: announce_sleep/fence.
    cells.fence();
    cells.sleepers().load(Relaxed) != 0
}

/// Whether anybody else may sleep on `latest`, asked by the consumer at `place` when it has slept and there is a
/// frame. It wakes them: whoever was in the kernel's queue before it was taken from there, has its bit set.
pub(crate) fn others_sleep<C: Cells>(cells: &C, place: u32) -> bool {
    // pairs with: announce_sleep/sleepers, through the kernel's queue.
    cells.sleepers().load(Acquire) & !(1 << place) != 0
}

/// The mark of a sleeper that has seen `latest`.
pub(crate) fn mark(latest: u64) -> NonZeroU32 {
    NonZeroU32::new(1 << (seq_of(latest) % 32)).unwrap_or(NonZeroU32::MIN)
}

/// The marks of sleepers that have seen an older frame than `latest`, of the last 31.
pub(crate) fn marks_of_others(latest: u64) -> NonZeroU32 {
    NonZeroU32::new(!mark(latest).get()).unwrap_or(NonZeroU32::MAX)
}

/// The consumers whose doorbells are to be rung, asked after [`somebody_sleeps`]. Each is rung once and asks again.
pub(crate) fn take_armed<C: Cells>(cells: &C) -> u16 {
    if cells.armed().load(Relaxed) == 0 {
        return 0;
    }
    // Nothing is handed over by these bits: the fences order them.
    cells.armed().swap(0, Relaxed) as u16
}

/// Asks for a ring of the doorbell with the next frame. The caller must look for frames once more afterwards.
pub(crate) fn arm<C: Cells>(cells: &C, place: u32) {
    cells.armed().set_bits(1 << place, Relaxed);
    // pairs with: somebody_sleeps/fence.
    cells.fence();
}

/// A consumer's hold of one slot, to be given back with [`release`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hold {
    pub(crate) slot: usize,
    /// The number under which `latest` named the frame; the slot's own may be higher by now.
    pub(crate) seq: u64,
    /// This place held the slot before: the same frame, leased again.
    pub(crate) again: bool,
}

/// Why no frame could be held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unheld {
    /// Nothing newer than what was asked for.
    Nothing,
    /// `latest` names a slot that does not exist, or never settles: the page is not what the protocol allows.
    Corrupt,
}

/// How often a consumer follows a moving `latest` before it calls the page corrupt: a producer would have to publish
/// that many frames, each within the few instructions between two loads.
/// (A model may see old values for ever, which hardware does not; it gives up early.)
const MAX_CHASES: usize = if cfg!(loom) { 3 } else { 1 << 16 };

/// Holds whatever frame is in `slot` for the consumer at `place`. Says whether it held the slot before; `None` while
/// the slot is being written.
#[inline(always)]
fn hold_slot<C: Cells>(cells: &C, place: u32, slot: usize) -> Result<Option<bool>, Unheld> {
    let Some(cell) = cells.word(slot) else { return Err(Unheld::Corrupt) };
    cells.about_to_change(slot);
    let bit = 1u64 << place;
    let mut word = cell.load(Relaxed);
    while state_of(word) == state::PUBLISHED {
        // pairs with: publish/word. From here the producer can't take the slot.
        match cell.swap_if(word, word | bit, Acquire) {
            Ok(_) => return Ok(Some(word & bit != 0)),
            Err(now) => word = now,
        }
    }
    Ok(None)
}

/// Holds the newest frame for the consumer at `place` if its number is above `after`.
#[inline(always)]
pub(crate) fn hold_latest<C: Cells>(cells: &C, place: u32, after: u64) -> Result<Hold, Unheld> {
    for _ in 0..MAX_CHASES {
        // pairs with: publish/latest.
        let Some((seq, slot)) = unpack_latest(cells.latest().load(Acquire)) else {
            return Err(Unheld::Nothing);
        };
        if seq <= after {
            return Err(Unheld::Nothing);
        }
        if let Some(again) = hold_slot(cells, place, slot)? {
            return Ok(Hold { slot, seq, again });
        }
        // The slot is being rewritten, so a newer frame has been published: look again.
    }
    Err(Unheld::Corrupt)
}

/// Holds the oldest frame above `after` that is still there, for the consumer at `place`.
pub(crate) fn hold_next<C: Cells>(cells: &C, place: u32, after: u64) -> Result<Hold, Unheld> {
    let mut gone = after;
    for _ in 0..MAX_CHASES {
        // pairs with: publish/latest. Every entry up to this frame is there.
        let newest = seq_of(cells.latest().load(Acquire));
        if newest > gone {
            if let Some(hold) = hold_up_to(cells, place, gone, newest)? {
                return Ok(hold);
            }
            // Not even the newest is there any more, so a newer one has been published: look for that.
            gone = newest;
        } else if gone == after {
            return Err(Unheld::Nothing);
        }
    }
    Err(Unheld::Corrupt)
}

/// Holds the oldest frame above `after`, up to `newest`, that is still there.
fn hold_up_to<C: Cells>(cells: &C, place: u32, after: u64, newest: u64) -> Result<Option<Hold>, Unheld> {
    let first = after.saturating_add(1).max((newest + 1).saturating_sub(TRAIL_LEN));
    for seq in first..=newest {
        // pairs with: publish/trail.
        let entry = unpack_latest(cells.trail((seq % TRAIL_LEN) as usize).load(Acquire));
        // Another number: a frame that came 64 later has the entry, so that this one is gone.
        let Some((_, slot)) = entry.filter(|(named, _)| *named == seq) else { continue };
        let Some(again) = hold_slot(cells, place, slot)? else { continue };
        if cells.described(slot) == seq {
            return Ok(Some(Hold { slot, seq, again }));
        }
        // The slot has a later frame by now; its turn comes.
        if !again {
            release(cells, place, slot);
        }
    }
    Ok(None)
}

/// The number of the oldest frame that some consumer of `every` frame has not received yet. Its slot, and those of
/// later frames, must not be written by a producer that blocks.
pub(crate) fn oldest_wanted<C: Cells>(cells: &C, every: u16) -> u64 {
    let places = (0..16u32).filter(|place| every & (1 << place) != 0);
    // pairs with: Attachment::count_received. A frame that is received is held, or was.
    places.map(|place| cells.cursor(place).load(Acquire).saturating_add(1)).min().unwrap_or(u64::MAX)
}

/// Has a producer that blocks keep each frame for the consumer that comes to `place`, from the newest one on: sets its
/// bit in `every`. What the producer publishes meanwhile must not count as received, nor be written over.
pub(crate) fn begin_to_keep<C: Cells>(cells: &C, place: u32, every: &C::W32) {
    let before_newest = || seq_of(cells.latest().load(Relaxed)).saturating_sub(1);
    cells.cursor(place).store(before_newest(), Relaxed);
    every.set_bits(1 << place, Relaxed);
    // Either the producer sees the bit, and no cursor of a former occupant, before it claims, or we see what it has
    // published: both sides fence between their store and their load.
    // pairs with: somebody_sleeps/fence.
    cells.fence();
    cells.cursor(place).store(before_newest(), Relaxed);
}

/// Says that the producer is about to sleep until there is room. It must look for room once more before it does.
pub(crate) fn want_room<C: Cells>(cells: &C) {
    cells.wants_room().set_bits(1, Relaxed);
    // pairs with: is_room_wanted/fence.
    cells.fence();
}

/// The producer no longer waits for room.
pub(crate) fn end_wanting_room<C: Cells>(cells: &C) {
    cells.wants_room().clear_bits(1, Relaxed);
}

/// Whether the producer waits for room, asked after some was made. The caller wakes it.
pub(crate) fn is_room_wanted<C: Cells>(cells: &C) -> bool {
    // Either we see that it waits, or it sees the room: both sides fence between their store and their load.
    // pairs with: want_room/fence.
    cells.fence();
    cells.wants_room().load(Relaxed) != 0
}

/// Gives a hold back. What was read happens before the producer's next write.
pub(crate) fn release<C: Cells>(cells: &C, place: u32, slot: usize) {
    if let Some(cell) = cells.word(slot) {
        // pairs with: claim/take.
        cell.clear_bits(1 << place, Release);
    }
}

/// Removes every hold of a consumer that is known to be dead, and its mark as a sleeper.
pub(crate) fn reclaim<C: Cells>(cells: &C, place: u32) {
    cells.sleepers().clear_bits(1 << place, Relaxed);
    cells.armed().clear_bits(1 << place, Relaxed);
    for slot in 0..cells.slots() {
        if let Some(cell) = cells.word(slot) {
            // pairs with: claim/take. What a dead consumer read is over.
            cell.clear_bits((1 << place) | (1 << (place + 16)), Release);
        }
    }
}

/// Marks the slots that a dead producer was writing. Any reader may do it, also several at once.
pub(crate) fn poison_half_written<C: Cells>(cells: &C) {
    for slot in 0..cells.slots() {
        let Some(cell) = cells.word(slot) else { continue };
        let word = cell.load(Relaxed);
        if state_of(word) == state::WRITING {
            // Nobody reads the slot because of it. A failed exchange means that another reader was faster.
            let _ = cell.swap_if(word, pack(generation(word), state::POISONED), Relaxed);
        }
    }
}

/// Says that the consumer at `place` is about to sleep on `latest`. Returns the value of it to sleep on;
/// the caller must look for frames once more before it sleeps.
pub(crate) fn announce_sleep<C: Cells>(cells: &C, place: u32) -> u64 {
    // Read before the caller looks for frames: a later frame changes it, and then the kernel refuses to sleep.
    let value = cells.latest().load(Relaxed);
    cells.sleepers().set_bits(1 << place, Relaxed);
    // pairs with: somebody_sleeps/fence.
    cells.fence();
    value
}

/// The consumer at `place` is awake.
pub(crate) fn end_sleep<C: Cells>(cells: &C, place: u32) {
    cells.sleepers().clear_bits(1 << place, Relaxed);
}

#[cfg(all(test, loom))]
#[path = "ring_models.rs"]
pub(super) mod models;
