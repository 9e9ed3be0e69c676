// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every interleaving of the slot machine, by loom. Run by `cargo xtask test loom`.
//!
//! Frame bytes are loom cells: a write that overlaps a read is reported by loom itself, so these models fail as soon
//! as a slot is written under a reader. Negative models show that the check bites, and [`sites`] that
//! every order is needed.
#![expect(
    unsafe_code,
    reason = "fence: frame bytes are loom's cells, shared between model threads on purpose"
)]

use std::sync::atomic::Ordering::{self, AcqRel, SeqCst};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, fence};
use loom::thread;

use super::*;

#[path = "ring_sites.rs"]
pub(in crate::native) mod sites;

impl Word64 for AtomicU64 {
    #[track_caller]
    fn load(&self, o: Ordering) -> u64 {
        AtomicU64::load(self, sites::order(o))
    }
    #[track_caller]
    fn store(&self, value: u64, o: Ordering) {
        AtomicU64::store(self, value, sites::order(o));
    }
    #[track_caller]
    fn swap_if(&self, current: u64, new: u64, ok: Ordering) -> Result<u64, u64> {
        AtomicU64::compare_exchange(self, current, new, sites::order(ok), Relaxed)
    }
    #[track_caller]
    fn clear_bits(&self, bits: u64, o: Ordering) -> u64 {
        AtomicU64::fetch_and(self, !bits, sites::order(o))
    }
}

impl Word32 for AtomicU32 {
    #[track_caller]
    fn load(&self, o: Ordering) -> u32 {
        AtomicU32::load(self, sites::order(o))
    }
    #[track_caller]
    fn set_bits(&self, bits: u32, o: Ordering) -> u32 {
        AtomicU32::fetch_or(self, bits, sites::order(o))
    }
    #[track_caller]
    fn clear_bits(&self, bits: u32, o: Ordering) -> u32 {
        AtomicU32::fetch_and(self, !bits, sites::order(o))
    }
    #[track_caller]
    fn swap(&self, value: u32, o: Ordering) -> u32 {
        AtomicU32::swap(self, value, sites::order(o))
    }
}

/// Bytes that loom watches.
pub(in crate::native) struct Bytes(UnsafeCell<u64>);

// SAFETY: loom itself reports every access to the cell that overlaps another; that check is what the models are for.
unsafe impl Sync for Bytes {}

impl Bytes {
    pub(in crate::native) fn new() -> Self {
        Self(UnsafeCell::new(0))
    }
}

/// A ring whose words are loom's, with one cell of frame bytes and one of description per slot.
pub(in crate::native) struct Model {
    words: Vec<AtomicU64>,
    latest: AtomicU64,
    sleepers: AtomicU32,
    armed: AtomicU32,
    trail: Vec<AtomicU64>,
    cursors: Vec<AtomicU64>,
    every: AtomicU32,
    wants_room: AtomicU32,
    pub(in crate::native) frames: Vec<Bytes>,
    pub(in crate::native) descriptions: Vec<Bytes>,
}

impl Model {
    pub(in crate::native) fn new(slots: usize) -> Self {
        Self {
            words: (0..slots).map(|_| AtomicU64::new(0)).collect(),
            latest: AtomicU64::new(0),
            sleepers: AtomicU32::new(0),
            armed: AtomicU32::new(0),
            // As many entries as the models have frames: loom bounds the number of its objects.
            trail: (0..TRAIL_MODEL).map(|_| AtomicU64::new(0)).collect(),
            cursors: (0..2).map(|_| AtomicU64::new(0)).collect(),
            every: AtomicU32::new(0),
            wants_room: AtomicU32::new(0),
            frames: (0..slots).map(|_| Bytes::new()).collect(),
            descriptions: (0..slots).map(|_| Bytes::new()).collect(),
        }
    }

    pub(in crate::native) fn write(cell: &Bytes, value: u64) {
        // SAFETY: loom has just checked that nobody else is inside this cell.
        cell.0.with_mut(|p| unsafe { *p = value });
    }

    pub(in crate::native) fn read(cell: &Bytes) -> u64 {
        // SAFETY: loom has just checked that nobody writes this cell.
        cell.0.with(|p| unsafe { *p })
    }
}

impl Cells for Model {
    type W64 = AtomicU64;
    type W32 = AtomicU32;
    fn slots(&self) -> usize {
        self.words.len()
    }
    fn word(&self, slot: usize) -> Option<&AtomicU64> {
        self.words.get(slot)
    }
    fn latest(&self) -> &AtomicU64 {
        &self.latest
    }
    fn sleepers(&self) -> &AtomicU32 {
        &self.sleepers
    }
    fn armed(&self) -> &AtomicU32 {
        &self.armed
    }
    fn trail(&self, index: usize) -> &AtomicU64 {
        &self.trail[index % TRAIL_MODEL]
    }
    fn cursor(&self, place: u32) -> &AtomicU64 {
        &self.cursors[place as usize]
    }
    fn described(&self, slot: usize) -> u64 {
        Model::read(&self.descriptions[slot])
    }
    fn wants_room(&self) -> &AtomicU32 {
        &self.wants_room
    }
    fn about_to_change(&self, _: usize) {}
    #[track_caller]
    fn fence(&self) {
        if sites::is_there("SeqCst fence") {
            fence(SeqCst);
        }
    }
    #[track_caller]
    fn release_fence(&self) {
        if sites::is_there("Release fence") {
            fence(Release);
        }
    }
}

/// The models that must hold, those that end soonest first.
const MODELS: &[(&str, fn())] = &[
    ("a_frame_that_is_named_can_be_held", a_frame_that_is_named_can_be_held),
    ("no_room_is_made_unnoticed", no_room_is_made_unnoticed),
    ("no_wake_up_is_lost", no_wake_up_is_lost),
    ("no_ring_is_lost", no_ring_is_lost),
    ("poison_marks_half_written_slots_only", poison_marks_half_written_slots_only),
    ("two_slots_one_consumer_two_leases", two_slots_one_consumer_two_leases),
    ("a_dead_consumers_slot_comes_back", a_dead_consumers_slot_comes_back),
    ("what_an_observer_glances_at_is_of_one_frame", what_an_observer_glances_at_is_of_one_frame),
    (
        "every_frame_is_received_from_a_producer_that_blocks",
        every_frame_is_received_from_a_producer_that_blocks,
    ),
    ("who_comes_to_read_every_frame_misses_none", who_comes_to_read_every_frame_misses_none),
    ("every_frame_that_is_left_is_received", every_frame_that_is_left_is_received_from_a_producer_that_drops),
    ("a_producer_that_wakes_the_first_wakes_all", a_producer_that_wakes_the_first_wakes_all),
    ("three_slots_two_consumers", three_slots_two_consumers),
];

const TRAIL_MODEL: usize = 4;

pub(in crate::native) fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

pub(in crate::native) const BOTH_ATTACHED: u16 = 0b11;

fn produce(ring: &Model, frames: u64) {
    let mut writer = Writer::new(ring.slots());
    for seq in 1..=frames {
        let Some(slot) = writer.claim(ring, BOTH_ATTACHED, |_| true) else { continue };
        Model::write(&ring.frames[slot], seq);
        Model::write(&ring.descriptions[slot], seq);
        writer.publish(ring, slot, seq);
        somebody_sleeps(ring);
    }
}

/// Holds up to `leases` frames one after the other; what a hold shows must be one whole frame, never an older one.
fn consume(ring: &Model, place: u32, leases: usize) {
    let mut seen = 0;
    for _ in 0..leases {
        let Ok(hold) = hold_latest(ring, place, seen) else { continue };
        let described = Model::read(&ring.descriptions[hold.slot]);
        let shown = Model::read(&ring.frames[hold.slot]);
        assert_eq!(described, shown, "a description and a frame of two writes");
        assert!(shown > seen, "frame {shown} after frame {seen}");
        seen = shown;
        release(ring, place, hold.slot);
    }
}

/// Who sees that there is a frame can hold it.
#[test]
fn a_frame_that_is_named_can_be_held() {
    loom::model(|| {
        let ring = Arc::new(Model::new(2));
        let reader = {
            let ring = ring.clone();
            thread::spawn(move || hold_latest(&*ring, 0, 0))
        };
        let mut writer = Writer::new(2);
        let slot = writer.claim(&*ring, BOTH_ATTACHED, |_| true).unwrap();
        writer.publish(&*ring, slot, 1);
        assert_ne!(reader.join().unwrap(), Err(Unheld::Corrupt), "a frame that can't be held");
    });
}

#[test]
fn two_slots_one_consumer_two_leases() {
    check(3, || {
        let ring = Arc::new(Model::new(2));
        let reader = {
            let ring = ring.clone();
            thread::spawn(move || consume(&ring, 0, 2))
        };
        produce(&ring, 3);
        reader.join().unwrap();
    });
}

#[test]
fn three_slots_two_consumers() {
    check(2, || {
        let ring = Arc::new(Model::new(3));
        let readers: Vec<_> = (0..2)
            .map(|place| {
                let ring = ring.clone();
                thread::spawn(move || consume(&ring, place, 1))
            })
            .collect();
        produce(&ring, 3);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_dead_consumers_slot_comes_back() {
    check(3, || {
        let ring = Arc::new(Model::new(2));
        let mut writer = Writer::new(2);
        let publish = |writer: &mut Writer, seq| {
            let slot = writer.claim(&*ring, BOTH_ATTACHED, |_| true)?;
            Model::write(&ring.frames[slot], seq);
            Model::write(&ring.descriptions[slot], seq);
            writer.publish(&*ring, slot, seq);
            Some(slot)
        };
        publish(&mut writer, 1);
        let dying = {
            let ring = ring.clone();
            thread::spawn(move || {
                if let Ok(hold) = hold_latest(&*ring, 0, 0) {
                    // What it read is over before its slot is written: the reaper orders that, too.
                    Model::read(&ring.frames[hold.slot]);
                }
                // It dies here without a release; the reaper runs when its process is known to be dead.
                reclaim(&*ring, 0);
            })
        };
        publish(&mut writer, 2);
        // Perhaps into the slot that has just been taken from it.
        let written = publish(&mut writer, 3).is_some();
        dying.join().unwrap();
        // Whatever it held, both slots can be written again: one now, the other after.
        assert!(written || publish(&mut writer, 3).is_some(), "a slot is lost");
        assert!(publish(&mut writer, 4).is_some(), "a slot is lost");
    });
}

#[test]
fn poison_marks_half_written_slots_only() {
    check(3, || {
        let ring = Arc::new(Model::new(2));
        let mut writer = Writer::new(2);
        let whole = writer.claim(&*ring, BOTH_ATTACHED, |_| true).unwrap();
        writer.publish(&*ring, whole, 1);
        let half = writer.claim(&*ring, BOTH_ATTACHED, |_| true).unwrap();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let ring = ring.clone();
                thread::spawn(move || poison_half_written(&*ring))
            })
            .collect();
        let hold = hold_latest(&*ring, 0, 0).unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(hold.slot, whole);
        assert_eq!(state_of(ring.words[half].load(Relaxed)), state::POISONED);
        assert_eq!(state_of(ring.words[whole].load(Relaxed)), state::PUBLISHED);
    });
}

/// An observer looks at a slot without holding it: if the slot's word is the same before and after, and published, what
/// it read in between is of one frame. Its words are atomics, as in the product: a description is two of them here.
#[test]
fn what_an_observer_glances_at_is_of_one_frame() {
    check(3, || {
        let ring = Arc::new(Model::new(2));
        let described: Arc<Vec<[AtomicU64; 2]>> =
            Arc::new((0..2).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect());
        let observer = {
            let (ring, described) = (ring.clone(), described.clone());
            thread::spawn(move || {
                let Some((_, slot)) = unpack_latest(ring.latest.load(Acquire)) else { return };
                let before = ring.words[slot].load(Acquire);
                let [first, second] = described[slot].each_ref().map(|word| word.load(Relaxed));
                fence(Acquire);
                let after = ring.words[slot].load(Relaxed);
                if before & !CPU_MASK == after & !CPU_MASK && state_of(before) == state::PUBLISHED {
                    assert_eq!(first, second, "a description of two frames");
                }
            })
        };
        let mut writer = Writer::new(2);
        for seq in 1..=3 {
            let Some(slot) = writer.claim(&*ring, BOTH_ATTACHED, |_| true) else { continue };
            described[slot].iter().for_each(|word| word.store(seq, Relaxed));
            writer.publish(&*ring, slot, seq);
        }
        observer.join().unwrap();
    });
}

/// The sleeper's and the producer's halves of a wake-up; `true` where the sleeper would sleep in the kernel.
fn would_sleep(ring: &Model) -> bool {
    let value = announce_sleep(ring, 0);
    if hold_latest(ring, 0, 0).is_ok() {
        return false;
    }
    // The kernel compares once more, under its own lock, before it sleeps.
    ring.latest.load(Relaxed) == value
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let ring = Arc::new(Model::new(2));
        let sleeper = {
            let ring = ring.clone();
            thread::spawn(move || would_sleep(&ring))
        };
        let mut writer = Writer::new(2);
        let slot = writer.claim(&*ring, BOTH_ATTACHED, |_| true).unwrap();
        writer.publish(&*ring, slot, 1);
        let woke = somebody_sleeps(&*ring);
        assert!(!sleeper.join().unwrap() || woke, "it sleeps and nobody wakes it");
    });
}

/// The kernel's side of a futex: a queue of sleepers, first come, first woken.
struct Futex {
    queue: loom::sync::Mutex<Vec<u32>>,
    woken: loom::sync::Condvar,
}

impl Futex {
    fn new() -> Self {
        Self { queue: loom::sync::Mutex::new(Vec::new()), woken: loom::sync::Condvar::new() }
    }

    /// Sleeps while `latest` is `value`, as the one at `place`.
    fn wait(&self, ring: &Model, place: u32, value: u64) {
        let mut queue = self.queue.lock().unwrap();
        if ring.latest.load(Relaxed) != value {
            return;
        }
        queue.push(place);
        while queue.contains(&place) {
            queue = self.woken.wait(queue).unwrap();
        }
    }

    fn wake(&self, count: usize) {
        let mut queue = self.queue.lock().unwrap();
        let count = count.min(queue.len());
        queue.drain(..count);
        self.woken.notify_all();
    }
}

/// One frame and two consumers that wait for it; `passes` says whether a woken one wakes the other. Loom reports a
/// consumer that sleeps for ever as a deadlock.
fn wakes_the_first_of_two(passes: bool) {
    check(2, move || {
        // Not loom's own kind, which does not survive that report.
        let ring = std::sync::Arc::new((Model::new(2), Futex::new()));
        let sleepers: Vec<_> = (0..2)
            .map(|place| {
                let shared = ring.clone();
                thread::spawn(move || {
                    let (ring, futex) = &*shared;
                    let value = announce_sleep(ring, place);
                    if hold_latest(ring, place, 0).is_ok() {
                        return;
                    }
                    futex.wait(ring, place, value);
                    assert!(hold_latest(ring, place, 0).is_ok(), "woken without a frame");
                    if passes && others_sleep(ring, place) {
                        futex.wake(2);
                    }
                    end_sleep(ring, place);
                })
            })
            .collect();
        let (ring, futex) = &*ring;
        let mut writer = Writer::new(2);
        let slot = writer.claim(ring, BOTH_ATTACHED, |_| true).unwrap();
        writer.publish(ring, slot, 1);
        if somebody_sleeps(ring) {
            futex.wake(1);
        }
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
    });
}

#[test]
fn a_producer_that_wakes_the_first_wakes_all() {
    wakes_the_first_of_two(true);
}

/// Negative model: nobody passes the wake-up on.
#[test]
#[should_panic(expected = "deadlock")]
fn a_wake_up_that_is_not_passed_on_wakes_one() {
    wakes_the_first_of_two(false);
}

/// A producer that blocks (here: gives a frame up, which then has no number) and a consumer of every frame, which must
/// receive each number after the one before.
#[test]
fn every_frame_is_received_from_a_producer_that_blocks() {
    check(3, || {
        let ring = Arc::new(Model::new(2));
        let reader = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut seen = 0;
                for _ in 0..3 {
                    let Ok(hold) = hold_next(&*ring, 0, seen) else { continue };
                    assert_eq!(hold.seq, seen + 1, "a frame was missed");
                    assert_eq!(Model::read(&ring.frames[hold.slot]), hold.seq);
                    seen = hold.seq;
                    ring.cursors[0].store(seen, Release);
                    release(&*ring, 0, hold.slot);
                }
            })
        };
        let mut writer = Writer::new(2);
        let mut published = [0; 2];
        let mut seq = 0;
        for _ in 0..3 {
            let wanted = oldest_wanted(&*ring, 0b01);
            let Some(slot) = writer.claim(&*ring, BOTH_ATTACHED, |slot| published[slot] < wanted) else {
                continue;
            };
            seq += 1;
            published[slot] = seq;
            Model::write(&ring.frames[slot], seq);
            Model::write(&ring.descriptions[slot], seq);
            writer.publish(&*ring, slot, seq);
        }
        reader.join().unwrap();
    });
}

/// A consumer that comes while frames are published receives what was the newest, and each one after it.
#[test]
fn who_comes_to_read_every_frame_misses_none() {
    check(3, || {
        let ring = Arc::new(Model::new(2));
        // Somebody was at this place before, and had read on.
        ring.cursors[0].store(100, Relaxed);
        let reader = {
            let ring = ring.clone();
            thread::spawn(move || {
                begin_to_keep(&*ring, 0, &ring.every);
                let mut seen = Word64::load(&ring.cursors[0], Relaxed);
                for _ in 0..2 {
                    let Ok(hold) = hold_next(&*ring, 0, seen) else { continue };
                    assert_eq!(hold.seq, seen + 1, "a frame was missed");
                    seen = hold.seq;
                    Word64::store(&ring.cursors[0], seen, Release);
                    release(&*ring, 0, hold.slot);
                }
            })
        };
        let mut writer = Writer::new(2);
        let mut published = [0; 2];
        let mut seq = 0;
        for _ in 0..4 {
            let wanted = oldest_wanted(&*ring, Word32::load(&ring.every, Acquire) as u16);
            let Some(slot) = writer.claim(&*ring, BOTH_ATTACHED, |slot| published[slot] < wanted) else {
                continue;
            };
            seq += 1;
            published[slot] = seq;
            Model::write(&ring.descriptions[slot], seq);
            writer.publish(&*ring, slot, seq);
            somebody_sleeps(&*ring);
        }
        reader.join().unwrap();
    });
}

/// A consumer of every frame and a producer that drops: what is received is whole and newer than what was before.
#[test]
fn every_frame_that_is_left_is_received_from_a_producer_that_drops() {
    check(3, || {
        let ring = Arc::new(Model::new(2));
        let reader = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut seen = 0;
                for _ in 0..2 {
                    let Ok(hold) = hold_next(&*ring, 0, seen) else { continue };
                    assert_eq!(Model::read(&ring.frames[hold.slot]), hold.seq);
                    assert!(hold.seq > seen);
                    seen = hold.seq;
                    release(&*ring, 0, hold.slot);
                }
            })
        };
        produce(&ring, 3);
        reader.join().unwrap();
    });
}

/// The producer sleeps for room only if whoever makes some wakes it.
#[test]
fn no_room_is_made_unnoticed() {
    loom::model(|| {
        let ring = Arc::new(Model::new(2));
        let mut writer = Writer::new(2);
        for seq in 1..=2 {
            let slot = writer.claim(&*ring, BOTH_ATTACHED, |_| true).unwrap();
            writer.publish(&*ring, slot, seq);
            if seq == 1 {
                assert!(hold_latest(&*ring, 0, 0).is_ok());
            }
        }
        let reader = {
            let ring = ring.clone();
            thread::spawn(move || {
                release(&*ring, 0, 0);
                is_room_wanted(&*ring)
            })
        };
        want_room(&*ring);
        let sleeps = writer.claim(&*ring, BOTH_ATTACHED, |_| true).is_none();
        let woke = reader.join().unwrap();
        assert!(!sleeps || woke, "it sleeps and nobody wakes it");
    });
}

/// A frame that is published while a consumer arms its doorbell is seen by it, or rings.
#[test]
fn no_ring_is_lost() {
    loom::model(|| {
        let ring = Arc::new(Model::new(2));
        let consumer = {
            let ring = ring.clone();
            thread::spawn(move || {
                arm(&*ring, 0);
                hold_latest(&*ring, 0, 0).is_ok()
            })
        };
        let mut writer = Writer::new(2);
        let slot = writer.claim(&*ring, BOTH_ATTACHED, |_| true).unwrap();
        writer.publish(&*ring, slot, 1);
        somebody_sleeps(&*ring);
        let rings = take_armed(&*ring) & 1 != 0;
        assert!(consumer.join().unwrap() || rings, "it waits for a ring and nobody rings");
    });
}

/// Negative model: a ring that overwrites slot `seq % slots` and leases nothing tears under a slow reader.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_ring_without_leases_tears() {
    loom::model(|| {
        let ring = Arc::new(Model::new(2));
        let reader = {
            let ring = ring.clone();
            thread::spawn(move || {
                if let Some((_, slot)) = unpack_latest(ring.latest.load(Acquire)) {
                    Model::read(&ring.frames[slot]);
                }
            })
        };
        for seq in 1..=3u64 {
            let slot = (seq % 2) as usize;
            Model::write(&ring.frames[slot], seq);
            ring.latest.store(pack_latest(seq, slot), Release);
        }
        reader.join().unwrap();
    });
}

/// Negative model: the generation and the number of readers in two words. Between the check of one and the change of
/// the other the producer slips in.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_hold_in_two_words_tears() {
    loom::model(|| {
        let slot = Arc::new((AtomicU32::new(1), AtomicU32::new(0), Model::new(1)));
        let reader = {
            let slot = slot.clone();
            thread::spawn(move || {
                let before = slot.0.load(Acquire);
                slot.1.fetch_add(1, AcqRel);
                if slot.0.load(Acquire) == before {
                    Model::read(&slot.2.frames[0]);
                }
                slot.1.fetch_sub(1, AcqRel);
            })
        };
        if slot.1.load(Acquire) == 0 {
            slot.0.store(2, Release);
            Model::write(&slot.2.frames[0], 2);
        }
        reader.join().unwrap();
    });
}

/// Negative model: without the fence on both sides a sleeper and a producer miss each other.
#[test]
#[should_panic(expected = "it sleeps and nobody wakes it")]
fn a_wake_up_without_fences_is_lost() {
    loom::model(|| {
        let ring = Arc::new(Model::new(2));
        let sleeper = {
            let ring = ring.clone();
            thread::spawn(move || {
                ring.sleepers.fetch_or(1, AcqRel);
                ring.latest.load(Acquire) == 0
            })
        };
        ring.latest.store(pack_latest(1, 0), Release);
        let woke = ring.sleepers.load(Acquire) != 0;
        assert!(!sleeper.join().unwrap() || woke, "it sleeps and nobody wakes it");
    });
}
