// SPDX-License-Identifier: MIT OR Apache-2.0
//! Introduces the CUDA driver to the links. Nothing of it is loaded before a frame on a device is sent or met.

use std::io;
use std::sync::Arc;

use uncopy_core::{Device, DeviceKind, DeviceUuid, Stream};
use uncopy_link::{Accelerators, PublishOptions, SubscribeOptions, introduce};
use uncopy_tensor::Accelerator;

struct Cuda;

impl Accelerators for Cuda {
    fn find(&self, device: Device) -> io::Result<Arc<dyn Accelerator>> {
        Ok(find(device)?)
    }

    fn find_by_uuid(&self, uuid: DeviceUuid) -> io::Result<Arc<dyn Accelerator>> {
        Ok(uncopy_cuda::CudaDevice::with_uuid(uuid)?)
    }

    fn device_of(&self, address: usize) -> io::Result<Device> {
        let driver = uncopy_cuda::Driver::get().map_err(uncopy_cuda::CudaError::from)?;
        let not_found = || {
            let what =
                format!("no CUDA device of this process knows the address {address:#x}; is the array freed?");
            io::Error::new(io::ErrorKind::NotFound, what)
        };
        driver.ordinal_of(address)?.map(Device::cuda).ok_or_else(not_found)
    }
}

fn find(device: Device) -> io::Result<Arc<uncopy_cuda::CudaDevice>> {
    if device.kind != DeviceKind::CUDA {
        let what =
            format!("frames on {device} are not carried by links; copy them to the host or to a CUDA device");
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    Ok(uncopy_cuda::CudaDevice::with_ordinal(device.id)?)
}

/// See [`uncopy_link::publish`].
#[must_use]
pub fn publish(name: &str) -> PublishOptions {
    introduce(&Cuda);
    uncopy_link::publish(name)
}

/// See [`uncopy_link::subscribe`].
#[must_use]
pub fn subscribe(name: &str) -> SubscribeOptions {
    introduce(&Cuda);
    uncopy_link::subscribe(name)
}

/// See [`uncopy_link::order_streams`].
///
/// # Errors
/// As there.
pub fn order_streams(device: Device, first: Stream, then: Stream) -> io::Result<()> {
    introduce(&Cuda);
    uncopy_link::order_streams(device, first, then)
}

/// See [`uncopy_link::device_of`].
///
/// # Errors
/// As there.
pub fn device_of(address: usize) -> io::Result<Device> {
    introduce(&Cuda);
    uncopy_link::device_of(address)
}
