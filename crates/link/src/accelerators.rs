// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where links find devices. A link knows no driver; whoever knows one introduces it here, once per process.

use std::io;
use std::sync::{Arc, OnceLock};

use uncopy_core::{Device, DeviceUuid};
use uncopy_tensor::Accelerator;

/// Finds the devices of one driver. Asked only when a frame on a device is sent or met, so that a process that has
/// none to do with never loads a driver.
pub trait Accelerators: Send + Sync {
    /// The device that this process counts so.
    ///
    /// # Errors
    /// `Unsupported` where there is no driver, `NotFound` where there is no such device; the text says which.
    fn find(&self, device: Device) -> io::Result<Arc<dyn Accelerator>>;

    /// The device with this name, whatever its number is here.
    ///
    /// # Errors
    /// As for [`find`](Accelerators::find).
    fn find_by_uuid(&self, uuid: DeviceUuid) -> io::Result<Arc<dyn Accelerator>>;

    /// The device in whose memory `address` lies, for arrays that do not say where they are.
    ///
    /// # Errors
    /// As for [`find`](Accelerators::find), and `NotFound` for an address that no device knows.
    fn device_of(&self, address: usize) -> io::Result<Device> {
        let text = format!(
            "whose memory is at {address:#x} can't be asked here; pass an array that says its device"
        );
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
}

static KNOWN: OnceLock<&'static dyn Accelerators> = OnceLock::new();

/// Tells the links of this process where to find devices. The first call stays.
pub fn introduce(accelerators: &'static dyn Accelerators) {
    let _ = KNOWN.set(accelerators);
}

/// The device in whose memory `address` lies.
///
/// # Errors
/// [`io::ErrorKind::Unsupported`] where there is no driver, `NotFound` for memory of no device.
pub fn device_of(address: usize) -> io::Result<Device> {
    known()?.device_of(address)
}

/// Who was introduced.
pub(crate) fn known() -> io::Result<&'static dyn Accelerators> {
    KNOWN.get().copied().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "this build of uncopy has no support for devices; enable its feature 'cuda'",
        )
    })
}
