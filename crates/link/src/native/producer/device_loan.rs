// SPDX-License-Identifier: MIT OR Apache-2.0
//! One slot on a device, on loan: what its borrower's streams, and the mirror's, are given to do until the frame is
//! there, or is known to come never.

use std::io;
use std::sync::{Arc, Mutex};

use uncopy_core::{CopyReason, CopyRecord, DType, Device, Layout, Stream};
use uncopy_tensor::{Capture, Region, Tensor, TimelinePoint};

use super::DeviceSlots;
use crate::error::LinkError;
use crate::form::Form;
use crate::native::attachment::{ASK_AGAIN_EVERY, captures_of, settle};
use crate::native::control::Live;
use crate::native::order::{self, Part, Promise};
use crate::native::server::Server;
use crate::native::wire::MAX_CONSUMERS;
use crate::service::lock;
use crate::site::{self, is_left_out};

/// A slot on a device that its borrower's stream writes.
pub(super) struct DeviceLoan {
    slots: Arc<DeviceSlots>,
    slot: usize,
    stream: Stream,
    /// Others that write it too.
    others: Mutex<Vec<Stream>>,
    promise: Promise,
    /// The stream has been told to say when it is done.
    is_finished: bool,
    /// So has that of the mirror.
    is_mirrored: bool,
    /// The stream took nothing at all: it is being captured.
    is_untouched: bool,
}

/// The most words that a stream waits for before it writes a slot: its last write and its readers.
const MAX_WAITS: usize = 1 + MAX_CONSUMERS;

impl DeviceLoan {
    /// A loan of which nothing is promised yet.
    #[inline]
    pub(super) fn new(slots: Arc<DeviceSlots>, slot: usize, stream: Stream) -> Self {
        Self {
            slots,
            slot,
            stream,
            others: Mutex::default(),
            promise: Promise::default(),
            is_finished: false,
            is_mirrored: false,
            is_untouched: false,
        }
    }

    pub(super) fn device(&self) -> Device {
        self.slots.device()
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// How often a device will have been let at the slot when the promise is kept.
    #[inline]
    pub(super) fn promised_write(&self) -> u32 {
        self.promise.ready.value
    }

    /// Orders the stream after whoever wrote or read the slot, and promises its next write, the one after `written`.
    #[inline]
    pub(super) fn begin(&mut self, control: Live<'_>, written: u32) -> Result<(), Refused> {
        let mut points = [TimelinePoint::default(); MAX_WAITS];
        let mut count = 0;
        order::unfinished(&control, self.slot, written, |point| {
            if let Some(place) = points.get_mut(count) {
                *place = point;
                count += 1;
            }
        });
        let points = points.get(..count).unwrap_or_default();
        if !points.is_empty() {
            let ordered = self.slots.timeline.wait(self.stream, points);
            ordered.map_err(refused("ordering a stream after its readers"))?;
        }
        self.promise = order::promise(&control, self.slot, written.wrapping_add(1));
        Ok(())
    }

    /// Lets another stream write the slot too: after what the loan's own holds now, and before the frame is marked as
    /// written.
    pub(super) fn also_on(&self, stream: Stream) -> Result<(), Refused> {
        let mut others = lock(&self.others);
        if stream == self.stream || others.contains(&stream) {
            return Ok(());
        }
        let ordered = match is_left_out(site::LOAN_ALSO_ON) {
            true => Ok(()),
            false => self.slots.accelerator.order(self.stream, stream),
        };
        ordered.map_err(refused("ordering another stream after a loan's"))?;
        others.push(stream);
        Ok(())
    }

    /// Makes the loan's stream wait for the others.
    fn join_others(&self) -> io::Result<()> {
        if is_left_out(site::LOAN_JOIN) {
            return Ok(());
        }
        lock(&self.others).iter().try_for_each(|other| self.slots.accelerator.order(*other, self.stream))
    }

    /// Remembers that nothing was put into the stream, so that the promise is kept by hand: nothing may be waited for on
    /// the device meanwhile, which would end the capture.
    #[cold]
    pub(super) fn note_refusal(&mut self, error: &Refused) {
        self.is_untouched =
            matches!(error, Refused::Device(_, source) if source.kind() == io::ErrorKind::ResourceBusy);
    }

    /// Copies a frame into the slot, and has the stream say when it is done.
    #[inline]
    pub(super) fn copy_from(&mut self, source: &Tensor) -> Result<(), Refused> {
        let head = self.slots.mirror.as_ref().map_or(0, |_| head_of(source));
        if head > 0 {
            return self.copy_in_two(source, head);
        }
        let Self { slots, promise, stream, .. } = self;
        let copied = slots.timeline.copy_and_write(source, slots.slot(self.slot)?, *stream, promise.ready);
        copied.map_err(refused("copying a frame"))?;
        self.is_finished = true;
        Ok(())
    }

    /// The same, with the mirror begun as soon as the first `head` bytes are there: the bus is the slowest by far, and
    /// must not wait. The mirror is made of the slot: the source is the caller's again, in the order of its stream.
    #[cold]
    fn copy_in_two(&mut self, source: &Tensor, head: usize) -> Result<(), Refused> {
        let Self { slots, promise, stream, .. } = self;
        let Some(mirror) = &slots.mirror else { return Ok(()) };
        let (slot, host) = (slots.slot(self.slot)?, mirror.slot(self.slot, slots.stride_bytes)?);
        let len = source.layout().len_bytes();
        let copying = || refused("copying a frame");
        // A plain copy would become part of the graph.
        if slots.accelerator.is_capturing(*stream).map_err(copying())? {
            return Err(Refused::Device("copying a frame", io::ErrorKind::ResourceBusy.into()));
        }
        let first = bytes_of(source.region(), source.offset_bytes(), head)?;
        slots.accelerator.copy(&first, slot, *stream).map_err(copying())?;
        let ordered = match is_left_out(site::MIRROR_HEAD) {
            true => Ok(()),
            false => slots.accelerator.order(*stream, mirror.stream),
        };
        ordered.map_err(refused("ordering the mirror after a frame"))?;
        let mirrored = slots.accelerator.copy(&bytes_of(slot, 0, head)?, &host, mirror.stream);
        mirrored.map_err(refused("mirroring a frame"))?;
        let rest = bytes_of(source.region(), source.offset_bytes() + head, len - head)?;
        let to = part(slot, head, len - head)?;
        slots.timeline.copy_and_write(&rest, &to, *stream, promise.ready).map_err(copying())?;
        self.is_finished = true;
        self.mirror_from(head, len)?;
        self.is_mirrored = true;
        Ok(())
    }

    /// Has the mirror made of what is in the slot from `begin` to `end`, once that is there, and marked as made.
    fn mirror_from(&self, begin: usize, end: usize) -> Result<(), Refused> {
        let Self { slots, promise, .. } = self;
        let Some(mirror) = &slots.mirror else { return Ok(()) };
        // And the mirror before this one, which another device may be making.
        let before = TimelinePoint { value: promise.mirrored.value.wrapping_sub(1), ..promise.mirrored };
        let ordered = match is_left_out(site::MIRROR_READY) {
            true => Ok(()),
            false => slots.timeline.wait(mirror.stream, &[promise.ready, before]),
        };
        ordered.map_err(refused("ordering the mirror after a frame"))?;
        let from = bytes_of(slots.slot(self.slot)?, begin, end - begin)?;
        let to = part(&mirror.slot(self.slot, slots.stride_bytes)?, begin, end - begin)?;
        let mirrored = slots.timeline.copy_and_write(&from, &to, mirror.stream, promise.mirrored);
        mirrored.map_err(refused("mirroring a frame"))
    }

    /// Has the stream say when it is done, unless that was done with a copy, and the mirror made. Returns the record of
    /// the mirror's copy, if there is one.
    #[inline]
    pub(super) fn finish(&mut self, form: &Form) -> Result<Option<CopyRecord>, Refused> {
        if !self.is_finished {
            self.join_others().map_err(refused("joining the streams of a loan"))?;
            let written = self.slots.timeline.write(&[self.stream], self.promise.ready);
            written.map_err(refused("marking a frame as written"))?;
            self.is_finished = true;
        }
        if self.slots.mirror.is_none() {
            return Ok(None);
        }
        if !self.is_mirrored {
            self.mirror_from(0, form.len_bytes())?;
            self.is_mirrored = true;
        }
        let (reason, from, to) = (CopyReason::MIRROR, self.device(), Device::CPU);
        Ok(Some(CopyRecord { reason, from, to, len_bytes: form.len_bytes() as u64 }))
    }

    /// Keeps the promise of a frame that is not published: the borrower may have put writes into the stream. `false`
    /// where the stream takes no work.
    pub(super) fn abandon(&self, control: Live<'_>) -> bool {
        let Self { slots, promise, .. } = self;
        if self.is_untouched {
            for part in [Part::Device, Part::Mirror] {
                order::keep_promise(&control, self.slot, self.promised_write(), part);
            }
            return true;
        }
        if self.join_others().is_err() {
            return false;
        }
        let write = |after: &[Stream], point, part| {
            order::is_at_least(&control, self.slot, part, self.promised_write())
                || slots.timeline.write(after, point).is_ok()
        };
        let is_marked = write(&[self.stream], promise.ready, Part::Device);
        match &slots.mirror {
            // The mirror's stream writes, as always: an older write of its own comes before.
            Some(mirror) => is_marked && write(&[self.stream, mirror.stream], promise.mirrored, Part::Mirror),
            None => is_marked,
        }
    }

    /// The captures that the streams which write the slot take part in.
    pub(super) fn captures(&self) -> Vec<Box<dyn Capture>> {
        let mut streams = lock(&self.others).clone();
        streams.push(self.stream);
        captures_of(&*self.slots.accelerator, &streams)
    }

    /// Waits until `captures` are over and the device has done everything, and keeps the promise by hand. Names no stream:
    /// they may be gone by now.
    pub(super) fn keep_when_idle(&self, control: Live<'_>, captures: &[Box<dyn Capture>]) {
        // To settle would end them.
        while !captures.iter().all(|capture| capture.is_over()) {
            std::thread::sleep(ASK_AGAIN_EVERY);
        }
        // Of a device that is lost nothing more comes, either.
        let _ = settle(&*self.slots.accelerator);
        for part in [Part::Device, Part::Mirror] {
            order::keep_promise(&control, self.slot, self.promised_write(), part);
        }
    }

    /// The slot's bytes on the device.
    pub(super) fn region(&self, len: usize, hold: impl Send + Sync + 'static) -> Result<Region, LinkError> {
        Ok(self.slots.slot(self.slot)?.part(0, len, hold)?)
    }
}

/// How much of a frame is copied first, so that its mirror can begin; 0 for a frame that is small, or strided.
fn head_of(source: &Tensor) -> usize {
    /// Less is copied to the host in the time of a few calls.
    const SMALL: usize = 1 << 20;
    let len = source.layout().len_bytes();
    if source.layout().is_c_contiguous() && len > SMALL { (len / 8).next_multiple_of(4096) } else { 0 }
}

/// Bytes of a region as an array.
fn bytes_of(region: &Region, offset: usize, len: usize) -> Result<Tensor, LinkError> {
    Ok(Tensor::new(part(region, offset, len)?, Layout::contiguous(DType::U8, &[len])?, 0)?)
}

fn part(region: &Region, offset: usize, len: usize) -> Result<Region, LinkError> {
    Ok(region.part(offset, len, ())?)
}

/// Why work could not be put into a stream.
pub(super) enum Refused {
    Link(LinkError),
    /// What was being done, and the driver's answer.
    Device(&'static str, io::Error),
}

impl From<LinkError> for Refused {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

fn refused(what: &'static str) -> impl FnOnce(io::Error) -> Refused {
    move |source| Refused::Device(what, source)
}

/// The error of work that was to be put into `stream`.
#[cold]
pub(super) fn on_stream(server: &Server, error: Refused, stream: Stream) -> LinkError {
    let name = server.name().to_owned();
    match error {
        Refused::Link(error) => error,
        Refused::Device(_, source) if source.kind() == io::ErrorKind::ResourceBusy => {
            LinkError::Capturing { name, stream }
        }
        Refused::Device(what, source) => LinkError::Device { name, what, source },
    }
}
