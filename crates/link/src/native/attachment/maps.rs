// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frame memory of an epoch, mapped for reading: a producer's host memory, a device's memory, or its mirror.

use std::io;
use std::sync::{Arc, Mutex};

use uncopy_core::{Device, DeviceUuid};
use uncopy_os::{Mapping, PidFd, WatchGuard, watch_read_only};
use uncopy_tensor::{Accelerator, Access, Region, ShareHandle, Timeline};

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
}

/// The frame memory of one epoch, mapped for reading.
pub(crate) struct SlotMap {
    pub(crate) epoch: u32,
    pub(crate) stride: usize,
    memory: MapMemory,
}

enum MapMemory {
    Host(HostMap),
    Mirror(HostMap),
    Device(Arc<DeviceMap>),
}

/// Frames in host memory.
struct HostMap {
    /// Before the mapping, so that it ends first.
    _guard: WatchGuard,
    mapping: Arc<Mapping>,
}

impl SlotMap {
    /// The first `len` bytes of a slot in host memory, borrowed; none where they are on a device.
    #[inline]
    pub(crate) fn bytes(&self, slot: usize, len: usize) -> &[u8] {
        match &self.memory {
            // The caller is the lease, and the slice borrows it.
            MapMemory::Host(map) | MapMemory::Mirror(map) => {
                map.mapping.bytes(slot * self.stride, len).unwrap_or_default()
            }
            MapMemory::Device(_) => &[],
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
            MapMemory::Device(map) => map.region().part(offset, len, hold)?,
        })
    }

    /// Address of the first byte of a slot, in its device's address space.
    pub(crate) fn address(&self, slot: usize) -> usize {
        let first = match &self.memory {
            MapMemory::Host(map) | MapMemory::Mirror(map) => map.mapping.address(),
            MapMemory::Device(map) => map.region().address(),
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
            MapMemory::Device(map) => Some(map),
            _ => None,
        }
    }

    /// Which word says that a frame in it is there; `None` where it is as soon as it is published.
    #[inline]
    pub(crate) fn part(&self) -> Option<Part> {
        match &self.memory {
            MapMemory::Host(_) => None,
            MapMemory::Mirror(_) => Some(Part::Mirror),
            MapMemory::Device(_) => Some(Part::Device),
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
    name: String,
    control: Control,
    place: u32,
    wanted: Where,
    release: Release,
    access: Access,
    /// Kept by whatever still reads: the goodbye comes after.
    conversation: Arc<Conversation>,
    /// Tells when the producer is dead.
    pidfd: Option<Arc<PidFd>>,
    /// The device of the last epoch that was on one.
    reader: Mutex<Option<Reader>>,
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

    fn device_map(
        &self,
        info: &MemoryInfo,
        need: usize,
        handle: &ShareHandle,
    ) -> Result<DeviceMap, LinkError> {
        let unreachable = |error| self.unreachable(info, error);
        let reader = self.reader(DeviceUuid(info.uuid))?;
        let handle = handle.try_clone().map_err(unreachable)?;
        let region = reader
            .accelerator
            .import(handle, need, self.access)
            .map_err(|error| self.unreachable(info, error))?;
        let until = Until { conversation: Arc::clone(&self.conversation), producer: self.pidfd.clone() };
        let seat =
            Seat { control: self.control.clone(), place: self.place, tickets: Arc::clone(&self.tickets) };
        Ok(DeviceMap::new(region, reader, seat, until))
    }

    fn reader(&self, uuid: DeviceUuid) -> Result<Reader, LinkError> {
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
        if self.release == Release::Context {
            timeline.prepare_after_all().map_err(|source| LinkError::DeviceUnreachable {
                name: self.name.clone(),
                device: uuid,
                source,
            })?;
        }
        Ok(known.insert(Reader { accelerator, timeline, release: self.release }).clone())
    }

    fn unreachable(&self, info: &MemoryInfo, source: io::Error) -> LinkError {
        LinkError::DeviceUnreachable { name: self.name.clone(), device: DeviceUuid(info.uuid), source }
    }
}

fn no_mirror() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "frames in host memory were asked for, and there is no mirror")
}
