// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices that this process sees, without touching them.

use uncopy_core::{Device, DeviceUuid};

use crate::{CudaError, Driver};

/// A device by its names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedDevice {
    /// As this process counts it.
    pub device: Device,
    /// As every process calls it.
    pub uuid: DeviceUuid,
    /// As people call it, such as `NVIDIA H200`; several cards may have the same.
    pub name: String,
}

/// Every device that this process sees, in the order of its ordinals. No context is made.
///
/// # Errors
/// No driver, or the driver's.
pub fn list_devices() -> Result<Vec<ListedDevice>, CudaError> {
    let driver = Driver::get()?;
    (0..driver.device_count()?)
        .map(|ordinal| {
            let device = driver.device(ordinal)?;
            let (uuid, name) = (driver.uuid(device)?, driver.name(device)?);
            Ok(ListedDevice { device: Device::cuda(ordinal), uuid, name })
        })
        .collect()
}
