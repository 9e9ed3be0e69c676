// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device of this process as an [`Accelerator`]: what links ask for.
//!
//! | the seam says | here it is |
//! |---|---|
//! | memory that other processes may map | `cuMemCreate` with a POSIX descriptor, rounded up to the granularity, zeroed |
//! | words that streams write and await | host pages, registered once; `cuStreamWriteValue32`, `cuStreamBatchMemOp` |
//! | a copy that packs | one call: a run, rows with a pitch, or planes of rows |
//!
//! What is called for each frame ([`copy`](Accelerator::copy), the timeline's `write` and `wait`, `is_capturing`) takes
//! no lock, allocates nothing, and changes the current context only when another one is current.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use uncopy_core::{Device, DeviceUuid, Stream};
use uncopy_tensor::{
    Accelerator, Access, Capture, DeviceMemory, Region, ShareHandle, SharedPages, Tensor, Timeline,
};

use crate::driver::context::Context;
use crate::driver::event::EventPool;
use crate::driver::host::Registered;
use crate::driver::stream::OwnStream;
use crate::raw::numbers::{DEVICE_POSIX_FILE_DESCRIPTOR, DEVICE_VIRTUAL_MEMORY_MANAGEMENT};
use crate::{CudaError, Driver};

mod capture;
mod list;
mod memory;
mod peers;
pub(crate) mod shape;
mod timeline;

use crate::site::Site;
pub use list::{ListedDevice, list_devices};
pub use peers::{Reach, list_reaches};
use timeline::CudaTimeline;

/// The devices that are in use, so that a device is one object in a process.
static OPEN: Mutex<Vec<Weak<CudaDevice>>> = Mutex::new(Vec::new());

/// A device of this process. One object for a device: whoever asks for the same one shares it.
#[derive(Debug)]
pub struct CudaDevice {
    driver: &'static Driver,
    context: &'static Context,
    uuid: DeviceUuid,
    events: Arc<EventPool>,
    /// For work of our own that is waited for: zeroing.
    house: OwnStream,
    /// Given away by [`Accelerator::stream`]; they end with the device.
    streams: Mutex<Vec<OwnStream>>,
}

impl CudaDevice {
    /// The device with this ordinal, with its primary context. An ordinal counts what this process sees: to name a
    /// device to another process use its UUID.
    ///
    /// # Errors
    /// No driver, no such device, or the driver's.
    pub fn with_ordinal(ordinal: i32) -> Result<Arc<CudaDevice>, CudaError> {
        let driver = Driver::get()?;
        // Refused in a forked child, which may have inherited the lock below.
        let device = driver.device(ordinal)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|known| known.strong_count() > 0);
        let known = open.iter().filter_map(Weak::upgrade).find(|known| known.context.device() == device);
        if let Some(known) = known {
            return Ok(known);
        }
        let context = Context::primary(driver, ordinal)?;
        let device = Arc::new(CudaDevice {
            driver,
            context,
            uuid: driver.uuid(device)?,
            events: Arc::new(EventPool::new(context)),
            house: OwnStream::new(context)?,
            streams: Mutex::new(Vec::new()),
        });
        open.push(Arc::downgrade(&device));
        Ok(device)
    }

    /// The device that every process calls by this UUID, whatever its ordinal is here.
    ///
    /// # Errors
    /// No driver, [`CudaError::NoSuchUuid`], or the driver's.
    pub fn with_uuid(uuid: DeviceUuid) -> Result<Arc<CudaDevice>, CudaError> {
        let driver = Driver::get()?;
        CudaDevice::with_ordinal(peers::ordinal_of(driver, uuid)?)
    }

    /// The primary context, for calls of the driver that have no wrapper here.
    pub fn context(&self) -> &'static Context {
        self.context
    }

    /// Whether all work of `stream` is done. Does not wait.
    ///
    /// # Errors
    /// The driver's.
    pub fn is_done(&self, stream: Stream) -> Result<bool, CudaError> {
        let entered = self.context.enter()?;
        let _relaxed = entered.relaxed()?;
        entered.is_done(stream)
    }

    /// Waits until all work of `stream` is done: for tests and for those who must.
    ///
    /// # Errors
    /// The driver's, also of work that failed on the device.
    pub fn synchronize(&self, stream: Stream) -> Result<(), CudaError> {
        let entered = self.context.enter()?;
        let _relaxed = entered.relaxed()?;
        entered.synchronize(stream)
    }

    /// Refuses what this device or its driver cannot share, with the reason.
    fn can_share_memory(&self) -> Result<(), CudaError> {
        let needed = [DEVICE_VIRTUAL_MEMORY_MANAGEMENT, DEVICE_POSIX_FILE_DESCRIPTOR];
        for attribute in needed {
            if self.driver.attribute(self.context.device(), attribute)? == 0 {
                return Err(CudaError::Unsupported {
                    what: "sharing memory by descriptor",
                    device: self.device(),
                    hint: "WSL2, Windows and some virtual cards lack it; frames go through the host there",
                });
            }
        }
        Ok(())
    }

    fn put_order(&self, earlier: Stream, later: Stream) -> Result<(), CudaError> {
        let entered = self.context.enter()?;
        entered.refuse_capturing(earlier)?;
        entered.refuse_capturing(later)?;
        self.events.order(&entered, earlier, later, Site::STREAM_ORDER)
    }

    fn new_stream(&self) -> Result<Stream, CudaError> {
        let own = OwnStream::new(self.context)?;
        let stream = own.stream();
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).push(own);
        Ok(stream)
    }
}

impl Accelerator for CudaDevice {
    fn device(&self) -> Device {
        Device::cuda(self.context.ordinal())
    }

    fn uuid(&self) -> DeviceUuid {
        self.uuid
    }

    /// The length is rounded up to the driver's granularity (2 MiB on most cards). Waits until the memory is zeroed.
    fn allocate(&self, len_bytes: usize) -> io::Result<Box<dyn DeviceMemory>> {
        Ok(Box::new(memory::allocate(self, len_bytes)?))
    }

    fn import(&self, handle: ShareHandle, len_bytes: usize, access: Access) -> io::Result<Region> {
        Ok(memory::import(self, self.context.device(), handle, len_bytes, access)?)
    }

    fn reaches(&self, owner: DeviceUuid) -> io::Result<bool> {
        Ok(peers::reaches(self, peers::visible(self.driver, owner)?)?)
    }

    /// No context is made on `owner`: the driver maps its memory for this device alone.
    fn import_from(
        &self,
        owner: DeviceUuid,
        handle: ShareHandle,
        len_bytes: usize,
        access: Access,
    ) -> io::Result<Region> {
        Ok(peers::import(self, peers::visible(self.driver, owner)?, handle, len_bytes, access)?)
    }

    fn timeline(&self, words: SharedPages) -> io::Result<Box<dyn Timeline>> {
        Ok(Box::new(CudaTimeline::new(self.context, self.events.clone(), words)?))
    }

    fn pin(&self, pages: SharedPages) -> io::Result<Region> {
        Ok(Registered::new(self.context, pages)?.into_region())
    }

    fn settle(&self) -> io::Result<()> {
        let entered = self.context.enter()?;
        let _relaxed = entered.relaxed()?;
        Ok(entered.settle()?)
    }

    fn stream(&self) -> io::Result<Stream> {
        Ok(self.new_stream()?)
    }

    /// Pinned host memory is copied by the device alone. Other host memory is *staged*: the driver copies it to or from
    /// pinned memory of its own on this thread. As a source it may be written again when this returns; as a destination
    /// it is filled when the stream is done, and this call may have waited for that.
    ///
    /// Packs rows with a pitch and planes of rows in one call. Narrow rows, such as three of four channels, are slow.
    fn copy(&self, from: &Tensor, to: &Region, stream: Stream) -> io::Result<()> {
        Ok(self.context.enter()?.copy(from, to, stream)?)
    }

    fn order(&self, earlier: Stream, later: Stream) -> io::Result<()> {
        Ok(self.put_order(earlier, later)?)
    }

    #[inline]
    fn loss(&self) -> Option<io::Error> {
        self.context.loss().map(io::Error::from)
    }

    fn is_capturing(&self, stream: Stream) -> io::Result<bool> {
        Ok(self.context.enter()?.is_capturing(stream)?)
    }

    fn capture_of(&self, stream: Stream) -> io::Result<Option<Box<dyn Capture>>> {
        Ok(capture::capture_of(self.context, &self.events, stream)?)
    }
}
