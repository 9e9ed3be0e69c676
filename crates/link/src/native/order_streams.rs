// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the models of devices' work are made of: a link whose words are loom's, *streams* that do what was put in, in
//! order and late, and the steps of producer and consumer as the product takes them.
//!
//! Each step that the product takes outside of `order.rs` is a [site](sites): what is left out there must show, too.

use std::sync::atomic::Ordering::{self, Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, OnceLock};

use loom::sync::atomic::{AtomicU32, AtomicU64};
use loom::thread::{self, JoinHandle, Thread};

use super::super::*;
use crate::native::ring::models::sites::{self, is_there as step};
use crate::native::ring::models::{BOTH_ATTACHED, Bytes, Model};
use crate::native::ring::{self, Writer};

/// A word that streams wait for without looking again and again: that would be more than loom can follow.
pub(super) struct Word {
    value: AtomicU32,
    /// Parked until it changes. Loom does not see this: a look and the parking after it are one step.
    waiting: Mutex<Vec<Thread>>,
}

impl Word {
    fn new() -> Self {
        Self { value: AtomicU32::new(0), waiting: Mutex::default() }
    }

    /// What it is now: a device looks until it sees that. (Loom lets a load see the past; an exchange does not.)
    fn newest(&self) -> u32 {
        const NEVER: u32 = 0x5555_5555;
        self.value.compare_exchange(NEVER, NEVER, Acquire, Acquire).unwrap_or_else(|now| now)
    }

    fn set(&self, value: u32, order: Ordering) {
        AtomicU32::store(&self.value, value, order);
        self.wake();
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        waiting.into_iter().for_each(|thread| thread.unpark());
    }

    /// Waits until `is_reached`; `false` if `is_over` before. Who ends it unparks the thread.
    fn wait(&self, is_reached: impl Fn(u32) -> bool, is_over: impl Fn() -> bool) -> bool {
        loop {
            if is_over() {
                return false;
            }
            if is_reached(self.newest()) {
                return true;
            }
            self.waiting.lock().unwrap().push(thread::current());
            thread::park();
        }
    }
}

impl DeviceWord for Word {
    #[track_caller]
    fn load(&self, o: Ordering) -> u32 {
        AtomicU32::load(&self.value, sites::order(o))
    }
    #[track_caller]
    fn store(&self, value: u32, o: Ordering) {
        if step("store") {
            self.set(value, sites::order(o));
        }
    }
    #[track_caller]
    fn swap_if(&self, current: u32, new: u32, ok: Ordering) -> Result<u32, u32> {
        if !step("exchange") {
            return Ok(current);
        }
        let swapped = AtomicU32::compare_exchange(&self.value, current, new, sites::order(ok), Relaxed);
        self.wake();
        swapped
    }
}

/// The device words of one slot. One consumer of the models reads in streams; all others only look.
struct Row {
    ready: Word,
    mirrored: Word,
    promised: Word,
    wanted: Word,
    done: Word,
}

impl Row {
    fn new() -> Self {
        let word = Word::new;
        Self { ready: word(), mirrored: word(), promised: word(), wanted: word(), done: word() }
    }
}

/// A link with frames on a device, and the streams of all who take part.
pub(super) struct Link {
    pub(super) ring: Model,
    rows: Vec<Row>,
    /// The first bytes of each slot, which are written before the others and may be mirrored before.
    heads: Vec<Bytes>,
    /// What a stream reads that makes a mirror: it may read what is being written, and then nobody looks at it.
    loose: Vec<[AtomicU64; 2]>,
    mirrors: Vec<Bytes>,
    mirrored_heads: Vec<Bytes>,
    /// A frame outside of the link, which a stream renders into and copies from.
    source: Bytes,
    /// By which one stream is ordered after another in the same process.
    event: Word,
    pub(super) streams: Vec<Stream>,
}

impl DeviceCells for Link {
    type W32 = Word;
    fn slots(&self) -> usize {
        self.rows.len()
    }
    fn places(&self) -> u32 {
        1
    }
    fn ready(&self, slot: usize) -> &Word {
        &self.rows[slot].ready
    }
    fn mirrored(&self, slot: usize) -> &Word {
        &self.rows[slot].mirrored
    }
    fn promised(&self, slot: usize) -> &Word {
        &self.rows[slot].promised
    }
    fn wanted(&self, slot: usize, _: u32) -> &Word {
        &self.rows[slot].wanted
    }
    fn done(&self, slot: usize, _: u32) -> &Word {
        &self.rows[slot].done
    }
}

/// What is put into a stream.
#[derive(Clone, Copy)]
pub(super) enum Work {
    Wait(TimelinePoint),
    Write(TimelinePoint),
    /// The first half of writing a slot: what is there now is of no frame.
    Begin(usize),
    /// A frame with this number into a slot.
    Fill(usize, u64),
    FillHead(usize, u64),
    /// The same to who makes a mirror, which may look too late.
    Show(usize, u64),
    /// A slot into its mirror.
    BeginMirror(usize),
    Mirror(usize),
    MirrorHead(usize),
    /// A frame with this number into the source, which lies outside of the link.
    Render(u64),
    /// The source into a slot.
    Copy(usize),
    /// The source into the mirror of a slot.
    MirrorSource(usize),
    /// Reads a slot, which must hold the frame with this number.
    Read(usize, u64),
    /// Reads a slot, whatever it holds, for who asks later.
    Note(usize),
    End,
}

/// What was in one stream is done, for another stream.
pub(super) fn event(value: u32) -> TimelinePoint {
    TimelinePoint { offset_bytes: EVENT, value }
}

/// Where no word of a slot is.
const EVENT: usize = 252;

/// What a slot holds while a frame is being written into it.
pub(super) const HALF: u64 = u64::MAX;

/// A queue of work of one device: done by a thread of its own, in order, and as late as can be.
pub(super) struct Stream {
    /// Seen by its thread through `count` only.
    works: Mutex<Vec<Work>>,
    count: Word,
    /// Its process can be killed, and its work stops then.
    is_mortal: bool,
    killed: Word,
    thread: OnceLock<Thread>,
    pub(super) noted: Bytes,
}

impl Stream {
    fn new(is_mortal: bool) -> Self {
        Self {
            works: Mutex::default(),
            count: Word::new(),
            is_mortal,
            killed: Word::new(),
            thread: OnceLock::new(),
            noted: Bytes::new(),
        }
    }

    pub(super) fn put(&self, more: &[Work]) {
        let count = {
            let mut works = self.works.lock().unwrap();
            works.extend_from_slice(more);
            works.len()
        };
        self.count.set(count as u32, Release);
    }

    /// Its process is about to be dead; it is when the stream's thread has ended.
    pub(super) fn kill(&self) {
        self.killed.set(1, Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn is_killed(&self) -> bool {
        self.is_mortal && self.killed.newest() == 1
    }

    fn run(&self, link: &Link) {
        let _ = self.thread.set(thread::current());
        let is_killed = || self.is_killed();
        for index in 0.. {
            if !self.count.wait(|count| count as usize > index, is_killed) {
                return;
            }
            let work = self.works.lock().unwrap()[index];
            match work {
                Work::End => return,
                Work::Wait(point) => {
                    if !link.word(point).wait(|now| point.is_reached(now), is_killed) {
                        return;
                    }
                }
                Work::Note(slot) => Model::write(&self.noted, Model::read(&link.ring.frames[slot])),
                work => link.work(work),
            }
        }
    }
}

impl Link {
    /// A link of two slots, with streams that end when told to.
    pub(super) fn new(streams: usize) -> Arc<Self> {
        Self::with(streams, &[])
    }

    /// The same, with `mortal` streams.
    pub(super) fn with(streams: usize, mortal: &[usize]) -> Arc<Self> {
        const SLOTS: usize = 2;
        Arc::new(Self {
            ring: Model::new(SLOTS),
            rows: (0..SLOTS).map(|_| Row::new()).collect(),
            heads: (0..SLOTS).map(|_| Bytes::new()).collect(),
            loose: (0..SLOTS).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect(),
            mirrors: (0..SLOTS).map(|_| Bytes::new()).collect(),
            mirrored_heads: (0..SLOTS).map(|_| Bytes::new()).collect(),
            source: Bytes::new(),
            event: Word::new(),
            streams: (0..streams).map(|index| Stream::new(mortal.contains(&index))).collect(),
        })
    }

    fn word(&self, point: TimelinePoint) -> &Word {
        if point.offset_bytes == EVENT {
            return &self.event;
        }
        let row = &self.rows[point.offset_bytes / device::STRIDE];
        match point.offset_bytes % device::STRIDE {
            device::READY => &row.ready,
            device::MIRRORED => &row.mirrored,
            device::DONE => &row.done,
            field => panic!("no stream touches the word at {field}"),
        }
    }

    /// Work that waits for nothing.
    fn work(&self, work: Work) {
        match work {
            Work::Write(point) => self.word(point).set(point.value, Release),
            Work::Begin(slot) => Model::write(&self.ring.frames[slot], HALF),
            Work::Fill(slot, seq) => Model::write(&self.ring.frames[slot], seq),
            Work::Show(slot, seq) => self.loose[slot][1].store(seq, Relaxed),
            Work::FillHead(slot, seq) => {
                Model::write(&self.heads[slot], seq);
                self.loose[slot][0].store(seq, Relaxed);
            }
            Work::BeginMirror(slot) => Model::write(&self.mirrors[slot], HALF),
            Work::Mirror(slot) => Model::write(&self.mirrors[slot], self.loose[slot][1].load(Relaxed)),
            Work::MirrorHead(slot) => {
                Model::write(&self.mirrored_heads[slot], self.loose[slot][0].load(Relaxed));
            }
            Work::Render(seq) => Model::write(&self.source, seq),
            Work::Copy(slot) => Model::write(&self.ring.frames[slot], Model::read(&self.source)),
            Work::MirrorSource(slot) => Model::write(&self.mirrors[slot], Model::read(&self.source)),
            Work::Read(slot, seq) => {
                assert_eq!(Model::read(&self.ring.frames[slot]), seq, "a torn frame, in a stream");
            }
            Work::Wait(_) | Work::Note(_) | Work::End => panic!("done by a stream"),
        }
    }

    /// A write of a word that comes at any time.
    pub(super) fn write(&self, point: TimelinePoint) {
        self.work(Work::Write(point));
    }

    /// The memory of a slot is somebody else's from here on.
    pub(super) fn let_go(&self, slot: usize) {
        self.work(Work::Begin(slot));
    }

    /// Has a device begin with what is put into a stream.
    pub(super) fn start(self: &Arc<Self>, stream: usize) -> JoinHandle<()> {
        let link = Arc::clone(self);
        thread::spawn(move || link.streams[stream].run(&link))
    }

    /// What a processor sees of the frame in a slot: its head, 0 where it has none, and the rest.
    pub(super) fn content(&self, slot: usize, part: Part) -> [u64; 2] {
        let (heads, rests) = match part {
            Part::Device => (&self.heads, &self.ring.frames),
            Part::Mirror => (&self.mirrored_heads, &self.mirrors),
        };
        [Model::read(&heads[slot]), Model::read(&rests[slot])]
    }
}

/// Where a frame's work goes.
#[derive(Clone, Copy)]
pub(super) enum To {
    /// It is done before the call returns.
    Now,
    Stream(usize),
}

/// A producer's processor: `producer/device.rs` and `producer/device_loan.rs`.
pub(super) struct Producer {
    link: Arc<Link>,
    writer: Writer,
    writes: Vec<u32>,
    seq: u64,
    /// The stream that makes the mirror.
    pub(super) mirror: Option<usize>,
    /// The mirror begins when the head of a frame is there.
    pub(super) begins_early: bool,
}

/// A claimed slot and what its streams wait for and owe.
pub(super) struct Claimed {
    slot: usize,
    waits: Vec<Work>,
    pub(super) promise: Promise,
    is_promised: bool,
}

impl Producer {
    pub(super) fn new(link: &Arc<Link>) -> Self {
        let slots = link.slots();
        Self {
            link: Arc::clone(link),
            writer: Writer::new(slots),
            writes: vec![0; slots],
            seq: 0,
            mirror: None,
            begins_early: false,
        }
    }

    fn put(&self, to: To, works: &[Work]) {
        match to {
            To::Stream(stream) => self.link.streams[stream].put(works),
            To::Now => works.iter().for_each(|work| self.link.work(*work)),
        }
    }

    pub(super) fn claim(&mut self) -> Option<Claimed> {
        let Self { link, writer, writes, .. } = self;
        // That an idle slot is preferred is a saving: any other will do as well.
        let slot = writer.claim(&link.ring, BOTH_ATTACHED, |_| true)?;
        let mut waits = Vec::new();
        unfinished(&**link, slot, writes[slot], |point| {
            let is_needed = match point.offset_bytes % device::STRIDE {
                device::READY => step("the wait for the last write"),
                _ => step("the wait for the readers"),
            };
            if is_needed {
                waits.push(Work::Wait(point));
            }
        });
        writes[slot] = writes[slot].wrapping_add(1);
        let value = writes[slot];
        let promised = Promise {
            ready: point(slot, device::READY, value),
            mirrored: point(slot, device::MIRRORED, value),
        };
        let is_promised = step("the promise before the publication");
        let promise = if is_promised { promise(&**link, slot, value) } else { promised };
        Some(Claimed { slot, waits, promise, is_promised })
    }

    /// Sends the next frame, also after the mirroring of the frame that was in its slot.
    pub(super) fn send_after_mirroring(&mut self, to: To) -> Option<u64> {
        let mut claimed = self.claim()?;
        let number = claimed.promise.ready.value.wrapping_sub(1);
        claimed.waits.push(Work::Wait(point(claimed.slot, device::MIRRORED, number)));
        Some(self.publish(claimed, to))
    }

    /// Sends the next frame; its number, where there was a slot.
    pub(super) fn send(&mut self, to: To) -> Option<u64> {
        let claimed = self.claim()?;
        Some(self.publish(claimed, to))
    }

    fn publish(&mut self, claimed: Claimed, to: To) -> u64 {
        let Claimed { slot, waits, promise: promised, is_promised } = claimed;
        let seq = self.seq + 1;
        let mut works = waits;
        let is_behind = step("the word behind the content");
        let ready = [Work::Write(promised.ready)];
        works.extend(if is_behind { &[][..] } else { &ready });
        if self.begins_early {
            works.extend([Work::FillHead(slot, seq), Work::Write(event(seq as u32))]);
        }
        works.extend([Work::Begin(slot), Work::Fill(slot, seq)]);
        if self.mirror.is_some() {
            works.extend([Work::Show(slot, HALF), Work::Show(slot, seq)]);
        }
        works.extend(if is_behind { &ready } else { &[][..] });
        self.put(to, &works);
        if let Some(mirror) = self.mirror {
            let mut works = Vec::new();
            if self.begins_early {
                if step("the mirroring of the head waits for it") {
                    works.push(Work::Wait(event(seq as u32)));
                }
                works.push(Work::MirrorHead(slot));
            }
            if step("the mirroring waits for the content") {
                works.push(Work::Wait(promised.ready));
            }
            works.extend([Work::BeginMirror(slot), Work::Mirror(slot), Work::Write(promised.mirrored)]);
            self.link.streams[mirror].put(&works);
        }
        Model::write(&self.link.ring.descriptions[slot], seq);
        self.writer.publish(&self.link.ring, slot, seq);
        if !is_promised {
            promise(&*self.link, slot, promised.ready.value);
        }
        self.seq = seq;
        seq
    }

    /// Gives a claim back whose borrower has put some writing into a stream. Its mirror, of which nothing is made, is
    /// marked by the stream of mirrors if that is given.
    pub(super) fn abandon(&mut self, claimed: Claimed, to: To, mirrors: Option<usize>) {
        let Claimed { slot, mut waits, promise, .. } = claimed;
        waits.extend([Work::Begin(slot), Work::Write(promise.ready)]);
        let mirrored = Work::Write(promise.mirrored);
        match mirrors {
            Some(stream) => self.link.streams[stream].put(&[Work::Wait(promise.ready), mirrored]),
            None => waits.push(mirrored),
        }
        self.put(to, &waits);
        self.writer.abandon(&self.link.ring, slot);
    }

    /// The same, where the stream takes no work: what was put in before goes on, and the promise is kept by hand.
    pub(super) fn abandon_by_hand(&mut self, claimed: Claimed, to: To, before: impl FnOnce(&Link)) {
        let Claimed { slot, mut waits, promise, .. } = claimed;
        waits.push(Work::Begin(slot));
        self.put(to, &waits);
        before(&self.link);
        keep_promise(&*self.link, slot, promise.ready.value, Part::Device);
        self.writer.abandon(&self.link.ring, slot);
    }
}

/// The place of the consumer that reads in streams.
pub(super) const READER: u32 = 0;
/// One that only looks.
pub(super) const LOOKER: u32 = 1;

/// A consumer's processor looks at the newest frame above `after`: what it gets is whole. Returns its number.
pub(super) fn look(link: &Link, place: u32, after: u64, part: Part) -> Option<u64> {
    let hold = ring::hold_latest(&link.ring, place, after).ok()?;
    let seq = Model::read(&link.ring.descriptions[hold.slot]);
    let is_there = is_there(link, hold.slot, part) || !step("a look whether the content is there");
    let is_given = is_there && !(is_torn(link, hold.slot, part) && step("a look whether it ever came"));
    if is_given {
        let [head, rest] = link.content(hold.slot, part);
        assert!(rest == seq && (head == seq || head == 0), "a torn frame: {head}, {rest} of {seq}");
    }
    ring::release(&link.ring, place, hold.slot);
    is_given.then_some(seq)
}

/// How a consumer knows that a frame is there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum By {
    /// Its processor has looked.
    Look,
    /// Its stream waits.
    Wait,
}

/// A consumer reads the newest frame above `after` in a stream and gives it back before that is done:
/// `attachment/reading.rs`. Returns the frame's number.
pub(super) fn read(link: &Link, stream: usize, after: u64, by: By) -> Option<u64> {
    let hold = ring::hold_latest(&link.ring, READER, after).ok()?;
    let (slot, seq) = (hold.slot, Model::read(&link.ring.descriptions[hold.slot]));
    let mut works = Vec::new();
    if !is_there(link, slot, Part::Device) {
        if by == By::Look {
            ring::release(&link.ring, READER, slot);
            return None;
        }
        if step("the wait for the content") {
            works.push(Work::Wait(being_there(link, slot)));
        }
    }
    works.push(Work::Read(slot, seq));
    let is_before = step("the ticket before the release");
    if !is_before {
        ring::release(&link.ring, READER, slot);
    }
    let ticket = take_ticket(link, slot, READER);
    let done = Work::Write(ticket.point);
    if let Some(last) = ticket.after
        && step("the wait for the ticket before")
    {
        works.push(Work::Wait(last));
    }
    if step("the ticket behind the reading") {
        works.push(done);
    } else {
        works.insert(0, done);
    }
    link.streams[stream].put(&works);
    if is_before {
        ring::release(&link.ring, READER, slot);
    }
    Some(seq)
}

/// The producer learns that the reader is gone: `server/clients.rs`.
pub(super) fn unseat(link: &Link) {
    force_done(link, READER);
    ring::reclaim(&link.ring, READER);
}
