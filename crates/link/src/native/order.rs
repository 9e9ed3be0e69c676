// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order of devices' work: when the content of a slot is there, and when it may be written again. Nothing else.
//!
//! A slot's word says what *processors* do with it. A device works by itself and later, so that beside it stand 32-bit
//! words which devices write when they get there. Each counts up and wraps; *reached* is a cyclic comparison.
//!
//! | word | one per | written by | says |
//! |---|---|---|---|
//! | `promised` | slot | the producer's CPU, before it publishes | writes of the slot that were put into streams |
//! | `ready` | slot | the producer's stream | writes of the slot that are done |
//! | `mirrored` | slot | the producer's stream | the same of the slot's mirror in host memory |
//! | `wanted` | slot and consumer | the consumer's CPU, before it releases | its last *ticket* |
//! | `done` | slot and consumer | the consumer's stream | its last ticket whose reading is done |
//!
//! # Why nothing tears
//! | danger | what prevents it |
//! |---|---|
//! | a reader looks before the writer's stream is done | `ready` must reach `promised`, which is read while the slot is held |
//! | the producer writes while a reader's stream reads | `wanted` is stored before the hold ends; the claim sees it, and waits until `done` reaches it |
//! | two streams of one reader, the later done first | a ticket is written after its predecessor: `done` never goes back |
//! | two streams of the producer | a claim waits for the slot's own last write too |
//! | a reader dies | its process is dead, so that its work has stopped: `done` is set to `wanted` |
//! | a late write of a dead reader | it is a ticket at or below `wanted`; force looks again while a claim waits |
//!
//! No stream ever waits for a value that nobody is bound to write: a wait is put in only after the write that it waits
//! for, so that all waits point back in time. What a dead process still owed is written by the living.

use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

use uncopy_tensor::TimelinePoint;

use super::wire::{MAX_CONSUMERS, device};
use crate::site::{self, is_left_out};

/// A 32-bit word that devices and processors write, wherever it lives.
pub(crate) trait DeviceWord {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
    fn swap_if(&self, current: u32, new: u32, ok: Ordering) -> Result<u32, u32>;
}

/// Where the device words of one link live.
pub(crate) trait DeviceCells {
    type W32: DeviceWord;
    fn slots(&self) -> usize;
    /// Consumers that have words.
    fn places(&self) -> u32 {
        MAX_CONSUMERS as u32
    }
    fn ready(&self, slot: usize) -> &Self::W32;
    fn mirrored(&self, slot: usize) -> &Self::W32;
    fn promised(&self, slot: usize) -> &Self::W32;
    fn wanted(&self, slot: usize, place: u32) -> &Self::W32;
    fn done(&self, slot: usize, place: u32) -> &Self::W32;
}

/// Where the content of a frame is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// In the memory of the device.
    Device,
    /// In its mirror in host memory.
    Mirror,
}

fn is_reached(now: u32, value: u32) -> bool {
    TimelinePoint { offset_bytes: 0, value }.is_reached(now)
}

/// A word of a slot and a value, as a timeline over the device words has it.
fn point(slot: usize, field: usize, value: u32) -> TimelinePoint {
    TimelinePoint { offset_bytes: slot * device::STRIDE + field, value }
}

/// Whether the frame in `slot`, which the caller holds, is there.
pub(crate) fn is_there<C: DeviceCells>(cells: &C, slot: usize, part: Part) -> bool {
    let word = match part {
        Part::Device => cells.ready(slot),
        Part::Mirror => cells.mirrored(slot),
    };
    if is_left_out(site::LOOK) {
        return true;
    }
    // `promised` is the producer's from before it published until the hold ends. Acquire: the device wrote the content
    // before it wrote the word.
    is_reached(word.load(Acquire), cells.promised(slot).load(Relaxed))
}

/// What a stream waits for that is to read the frame in `slot`, which the caller holds.
pub(crate) fn being_there<C: DeviceCells>(cells: &C, slot: usize) -> TimelinePoint {
    point(slot, device::READY, cells.promised(slot).load(Relaxed))
}

/// Says that a slot, which the caller claimed, is written for the `value`-th time; returns what its streams are to
/// write when that is done. The producer counts by itself and never reads the count back.
pub(crate) fn promise<C: DeviceCells>(cells: &C, slot: usize, value: u32) -> Promise {
    cells.promised(slot).store(value, Relaxed);
    Promise { ready: point(slot, device::READY, value), mirrored: point(slot, device::MIRRORED, value) }
}

/// Whether the word of a part has reached `value`.
pub(crate) fn is_at_least<C: DeviceCells>(cells: &C, slot: usize, part: Part, value: u32) -> bool {
    let word = match part {
        Part::Device => cells.ready(slot),
        Part::Mirror => cells.mirrored(slot),
    };
    is_reached(word.load(Acquire), value)
}

/// What a producer's streams write for one frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Promise {
    pub(crate) ready: TimelinePoint,
    pub(crate) mirrored: TimelinePoint,
}

/// Writes by hand what no stream can be made to write.
pub(crate) fn keep_promise<C: DeviceCells>(cells: &C, slot: usize, value: u32, part: Part) {
    let word = match part {
        Part::Device => cells.ready(slot),
        Part::Mirror => cells.mirrored(slot),
    };
    word.store(value, Release);
}

/// Calls `add` with what a stream that is to write `slot` must wait for: the slot's last write, the `written`-th, and
/// every reading that is not done. Meant for who has just claimed the slot; before that it is a hint.
///
/// Not for its mirroring: a mirror that is still made of a frame that nobody holds is made anew, by the same stream,
/// before anybody looks at it. So one stream writes all *mirrored* of a slot, of abandoned claims and later epochs, too:
/// two would take each other's back.
pub(crate) fn unfinished<C: DeviceCells>(
    cells: &C,
    slot: usize,
    written: u32,
    mut add: impl FnMut(TimelinePoint),
) {
    if !is_reached(cells.ready(slot).load(Acquire), written) && !is_left_out(site::CLAIM_READY) {
        add(point(slot, device::READY, written));
    }
    unread(cells, slot, add);
}

/// The same of the readings alone, for a writer whose last write is in the same stream.
pub(crate) fn unread<C: DeviceCells>(cells: &C, slot: usize, mut add: impl FnMut(TimelinePoint)) {
    // As in the ring: a lease is held on the processor first, and then by what a device has still to read.
    if cfg!(feature = "leases-off") {
        return;
    }
    for place in 0..cells.places() {
        // pairs with: the claim, which sees what was stored before the hold was given back.
        let wanted = cells.wanted(slot, place).load(Relaxed);
        let is_done = is_reached(cells.done(slot, place).load(Acquire), wanted);
        if !is_done && !is_left_out(site::CLAIM_DONE) {
            add(point(slot, device::DONE + 4 * place as usize, wanted));
        }
    }
}

/// Whether [`unfinished`] has anything to say.
pub(crate) fn is_unfinished<C: DeviceCells>(cells: &C, slot: usize, written: u32) -> bool {
    let mut any = false;
    unfinished(cells, slot, written, |_| any = true);
    any
}

/// A ticket for a reading of `slot`, which the consumer at `place` holds and is about to give back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    /// To be written when the reading is done.
    pub(crate) point: TimelinePoint,
    /// What must be there before that: the ticket before, where it is not done yet.
    pub(crate) after: Option<TimelinePoint>,
}

/// Takes the next ticket. The caller puts its writing into a stream, and only then gives the slot back.
pub(crate) fn take_ticket<C: DeviceCells>(cells: &C, slot: usize, place: u32) -> Ticket {
    let field = device::DONE + 4 * place as usize;
    // Only this place writes it, while it holds the slot.
    let last = cells.wanted(slot, place).load(Relaxed);
    let is_done = is_reached(cells.done(slot, place).load(Acquire), last) || is_left_out(site::RELEASE_AFTER);
    let value = last.wrapping_add(1);
    // The release of the hold orders this before whatever the producer does next.
    cells.wanted(slot, place).store(value, Relaxed);
    Ticket { point: point(slot, field, value), after: (!is_done).then(|| point(slot, field, last)) }
}

/// Marks every reading of a consumer as done: its process is dead, or it has said that it reads nothing any more.
/// Says whether something was owed.
pub(crate) fn force_done<C: DeviceCells>(cells: &C, place: u32) -> bool {
    let mut any = false;
    for slot in 0..cells.slots() {
        let wanted = cells.wanted(slot, place).load(Relaxed);
        any |= force(cells.done(slot, place), wanted, wanted);
    }
    any
}

/// Ends every wait for what a dead producer owed, so that no stream of ours waits for ever. Goes one beyond what was
/// promised, where no stream gets: whoever looks later, in whatever process, sees that the content never came. Of a
/// producer that lives it must not be done: its next write of the slot would be taken for done.
pub(crate) fn force_ready<C: DeviceCells>(cells: &C) {
    for slot in 0..cells.slots() {
        let promised = cells.promised(slot).load(Relaxed);
        for word in [cells.ready(slot), cells.mirrored(slot)] {
            force(word, promised, promised.wrapping_add(1));
        }
    }
}

/// Whether the content of the frame in `slot`, which the caller holds, never came to a part: its producer died before,
/// and somebody has [ended](force_ready) the wait for it.
pub(crate) fn is_torn<C: DeviceCells>(cells: &C, slot: usize, part: Part) -> bool {
    // No order: who has seen that a word is forced sees no older one, and that there is content is asked first.
    let word = match part {
        Part::Device => cells.ready(slot),
        Part::Mirror => cells.mirrored(slot),
    };
    is_reached(word.load(Relaxed), cells.promised(slot).load(Relaxed).wrapping_add(1))
}

/// Sets a word that has not reached `value` to `forced`, which has. Says whether it had to.
fn force<W: DeviceWord>(word: &W, value: u32, forced: u32) -> bool {
    // Who is let go on by the word looks at it for itself.
    let mut now = word.load(Relaxed);
    let mut had_to = false;
    // A device may still write, a lower value or this one.
    while !is_reached(now, value) {
        had_to = true;
        match word.swap_if(now, forced, AcqRel) {
            Ok(_) => break,
            Err(other) => now = other,
        }
    }
    had_to
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    struct Words([[AtomicU32; 64]; 2]);

    impl Words {
        fn new() -> Self {
            Self([const { [const { AtomicU32::new(0) }; 64] }; 2])
        }
    }

    impl DeviceCells for Words {
        type W32 = AtomicU32;
        fn slots(&self) -> usize {
            2
        }
        fn ready(&self, slot: usize) -> &AtomicU32 {
            &self.0[slot][device::READY / 4]
        }
        fn mirrored(&self, slot: usize) -> &AtomicU32 {
            &self.0[slot][device::MIRRORED / 4]
        }
        fn promised(&self, slot: usize) -> &AtomicU32 {
            &self.0[slot][device::PROMISED / 4]
        }
        fn wanted(&self, slot: usize, place: u32) -> &AtomicU32 {
            &self.0[slot][device::WANTED / 4 + place as usize]
        }
        fn done(&self, slot: usize, place: u32) -> &AtomicU32 {
            &self.0[slot][device::DONE / 4 + place as usize]
        }
    }

    fn all_unfinished(words: &Words, slot: usize) -> Vec<TimelinePoint> {
        let mut all = Vec::new();
        let written = words.promised(slot).load(Relaxed);
        unfinished(words, slot, written, |point| all.push(point));
        all
    }

    #[test]
    fn a_frame_is_there_when_the_stream_has_written_what_was_promised() {
        let words = Words::new();
        let promise = promise(&words, 1, 1);
        assert_eq!(promise.ready, TimelinePoint { offset_bytes: 256, value: 1 });
        assert!(!is_there(&words, 1, Part::Device) && !is_there(&words, 1, Part::Mirror));
        words.ready(1).store(1, Relaxed);
        assert!(is_there(&words, 1, Part::Device) && !is_there(&words, 1, Part::Mirror));
        assert_eq!(all_unfinished(&words, 1), []);
        words.mirrored(1).store(1, Relaxed);
        assert!(is_there(&words, 1, Part::Mirror));
    }

    #[test]
    fn a_slot_that_was_never_written_and_never_read_waits_for_nothing() {
        assert_eq!(all_unfinished(&Words::new(), 0), []);
    }

    #[test]
    fn a_second_ticket_is_written_after_the_first_unless_that_is_done() {
        let words = Words::new();
        let first = take_ticket(&words, 0, 3);
        assert_eq!((first.point.value, first.after), (1, None));
        let second = take_ticket(&words, 0, 3);
        assert_eq!((second.point.value, second.after), (2, Some(first.point)));
        assert_eq!(all_unfinished(&words, 0), [second.point], "the last one is enough");
        words.done(0, 3).store(2, Relaxed);
        assert_eq!(take_ticket(&words, 0, 3).after, None);
    }

    #[test]
    fn counters_wrap() {
        let words = Words::new();
        for word in
            [words.promised(0), words.ready(0), words.mirrored(0), words.wanted(0, 0), words.done(0, 0)]
        {
            word.store(u32::MAX, Relaxed);
        }
        assert_eq!(promise(&words, 0, 0).ready.value, 0);
        assert!(!is_there(&words, 0, Part::Device));
        words.ready(0).store(0, Relaxed);
        assert!(is_there(&words, 0, Part::Device));
        let ticket = take_ticket(&words, 0, 0);
        assert_eq!((ticket.point.value, ticket.after), (0, None));
        assert_eq!(all_unfinished(&words, 0), [ticket.point]);
    }

    #[test]
    fn what_the_dead_owed_is_written_and_what_was_not_whole_is_named() {
        let words = Words::new();
        let _ = (promise(&words, 0, 1), promise(&words, 1, 1));
        words.ready(0).store(1, Relaxed);
        force_ready(&words);
        assert!(is_there(&words, 1, Part::Device) && is_there(&words, 1, Part::Mirror));
        let torn = |slot| [Part::Device, Part::Mirror].map(|part| is_torn(&words, slot, part));
        assert_eq!((torn(0), torn(1)), ([false, true], [true, true]), "each part by itself");
        // Another reader learns of the death later.
        force_ready(&words);
        assert_eq!((torn(0), torn(1)), ([false, true], [true, true]));
        let ticket = take_ticket(&words, 1, 5);
        assert!(force_done(&words, 5) && !force_done(&words, 5));
        assert_eq!(words.done(1, 5).load(Relaxed), ticket.point.value);
    }
}

#[cfg(all(test, loom))]
#[path = "order_models.rs"]
mod models;
