// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of a device that processes share: physical memory, an address for it, and a mapping of one to the other.
//!
//! Each step is a guard, so that a step that fails undoes those before it. The physical memory lives while any of these
//! does: its handle, a descriptor of it in any process, a mapping of it in any process.

use super::context::{Context, Entered};
use super::{Calls, Driver};
use crate::raw::numbers::*;
use crate::raw::*;
use crate::{CudaError, DriverCode};
use uncopy_core::Device;
use uncopy_tensor::{Access, Region, ShareHandle};

use std::ptr::NonNull;

#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// Memory of the device `ordinal` that can be shared by a descriptor.
fn properties_of(device: CUdevice) -> AllocationProp {
    AllocationProp {
        kind: ALLOCATION_PINNED,
        handle_types: HANDLE_POSIX_FILE_DESCRIPTOR,
        location: MemLocation { kind: LOCATION_DEVICE, id: device },
        ..AllocationProp::default()
    }
}

/// Physical memory without an address.
pub(crate) struct Physical {
    calls: &'static Calls,
    handle: CUmemGenericAllocationHandle,
}

impl Drop for Physical {
    fn drop(&mut self) {
        // SAFETY: the handle was given by `create` or `import`, and nobody else releases it. Mappings keep the memory.
        let released = unsafe { self.calls.mem_release(self.handle) };
        // It fails when the driver is gone, and the memory with it.
        let _ = released;
    }
}

/// A range of addresses without memory.
struct Reserved {
    calls: &'static Calls,
    address: CUdeviceptr,
    len_bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: the range is exactly what was reserved, nobody else frees it, and what was mapped in it is unmapped:
        // `Mapping` does that before it drops this.
        let freed = unsafe { self.calls.mem_address_free(self.address, self.len_bytes) };
        // It fails when the driver is gone, and the addresses with it.
        let _ = freed;
    }
}

/// Memory at an address. Unmapped on drop: on any thread, with no context, without waiting for the device, and also
/// when the context is lost or the driver gone.
struct Mapping {
    reserved: Reserved,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let Reserved { calls, address, len_bytes } = self.reserved;
        let _relaxed = calls.relaxed();
        // SAFETY: exactly this range was mapped, once, and nobody else unmaps it. That no work of the device uses it is
        // what whoever drops the last region knows (contract of the seam's traits).
        let unmapped = unsafe { calls.mem_unmap(address, len_bytes) };
        // It fails when the driver is gone, and the mapping with it.
        let _ = unmapped;
    }
}

impl Entered<'_> {
    /// The multiple of which shared memory is made: what the driver recommends, or the least that it accepts.
    pub(crate) fn granularity_bytes(&self, is_recommended: bool) -> Result<usize, CudaError> {
        self.granularity_on(self.context().device(), is_recommended)
    }

    /// The same of memory of `owner`, which may be another device than this one.
    pub(crate) fn granularity_on(&self, owner: CUdevice, is_recommended: bool) -> Result<usize, CudaError> {
        let prop = properties_of(owner);
        let option = if is_recommended { GRANULARITY_RECOMMENDED } else { 0 };
        let mut bytes = 0;
        // SAFETY: a place for a `size_t` and a structure, both alive during the call.
        unsafe { self.mem_get_allocation_granularity(&raw mut bytes, &raw const prop, option) }?;
        Ok(bytes.max(1))
    }

    /// New physical memory; `len_bytes` is a multiple of the granularity. What is in it is not said.
    pub(crate) fn create(&self, len_bytes: usize) -> Result<Physical, CudaError> {
        let calls = driver_calls()?;
        let prop = properties_of(self.context().device());
        let mut handle = 0;
        // SAFETY: a place for a handle and a structure, both alive during the call.
        unsafe { self.mem_create(&raw mut handle, len_bytes, &raw const prop, 0) }?;
        Ok(Physical { calls, handle })
    }

    /// A descriptor of physical memory, closed when another program is started.
    #[cfg(unix)]
    pub(crate) fn export(&self, memory: &Physical) -> Result<ShareHandle, CudaError> {
        let mut descriptor: std::ffi::c_int = -1;
        let place = (&raw mut descriptor).cast();
        // SAFETY: for this type of handle the place is one for an `int`, alive during the call; the handle is alive.
        unsafe { self.mem_export(place, memory.handle, HANDLE_POSIX_FILE_DESCRIPTOR, 0) }?;
        if descriptor < 0 {
            let code = DriverCode::INVALID_VALUE;
            return Err(CudaError::Driver { call: "cuMemExportToShareableHandle", code });
        }
        // SAFETY: the driver made this descriptor for us just now, and leaves it to us.
        let exported = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // The driver does not say whether children inherit it; a duplicate is not inherited.
        let duplicate = exported.try_clone().map_err(|source| CudaError::System {
            call: "dup",
            what: "a descriptor of device memory",
            source,
        })?;
        Ok(ShareHandle::from(duplicate))
    }

    /// The physical memory behind a peer's descriptor. Any descriptor may come: what is no memory is refused.
    #[cfg(unix)]
    pub(crate) fn import(&self, handle: &ShareHandle) -> Result<Physical, CudaError> {
        let calls = driver_calls()?;
        let descriptor = handle.as_fd().as_raw_fd();
        let as_pointer = std::ptr::without_provenance_mut(descriptor as usize);
        let mut memory = 0;
        // SAFETY: a place for a handle, alive during the call. For this type of handle the "pointer" is the descriptor
        // itself, which is open while it is borrowed; the driver takes no ownership of it.
        unsafe { self.mem_import(&raw mut memory, as_pointer, HANDLE_POSIX_FILE_DESCRIPTOR) }?;
        Ok(Physical { calls, handle: memory })
    }

    /// Refused: the driver shares memory by descriptor on Linux only.
    #[cfg(windows)]
    pub(crate) fn export(&self, _memory: &Physical) -> Result<ShareHandle, CudaError> {
        Err(self.no_descriptors())
    }

    /// Refused: the driver shares memory by descriptor on Linux only.
    #[cfg(windows)]
    pub(crate) fn import(&self, _handle: &ShareHandle) -> Result<Physical, CudaError> {
        Err(self.no_descriptors())
    }

    #[cfg(windows)]
    fn no_descriptors(&self) -> CudaError {
        CudaError::Unsupported {
            what: "sharing memory by descriptor",
            device: Device::cuda(self.context().ordinal()),
            hint: "frames go through the host on Windows",
        }
    }

    /// Where physical memory lies, as the driver knows it: a device of this process, or words for something else.
    pub(crate) fn device_of(&self, memory: &Physical) -> Result<Result<CUdevice, String>, CudaError> {
        let mut prop = AllocationProp::default();
        // SAFETY: a place for the structure, alive during the call; the handle is alive.
        unsafe { self.mem_get_allocation_properties(&raw mut prop, memory.handle) }?;
        let MemLocation { kind, id } = prop.location;
        Ok(if kind == LOCATION_DEVICE { Ok(id) } else { Err(format!("location {kind} {id}")) })
    }

    /// Gives physical memory, of this device or of one that it reaches, an address on this device. `len_bytes` is a
    /// multiple of the granularity; the driver refuses more than the memory has (`cuda.h`, `cuMemMap`: "offset + size must
    /// be less than the size of the memory allocation"): driver 580.159 on an H100 with `NOT_SUPPORTED`, though the text
    /// speaks of `INVALID_VALUE`.
    pub(crate) fn map(
        &self,
        memory: &Physical,
        len_bytes: usize,
        access: Access,
    ) -> Result<DeviceMapping, CudaError> {
        let calls = driver_calls()?;
        let mut address = 0;
        // SAFETY: a place for an address, alive during the call.
        unsafe { self.mem_address_reserve(&raw mut address, len_bytes, 0, 0, 0) }?;
        let reserved = Reserved { calls, address, len_bytes };
        // SAFETY: the range was reserved just now and nothing is mapped in it; the handle is alive.
        let mapped = unsafe { self.mem_map(address, len_bytes, 0, memory.handle, 0) };
        mapped.map_err(|error| match error {
            CudaError::Driver {
                code: code @ (DriverCode::INVALID_VALUE | DriverCode::NOT_SUPPORTED),
                ..
            } => CudaError::TooSmall { wanted_bytes: len_bytes, code },
            other => other,
        })?;
        let mapping = Mapping { reserved };
        let flags = match access {
            Access::ReadOnly => ACCESS_READ,
            Access::ReadWrite => ACCESS_READ_WRITE,
        };
        let location = MemLocation { kind: LOCATION_DEVICE, id: self.context().device() };
        let desc = AccessDesc { location, flags };
        // SAFETY: exactly this range is mapped; one structure, alive during the call.
        unsafe { self.mem_set_access(address, len_bytes, &raw const desc, 1) }?;
        Ok(DeviceMapping { mapping, access, device: Device::cuda(self.context().ordinal()) })
    }
}

/// Memory of a device at an address of this process.
pub(crate) struct DeviceMapping {
    mapping: Mapping,
    access: Access,
    device: Device,
}

impl DeviceMapping {
    /// Its first `len_bytes` bytes, as the region that keeps it: it is unmapped with the last clone.
    pub(crate) fn into_region(self, len_bytes: usize) -> Region {
        let DeviceMapping { mapping, access, device } = self;
        let mapped_bytes = mapping.reserved.len_bytes;
        let address = std::ptr::with_exposed_provenance_mut(mapping.reserved.address as usize);
        let address = NonNull::new(address).unwrap_or(NonNull::dangling());
        let len_bytes = len_bytes.min(mapped_bytes);
        // SAFETY: 1. the range is mapped until `mapping`, the owner, is dropped, and is no longer than the mapping.
        // 2. The device kind is CUDA, which the CPU does not reach. 3. The same: no slice of it can be lent.
        unsafe { Region::from_raw(address, len_bytes, device, access, mapping) }
    }
}

/// The entries that drops use. They are there while anything was made with them.
fn driver_calls() -> Result<&'static Calls, CudaError> {
    Ok(Driver::get()?.calls())
}

impl Context {
    /// Bytes of the device that are free, and all of them.
    ///
    /// # Errors
    /// The driver's.
    pub fn memory_bytes(&self) -> Result<(usize, usize), CudaError> {
        let (mut free, mut total) = (0, 0);
        let entered = self.enter()?;
        // SAFETY: two places for a `size_t`, alive during the call.
        unsafe { entered.mem_get_info(&raw mut free, &raw mut total) }?;
        Ok((free, total))
    }
}
