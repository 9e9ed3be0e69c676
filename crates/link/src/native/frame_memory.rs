// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of one epoch on its producer's side: slots in host memory, or on a device and perhaps mirrored.

use std::io;
use std::sync::Arc;

use uncopy_core::{Device, DeviceUuid, Stream};
use uncopy_os::SlotMemory;
use uncopy_tensor::{Accelerator, DeviceMemory, Region, ShareHandle, Timeline};

use super::control::Control;
use super::wire::{MemoryInfo, memory_kind};
use crate::error::LinkError;

/// Frame memory, shared with the server that hands it out.
#[derive(Clone)]
pub(crate) enum FrameMemory {
    Host(Arc<SlotMemory>),
    Device(Arc<DeviceSlots>),
}

impl FrameMemory {
    pub(crate) fn stride_bytes(&self) -> usize {
        match self {
            Self::Host(memory) => memory.stride_bytes(),
            Self::Device(memory) => memory.stride_bytes,
        }
    }

    /// Where frames in it lie, as a producer asks for it.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Host(_) => Place::Host,
            Self::Device(memory) => Place::Device(memory.accelerator.uuid()),
        }
    }

    /// What messages say of it.
    pub(crate) fn info(&self) -> MemoryInfo {
        match self {
            Self::Host(memory) => MemoryInfo {
                kind: memory_kind::HOST,
                slot_stride: memory.stride_bytes() as u64,
                len: memory.len_bytes() as u64,
                ..MemoryInfo::default()
            },
            Self::Device(memory) => MemoryInfo {
                kind: memory_kind::CUDA,
                slot_stride: memory.stride_bytes as u64,
                len: memory.len_bytes as u64,
                uuid: memory.accelerator.uuid().0,
                mirror_len: memory.mirror.as_ref().map_or(0, |mirror| mirror.memory.len_bytes() as u64),
            },
        }
    }

    /// Calls `send` with what a peer maps it by.
    pub(crate) fn with_handles<T>(&self, send: impl FnOnce(&[&ShareHandle]) -> T) -> io::Result<T> {
        Ok(match self {
            Self::Host(memory) => send(&[memory.handle()]),
            Self::Device(memory) => {
                let handle = memory.memory.share()?;
                match &memory.mirror {
                    Some(mirror) => send(&[&handle, mirror.memory.handle()]),
                    None => send(&[&handle]),
                }
            }
        })
    }
}

/// Where a frame is to lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Host,
    Device(DeviceUuid),
}

/// Slots on a device, one behind the other in one allocation, and what its streams order their work by.
pub(crate) struct DeviceSlots {
    pub(crate) accelerator: Arc<dyn Accelerator>,
    /// Over the link's device words.
    pub(crate) timeline: Arc<dyn Timeline>,
    pub(crate) stride_bytes: usize,
    pub(crate) mirror: Option<Mirror>,
    /// Each slot, whole.
    slots: Box<[Region]>,
    len_bytes: usize,
    memory: Box<dyn DeviceMemory>,
}

/// The same slots once more in host memory, for consumers without a device.
pub(crate) struct Mirror {
    memory: Arc<SlotMemory>,
    /// The slots, pinned: what the device writes.
    pinned: Region,
    /// Copies to the host take long, so that they have a stream of their own.
    pub(crate) stream: Stream,
}

impl DeviceSlots {
    /// Makes zeroed slots for the link `name`. What was made before something failed is let go again.
    pub(crate) fn create(
        name: &str,
        (accelerator, timeline): (&Arc<dyn Accelerator>, &Arc<dyn Timeline>),
        slots: usize,
        stride_bytes: usize,
        mirror: Option<Stream>,
    ) -> Result<Arc<Self>, LinkError> {
        let len_bytes = slots.saturating_mul(stride_bytes);
        let memory = accelerator.allocate(len_bytes).map_err(on_device(name, "allocating frame memory"))?;
        let mirror = match mirror {
            Some(stream) => Some(Mirror::create(name, accelerator, stream, slots, stride_bytes)?),
            None => None,
        };
        let all = memory.region();
        let regions: Result<_, _> =
            (0..slots).map(|slot| all.part(slot * stride_bytes, stride_bytes, ())).collect();
        Ok(Arc::new(Self {
            accelerator: Arc::clone(accelerator),
            timeline: Arc::clone(timeline),
            stride_bytes,
            mirror,
            slots: regions?,
            len_bytes: all.len_bytes(),
            memory,
        }))
    }

    /// A slot on the device, whole.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> Result<&Region, LinkError> {
        self.slots.get(slot).ok_or(LinkError::ForeignClaim)
    }

    pub(crate) fn device(&self) -> Device {
        self.accelerator.device()
    }
}

impl Mirror {
    fn create(
        name: &str,
        accelerator: &Arc<dyn Accelerator>,
        stream: Stream,
        slots: usize,
        stride_bytes: usize,
    ) -> Result<Self, LinkError> {
        let memory = SlotMemory::create("uncopy-mirror", slots, stride_bytes)?;
        let pinned =
            accelerator.pin(memory.shared_pages()?).map_err(on_device(name, "pinning the host mirror"))?;
        Ok(Self { memory, pinned, stream })
    }

    /// A slot of the mirror, as the device writes it.
    pub(crate) fn slot(&self, slot: usize, stride: usize) -> Result<Region, LinkError> {
        Ok(self.pinned.part(slot * stride, stride, ())?)
    }
}

/// A timeline over the device words of the link `name`.
pub(crate) fn timeline_over(
    name: &str,
    control: &Control,
    accelerator: &Arc<dyn Accelerator>,
) -> Result<Arc<dyn Timeline>, LinkError> {
    let timeline = accelerator.timeline(control.device_pages()?);
    Ok(Arc::from(timeline.map_err(on_device(name, "pinning the words that order its work"))?))
}

/// The error of a call to a device, for the link `name`.
pub(crate) fn on_device(name: &str, what: &'static str) -> impl FnOnce(io::Error) -> LinkError {
    let name = name.to_owned();
    move |source| LinkError::Device { name, what, source }
}
