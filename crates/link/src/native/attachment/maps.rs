// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frame memory of an epoch, mapped for reading: a producer's host memory, a device's memory, or its mirror.

use std::io;
use std::sync::{Arc, Mutex};

use uncopy_core::{Device, DeviceUuid, Stream};
use uncopy_os::{Mapping, PidFd, WatchGuard, watch_read_only};
use uncopy_tensor::{Accelerator, Access, Region, ShareHandle, Timeline};

use super::bringing::Far;
use super::brought::Brought;
use super::placed::Offer;
use super::reading::{DeviceMap, Until};
use super::tickets::{Seat, Tickets};
use super::wanted::{Release, Wanted};
use crate::accelerators;
use crate::error::LinkError;
use crate::native::control::Control;
use crate::native::conversation::Conversation;
use crate::native::frame_memory::timeline_over;
use crate::native::order::Part;
use crate::native::wire::{MemoryInfo, SLOT_ALIGN_BYTES, memory_kind};
use crate::service::lock;

/// Where a consumer wants frames that lie on a device and have a mirror in host memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Where {
    /// On the device where this process can use it, else in the mirror.
    #[default]
    Nearest,
    /// In host memory: no driver is loaded and no memory of a device is mapped.
    Host,
    /// Frames that are on a device, on this one, whichever it is that they lie on. Where it reaches their memory they are
    /// read there, with no copy. Where it does not, each frame that is received is copied once, into memory of this
    /// process's own on this device, and the copy is in [`Frame::copies`](crate::Frame::copies) as
    /// [`STAGED`](uncopy_core::CopyReason::STAGED); its slot is the producer's again after that copy. Frames in host
    /// memory stay there, and of a device that this process does not see the mirror is read, if there is one.
    ///
    /// A copy is begun once the frame's content is there, by the call that receives the frame, in a stream of the frames'
    /// device. What is received next is the copy that was begun, also where a newer frame came meanwhile. So many copies
    /// can be held at once as the link has slots.
    Device(Device),
    /// The same, always copied, as [`ASKED`](uncopy_core::CopyReason::ASKED) where it need not be: for who reads a frame
    /// several times over a slow way between two devices, or keeps it for longer than its producer can spare the slot.
    Copied(Device),
}

/// The frame memory of one epoch, mapped for reading.
pub(crate) struct SlotMap {
    pub(crate) epoch: u32,
    pub(crate) stride: usize,
    memory: MapMemory,
}

pub(super) enum MapMemory {
    Host(HostMap),
    Mirror(HostMap),
    /// On the device where they are read, or on one that it reaches.
    Device(Arc<DeviceMap>),
    /// On a device, to be brought to another one.
    Far(Far),
    /// Copies that were brought.
    Brought(Arc<Brought>),
}

/// Frames in host memory.
pub(super) struct HostMap {
    /// Before the mapping, so that it ends first.
    _guard: WatchGuard,
    mapping: Arc<Mapping>,
}

impl SlotMap {
    pub(super) fn of_brought(epoch: u32, stride: usize, brought: Brought) -> Self {
        Self { epoch, stride, memory: MapMemory::Brought(Arc::new(brought)) }
    }

    /// Where frames are brought from here before they are read.
    #[inline]
    pub(super) fn far(&self) -> Option<&Far> {
        match &self.memory {
            MapMemory::Far(far) => Some(far),
            _ => None,
        }
    }

    /// The copies that this is the memory of.
    #[inline]
    pub(crate) fn brought(&self) -> Option<&Arc<Brought>> {
        match &self.memory {
            MapMemory::Brought(brought) => Some(brought),
            _ => None,
        }
    }

    /// The first `len` bytes of a slot in host memory, borrowed; none where they are on a device.
    #[inline]
    pub(crate) fn bytes(&self, slot: usize, len: usize) -> &[u8] {
        match &self.memory {
            // The caller is the lease, and the slice borrows it.
            MapMemory::Host(map) | MapMemory::Mirror(map) => {
                map.mapping.bytes(slot * self.stride, len).unwrap_or_default()
            }
            MapMemory::Device(_) | MapMemory::Far(_) | MapMemory::Brought(_) => &[],
        }
    }

    /// The same as a region that keeps `hold` alive.
    pub(crate) fn region(
        &self,
        slot: usize,
        len: usize,
        hold: impl Send + Sync + 'static,
    ) -> Result<Region, LinkError> {
        let offset = slot * self.stride;
        Ok(match &self.memory {
            MapMemory::Host(map) | MapMemory::Mirror(map) => map.mapping.region(offset, len, hold)?,
            MapMemory::Device(map) | MapMemory::Far(Far { source: map, .. }) => {
                map.region().part(offset, len, hold)?
            }
            MapMemory::Brought(brought) => brought.map().region().part(offset, len, hold)?,
        })
    }

    /// Address of the first byte of a slot, in its device's address space.
    pub(crate) fn address(&self, slot: usize) -> usize {
        let first = match &self.memory {
            MapMemory::Host(map) | MapMemory::Mirror(map) => map.mapping.address(),
            MapMemory::Device(map) | MapMemory::Far(Far { source: map, .. }) => map.region().address(),
            MapMemory::Brought(brought) => brought.map().region().address(),
        };
        first + slot * self.stride
    }

    /// Where frames in it are.
    pub(crate) fn device(&self) -> Device {
        self.on_device().map_or(Device::CPU, |map| map.device())
    }

    /// What is needed to read on a device.
    #[inline]
    pub(crate) fn on_device(&self) -> Option<&Arc<DeviceMap>> {
        match &self.memory {
            MapMemory::Device(map) | MapMemory::Far(Far { source: map, .. }) => Some(map),
            MapMemory::Brought(brought) => Some(brought.map()),
            MapMemory::Host(_) | MapMemory::Mirror(_) => None,
        }
    }

    /// Which word says that a frame in it is there; `None` where it is as soon as it is published.
    #[inline]
    pub(crate) fn part(&self) -> Option<Part> {
        match &self.memory {
            MapMemory::Host(_) => None,
            MapMemory::Mirror(_) => Some(Part::Mirror),
            MapMemory::Device(_) | MapMemory::Far(_) | MapMemory::Brought(_) => Some(Part::Device),
        }
    }

    /// A hint that a slot is about to be read.
    #[inline]
    pub(crate) fn prefetch(&self, slot: usize) {
        if let MapMemory::Host(map) | MapMemory::Mirror(map) = &self.memory {
            map.mapping.prefetch(slot * self.stride);
        }
    }
}

/// Maps what a producer sends.
pub(crate) struct Maps {
    pub(super) name: String,
    pub(super) control: Control,
    pub(super) place: u32,
    wanted: Where,
    release: Release,
    pub(super) access: Access,
    /// Kept by whatever still reads: the goodbye comes after.
    pub(super) conversation: Arc<Conversation>,
    /// Tells when the producer is dead.
    pidfd: Option<Arc<PidFd>>,
    /// The device of the last epoch that was on one.
    reader: Mutex<Option<Reader>>,
    /// The stream that brings frames to another device, and the device that it is of.
    pub(super) ferry: Mutex<Option<(Arc<dyn Accelerator>, Stream)>>,
    tickets: Arc<Tickets>,
}

/// A device and the words that order its reading.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) accelerator: Arc<dyn Accelerator>,
    pub(super) timeline: Arc<dyn Timeline>,
    pub(super) release: Release,
}

impl Maps {
    pub(super) fn new(
        control: &Control,
        place: u32,
        wanted: Wanted,
        conversation: &Arc<Conversation>,
        pidfd: &Option<Arc<PidFd>>,
    ) -> Self {
        Self {
            name: conversation.name().to_owned(),
            control: control.clone(),
            place,
            wanted: wanted.place,
            release: wanted.release,
            access: wanted.access(),
            conversation: Arc::clone(conversation),
            pidfd: pidfd.clone(),
            reader: Mutex::default(),
            ferry: Mutex::default(),
            tickets: Arc::default(),
        }
    }

    /// Maps and checks the memory of an epoch, as `info` describes it and `handles` give it.
    pub(super) fn open(
        &self,
        epoch: u32,
        info: MemoryInfo,
        handles: &[ShareHandle],
    ) -> Result<SlotMap, LinkError> {
        // What was sent and did not fit: this process is at its limit of descriptors.
        let missing = || LinkError::EpochWithoutMemory { name: self.name.clone(), epoch };
        let (stride, need) = self.measure(epoch, &info, info.len)?;
        let memory = match (info.kind, info.mirror_len) {
            (memory_kind::HOST, _) => {
                MapMemory::Host(self.host_map(need, handles.first().ok_or_else(missing)?)?)
            }
            (memory_kind::CUDA, mirror_len) => {
                let mirror = || {
                    self.measure(epoch, &info, mirror_len)?;
                    let map = self.host_map(need, handles.get(1).ok_or_else(missing)?)?;
                    Ok::<_, LinkError>(MapMemory::Mirror(map))
                };
                match self.wanted {
                    Where::Host if mirror_len > 0 => mirror()?,
                    Where::Host => return Err(self.unreachable(&info, no_mirror())),
                    Where::Nearest => {
                        let handle = handles.first().ok_or_else(missing)?;
                        match self.device_map(&info, need, handle) {
                            Ok(map) => MapMemory::Device(Arc::new(map)),
                            Err(_) if mirror_len > 0 => mirror()?,
                            Err(error) => return Err(error),
                        }
                    }
                    Where::Device(device) | Where::Copied(device) => {
                        let is_copy_wanted = matches!(self.wanted, Where::Copied(_));
                        let handle = handles.first().ok_or_else(missing)?;
                        let offer = Offer { epoch, info: &info, stride, need, handle };
                        match self.placed(device, is_copy_wanted, &offer)? {
                            Ok(memory) => memory,
                            Err(_) if mirror_len > 0 => mirror()?,
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
            (kind, _) => {
                let detail =
                    format!("epoch {epoch} has memory of kind {kind}, which this version does not know");
                return Err(LinkError::Corrupt { name: self.name.clone(), detail });
            }
        };
        Ok(SlotMap { epoch, stride, memory })
    }

    /// Stride and bytes of all slots, checked against each other and the `len` bytes that the producer says.
    fn measure(&self, epoch: u32, info: &MemoryInfo, len: u64) -> Result<(usize, usize), LinkError> {
        let slots = self.control.slots();
        let corrupt = || LinkError::Corrupt {
            name: self.name.clone(),
            detail: format!("epoch {epoch} has {slots} slots of {} bytes in {len} bytes", info.slot_stride),
        };
        let stride = usize::try_from(info.slot_stride).map_err(|_| corrupt())?;
        let len = usize::try_from(len).map_err(|_| corrupt())?;
        let need = stride.checked_mul(slots).ok_or_else(corrupt)?;
        if stride == 0 || stride % SLOT_ALIGN_BYTES != 0 || need > len {
            return Err(corrupt());
        }
        Ok((stride, need))
    }

    fn host_map(&self, need: usize, handle: &ShareHandle) -> Result<HostMap, LinkError> {
        let name = &self.name;
        let mapping = Arc::new(Mapping::open(handle, need, Access::ReadOnly)?);
        if !mapping.seals().are_frozen() {
            let detail = format!("frame memory is sealed {}: anybody could write to it", mapping.seals());
            return Err(LinkError::Corrupt { name: name.clone(), detail });
        }
        let note =
            format!("frames of link '{name}' are shared and read-only; ask for a private copy (copy=True)");
        let guard = watch_read_only((mapping.address(), mapping.address() + mapping.len_bytes()), note);
        Ok(HostMap { _guard: guard, mapping })
    }

    pub(super) fn device_map(
        &self,
        info: &MemoryInfo,
        need: usize,
        handle: &ShareHandle,
    ) -> Result<DeviceMap, LinkError> {
        self.map_by(self.reader(DeviceUuid(info.uuid))?, info, need, handle)
    }

    /// Maps memory of a reader's own device.
    pub(super) fn map_by(
        &self,
        reader: Reader,
        info: &MemoryInfo,
        need: usize,
        handle: &ShareHandle,
    ) -> Result<DeviceMap, LinkError> {
        let region = handle
            .try_clone()
            .and_then(|handle| reader.accelerator.import(handle, need, self.access))
            .map_err(|error| self.unreachable(info, error))?;
        Ok(DeviceMap::new(region, reader, self.seat(), self.until()))
    }

    pub(super) fn seat(&self) -> Seat {
        Seat { control: self.control.clone(), place: self.place, tickets: Arc::clone(&self.tickets) }
    }

    pub(super) fn until(&self) -> Until {
        Until { conversation: Arc::clone(&self.conversation), producer: self.pidfd.clone() }
    }

    pub(super) fn reader(&self, uuid: DeviceUuid) -> Result<Reader, LinkError> {
        let mut known = lock(&self.reader);
        if let Some(reader) = known.as_ref().filter(|reader| reader.accelerator.uuid() == uuid) {
            return Ok(reader.clone());
        }
        let accelerator =
            accelerators::known().and_then(|known| known.find_by_uuid(uuid)).map_err(|source| {
                LinkError::DeviceUnreachable { name: self.name.clone(), device: uuid, source }
            })?;
        let timeline =
            timeline_over(&self.name, &self.control, &accelerator).map_err(|error| match error {
                // It is no device that frames can be read on: as good as none.
                LinkError::Device { name, source, .. } if source.kind() == io::ErrorKind::Unsupported => {
                    LinkError::DeviceUnreachable { name, device: uuid, source }
                }
                error => error,
            })?;
        Ok(known.insert(self.prepared(accelerator, timeline)?).clone())
    }

    /// A reader that gives frames back as they are wanted to be.
    pub(super) fn prepared(
        &self,
        accelerator: Arc<dyn Accelerator>,
        timeline: Arc<dyn Timeline>,
    ) -> Result<Reader, LinkError> {
        if self.release == Release::Context {
            timeline.prepare_after_all().map_err(|source| LinkError::DeviceUnreachable {
                name: self.name.clone(),
                device: accelerator.uuid(),
                source,
            })?;
        }
        Ok(Reader { accelerator, timeline, release: self.release })
    }

    pub(super) fn unreachable(&self, info: &MemoryInfo, source: io::Error) -> LinkError {
        LinkError::DeviceUnreachable { name: self.name.clone(), device: DeviceUuid(info.uuid), source }
    }
}

fn no_mirror() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "frames in host memory were asked for, and there is no mirror")
}
