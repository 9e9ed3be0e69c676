// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames in the memory of a device: claimed, written and finished by streams, in the order that `order` keeps.

use std::io;
use std::sync::{Arc, Mutex};

use uncopy_core::{CopyReason, CopyRecord, DType, Device, Layout, Stream};
use uncopy_os::{SlotMemory, kill_point};
use uncopy_tensor::{Accelerator, Capture, Region, Tensor, Timeline, TimelinePoint};

use super::promises::Promises;
use super::{
    Claim, ClaimMemory, DeviceSlots, FrameMemory, Place, Publisher, Sent, SlotState, WhenFull, timeline_over,
};
use crate::accelerators;
use crate::error::LinkError;
use crate::form::{AsForm, Form};
use crate::meta::Meta;
use crate::native::attachment::{ASK_AGAIN_EVERY, captures_of, is_lost, settle};
use crate::native::consumer::Waiting;
use crate::native::control::Live;
use crate::native::frame_memory::on_device;
use crate::native::order::{self, DeviceCells, DeviceWord, Part, Promise};
use crate::native::server::Server;
use crate::native::vigil::keep_vigil;
use crate::native::wire::{MAX_CONSUMERS, producer_state};
use crate::service::{ask_until_done, lock};
use crate::site::{self, is_left_out};
use std::sync::atomic::Ordering::Acquire;

/// Where a frame is to be written.
pub(super) enum Target {
    Host,
    /// By work that is put into this stream.
    Device {
        accelerator: Arc<dyn Accelerator>,
        stream: Stream,
    },
}

impl Target {
    pub(super) fn is_at(&self, place: Place) -> bool {
        match (self, place) {
            (Self::Host, Place::Host) => true,
            (Self::Device { accelerator, .. }, Place::Device(uuid)) => accelerator.uuid() == uuid,
            _ => false,
        }
    }
}

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

impl Publisher {
    /// Takes a slot on `device` to be written by work in `stream`, as a value of its own: nothing is copied. Work that is
    /// put into the stream after this call finds the slot free: whoever read or wrote it is done. Write into
    /// [`Claim::tensor`], then give the claim to [`commit`](Self::commit), which publishes what the stream holds by then;
    /// other streams must have been joined into it. Dropping it publishes nothing.
    ///
    /// **The stream lives until the claim is committed or dropped**; then it may be destroyed at once, whatever it still has
    /// to do. If it is being captured when the claim is dropped, the slot is free after the capture, and after everything
    /// that the device was given by then.
    ///
    /// The first frame on another device than the last begins a new epoch: consumers follow by themselves.
    ///
    /// # Errors
    /// As for [`Publisher::loan`], and [`LinkError::Capturing`], [`LinkError::Device`], and
    /// [`LinkError::DeviceUnreachable`] where there is no such device or driver.
    pub fn claim_on(
        &mut self,
        form: &impl AsForm,
        device: Device,
        stream: Stream,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Claim, LinkError> {
        let claimed = self.try_to_claim_on(form.as_form()?, device, stream, waiting);
        let claimed = self.ending_if_lost(claimed);
        self.server.log.noting(claimed)
    }

    fn try_to_claim_on(
        &mut self,
        form: &Form,
        device: Device,
        stream: Stream,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Claim, LinkError> {
        // Before the device is asked: in a forked child it says that it is lost.
        self.check_usable()?;
        let target = self.target(device, stream)?;
        let Target::Device { accelerator, .. } = &target else { return Err(LinkError::ForeignClaim) };
        let is_capturing = accelerator.is_capturing(stream);
        if is_capturing.map_err(on_device(self.name(), "asking whether a stream is captured"))? {
            return Err(LinkError::Capturing { name: self.name().to_owned(), stream });
        }
        match self.claim_or_wait(form, &target, waiting)? {
            Some(claim) => Ok(claim),
            None => Err(self.full()),
        }
    }

    /// Copies a tensor on a device into a slot there and publishes it: one copy, put into `stream` and recorded with the
    /// frame. The call does not wait for it; the tensor is kept until it is done, and given back with a later
    /// call, [`flush`](Self::flush) among them.
    ///
    /// `stream` must be ordered after the work that makes the tensor: the stream of that work, most often. It may be destroyed
    /// as soon as this has returned, whatever it still has to do.
    ///
    /// # Errors
    /// As for [`Publisher::claim_on`], but a frame that finds every slot held is [`Sent::Dropped`] in a link that drops.
    pub fn send_on(
        &mut self,
        form: &Form,
        source: &Tensor,
        meta: Meta,
        stream: Stream,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Sent, LinkError> {
        let sent = self.try_send_on(form, source, meta, Some(stream), waiting);
        let sent = self.ending_if_lost(sent);
        self.server.log.noting(sent)
    }

    pub(super) fn try_send_on(
        &mut self,
        form: &Form,
        source: &Tensor,
        meta: Meta,
        stream: Option<Stream>,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<Sent, LinkError> {
        self.hint();
        let contiguous = source.layout().is_c_contiguous();
        // The same layout, and packed: nearly every frame.
        if !contiguous || form.layout() != source.layout() {
            let packed = Form::from_layout(source.layout().to_c_contiguous());
            if form.layout() != packed.layout() {
                return Err(self.mismatch(form, &packed));
            }
        }
        meta.check()?;
        self.check_usable()?;
        let target = self.target(source.device(), stream.unwrap_or(Stream::LEGACY_DEFAULT))?;
        let mut claim = match self.claim_or_wait(form, &target, waiting)? {
            Some(claim) => claim,
            None if self.when_full == WhenFull::Drop => return Ok(Sent::Dropped),
            None => return Err(self.full()),
        };
        // Before the copy: also of a call that fails, the device may read it.
        if let Some(state) = self.slots.get_mut(claim.slot)
            && !is_left_out(site::SOURCE)
        {
            state.sources.push((source.clone(), state.writes));
        }
        if let Some(ClaimMemory::Device(loan)) = &mut claim.memory
            && let Err(error) = loan.copy_from(source)
        {
            loan.note_refusal(&error);
            return Err(on_stream(&self.server, error, loan.stream));
        }
        kill_point("device.copied");
        let reason = if contiguous { CopyReason::SEND } else { CopyReason::GATHER };
        let len_bytes = form.len_bytes() as u64;
        let record = CopyRecord { reason, from: source.device(), to: source.device(), len_bytes };
        Ok(Sent::Published { seq: self.try_commit(&mut claim, &meta.copied(record))? })
    }

    /// Asks for the lines that the next frame on a device needs, so that they travel at the same time.
    #[inline]
    fn hint(&self) {
        let (next, newest) = self.writer.likely();
        let control = self.control.live();
        if let Some(slot) = next {
            control.about_to_write_on_device(slot);
        }
        if let Some(slot) = newest {
            control.about_to_ask_device(slot);
        }
    }

    /// Ends the link where the device is lost to this process.
    pub(super) fn ending_if_lost<T>(&mut self, done: Result<T, LinkError>) -> Result<T, LinkError> {
        if let Err(LinkError::Device { source, .. }) = &done
            && source.kind() == io::ErrorKind::BrokenPipe
        {
            self.server.end_with_device();
        }
        done
    }

    /// A stream of this publisher's own on `device`, for an array that is in no stream, or whose producer is to be told in
    /// which stream it is read: give it to [`send_on`](Self::send_on). The same one each time.
    ///
    /// # Errors
    /// [`LinkError::Device`]: no such device, no driver, or the driver's.
    pub fn stream_on(&mut self, device: Device) -> Result<Stream, LinkError> {
        let made = self.check_usable().and_then(|()| self.own_stream(device));
        self.server.log.noting(made)
    }

    fn own_stream(&mut self, device: Device) -> Result<Stream, LinkError> {
        if let Some((accelerator, stream)) = &self.own_stream
            && accelerator.device() == device
        {
            return Ok(*stream);
        }
        let accelerator = self.accelerator(device)?;
        let stream = accelerator.stream().map_err(on_device(self.name(), "making a stream"))?;
        self.own_stream = Some((accelerator, stream));
        Ok(stream)
    }

    fn target(&self, device: Device, stream: Stream) -> Result<Target, LinkError> {
        Ok(Target::Device { accelerator: self.accelerator(device)?, stream })
    }

    fn accelerator(&self, device: Device) -> Result<Arc<dyn Accelerator>, LinkError> {
        let known = self.epoch.as_ref().and_then(|epoch| match &epoch.memory {
            FrameMemory::Device(slots) if slots.device() == device => Some(Arc::clone(&slots.accelerator)),
            _ => None,
        });
        match known {
            Some(accelerator) => Ok(accelerator),
            None => accelerators::known()
                .and_then(|known| known.find(device))
                .map_err(on_device(self.name(), "looking for the frame's device")),
        }
    }

    /// Takes a slot on the device of the current epoch, if there is one.
    pub(super) fn try_claim_on(&mut self, stream: Stream) -> Result<Option<Claim>, LinkError> {
        let Some(FrameMemory::Device(slots)) = self.epoch.as_ref().map(|epoch| &epoch.memory) else {
            return Err(LinkError::ForeignClaim);
        };
        let slots = Arc::clone(slots);
        let is_idle = |control: Live<'_>, slot: usize, state: &SlotState| {
            !order::is_unfinished(&control, slot, state.writes)
        };
        // One that is idle costs the stream no wait.
        let Some(slot) = self.claim_slot(is_idle).or_else(|| self.claim_slot(|_, _, _| true)) else {
            return Ok(None);
        };
        let control = self.control.live();
        for (slot, state) in self.slots.iter_mut().enumerate() {
            state.let_sources_go(control, slot);
        }
        let Some(state) = self.slots.get_mut(slot) else { return Err(LinkError::ForeignClaim) };
        let mut loan = DeviceLoan {
            slots,
            slot,
            stream,
            others: Mutex::default(),
            promise: Promise::default(),
            is_finished: false,
            is_mirrored: false,
            is_untouched: false,
        };
        if let Err(error) = loan.begin(control, state.writes) {
            self.server.give_back(slot);
            return Err(on_stream(&self.server, error, stream));
        }
        state.writes = loan.promise.ready.value;
        if let Some((.., promises)) = &self.timeline {
            keep_vigil(promises);
        }
        self.lend(slot, ClaimMemory::Device(loan)).map(Some)
    }

    /// New frame memory where `target` is.
    pub(super) fn make_memory(&mut self, stride: usize, target: &Target) -> Result<FrameMemory, LinkError> {
        let Target::Device { accelerator, .. } = target else {
            return Ok(FrameMemory::Host(SlotMemory::create("uncopy-slots", self.slots(), stride)?));
        };
        let timeline = self.timeline_on(accelerator)?;
        let mirror = if self.is_mirrored { Some(self.mirror_stream_on(accelerator)?) } else { None };
        let made = (accelerator, &timeline);
        let memory = DeviceSlots::create(self.name(), made, self.slots(), stride, mirror)?;
        Ok(FrameMemory::Device(memory))
    }

    /// The stream that makes mirrors on a device: the same in every epoch, so that mirrors of a slot are made in order.
    fn mirror_stream_on(&mut self, accelerator: &Arc<dyn Accelerator>) -> Result<Stream, LinkError> {
        let uuid = accelerator.uuid();
        if let Some((_, stream)) = self.mirror_stream.as_ref().filter(|(known, _)| known.uuid() == uuid) {
            return Ok(*stream);
        }
        let stream = accelerator.stream().map_err(on_device(self.name(), "making a stream"))?;
        self.mirror_stream = Some((Arc::clone(accelerator), stream));
        Ok(stream)
    }

    fn timeline_on(&mut self, accelerator: &Arc<dyn Accelerator>) -> Result<Arc<dyn Timeline>, LinkError> {
        let uuid = accelerator.uuid();
        if let Some((_, timeline, _)) = self.timeline.as_ref().filter(|(known, ..)| known.uuid() == uuid) {
            return Ok(Arc::clone(timeline));
        }
        let timeline = timeline_over(self.name(), &self.control, accelerator)?;
        let promises = Promises::new(&self.server, accelerator, self.is_mirrored);
        self.timeline = Some((Arc::clone(accelerator), Arc::clone(&timeline), Arc::new(promises)));
        Ok(timeline)
    }

    /// Lets go of the memory of the current epoch as soon as its device has done what was put into streams: unmapping
    /// does not wait.
    pub(super) fn retire_memory(&mut self) {
        let Some(FrameMemory::Device(slots)) = self.epoch.take().map(|epoch| epoch.memory) else { return };
        let control = self.control.clone();
        let writes: Vec<u32> = self.slots.iter().map(|state| state.writes).collect();
        // Dropped on this thread unless it ends the link before they are copied.
        for (slot, state) in self.slots.iter_mut().enumerate() {
            state.let_sources_go(control.live(), slot);
        }
        let sources: Vec<_> = self.slots.iter_mut().map(|state| std::mem::take(&mut state.sources)).collect();
        let has_mirror = slots.mirror.is_some();
        let mut kept = Some((slots, sources));
        let server = Arc::clone(&self.server);
        // Our streams may wait for readers, whose death nobody else notices once the link is closed.
        let readers = self.readers_at_close.take().unwrap_or_else(|| self.server.readers());
        ask_until_done(move || {
            for (place, process) in &readers {
                if process.is_dead() {
                    order::force_done(&control.live(), *place);
                }
            }
            let is_done = |word: u32, value: u32| TimelinePoint { offset_bytes: 0, value }.is_reached(word);
            let is_over = writes.iter().enumerate().all(|(slot, value)| {
                let live = control.live();
                is_done(DeviceWord::load(live.ready(slot), Acquire), *value)
                    && (!has_mirror || is_done(DeviceWord::load(live.mirrored(slot), Acquire), *value))
            });
            let is_lost = !is_over && kept.as_ref().is_some_and(|(slots, _)| is_lost(&*slots.accelerator));
            if is_lost && server.state() != producer_state::LIVE {
                // Nothing is written any more, so that nobody else ends the waits for it.
                order::force_ready(&control.live());
            }
            if is_over || is_lost {
                drop(kept.take());
            }
            is_over || is_lost
        });
    }
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

impl SlotState {
    /// Gives back what has been copied into the slot. On the caller's thread: a tensor's owner may be anybody's.
    #[inline]
    pub(super) fn let_sources_go(&mut self, control: Live<'_>, slot: usize) {
        if !self.sources.is_empty() {
            let ready = DeviceWord::load(control.ready(slot), Acquire);
            let is_copied = |value| TimelinePoint { offset_bytes: 0, value }.is_reached(ready);
            self.sources.retain(|(_, write)| !is_copied(*write));
        }
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

impl DeviceLoan {
    pub(super) fn device(&self) -> Device {
        self.slots.device()
    }

    pub(super) fn stream(&self) -> Stream {
        self.stream
    }

    /// Orders the stream after whoever wrote or read the slot, and promises its next write, the one after `written`.
    #[inline]
    fn begin(&mut self, control: Live<'_>, written: u32) -> Result<(), Refused> {
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
    fn note_refusal(&mut self, error: &Refused) {
        self.is_untouched =
            matches!(error, Refused::Device(_, source) if source.kind() == io::ErrorKind::ResourceBusy);
    }

    /// Copies a frame into the slot, and has the stream say when it is done.
    #[inline]
    fn copy_from(&mut self, source: &Tensor) -> Result<(), Refused> {
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
                order::keep_promise(&control, self.slot, promise.ready.value, part);
            }
            return true;
        }
        if self.join_others().is_err() {
            return false;
        }
        let write = |after: &[Stream], point, part| {
            order::is_at_least(&control, self.slot, part, promise.ready.value)
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
            order::keep_promise(&control, self.slot, self.promise.ready.value, part);
        }
    }

    /// The slot's bytes on the device.
    pub(super) fn region(&self, len: usize, hold: impl Send + Sync + 'static) -> Result<Region, LinkError> {
        Ok(self.slots.slot(self.slot)?.part(0, len, hold)?)
    }
}
