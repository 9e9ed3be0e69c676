// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays from memory that a program describes.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

use uncopy::dlpack::{self, DLTensor, FLAG_READ_ONLY};

use super::array::{Held, put, uncopy_array};
use super::call::call;
use super::error::uncopy_status;
use super::pointers::Out;
use super::sized::{read_sized, sized_struct};
use super::stream::kept_stream;
use super::values::{uncopy_device, uncopy_layout};
use crate::failure::Failure;

/// Memory at an address, for `uncopy_array_wrap`. Begin with `UNCOPY_MEMORY_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_memory {
    /// `sizeof(uncopy_memory)`.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// Element 0, an address in the memory of `device`. NULL only without elements.
    pub data: *mut c_void,
    /// Where it is; the CPU after `UNCOPY_MEMORY_INIT`.
    pub device: uncopy_device,
    /// Dtype, shape and strides.
    pub layout: uncopy_layout,
    /// The stream of the work that makes the content: a CUDA stream. NULL: the content is there already, or `device` is
    /// the host. It lives as long as the array.
    pub stream: *mut c_void,
    /// Called once, with `owner`, when the last handle, DLPack struct and pending copy of the array is gone; on any
    /// thread. It must not throw, and must not call uncopy. NULL: whoever wraps the memory keeps it so long.
    pub release: Option<unsafe extern "C" fn(owner: *mut c_void)>,
    /// What `release` is called with.
    pub owner: *mut c_void,
    /// 1: nobody may write it.
    pub is_read_only: u8,
    /// 0.
    pub reserved: [u8; 7],
}
sized_struct!(uncopy_memory, "UNCOPY_MEMORY_INIT", 192);

/// Takes memory at an address as an array. Shares the memory, on its device; **nothing is checked**: it has to be there.
///
/// Owner and lifetime: until `memory->release` is called, or, without one, as long as any handle, DLPack struct or pending
/// copy of the array lives. `release` is not called where this fails.
///
/// Stream order: readers that call `uncopy_array_ready_on`, and `uncopy_publisher_send`, are ordered after `memory->stream`.
///
/// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT`, `UNCOPY_ERROR_INVALID_LAYOUT`, `UNCOPY_ERROR_INVALID_DTYPE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_wrap(
    memory: *const uncopy_memory,
    out: *mut *mut uncopy_array,
) -> uncopy_status {
    call("uncopy_array_wrap", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        // SAFETY: the contract of the header.
        let memory = unsafe { read_sized("memory", memory) }?;
        let (owner, is_ours) = Owner::revocable(memory.release, memory.owner);
        // SAFETY: the contract of the header: the memory is there until `release` is called.
        let held = unsafe { wrapped(&memory, owner) }?;
        let handle = put(held)?;
        // pairs with: `drop`
        is_ours.store(true, Release);
        out.put(handle);
        Ok(())
    })
}

/// Memory that a C program described, as an array.
///
/// # Safety
/// The memory is there as it says until `owner` is dropped.
pub unsafe fn wrapped(memory: &uncopy_memory, owner: impl Send + Sync + 'static) -> Result<Held, Failure> {
    // Checked here, since words about DLPack would say little to who passed a struct of ours.
    let layout = memory.layout.checked()?;
    if memory.data.is_null() && !layout.is_empty() {
        return Err(Failure::Argument(format!(
            "data is NULL, and {layout} has elements; pass their address"
        )));
    }
    let device: uncopy::Device = memory.device.into();
    let made_on = kept_stream("stream", memory.stream)?;
    if made_on.is_some() && device.is_host_accessible() {
        return Err(Failure::Argument(
            "stream is for memory on a device, and this is in host memory".to_owned(),
        ));
    }
    let mut layout = memory.layout;
    let array = DLTensor {
        data: memory.data,
        device,
        ndim: layout.ndim,
        dtype: layout.dtype.into(),
        shape: layout.shape.as_mut_ptr(),
        strides: layout.strides_elems.as_mut_ptr(),
        byte_offset: 0,
    };
    let flags = if memory.is_read_only == 0 { 0 } else { FLAG_READ_ONLY };
    // SAFETY: shape and strides are those of the variable above, with the axes that were checked; the memory is there by
    // the contract, and whoever writes it keeps the writing rule of the header.
    let tensor = unsafe { dlpack::tensor_from_dl_tensor(&array, flags, owner) }?;
    Ok(Held::new(tensor, made_on, None))
}

/// What a program is told when something of its own is not needed any more.
pub struct Owner {
    release: Option<unsafe extern "C" fn(*mut c_void)>,
    owner: *mut c_void,
    /// Shared with whoever may yet refuse it: until this is set, nobody is told.
    is_ours: Arc<AtomicBool>,
}

impl Owner {
    /// One that is told in any case.
    pub fn new(release: Option<unsafe extern "C" fn(*mut c_void)>, owner: *mut c_void) -> Owner {
        Owner { release, owner, is_ours: Arc::new(AtomicBool::new(true)) }
    }

    /// One that is told only if the flag is set by then.
    fn revocable(
        release: Option<unsafe extern "C" fn(*mut c_void)>,
        owner: *mut c_void,
    ) -> (Owner, Arc<AtomicBool>) {
        let is_ours = Arc::<AtomicBool>::default();
        (Owner { release, owner, is_ours: Arc::clone(&is_ours) }, is_ours)
    }
}

// SAFETY: the header says that `release` is called on any thread; nothing else is done with the pointer.
unsafe impl Send for Owner {}
// SAFETY: a shared `Owner` can do nothing at all.
unsafe impl Sync for Owner {}

impl Drop for Owner {
    fn drop(&mut self) {
        if let (true, Some(release)) = (self.is_ours.load(Acquire), self.release) {
            // SAFETY: the program gave both to be called once, and a drop happens once.
            unsafe { release(self.owner) }
        }
    }
}
