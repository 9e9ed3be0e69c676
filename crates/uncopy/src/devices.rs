// SPDX-License-Identifier: MIT OR Apache-2.0
//! Introduces the CUDA driver to the links. Nothing of it is loaded before a frame on a device is sent or met.

use std::io;
use std::sync::Arc;

use uncopy_core::{Device, DeviceUuid};
use uncopy_link::{Accelerators, PublishOptions, SubscribeOptions, introduce};
use uncopy_tensor::Accelerator;

struct Cuda;

impl Accelerators for Cuda {
    fn find(&self, device: Device) -> io::Result<Arc<dyn Accelerator>> {
        Ok(uncopy_cuda::CudaDevice::find(device)?)
    }

    fn find_by_uuid(&self, uuid: DeviceUuid) -> io::Result<Arc<dyn Accelerator>> {
        Ok(uncopy_cuda::CudaDevice::find_by_uuid(uuid)?)
    }
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
