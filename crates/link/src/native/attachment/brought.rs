// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that are brought to another device: one copy each, into memory of the consumer's own that is used again.
//!
//! That memory is a small link of its own, with one reader. Its words say what those of a link say: a stream of the
//! frames' device *promises* to fill a buffer and writes when it is *ready*; who reads it takes tickets, which the next
//! copy into that buffer waits for. So a [`Lease`](super::Lease) of a buffer is ordered, looked at and ended as one of
//! a slot is. The slot itself is read by the copying stream, and goes back after that copy.
//!
//! | who | waits for |
//! |---|---|
//! | the processor that puts a copy into the one copying stream | the frame's content |
//! | the copying stream | the buffer's readers |
//! | the slot's next writer | the copying stream's ticket |
//! | a reader on the other device | the word that says that the buffer is filled |
//! | the end of this memory | every copy that was put in |
//!
//! What a buffer holds stays in it until another frame needs it: a frame that is looked at again is not copied again.

use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::{Arc, Mutex};

use uncopy_core::{LinkName, Stream};
use uncopy_os::{ProcessId, fork_generation};
use uncopy_tensor::{Region, Tensor, TimelinePoint};

use super::maps::Reader;
use super::reading::{DeviceMap, is_lost};
use crate::error::LinkError;
use crate::native::control::{Control, Live};
use crate::native::frame_memory::on_device;
use crate::native::header::Header;
use crate::native::order::{self, DeviceCells, DeviceWord, Part};
use crate::native::vigil::{Debtor, Debts, Vigil, keep_vigil};
use crate::service::{ask_until_done, lock};
use crate::site::{self, is_left_out};

/// Memory of this process on the wanted device, in buffers as large as slots.
pub(crate) struct Brought {
    control: Control,
    /// The frames' device, and its timeline over the words of this memory.
    ferry: Reader,
    /// What the copies are put into.
    stream: Stream,
    /// The buffers as copies are written into them.
    landing: Region,
    buffers: Mutex<Buffers>,
    /// Frames of this process per buffer.
    counts: Box<[AtomicU32]>,
    stride: usize,
    generation: u32,
    vigil: Vigil,
    map: Arc<DeviceMap>,
}

struct Buffers {
    all: Vec<Buffer>,
    /// The one that was filled last.
    newest: usize,
}

#[derive(Default)]
struct Buffer {
    is_held: bool,
    /// How often a copy into it was put into the stream.
    writes: u32,
    /// The number of the frame in it; none has 0.
    seq: u64,
}

/// What a buffer that was taken holds.
pub(super) enum Room {
    /// The frame that it was taken for.
    Filled,
    /// Something else, after so many copies into it.
    Free { written: u32 },
}

impl Brought {
    /// Words for so many buffers.
    pub(super) fn words(name: &str, buffers: usize) -> Result<Control, LinkError> {
        let header = Header {
            slots: buffers,
            link_id: [0; 16],
            boot_id: [0; 16],
            producer: ProcessId::current(),
            created_nanos: 0,
            minor: 0,
        };
        let corrupt = |error: uncopy_core::NameError| LinkError::Corrupt {
            name: name.to_owned(),
            detail: error.to_string(),
        };
        Control::create(&LinkName::parse(name).map_err(corrupt)?, &header)
    }

    pub(super) fn new(
        control: Control,
        (ferry, stream, landing): (Reader, Stream, Region),
        map: DeviceMap,
        stride: usize,
    ) -> Self {
        let slots = control.slots();
        Self {
            control,
            ferry,
            stream,
            landing,
            buffers: Mutex::new(Buffers { all: (0..slots).map(|_| Buffer::default()).collect(), newest: 0 }),
            counts: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            stride,
            generation: fork_generation(),
            vigil: Vigil::default(),
            map: Arc::new(map),
        }
    }

    /// The words of the buffers.
    pub(crate) fn live(&self) -> Live<'_> {
        self.control.live()
    }

    /// What the copies are put into.
    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// How many buffers there are.
    pub(super) fn buffers(&self) -> usize {
        self.counts.len()
    }

    /// Why nothing is copied any more, once the frames' device is known to be lost to this process.
    pub(crate) fn loss(&self) -> Option<io::Error> {
        let loss = self.ferry.accelerator.loss()?;
        order::force_ready(&self.live());
        Some(loss)
    }

    /// What is needed to read the buffers.
    pub(super) fn map(&self) -> &Arc<DeviceMap> {
        &self.map
    }

    /// One more frame is in a buffer that is held.
    pub(super) fn retain(&self, buffer: usize) {
        if let Some(count) = self.counts.get(buffer) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// One frame less. Says whether it was the last in the buffer.
    pub(super) fn is_last(&self, buffer: usize) -> bool {
        self.counts.get(buffer).is_some_and(|count| count.fetch_sub(1, AcqRel) == 1)
    }

    /// Lets the next frame into a buffer, after whatever still reads it.
    pub(super) fn give_back(&self, buffer: usize) {
        if let Some(buffer) = lock(&self.buffers).all.get_mut(buffer) {
            buffer.is_held = false;
        }
    }

    /// Takes a buffer for the frame with this number: one that holds it, else one that nothing reads any more if there
    /// is such. `None` where all are held.
    pub(super) fn take(&self, seq: u64) -> Option<(usize, Room)> {
        let mut buffers = lock(&self.buffers);
        if let Some(at) = buffers.all.iter().position(|buffer| buffer.seq == seq)
            && self.is_taken_again(at, &mut buffers)
        {
            return Some((at, Room::Filled));
        }
        let (live, count) = (self.live(), buffers.all.len());
        // The one that was filled longest ago comes first.
        let all = (1..=count).map(|behind| (buffers.newest + behind) % count);
        let is_free = |at: &usize| buffers.all.get(*at).is_some_and(|buffer| !buffer.is_held);
        let is_idle = |at: &usize| {
            buffers.all.get(*at).is_some_and(|buffer| !order::is_unfinished(&live, *at, buffer.writes))
        };
        let at = all.clone().filter(is_free).find(is_idle).or_else(|| all.clone().find(is_free))?;
        buffers.newest = at;
        let buffer = buffers.all.get_mut(at)?;
        (buffer.is_held, buffer.seq) = (true, 0);
        let written = buffer.writes;
        self.counts.get(at)?.store(1, Relaxed);
        Some((at, Room::Free { written }))
    }

    /// Holds a buffer once more; `false` where its last frame is just going.
    fn is_taken_again(&self, at: usize, buffers: &mut Buffers) -> bool {
        let (Some(buffer), Some(count)) = (buffers.all.get_mut(at), self.counts.get(at)) else {
            return false;
        };
        if buffer.is_held {
            return count.fetch_update(AcqRel, Relaxed, |count| (count > 0).then(|| count + 1)).is_ok();
        }
        buffer.is_held = true;
        count.store(1, Relaxed);
        true
    }

    /// Puts a copy of `from`, the frame with this number, into the stream, after whatever read the buffer, and says so.
    pub(super) fn fill(
        self: &Arc<Self>,
        name: &str,
        (buffer, seq): (usize, u64),
        written: u32,
        from: &Tensor,
    ) -> Result<(), LinkError> {
        let live = self.live();
        let failed = || on_device(name, "copying a frame to another device");
        let mut points = Vec::new();
        if !is_left_out(site::BRING_READERS) {
            order::unread(&live, buffer, |point| points.push(point));
        }
        if !points.is_empty() {
            self.ferry.timeline.wait(self.stream, &points).map_err(failed())?;
        }
        let to = self.landing.part(buffer * self.stride, self.stride, ())?;
        let promise = order::promise(&live, buffer, written.wrapping_add(1));
        if let Some(buffer) = lock(&self.buffers).all.get_mut(buffer) {
            buffer.writes = promise.ready.value;
        }
        let copied = self.ferry.timeline.copy_and_write(from, &to, self.stream, promise.ready);
        copied.inspect_err(|_| self.keep_by_hand(buffer, promise.ready)).map_err(failed())?;
        if let Some(buffer) = lock(&self.buffers).all.get_mut(buffer) {
            buffer.seq = seq;
        }
        keep_vigil(self);
        Ok(())
    }

    /// Keeps a promise that the stream may not keep.
    #[cold]
    fn keep_by_hand(&self, buffer: usize, point: TimelinePoint) {
        if self.ferry.timeline.write(&[self.stream], point).is_err() {
            // The copy may have been put in: the device must be done with it. One that is lost is.
            let _ = self.ferry.accelerator.settle();
            order::keep_promise(&self.live(), buffer, point.value, Part::Device);
        }
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        let (map, ferry) = (Arc::clone(&self.map), self.ferry.clone());
        let landing = self.landing.clone();
        if self.generation != fork_generation() {
            // All of it is the parent's.
            std::mem::forget((map, ferry, landing));
            return;
        }
        if is_left_out(site::BRING_MEMORY) {
            return;
        }
        let writes: Vec<u32> = lock(&self.buffers).all.iter().map(|buffer| buffer.writes).collect();
        let control = self.control.clone();
        let mut kept = Some((map, ferry, landing));
        // Unmapping does not wait for the device that still copies.
        ask_until_done(move || {
            let live = control.live();
            let is_lost = kept.as_ref().is_some_and(|(_, ferry, _)| is_lost(&*ferry.accelerator));
            if is_lost {
                order::force_ready(&live);
            }
            let is_over = (0..).zip(&writes).all(|(at, value)| is_filled(&live, at, *value));
            if is_over {
                drop(kept.take());
            }
            is_over
        });
    }
}

/// Whether the copy into a buffer is made that was the `value`-th.
fn is_filled(live: &Live<'_>, buffer: usize, value: u32) -> bool {
    let ready = DeviceWord::load(live.ready(buffer), Acquire);
    TimelinePoint { offset_bytes: 0, value }.is_reached(ready)
}

/// To the streams of the other device, which wait for copies.
impl Debtor for Brought {
    fn vigil(&self) -> &Vigil {
        &self.vigil
    }

    fn debts(&self) -> Debts {
        let (buffers, live) = (lock(&self.buffers), self.live());
        let count = buffers.all.iter().fold(0, |sum: u64, buffer| sum.wrapping_add(buffer.writes.into()));
        let is_owed = (0..).zip(&buffers.all).any(|(at, buffer)| !is_filled(&live, at, buffer.writes));
        Debts { count, is_owed }
    }

    fn writes_off(&self) -> bool {
        let is_lost = is_lost(&*self.ferry.accelerator);
        if is_lost {
            order::force_ready(&self.live());
        }
        is_lost
    }
}
