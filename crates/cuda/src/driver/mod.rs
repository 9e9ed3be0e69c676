// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layer that calls the driver: every unsafe operation of this crate stands in this directory.
//!
//! | file | gives |
//! |---|---|
//! | `table.rs` | the entries, each with its signature, and the rule that all calls keep |
//! | `load.rs` | the library, found at run time |
//! | `fork.rs` | whether this is still the process that started the driver |
//! | `context.rs`, `capture.rs` | what must be current, and what must not be disturbed |
//! | `stream.rs`, `event.rs` | queues and points in them |
//! | `memory.rs` | memory that can be shared, and its mappings |
//! | `host.rs` | host memory that a device reaches |
//! | `legacy.rs` | whether the driver gives legacy handles of memory |
//! | `work.rs` | what is put into streams |
//! | `module.rs` | kernels, for tests and benchmarks |
//!
//! What is *safe* here rests on three rules that hold for the whole crate:
//!
//! 1. Handles that we made are destroyed by their owner's drop and by nothing else.
//! 2. A [`Stream`](uncopy_core::Stream) is a number that its maker keeps alive while it is in use, as that type says.
//! 3. Addresses come from [`Region`](uncopy_tensor::Region)s, which are alive; whoever puts work into a stream keeps
//!    them so until the stream is done, as the seam's traits say.
#![expect(unsafe_code, reason = "fence: calls the CUDA driver")]

use std::ffi::{CStr, c_char};

use crate::raw::numbers::POINTER_DEVICE_ORDINAL;
use crate::raw::{CUdevice, CUdeviceptr, Uuid};
use crate::{CudaError, DriverCode, DriverVersion};
use uncopy_core::DeviceUuid;

pub(crate) mod capture;
pub(crate) mod context;
pub(crate) mod event;
pub(crate) mod fork;
pub(crate) mod host;
mod legacy;
mod load;
pub(crate) mod memory;
pub(crate) mod module;
pub(crate) mod stream;
pub(crate) mod table;
pub(crate) mod work;

pub use table::Calls;

/// The CUDA driver of this process, found at run time.
///
/// ```
/// use uncopy_cuda::Driver;
///
/// match Driver::get() {
///     Ok(driver) => println!("CUDA {} with {} devices", driver.version(), driver.device_count()?),
///     Err(reason) => println!("{reason}"), // an ordinary value: everything else of uncopy works
/// }
/// # Ok::<(), uncopy_cuda::CudaError>(())
/// ```
#[derive(Debug)]
pub struct Driver {
    calls: Calls,
    version: DriverVersion,
}

impl Driver {
    /// What the driver supports.
    pub fn version(&self) -> DriverVersion {
        self.version
    }

    /// The entries, to be called without a context. Those that need one answer `CUDA_ERROR_INVALID_CONTEXT`.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// How many devices this process sees: `CUDA_VISIBLE_DEVICES` decides.
    ///
    /// # Errors
    /// The driver's.
    pub fn device_count(&self) -> Result<i32, CudaError> {
        let mut count = 0;
        // SAFETY: a place for an `int`, alive during the call.
        unsafe { self.calls.device_get_count(&raw mut count) }?;
        Ok(count)
    }

    /// The driver's handle of a device.
    ///
    /// # Errors
    /// [`CudaError::NoSuchOrdinal`], or the driver's.
    pub fn device(&self, ordinal: i32) -> Result<CUdevice, CudaError> {
        let count = self.device_count()?;
        if !(0..count).contains(&ordinal) {
            return Err(CudaError::NoSuchOrdinal { ordinal, count });
        }
        let mut device = 0;
        // SAFETY: a place for a `CUdevice`, alive during the call.
        unsafe { self.calls.device_get(&raw mut device, ordinal) }?;
        Ok(device)
    }

    /// A device's UUID: the same in every process, whatever its ordinal is.
    ///
    /// # Errors
    /// The driver's.
    pub fn uuid(&self, device: CUdevice) -> Result<DeviceUuid, CudaError> {
        let mut uuid = Uuid::default();
        // SAFETY: a place for a `CUuuid`, alive during the call.
        unsafe { self.calls.device_get_uuid(&raw mut uuid, device) }?;
        Ok(DeviceUuid(uuid.bytes))
    }

    /// A device's name, such as `NVIDIA H200`.
    ///
    /// # Errors
    /// The driver's.
    pub fn name(&self, device: CUdevice) -> Result<String, CudaError> {
        let mut name: [c_char; 256] = [0; 256];
        // SAFETY: 256 bytes, alive during the call, and the driver is told that there are 256.
        unsafe { self.calls.device_get_name(name.as_mut_ptr(), 256, device) }?;
        Ok(text_in(&name))
    }

    /// Where a device sits, such as `0000:81:00.0`.
    ///
    /// # Errors
    /// The driver's.
    pub fn pci_bus_id(&self, device: CUdevice) -> Result<String, CudaError> {
        let mut id: [c_char; 32] = [0; 32];
        // SAFETY: 32 bytes, alive during the call, and the driver is told that there are 32.
        unsafe { self.calls.device_get_pci_bus_id(id.as_mut_ptr(), 32, device) }?;
        Ok(text_in(&id))
    }

    /// A device's memory in bytes.
    ///
    /// # Errors
    /// The driver's.
    pub fn total_memory_bytes(&self, device: CUdevice) -> Result<usize, CudaError> {
        let mut bytes = 0;
        // SAFETY: a place for a `size_t`, alive during the call.
        unsafe { self.calls.device_total_mem(&raw mut bytes, device) }?;
        Ok(bytes)
    }

    /// One of a device's attributes: a `DEVICE_` number of [`raw::numbers`](crate::raw::numbers).
    ///
    /// # Errors
    /// The driver's; `INVALID_VALUE` for an attribute that this driver does not know.
    pub fn attribute(&self, device: CUdevice, attribute: i32) -> Result<i32, CudaError> {
        let mut value = 0;
        // SAFETY: a place for an `int`, alive during the call.
        unsafe { self.calls.device_get_attribute(&raw mut value, attribute, device) }?;
        Ok(value)
    }

    /// Whether `device` can reach the memory of `peer` without a copy through the host.
    ///
    /// # Errors
    /// The driver's.
    pub fn can_access_peer(&self, device: CUdevice, peer: CUdevice) -> Result<bool, CudaError> {
        let mut can = 0;
        // SAFETY: a place for an `int`, alive during the call.
        unsafe { self.calls.device_can_access_peer(&raw mut can, device, peer) }?;
        Ok(can != 0)
    }

    /// The ordinal of the device in whose memory an address lies; `None` for memory that the driver did not make.
    ///
    /// # Errors
    /// The driver's.
    pub fn ordinal_of(&self, address: usize) -> Result<Option<i32>, CudaError> {
        let mut ordinal = -1;
        let (place, address) = ((&raw mut ordinal).cast(), address as CUdeviceptr);
        // SAFETY: a place for an `int`, as this attribute is (`raw::numbers`), alive during the call. An address is a
        // question to the driver and is not read.
        match unsafe { self.calls.pointer_get_attribute(place, POINTER_DEVICE_ORDINAL, address) } {
            Ok(()) => Ok(Some(ordinal).filter(|ordinal| *ordinal >= 0)),
            Err(CudaError::Driver { code: DriverCode::INVALID_VALUE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn name_of(&self, code: DriverCode) -> Option<&'static str> {
        let mut text = std::ptr::null();
        // SAFETY: a place for a pointer, alive during the call.
        unsafe { self.calls.get_error_name(code.0, &raw mut text) }.ok()?;
        static_text(text)
    }

    pub(crate) fn text_of(&self, code: DriverCode) -> Option<&'static str> {
        let mut text = std::ptr::null();
        // SAFETY: a place for a pointer, alive during the call.
        unsafe { self.calls.get_error_string(code.0, &raw mut text) }.ok()?;
        static_text(text)
    }
}

/// A text of the driver that ends with the process.
fn static_text(text: *const c_char) -> Option<&'static str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the calls above answer with a text in the library's constants (`cuda.h`: "the address of the NULL-
    // terminated string"), which is never unloaded: `load.rs` keeps it.
    unsafe { CStr::from_ptr(text) }.to_str().ok()
}

/// The text before the first zero in a place that the driver filled.
fn text_in(place: &[c_char]) -> String {
    let bytes: Vec<u8> = place.iter().map(|c| c.to_ne_bytes()[0]).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
