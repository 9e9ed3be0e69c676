// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames in the memory of a device: claimed and sent, in memory, on timelines and by streams that are made for it. The
//! order of the streams' work is the [loan](DeviceLoan)'s.

use std::io;
use std::sync::Arc;

use uncopy_core::{Device, Stream};
use uncopy_os::{SlotMemory, kill_point};
use uncopy_tensor::{Accelerator, Tensor, Timeline};

use super::device_loan::{DeviceLoan, on_stream};
use super::promises::Promises;
use super::retire::let_copied_sources_go;
use super::{
    Claim, ClaimMemory, DeviceSlots, FrameMemory, Place, Publisher, Sent, SlotState, WhenFull,
    record_of_copy, timeline_over,
};
use crate::accelerators;
use crate::error::LinkError;
use crate::form::{AsForm, Form};
use crate::meta::Meta;
use crate::native::consumer::Waiting;
use crate::native::control::Live;
use crate::native::frame_memory::on_device;
use crate::native::order;
use crate::native::vigil::keep_vigil;
use crate::site::{self, is_left_out};

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
        let is_packed = source.layout().is_c_contiguous();
        // The same layout, and packed: nearly every frame.
        if !is_packed || form.layout() != source.layout() {
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
        self.copy_into(&mut claim, source)?;
        kill_point("device.copied");
        let record = record_of_copy(form, is_packed, source.device(), source.device());
        Ok(Sent::Published { seq: self.try_commit(&mut claim, &meta.copied(record))? })
    }

    /// Has the claim's stream copy `source`, which is kept until that is done.
    #[inline]
    fn copy_into(&mut self, claim: &mut Claim, source: &Tensor) -> Result<(), LinkError> {
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
            return Err(on_stream(&self.server, error, loan.stream()));
        }
        Ok(())
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
        let Some(FrameMemory::Device(memory)) = self.epoch.as_ref().map(|epoch| &epoch.memory) else {
            return Err(LinkError::ForeignClaim);
        };
        let memory = Arc::clone(memory);
        let Some(slot) = self.claim_idle_slot() else { return Ok(None) };
        let control = self.control.live();
        let_copied_sources_go(control, &mut self.slots);
        let Some(state) = self.slots.get_mut(slot) else { return Err(LinkError::ForeignClaim) };
        let mut loan = DeviceLoan::new(memory, slot, stream);
        if let Err(error) = loan.begin(control, state.writes) {
            self.server.give_back(slot);
            return Err(on_stream(&self.server, error, stream));
        }
        state.writes = loan.promised_write();
        if let Some((.., promises)) = &self.timeline {
            keep_vigil(promises);
        }
        self.lend(slot, ClaimMemory::Device(loan)).map(Some)
    }

    /// A slot that no device is at work on, which costs the stream no wait, or else any.
    #[inline]
    fn claim_idle_slot(&mut self) -> Option<usize> {
        let is_idle = |control: Live<'_>, slot: usize, state: &SlotState| {
            !order::is_unfinished(&control, slot, state.writes)
        };
        self.claim_slot(is_idle).or_else(|| self.claim_slot(|_, _, _| true))
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
}
