// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading on a device: which streams read a slot, and the word that one of them writes when all are done.

use std::io;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uncopy_core::{Device, Stream};
use uncopy_os::{PidFd, fork_generation, kill_point};
use uncopy_tensor::{Accelerator, Region, Timeline, TimelinePoint};

use super::maps::Reader;
use crate::native::control::Control;
use crate::native::conversation::Conversation;
use crate::native::order::{self, DeviceCells, DeviceWord};
use crate::native::wire::MAX_SLOTS;
use crate::service::{ask_until_done, lock};
use crate::site::{self, is_left_out};

/// Frame memory of a device, mapped into its address space here.
pub(crate) struct DeviceMap {
    reader: Reader,
    control: Control,
    place: u32,
    /// What reads each slot since it was held.
    uses: Box<[Mutex<Uses>]>,
    until: Until,
    generation: u32,
    region: Option<Region>,
}

/// What reads a slot on the device.
#[derive(Default)]
struct Uses {
    streams: Vec<Stream>,
    /// Something whose stream is not known reads it too.
    anywhere: bool,
}

/// What is kept while a stream of ours may still read.
pub(super) struct Until {
    /// The goodbye must not be said before.
    pub(super) conversation: Arc<Conversation>,
    /// The producer, for whose device a stream may wait: what the dead owe must be written by somebody.
    pub(super) producer: Option<Arc<PidFd>>,
}

/// What became of the end of a reading.
pub(super) enum Finished {
    /// The slot may be given back: whoever writes it next waits for our streams.
    Done,
    /// A stream that reads it is being captured, so that nothing can be put into it now.
    Captured,
    /// Which streams read it is not known.
    Unknown,
    /// The driver refused for another reason.
    Failed(io::Error),
}

impl DeviceMap {
    pub(super) fn new(region: Region, reader: Reader, control: Control, place: u32, until: Until) -> Self {
        let uses = (0..control.slots()).map(|_| Mutex::default()).collect();
        Self { reader, control, place, uses, until, generation: fork_generation(), region: Some(region) }
    }

    pub(crate) fn region(&self) -> &Region {
        // Taken by the drop alone.
        static NOWHERE: std::sync::OnceLock<Region> = std::sync::OnceLock::new();
        self.region.as_ref().unwrap_or_else(|| NOWHERE.get_or_init(|| Region::from_vec(Vec::new())))
    }

    pub(crate) fn device(&self) -> Device {
        self.reader.accelerator.device()
    }

    pub(crate) fn accelerator(&self) -> &Arc<dyn Accelerator> {
        &self.reader.accelerator
    }

    pub(crate) fn timeline(&self) -> &Arc<dyn Timeline> {
        &self.reader.timeline
    }

    /// Notes that `stream` reads a slot, which the caller holds.
    pub(crate) fn note_use(&self, slot: usize, stream: Stream) {
        let Some(uses) = self.uses.get(slot) else { return };
        let mut uses = lock(uses);
        if !uses.streams.contains(&stream) {
            uses.streams.push(stream);
        }
    }

    /// Notes that something reads a slot, which the caller holds, in streams that nobody knows.
    pub(crate) fn note_use_anywhere(&self, slot: usize) {
        if let Some(uses) = self.uses.get(slot) {
            lock(uses).anywhere = true;
        }
    }

    /// Ends the reading of a slot that this process holds and whose last frame here is gone: has one of the streams
    /// that read it say when all are done.
    pub(super) fn finish(&self, slot: usize) -> Finished {
        let Some(uses) = self.uses.get(slot) else { return Finished::Done };
        let mut uses = lock(uses);
        if uses.anywhere {
            return Finished::Unknown;
        }
        let Some(last) = uses.streams.last().copied() else { return Finished::Done };
        if is_left_out(site::RELEASE) {
            uses.streams.clear();
            return Finished::Done;
        }
        let control = self.control.live();
        let before = control.wanted(slot, self.place).load(Relaxed);
        let ticket = order::take_ticket(&control, slot, self.place);
        kill_point("device.ticketed");
        let ordered = ticket.after.map_or(Ok(()), |after| self.reader.timeline.wait(last, &[after]));
        match ordered.and_then(|()| self.reader.timeline.write(&uses.streams, ticket.point)) {
            Ok(()) => {
                uses.streams.clear();
                Finished::Done
            }
            Err(error) => {
                // Nothing was put in, and nobody has seen the ticket: the slot is still held.
                control.wanted(slot, self.place).store(before, Relaxed);
                match error.kind() {
                    io::ErrorKind::ResourceBusy => Finished::Captured,
                    io::ErrorKind::BrokenPipe => {
                        uses.streams.clear();
                        self.write_off();
                        Finished::Done
                    }
                    _ => Finished::Failed(error),
                }
            }
        }
    }

    /// Whether a stream that reads the slot is being captured.
    pub(super) fn is_captured(&self, slot: usize) -> bool {
        let Some(uses) = self.uses.get(slot) else { return false };
        let uses = lock(uses).streams.clone();
        uses.iter().any(|stream| matches!(self.reader.accelerator.is_capturing(*stream), Ok(true)))
    }

    /// The device is lost to this process, and with it all that its streams were to do: no ticket of ours will be
    /// written by them.
    fn write_off(&self) {
        order::force_done(&self.control.live(), self.place);
    }

    /// Waits until the device has done everything that this process gave it, or is lost.
    pub(super) fn settle(&self) {
        /// Between two attempts, of a device that can't be asked while somebody captures.
        const AGAIN: Duration = Duration::from_millis(20);
        loop {
            match self.reader.accelerator.settle() {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return self.write_off(),
                // Nothing tells when it can be asked.
                Err(_) => std::thread::sleep(AGAIN),
            }
        }
    }

    /// Forgets who reads a slot: the device has done everything.
    pub(super) fn forget_uses(&self, slot: usize) {
        if let Some(uses) = self.uses.get(slot) {
            *lock(uses) = Uses::default();
        }
    }
}

impl Drop for DeviceMap {
    fn drop(&mut self) {
        let region = self.region.take();
        if self.generation != fork_generation() {
            // The mapping, the words and the conversation are the parent's.
            std::mem::forget((region, self.reader.clone(), Arc::clone(&self.until.conversation)));
            return;
        }
        let (control, place) = (self.control.clone(), self.place);
        let wanted: Vec<u32> = {
            let live = control.live();
            (0..control.slots().min(MAX_SLOTS)).map(|slot| live.wanted(slot, place).load(Relaxed)).collect()
        };
        let producer = self.until.producer.clone();
        // Unmapping does not wait for the device, and from the goodbye on the slots are anybody's.
        let mut kept = Some((region, self.reader.clone(), Arc::clone(&self.until.conversation)));
        ask_until_done(move || {
            let live = control.live();
            let is_done = |(slot, value): (usize, &u32)| {
                let done = DeviceWord::load(live.done(slot, place), Acquire);
                TimelinePoint { offset_bytes: 0, value: *value }.is_reached(done)
            };
            if wanted.iter().enumerate().all(is_done) {
                drop(kept.take());
                return true;
            }
            if producer.as_ref().is_some_and(|producer| producer.is_dead()) {
                order::force_ready(&live);
            }
            let is_lost = kept.as_ref().is_some_and(|(_, reader, _)| is_lost(&*reader.accelerator));
            if is_lost {
                order::force_done(&live, place);
            }
            false
        });
    }
}

/// Whether the device is lost to this process for good.
pub(crate) fn is_lost(accelerator: &dyn Accelerator) -> bool {
    let asked = accelerator.is_capturing(Stream::LEGACY_DEFAULT);
    asked.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
