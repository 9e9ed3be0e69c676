// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several devices of one machine: which of them uses the memory of which where it lies.

use uncopy_core::{Device, DeviceUuid};
use uncopy_tensor::{Access, Region, ShareHandle};

use super::{CudaDevice, memory};
use crate::raw::CUdevice;
use crate::{CudaError, Driver};

/// Whether one device reaches the memory of another, as the driver states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// Whose streams would use the memory, as this process counts it.
    pub by: Device,
    /// Whose memory it is.
    pub of: Device,
    /// Whether it is used where it lies; else a copy goes through the host.
    pub is_direct: bool,
}

/// Every ordered pair of different devices that this process sees. No context is made.
///
/// # Errors
/// No driver, or the driver's.
pub fn list_reaches() -> Result<Vec<Reach>, CudaError> {
    let driver = Driver::get()?;
    let count = driver.device_count()?;
    let pairs = (0..count).flat_map(|by| (0..count).filter(move |of| *of != by).map(move |of| (by, of)));
    pairs
        .map(|(by, of)| {
            let is_direct = driver.can_access_peer(driver.device(by)?, driver.device(of)?)?;
            Ok(Reach { by: Device::cuda(by), of: Device::cuda(of), is_direct })
        })
        .collect()
}

/// The ordinal of the device with this UUID.
pub(super) fn ordinal_of(driver: &Driver, uuid: DeviceUuid) -> Result<i32, CudaError> {
    let count = driver.device_count()?;
    for ordinal in 0..count {
        if driver.uuid(driver.device(ordinal)?)? == uuid {
            return Ok(ordinal);
        }
    }
    Err(CudaError::NoSuchUuid { uuid, count })
}

/// The device with this UUID, which nothing is asked of.
pub(super) fn visible(driver: &Driver, uuid: DeviceUuid) -> Result<CUdevice, CudaError> {
    driver.device(ordinal_of(driver, uuid)?)
}

/// Whether `device` uses the memory of `owner` where it lies.
pub(super) fn reaches(device: &CudaDevice, owner: CUdevice) -> Result<bool, CudaError> {
    let own = device.context.device();
    match own == owner {
        true => Ok(true),
        false => device.driver.can_access_peer(own, owner),
    }
}

/// Maps memory of `owner` for `device`.
pub(super) fn import(
    device: &CudaDevice,
    owner: CUdevice,
    handle: ShareHandle,
    len_bytes: usize,
    access: Access,
) -> Result<Region, CudaError> {
    if !reaches(device, owner)? {
        let (device, found) = (Device::cuda(device.context.ordinal()), Device::cuda(owner));
        return Err(CudaError::OutOfReach { device, found });
    }
    memory::import(device, owner, handle, len_bytes, access)
}
