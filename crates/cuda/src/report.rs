// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device and its driver can do, for `uncopy doctor`.

use uncopy_core::{Device, DeviceUuid};

use crate::mps::Mps;
use crate::raw::CUdevice;
use crate::raw::numbers::*;
use crate::{CudaError, Driver, DriverVersion};

/// A device's abilities, as the driver states them. Nothing is tried and no context is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceReport {
    /// As this process counts it.
    pub device: Device,
    /// As every process calls it.
    pub uuid: DeviceUuid,
    /// Such as `NVIDIA H200`.
    pub name: String,
    /// Such as `0000:81:00.0`, when the driver says it.
    pub pci_bus_id: Option<String>,
    /// What the driver supports.
    pub driver_version: DriverVersion,
    /// Its compute capability: major, minor.
    pub compute_capability: (i32, i32),
    /// All of its memory, in bytes.
    pub total_memory_bytes: usize,
    /// Whether memory and addresses can be had apart.
    pub has_virtual_memory: bool,
    /// Whether such memory can be shared by descriptor: what GPU links need.
    pub has_memory_descriptors: bool,
    /// Whether streams can write and await words of host memory: what GPU links need.
    pub has_stream_memory_operations: bool,
    /// Whether host memory can be registered: what GPU links need.
    pub has_host_registration: bool,
    /// Whether there are memory pools.
    pub has_memory_pools: bool,
    /// Whether events can be shared by the legacy calls.
    pub has_legacy_ipc_events: bool,
    /// Whether it shares the host's memory, as on Jetson.
    pub is_integrated: bool,
    /// Whether it is a part of a divided card.
    pub is_mig: bool,
    /// Whether this system is WSL2, where the driver promises to share memory and refuses.
    pub is_wsl2: bool,
    /// Whether processes share the card side by side.
    pub mps: Mps,
}

impl DeviceReport {
    /// What is known of the device with this ordinal.
    ///
    /// # Errors
    /// No driver, no such device, or the driver's.
    pub fn of(ordinal: i32) -> Result<DeviceReport, CudaError> {
        let driver = Driver::get()?;
        let device = driver.device(ordinal)?;
        let name = driver.name(device)?;
        let has = |attribute| has(driver, device, attribute);
        Ok(DeviceReport {
            device: Device::cuda(ordinal),
            uuid: driver.uuid(device)?,
            pci_bus_id: driver.pci_bus_id(device).ok(),
            driver_version: driver.version(),
            compute_capability: (
                driver.attribute(device, DEVICE_COMPUTE_CAPABILITY_MAJOR)?,
                driver.attribute(device, DEVICE_COMPUTE_CAPABILITY_MINOR)?,
            ),
            total_memory_bytes: driver.total_memory_bytes(device)?,
            has_virtual_memory: has(DEVICE_VIRTUAL_MEMORY_MANAGEMENT),
            has_memory_descriptors: has(DEVICE_POSIX_FILE_DESCRIPTOR),
            has_stream_memory_operations: driver.calls().has_stream_memory_operations(),
            has_host_registration: has(DEVICE_HOST_REGISTER),
            has_memory_pools: has(DEVICE_MEMORY_POOLS),
            has_legacy_ipc_events: has(DEVICE_IPC_EVENT),
            is_integrated: has(DEVICE_INTEGRATED),
            is_mig: is_mig(&name),
            is_wsl2: is_wsl2(),
            mps: Mps::of(driver, device),
            name,
        })
    }

    /// Whether GPU links work on it, as far as the driver's word goes.
    pub fn can_carry_links(&self) -> bool {
        self.has_virtual_memory
            && self.has_memory_descriptors
            && self.has_stream_memory_operations
            && self.has_host_registration
            && !self.is_wsl2
    }
}

/// An attribute that an old driver does not know is one that it does not have.
fn has(driver: &Driver, device: CUdevice, attribute: i32) -> bool {
    driver.attribute(device, attribute).is_ok_and(|value| value != 0)
}

/// The driver names the parts of a divided card so: `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
fn is_mig(name: &str) -> bool {
    name.split_whitespace().any(|word| word == "MIG")
}

/// The kernel of WSL2 says so.
fn is_wsl2() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    is_wsl2_release(&release)
}

fn is_wsl2_release(release: &str) -> bool {
    release.to_ascii_lowercase().contains("microsoft")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_card_are_known_by_their_name() {
        assert!(is_mig("NVIDIA A100-SXM4-40GB MIG 1g.5gb"));
        assert!(!is_mig("NVIDIA H200") && !is_mig("NVIDIA MIGHTY"));
    }

    #[test]
    fn wsl2_is_known_by_its_kernel() {
        assert!(is_wsl2_release("5.15.153.1-microsoft-standard-WSL2\n"));
        assert!(!is_wsl2_release("6.8.0-45-generic\n"));
    }
}
