// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading on a device: which streams read a slot, and the word that one of them writes when all are done.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use uncopy_core::{Device, Stream};
use uncopy_os::kill_point;
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
    /// Streams that read each slot since it was held.
    uses: Box<[Mutex<Vec<Stream>>]>,
    /// The goodbye must not be said while a stream still reads.
    conversation: Arc<Conversation>,
    region: Option<Region>,
}

/// What became of the end of a reading.
pub(super) enum Finished {
    /// The slot may be given back: whoever writes it next waits for our streams.
    Done,
    /// A stream that reads it is being captured, so that nothing can be put into it now.
    Captured,
    /// The driver refused for another reason.
    Failed(io::Error),
}

impl DeviceMap {
    pub(super) fn new(
        region: Region,
        reader: Reader,
        control: Control,
        place: u32,
        conversation: Arc<Conversation>,
    ) -> Self {
        let uses = (0..control.slots()).map(|_| Mutex::default()).collect();
        Self { reader, control, place, uses, conversation, region: Some(region) }
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
        if !uses.contains(&stream) {
            uses.push(stream);
        }
    }

    /// Ends the reading of a slot that this process holds and whose last frame here is gone: has one of the streams
    /// that read it say when all are done.
    pub(super) fn finish(&self, slot: usize) -> Finished {
        let Some(uses) = self.uses.get(slot) else { return Finished::Done };
        let mut uses = lock(uses);
        let Some(last) = uses.last().copied() else { return Finished::Done };
        if is_left_out(site::RELEASE) {
            uses.clear();
            return Finished::Done;
        }
        let control = self.control.live();
        let before = control.wanted(slot, self.place).load(Relaxed);
        let ticket = order::take_ticket(&control, slot, self.place);
        kill_point("device.ticketed");
        let ordered = ticket.after.map_or(Ok(()), |after| self.reader.timeline.wait(last, &[after]));
        match ordered.and_then(|()| self.reader.timeline.write(&uses, ticket.point)) {
            Ok(()) => {
                uses.clear();
                Finished::Done
            }
            Err(error) => {
                // Nothing was put in, and nobody has seen the ticket: the slot is still held.
                control.wanted(slot, self.place).store(before, Relaxed);
                match error.kind() {
                    io::ErrorKind::ResourceBusy => Finished::Captured,
                    _ => Finished::Failed(error),
                }
            }
        }
    }

    /// Whether a stream that reads the slot is being captured.
    pub(super) fn is_captured(&self, slot: usize) -> bool {
        let Some(uses) = self.uses.get(slot) else { return false };
        let uses = lock(uses).clone();
        uses.iter().any(|stream| matches!(self.reader.accelerator.is_capturing(*stream), Ok(true)))
    }

    /// Forgets who reads a slot: the device has done everything.
    pub(super) fn forget_uses(&self, slot: usize) {
        if let Some(uses) = self.uses.get(slot) {
            lock(uses).clear();
        }
    }
}

impl Drop for DeviceMap {
    fn drop(&mut self) {
        let control = self.control.clone();
        let place = self.place;
        let wanted: Vec<u32> = {
            let live = control.live();
            (0..control.slots().min(MAX_SLOTS)).map(|slot| live.wanted(slot, place).load(Relaxed)).collect()
        };
        // Unmapping does not wait for the device, and from the goodbye on the slots are anybody's.
        let mut kept = Some((self.region.take(), self.reader.clone(), Arc::clone(&self.conversation)));
        ask_until_done(move || {
            let live = control.live();
            let is_done = |(slot, value): (usize, &u32)| {
                let done = DeviceWord::load(live.done(slot, place), std::sync::atomic::Ordering::Acquire);
                TimelinePoint { offset_bytes: 0, value: *value }.is_reached(done)
            };
            let is_over = wanted.iter().enumerate().all(is_done);
            if is_over {
                drop(kept.take());
            }
            is_over
        });
    }
}
