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
use uncopy_tensor::{Access, Region, SharedPages};

/// Host memory that is registered now. The driver refuses to register a page twice, so that whoever needs the same
/// pages shares the entry, also for another device.
static REGISTERED: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

struct Entry {
    /// The pages, kept alive: they must not be unmapped while they are registered.
    pages: SharedPages,
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
    pages: SharedPages,
    /// Where the entry begins that these pages lie in.
    entry_address: usize,
    device_address: CUdeviceptr,
}

impl Registered {
    pub(crate) fn new(context: &'static Context, pages: SharedPages) -> Result<Registered, CudaError> {
        let (address, len_bytes) = (address_of(&pages), pages.len_bytes());
        let is_pages = address.is_multiple_of(PAGE_BYTES) && len_bytes.is_multiple_of(PAGE_BYTES);
        if !is_pages || len_bytes == 0 {
            return Err(CudaError::NotPages { address, len_bytes });
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
            // SAFETY: the pages are mapped while the value lives, and the entry keeps a clone until they are
            // unregistered; nobody has references to them that a device's writes would break.
            unsafe { entered.mem_host_register(pointer_to(&base), base.len_bytes(), FLAGS) }?;
        }
        let mut device_address = 0;
        // SAFETY: a place for an address, alive during the call; the base is registered, and with an address.
        let asked =
            unsafe { entered.mem_host_get_device_pointer(&raw mut device_address, pointer_to(&base), 0) };
        if let (Err(error), true) = (&asked, is_new) {
            tracing::debug!(%error, "registered pages have no address on the device");
            // SAFETY: registered just now by this call, and in no entry yet.
            let undone = unsafe { entered.mem_host_unregister(pointer_to(&base)) };
            // The first error is the one to report.
            let _ = undone;
        }
        asked?;
        match known {
            Some(entry) => entry.holders += 1,
            None => entries.push(Entry { pages: base.clone(), holders: 1 }),
        }
        let offset = (address - address_of(&base)) as CUdeviceptr;
        Ok(Registered {
            context,
            pages,
            entry_address: address_of(&base),
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

    /// All of the pages as memory of the kind "pinned", which stay registered until the last clone is gone.
    pub(crate) fn into_region(self) -> Region {
        let device = Device::new(DeviceKind::CUDA_HOST, self.context.ordinal());
        let (address, len_bytes) = (self.pages.address(), self.pages.len_bytes());
        // SAFETY: 1. `self` keeps the pages mapped and becomes the owner. 2. Pages of a mapping are initialised, and
        // every thread reads and writes them. 3. Whoever made the pages promised that nobody here has references to
        // them, and the region's users keep its rule.
        unsafe { Region::from_raw(address, len_bytes, device, Access::ReadWrite, self) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let Ok(entered) = self.context.enter() else { return };
        let _relaxed = entered.relaxed();
        let mut entries = registered();
        let Some(at) = entries.iter().position(|entry| address_of(&entry.pages) == self.entry_address) else {
            return;
        };
        let Some(entry) = entries.get_mut(at) else { return };
        entry.holders -= 1;
        if entry.holders > 0 {
            return;
        }
        // SAFETY: the entry was registered with this address, its last holder goes, and the lock keeps others from
        // finding it. That no work of the device uses it is what whoever drops a timeline knows.
        let unregistered = unsafe { entered.mem_host_unregister(pointer_to(&entry.pages)) };
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

/// Whether `inner` lies in `outer`.
fn holds(outer: &SharedPages, inner: &SharedPages) -> bool {
    address_of(outer) <= address_of(inner)
        && address_of(inner) + inner.len_bytes() <= address_of(outer) + outer.len_bytes()
}

fn address_of(pages: &SharedPages) -> usize {
    pages.address().addr().get()
}

fn pointer_to(pages: &SharedPages) -> *mut std::ffi::c_void {
    pages.address().as_ptr().cast()
}

const FLAGS: u32 = HOST_REGISTER_DEVICEMAP | HOST_REGISTER_PORTABLE;

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
