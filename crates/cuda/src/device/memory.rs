// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is shared by descriptor: making it and taking a peer's.

use std::io;

use uncopy_core::{Device, Stream};
use uncopy_tensor::{Access, DeviceMemory, Export, Region, ShareHandle};

use super::CudaDevice;
use crate::driver::context::Entered;
use crate::raw::CUdevice;
use crate::site::Site;
use crate::{CudaError, DriverCode};

/// Memory of ours. The descriptor and the region each keep it.
pub(super) struct SharedDeviceMemory {
    handle: ShareHandle,
    region: Region,
}

impl Export for SharedDeviceMemory {
    fn device(&self) -> Device {
        self.region.device()
    }

    fn len_bytes(&self) -> usize {
        self.region.len_bytes()
    }

    fn share(&self) -> io::Result<ShareHandle> {
        self.handle.try_clone()
    }
}

impl DeviceMemory for SharedDeviceMemory {
    fn region(&self) -> Region {
        self.region.clone()
    }
}

/// Makes memory: created, exported, mapped and zeroed. What fails undoes what was done before it.
///
/// It is exported at once, since some systems (WSL2) promise sharing and refuse it only then.
pub(super) fn allocate(device: &CudaDevice, len_bytes: usize) -> Result<SharedDeviceMemory, CudaError> {
    try_allocate(device, len_bytes).map_err(|error| with_what_is_free(device, len_bytes, error))
}

/// Adds to a refusal what was asked for and what there is, unless the driver does not say.
#[cold]
fn with_what_is_free(device: &CudaDevice, asked_bytes: usize, error: CudaError) -> CudaError {
    let CudaError::Driver { call, code: code @ DriverCode::OUT_OF_MEMORY } = error else { return error };
    match device.context.memory_bytes() {
        Ok((free_bytes, total_bytes)) => {
            let device = Device::cuda(device.context.ordinal());
            CudaError::NoMemory { call, code, device, asked_bytes, free_bytes, total_bytes }
        }
        Err(_) => error,
    }
}

fn try_allocate(device: &CudaDevice, len_bytes: usize) -> Result<SharedDeviceMemory, CudaError> {
    device.can_share_memory()?;
    let entered = device.context.enter()?;
    let _relaxed = entered.relaxed()?;
    let len_bytes = rounded_up(len_bytes, entered.granularity_bytes(true)?)?;
    let memory = entered.create(len_bytes)?;
    let handle = entered.export(&memory)?;
    let region = entered.map(&memory, len_bytes, Access::ReadWrite)?.into_region(len_bytes);
    let stream = device.house.stream();
    entered.zero(&region, stream)?;
    if !Site::MEMORY_ZEROED.is_skipped()
        && let Err(error) = entered.synchronize(stream)
    {
        give_up(&entered, region, stream);
        return Err(error);
    }
    Ok(SharedDeviceMemory { handle, region })
}

/// Unmaps memory that could not be waited for, once no work uses it. What the driver says nothing about stays mapped.
fn give_up(entered: &Entered<'_>, region: Region, stream: Stream) {
    loop {
        match entered.is_done(stream) {
            Ok(true) => return,
            // A fill, which ends soon.
            Ok(false) => std::thread::yield_now(),
            // With the context its work has ended.
            Err(_) if entered.context().loss().is_some() => return,
            Err(error) => {
                tracing::error!(%error, len_bytes = region.len_bytes(), "device memory stays mapped");
                std::mem::forget(region);
                return;
            }
        }
    }
}

/// Maps memory of a peer that lies on `owner`: this device, or one that it reaches. The descriptor is closed with the
/// handle; the mapping keeps the memory. No context of `owner` is made.
pub(super) fn import(
    device: &CudaDevice,
    owner: CUdevice,
    handle: ShareHandle,
    len_bytes: usize,
    access: Access,
) -> Result<Region, CudaError> {
    device.can_share_memory()?;
    let entered = device.context.enter()?;
    let _relaxed = entered.relaxed()?;
    // Rounded by the least that the driver accepts: the peer may have rounded by no more.
    let mapped_bytes = rounded_up(len_bytes, entered.granularity_on(owner, false)?)?;
    let memory = entered.import(&handle)?;
    match entered.device_of(&memory) {
        Ok(Ok(found)) if found == owner => {}
        Ok(Ok(found)) => return Err(other_device(owner, format!("cuda:{found}"))),
        Ok(Err(found)) => return Err(other_device(owner, found)),
        // A driver that can't say where memory lies still refuses to map what it can't reach.
        Err(CudaError::Missing { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(entered.map(&memory, mapped_bytes, access)?.into_region(len_bytes))
}

fn other_device(owner: CUdevice, found: String) -> CudaError {
    // A handle of a device is its ordinal.
    CudaError::OtherDevice { found, wanted: Device::cuda(owner) }
}

fn rounded_up(len_bytes: usize, granularity_bytes: usize) -> Result<usize, CudaError> {
    let rounded = len_bytes.max(1).checked_next_multiple_of(granularity_bytes);
    let code = DriverCode::OUT_OF_MEMORY;
    rounded
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        .ok_or(CudaError::Driver { call: "cuMemCreate", code })
}
