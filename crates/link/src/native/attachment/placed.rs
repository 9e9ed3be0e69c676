// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that are wanted on a device of the consumer's choice: mapped for it where it reaches their memory, copied to
//! it where it does not.

use std::io;
use std::sync::Arc;

use uncopy_core::{CopyReason, Device, DeviceUuid};
use uncopy_tensor::{Accelerator, Access, DeviceMemory, Region, ShareHandle};

use super::bringing::Far;
use super::brought::Brought;
use super::maps::{MapMemory, Maps, Reader};
use super::reading::{DeviceMap, Until};
use super::tickets::Seat;
use super::wanted::Release;
use crate::accelerators;
use crate::error::LinkError;
use crate::native::frame_memory::{on_device, timeline_over};
use crate::native::wire::MemoryInfo;
use crate::service::lock;

/// Memory of an epoch, as its producer describes it and this process has checked it.
pub(super) struct Offer<'m> {
    pub(super) epoch: u32,
    pub(super) info: &'m MemoryInfo,
    pub(super) stride: usize,
    /// Bytes of all slots.
    pub(super) need: usize,
    pub(super) handle: &'m ShareHandle,
}

/// The device that frames of the link `name` are wanted on.
///
/// # Errors
/// There is no such device, or no driver: the text says what there is.
pub(crate) fn find_device(name: &str, device: Device) -> Result<Arc<dyn Accelerator>, LinkError> {
    let found = accelerators::known().and_then(|known| known.find(device));
    found.map_err(|source| LinkError::NoSuchDevice { name: name.to_owned(), device, source })
}

impl Maps {
    /// Memory on a device, mapped or copied for the one that is wanted; or why there is no way to that memory, so that a
    /// mirror must do. A device that is wanted and fails is no reason to read elsewhere.
    pub(super) fn placed(
        &self,
        device: Device,
        is_copy_wanted: bool,
        offer: &Offer<'_>,
    ) -> Result<Result<MapMemory, LinkError>, LinkError> {
        let target = find_device(&self.name, device)?;
        let owner = DeviceUuid(offer.info.uuid);
        match target.reaches(owner) {
            Ok(reaches) => self.map_for(&target, reaches, is_copy_wanted, offer).map(Ok),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Err(self.unreachable(offer.info, error)))
            }
            Err(error) => Err(on_device(&self.name, "asking whether it reaches frames")(error)),
        }
    }

    fn map_for(
        &self,
        target: &Arc<dyn Accelerator>,
        reaches: bool,
        is_copy_wanted: bool,
        offer: &Offer<'_>,
    ) -> Result<MapMemory, LinkError> {
        if is_copy_wanted {
            let reason = if reaches { CopyReason::ASKED } else { CopyReason::STAGED };
            return self.far(target, reason, offer);
        }
        if target.uuid() == DeviceUuid(offer.info.uuid) {
            return Ok(MapMemory::Device(Arc::new(self.device_map(offer.info, offer.need, offer.handle)?)));
        }
        if reaches {
            match self.peer_map(target, offer) {
                Ok(map) => return Ok(MapMemory::Device(Arc::new(map))),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(self.unreachable(offer.info, error));
                }
                Err(error) => {
                    let (link, to) = (&self.name, target.device());
                    tracing::warn!(link, %error, "{to} is said to reach frames, and maps none: they are copied");
                }
            }
        }
        self.far(target, CopyReason::STAGED, offer)
    }

    /// Memory of another device for the streams of `target`.
    fn peer_map(&self, target: &Arc<dyn Accelerator>, offer: &Offer<'_>) -> io::Result<DeviceMap> {
        let reader = self.reader(target.uuid()).map_err(io::Error::other)?;
        let owner = DeviceUuid(offer.info.uuid);
        let handle = offer.handle.try_clone()?;
        let region = target.import_from(owner, handle, offer.need, self.access)?;
        Ok(DeviceMap::new(region, reader, self.seat(), self.until()))
    }

    /// The memory of the frames' device, and memory of our own on `target` that frames are brought to.
    fn far(
        &self,
        target: &Arc<dyn Accelerator>,
        reason: CopyReason,
        offer: &Offer<'_>,
    ) -> Result<MapMemory, LinkError> {
        let mut source = self.reader(DeviceUuid(offer.info.uuid))?;
        // Only our own stream reads it.
        source.release = Release::Streams;
        let source = self.map_by(source, offer.info, offer.need, offer.handle)?;
        let near = Arc::clone(source.accelerator());
        let stream = self.ferry(&near)?;
        let control = Brought::words(&self.name, self.control.slots())?;
        let timeline = timeline_over(&self.name, &control, &near)?;
        let ferry = Reader { accelerator: near, timeline, release: Release::Streams };
        let reader = self.prepared(Arc::clone(target), timeline_over(&self.name, &control, target)?)?;
        let making_room = || on_device(&self.name, "making room for copies of frames");
        let memory = target.allocate(offer.need).map_err(making_room())?;
        let landing = self.view_from(&ferry.accelerator, target, &*memory, offer.need);
        let region = match self.access {
            Access::ReadWrite => memory.region(),
            Access::ReadOnly => {
                let share = memory.share().map_err(making_room())?;
                target.import(share, offer.need, Access::ReadOnly).map_err(making_room())?
            }
        };
        // Our own stream writes what is waited for here, so that nobody need look after the producer.
        let until = Until { conversation: Arc::clone(&self.conversation), producer: None };
        let seat = Seat { control: control.clone(), place: 0, tickets: Arc::default() };
        let map = DeviceMap::new(region, reader, seat, until);
        let landing = landing.unwrap_or_else(|| memory.region());
        let brought = Brought::new(control, (ferry, stream, landing), map, offer.stride);
        Ok(MapMemory::Far(Far::new(source, brought, reason, offer)))
    }

    /// The memory that frames are copied to, as the frames' device writes it by itself; `None` where it does not reach
    /// that, so that the driver brings the copies there by way of the host.
    fn view_from(
        &self,
        near: &Arc<dyn Accelerator>,
        target: &Arc<dyn Accelerator>,
        memory: &dyn DeviceMemory,
        len_bytes: usize,
    ) -> Option<Region> {
        let view = || {
            if near.uuid() == target.uuid() || !near.reaches(target.uuid())? {
                return Ok(None);
            }
            near.import_from(target.uuid(), memory.share()?, len_bytes, Access::ReadWrite).map(Some)
        };
        view().unwrap_or_else(|error: io::Error| {
            let (link, to) = (&self.name, target.device());
            tracing::warn!(link, %error, "copies to {to} go by way of the host: its memory is said to be reached, and is not");
            None
        })
    }

    /// The stream of the frames' device that copies them: the same in every epoch.
    fn ferry(&self, near: &Arc<dyn Accelerator>) -> Result<uncopy_core::Stream, LinkError> {
        let mut known = lock(&self.ferry);
        if let Some((_, stream)) = known.as_ref().filter(|(known, _)| known.uuid() == near.uuid()) {
            return Ok(*stream);
        }
        let stream = near.stream().map_err(on_device(&self.name, "making a stream for copies of frames"))?;
        *known = Some((Arc::clone(near), stream));
        Ok(stream)
    }
}
