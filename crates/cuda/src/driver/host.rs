// SPDX-License-Identifier: MIT OR Apache-2.0
//! Host memory that a device reaches: registered pages of somebody else, and pinned memory of our own.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::context::Context;
use crate::CudaError;
use crate::raw::CUdeviceptr;
use crate::raw::numbers::*;
use uncopy_core::{Device, DeviceKind};
use uncopy_tensor::{Access, Region};

/// Host memory that is registered now. The driver refuses to register a page twice, so that whoever needs the same
/// pages shares the entry, also for another device.
static REGISTERED: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

struct Entry {
    /// The pages, kept alive: they must not be unmapped while they are registered.
    pages: Region,
    /// How many [`Registered`] there are. None when the driver did not let go of them.
    holders: usize,
}

/// Only ever locked by a process that may call the driver: `enter` refuses before in a forked child, which may have
/// inherited a locked one.
fn registered() -> MutexGuard<'static, Vec<Entry>> {
    REGISTERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The smallest page, in bytes.
const PAGE_BYTES: usize = 4096;

/// Pages of host memory that a device reaches, registered until the last holder is gone.
#[derive(Debug)]
pub(crate) struct Registered {
    context: &'static Context,
    pages: Region,
    /// Where the entry begins that these pages lie in.
    entry_address: usize,
    device_address: CUdeviceptr,
}

impl Registered {
    pub(crate) fn new(context: &'static Context, pages: Region) -> Result<Registered, CudaError> {
        let (address, len_bytes, device) = (pages.address(), pages.len_bytes(), pages.device());
        let is_pages = address.is_multiple_of(PAGE_BYTES) && len_bytes.is_multiple_of(PAGE_BYTES);
        if device != Device::CPU || !is_pages || len_bytes == 0 {
            return Err(CudaError::NotPages { address, len_bytes, device });
        }
        let entered = context.enter()?;
        let _relaxed = entered.relaxed()?;
        let mut entries = registered();
        let known = entries.iter_mut().find(|entry| holds(&entry.pages, &pages));
        let (base, is_new) = match &known {
            Some(entry) => (entry.pages.clone(), false),
            None => (pages.clone(), true),
        };
        if is_new {
            // SAFETY: the pages are mapped while the region lives, and the entry keeps a clone until they are
            // unregistered. With `READ_ONLY` the device does not write what may only be read.
            unsafe { entered.mem_host_register(base.as_ptr().cast(), base.len_bytes(), flags_for(&base)) }?;
        }
        let mut device_address = 0;
        // SAFETY: a place for an address, alive during the call; the base is registered, and with an address.
        let asked =
            unsafe { entered.mem_host_get_device_pointer(&raw mut device_address, base.as_ptr().cast(), 0) };
        if let (Err(error), true) = (&asked, is_new) {
            tracing::debug!(%error, "registered pages have no address on the device");
            // SAFETY: registered just now by this call, and in no entry yet.
            let undone = unsafe { entered.mem_host_unregister(base.as_ptr().cast()) };
            // The first error is the one to report.
            let _ = undone;
        }
        asked?;
        match known {
            Some(entry) => entry.holders += 1,
            None => entries.push(Entry { pages: base.clone(), holders: 1 }),
        }
        let offset = (address - base.address()) as CUdeviceptr;
        Ok(Registered {
            context,
            pages,
            entry_address: base.address(),
            device_address: device_address + offset,
        })
    }

    /// The device's address of the word at `offset_bytes`.
    #[inline]
    pub(crate) fn word(&self, offset_bytes: usize) -> Result<CUdeviceptr, CudaError> {
        let len_bytes = self.pages.len_bytes();
        // The length is a multiple of 4 as well, so that a word that begins inside ends inside.
        if offset_bytes >= len_bytes || !offset_bytes.is_multiple_of(4) {
            return Err(CudaError::NoSuchWord { offset_bytes, len_bytes });
        }
        Ok(self.device_address + offset_bytes as CUdeviceptr)
    }

    pub(crate) fn access(&self) -> Access {
        self.pages.access()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let Ok(entered) = self.context.enter() else { return };
        let _relaxed = entered.relaxed();
        let mut entries = registered();
        let Some(at) = entries.iter().position(|entry| entry.pages.address() == self.entry_address) else {
            return;
        };
        let Some(entry) = entries.get_mut(at) else { return };
        entry.holders -= 1;
        if entry.holders > 0 {
            return;
        }
        // SAFETY: the entry was registered with this address, its last holder goes, and the lock keeps others from
        // finding it. That no work of the device uses it is what whoever drops a timeline knows.
        let unregistered = unsafe { entered.mem_host_unregister(entry.pages.as_ptr().cast()) };
        if let Err(error) = unregistered {
            // They stay registered, and so must stay mapped: the entry keeps them, and who needs them again finds it.
            tracing::debug!(%error, "pages stay registered");
            return;
        }
        let entry = entries.swap_remove(at);
        drop(entries);
        // The pages may be unmapped by this, which runs code of others.
        drop(entry);
    }
}

/// Whether `inner` lies in `outer` and may be done with no more.
fn holds(outer: &Region, inner: &Region) -> bool {
    let is_inside = outer.address() <= inner.address()
        && inner.address() + inner.len_bytes() <= outer.address() + outer.len_bytes();
    is_inside && (outer.access() == inner.access() || outer.access() == Access::ReadWrite)
}

fn flags_for(pages: &Region) -> u32 {
    let flags = HOST_REGISTER_DEVICEMAP | HOST_REGISTER_PORTABLE;
    match pages.access() {
        Access::ReadOnly => flags | HOST_REGISTER_READ_ONLY,
        Access::ReadWrite => flags,
    }
}

/// Zeroed host memory that every device copies from and to at full speed, without staging.
///
/// Freeing it waits for work of the device that uses it.
#[derive(Debug)]
pub struct PinnedBuffer {
    context: &'static Context,
    address: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: the buffer is plain bytes that only this value owns, like a `Box<[u8]>`.
unsafe impl Send for PinnedBuffer {}
// SAFETY: through `&PinnedBuffer` the bytes can only be read.
unsafe impl Sync for PinnedBuffer {}

impl PinnedBuffer {
    /// `len_bytes` bytes of zeros, at least one.
    ///
    /// # Errors
    /// No memory left that can be pinned, or the driver's.
    pub fn zeroed(context: &'static Context, len_bytes: usize) -> Result<PinnedBuffer, CudaError> {
        let entered = context.enter()?;
        let _relaxed = entered.relaxed()?;
        let mut address = std::ptr::null_mut();
        let flags = HOST_ALLOC_PORTABLE | HOST_ALLOC_DEVICEMAP;
        // SAFETY: a place for an address, alive during the call.
        unsafe { entered.mem_host_alloc(&raw mut address, len_bytes.max(1), flags) }?;
        let Some(address) = NonNull::new(address.cast::<u8>()) else {
            let code = crate::DriverCode::OUT_OF_MEMORY;
            return Err(CudaError::Driver { call: "cuMemHostAlloc", code });
        };
        // SAFETY: the driver gave at least `len_bytes` writable bytes here, which nobody else knows yet.
        unsafe { address.write_bytes(0, len_bytes) };
        Ok(PinnedBuffer { context, address, len_bytes })
    }

    /// Gives the bytes to a writable region of the kind "pinned", which frees them with its last clone.
    pub fn into_region(self) -> Region {
        let device = Device::new(DeviceKind::CUDA_HOST, self.context.ordinal());
        let (address, len_bytes) = (self.address, self.len_bytes);
        // SAFETY: 1. `self` owns the memory and becomes the owner; it frees it only when dropped. 2. The bytes are
        // initialised (zeroed at birth) memory that the CPU reads and writes. 3. `self` is now unreachable except by
        // its drop, so that every writer goes through the region's pointer and its rule.
        unsafe { Region::from_raw(address, len_bytes, device, Access::ReadWrite, self) }
    }
}

impl Deref for PinnedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len_bytes` initialised bytes (zeroed at birth) that `self` owns; the slice borrows `self`, so that
        // nobody writes meanwhile.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.len_bytes) }
    }
}

impl DerefMut for PinnedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the slice borrows `self` exclusively, and no region exists before `into_region`.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.len_bytes) }
    }
}

impl Drop for PinnedBuffer {
    fn drop(&mut self) {
        let Ok(entered) = self.context.enter() else { return };
        let _relaxed = entered.relaxed();
        // SAFETY: the address is that of `cuMemHostAlloc`, and nobody else frees it.
        let freed = unsafe { entered.mem_free_host(self.address.as_ptr().cast()) };
        // It fails when the driver is gone, and the memory is then the process's until it ends.
        let _ = freed;
    }
}
