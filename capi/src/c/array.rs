// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays: taken from DLPack or a pointer, given as DLPack, described, waited for.

use std::collections::HashSet;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use uncopy::dlpack::{
    self, DLManagedTensor, DLManagedTensorVersioned, DLPackVersion, DLTensor, DlpackError, FLAG_READ_ONLY,
};
use uncopy::os::fork_generation;
use uncopy::{Frame, Stream, Tensor};

use super::call::{call, call_silently};
use super::error::uncopy_status;
use super::pointers::{Out, slice_mut};
use super::sized::{SizedOut, read_sized, sized_struct};
use super::stream::{handle_of, kept_stream, stream_of};
use super::values::{uncopy_device, uncopy_layout};
use crate::failure::Failure;
use crate::table::{FIRST_TYPE, Table};

/// An array somewhere, with whatever keeps its memory. A handle; any number of threads may use one at the same time.
pub struct uncopy_array(());

/// What stands behind the handle.
pub struct Held {
    tensor: Tensor,
    /// The stream of the work that makes the content; 0 where the content is there.
    made_on: AtomicU64,
    /// The frame that it is, whose slot goes back after its readers.
    frame: Option<Frame>,
}

static ARRAYS: Table<Held> = Table::new("uncopy_array", FIRST_TYPE);

impl Held {
    pub(super) fn new(tensor: Tensor, made_on: Option<Stream>, frame: Option<Frame>) -> Self {
        Held { tensor, made_on: AtomicU64::new(made_on.map_or(0, Stream::raw)), frame }
    }

    pub(super) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Where the content is being made.
    pub(super) fn made_on(&self) -> Option<Stream> {
        let made_on = self.made_on.load(Acquire);
        (made_on != 0).then(|| Stream::from_raw(made_on))
    }
}

/// A new handle.
pub fn put(held: Held) -> Result<*mut uncopy_array, Failure> {
    ARRAYS.put(held).map(std::ptr::without_provenance_mut)
}

/// The array behind a handle.
pub fn get(array: *const uncopy_array) -> Result<Arc<Held>, Failure> {
    ARRAYS.get(array.addr())
}

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

/// What an array is. Begin with `UNCOPY_ARRAY_INFO_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_array_info {
    /// `sizeof(uncopy_array_info)`; after the call, the bytes that were filled.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// Element 0: an address in the memory of `device`, good as long as the array's memory is.
    pub data: *mut c_void,
    /// Where it is.
    pub device: uncopy_device,
    /// Dtype, shape and strides.
    pub layout: uncopy_layout,
    /// Bytes of the elements without gaps: what a copy of it needs.
    pub len_bytes: u64,
    /// The stream of the work that makes the content, NULL where the content is there. Order your own stream after it
    /// with `uncopy_array_ready_on`.
    pub stream: *mut c_void,
    /// 1: nobody may write it.
    pub is_read_only: u8,
    /// 1: in C order without gaps.
    pub is_c_contiguous: u8,
    /// 1: every element stands at a multiple of its size.
    pub is_aligned: u8,
    /// 1: it is a copy that was made for this exchange.
    pub was_copied: u8,
    /// 0.
    pub reserved: [u8; 4],
}
sized_struct!(uncopy_array_info, "UNCOPY_ARRAY_INFO_INIT", 184);

/// Describes a tensor.
pub fn info_of(tensor: &Tensor, stream: Option<Stream>) -> uncopy_array_info {
    let layout = tensor.layout();
    uncopy_array_info {
        size_bytes: 0,
        version: 0,
        data: tensor.as_ptr().cast(),
        device: tensor.device().into(),
        layout: layout.into(),
        len_bytes: layout.len_bytes() as u64,
        stream: stream.map_or(std::ptr::null_mut(), handle_of),
        is_read_only: tensor.is_read_only().into(),
        is_c_contiguous: layout.is_c_contiguous().into(),
        is_aligned: tensor.is_aligned().into(),
        was_copied: tensor.was_copied().into(),
        reserved: [0; 4],
    }
}

/// Takes a DLPack 1.x struct as an array. Shares the memory, on its device; copies shape and strides.
///
/// Owner: **the struct is uncopy's after a success only**. Its deleter is called once, when the last handle, DLPack struct
/// and pending copy of the array is gone, on any thread. After a failure it is still yours to delete.
///
/// Stream order: none. Say with `uncopy_array_made_on` where the content is being made, unless it is there.
///
/// Errors: `UNCOPY_ERROR_VERSION_MISMATCH` for another major version, `UNCOPY_ERROR_INVALID_LAYOUT`,
/// `UNCOPY_ERROR_INVALID_DTYPE`, `UNCOPY_ERROR_UNSUPPORTED` for more than 8 axes, `UNCOPY_ERROR_INVALID_ARGUMENT` for a
/// struct without data, and for one that uncopy has already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_from_dlpack(
    managed: *mut DLManagedTensorVersioned,
    out: *mut *mut uncopy_array,
) -> uncopy_status {
    call("uncopy_array_from_dlpack", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let managed = NonNull::new(managed)
            .ok_or(Failure::Null { argument: "managed", wanted: "a DLManagedTensorVersioned" })?;
        let given = Given::of(managed)?;
        // SAFETY: every version of the struct begins with its version, and the caller owns it.
        let DLPackVersion { major, minor } = unsafe { managed.cast::<DLPackVersion>().read() };
        if major != dlpack::VERSION.major {
            return Err(DlpackError::Version { major, minor }.into());
        }
        // SAFETY: of this major version it is plain data that the caller owns.
        let whole = unsafe { managed.read() };
        // SAFETY: by DLPack's own rules, which the caller keeps, the struct tells the truth until its deleter is called,
        // which `given` does.
        unsafe { given.keep(&whole.dl_tensor, whole.flags, whole.deleter, &out) }
    })
}

/// Takes a legacy DLPack struct, from before 1.0, as an array. As `uncopy_array_from_dlpack`; it can't say that it is
/// read-only, and counts as writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_from_dlpack_legacy(
    managed: *mut DLManagedTensor,
    out: *mut *mut uncopy_array,
) -> uncopy_status {
    call("uncopy_array_from_dlpack_legacy", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let managed = NonNull::new(managed)
            .ok_or(Failure::Null { argument: "managed", wanted: "a DLManagedTensor" })?;
        let given = Given::of(managed)?;
        // SAFETY: it is plain data that the caller owns.
        let whole = unsafe { managed.read() };
        // SAFETY: by DLPack's own rules, which the caller keeps, the struct tells the truth until its deleter is called,
        // which `given` does.
        unsafe { given.keep(&whole.dl_tensor, 0, whole.deleter, &out) }
    })
}

/// The addresses of structs that are ours now: one that comes again is told, before it is deleted twice.
struct Taken {
    addresses: Mutex<Option<HashSet<usize>>>,
    /// The process that keeps them, plus 1. A forked child keeps none: a thread of its parent may have held the lock.
    kept_in: AtomicU32,
}

static TAKEN: Taken = Taken { addresses: Mutex::new(None), kept_in: AtomicU32::new(0) };

impl Taken {
    /// Uses them; `None` in a process that keeps none.
    fn with<R>(&self, f: impl FnOnce(&mut HashSet<usize>) -> R) -> Option<R> {
        let ours = fork_generation().wrapping_add(1);
        let kept_in =
            self.kept_in.compare_exchange(0, ours, Relaxed, Relaxed).unwrap_or_else(|kept_in| kept_in);
        if kept_in != 0 && kept_in != ours {
            return None;
        }
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        Some(f(addresses.get_or_insert_default()))
    }
}

/// A struct that is being taken. Ours once it is armed; then its deleter is called when this is dropped.
struct Given<M> {
    managed: NonNull<M>,
    deleter: Option<unsafe extern "C" fn(*mut M)>,
    /// Shared with whoever takes it, who sets it at the end.
    is_ours: Arc<AtomicBool>,
}

// SAFETY: DLPack's deleters may be called on any thread, and nothing else is done with the struct.
unsafe impl<M> Send for Given<M> {}
// SAFETY: a shared `Given` can do nothing at all.
unsafe impl<M> Sync for Given<M> {}

impl<M: 'static> Given<M> {
    fn of(managed: NonNull<M>) -> Result<Self, Failure> {
        if TAKEN.with(|taken| taken.insert(managed.addr().get())) == Some(false) {
            return Err(Failure::Argument(format!(
                "the DLPack struct at {managed:p} was taken before and is not deleted yet; each is given once"
            )));
        }
        Ok(Given { managed, deleter: None, is_ours: Arc::default() })
    }

    /// Makes the array, and from then on owns the struct.
    ///
    /// # Safety
    /// As for [`dlpack::tensor_from_dl_tensor`], until `deleter` is called.
    unsafe fn keep(
        mut self,
        array: &DLTensor,
        flags: u64,
        deleter: Option<unsafe extern "C" fn(*mut M)>,
        out: &Out<*mut uncopy_array>,
    ) -> Result<(), Failure> {
        self.deleter = deleter;
        let is_ours = Arc::clone(&self.is_ours);
        // SAFETY: passed on.
        let tensor = unsafe { dlpack::tensor_from_dl_tensor(array, flags, self) }?;
        let handle = put(Held::new(tensor, None, None))?;
        // pairs with: `drop`
        is_ours.store(true, Release);
        out.put(handle);
        Ok(())
    }
}

impl<M> Drop for Given<M> {
    fn drop(&mut self) {
        // Before the deleter: its memory may be given out again at once.
        TAKEN.with(|taken| taken.remove(&self.managed.addr().get()));
        if let (true, Some(deleter)) = (self.is_ours.load(Acquire), self.deleter) {
            // SAFETY: the struct is ours, its deleter was not called, and a drop happens once.
            unsafe { deleter(self.managed.as_ptr()) }
        }
    }
}

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
        let owner = Owner { release: memory.release, owner: memory.owner, is_ours: Arc::default() };
        let is_ours = Arc::clone(&owner.is_ours);
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

/// The owner of wrapped memory.
struct Owner {
    release: Option<unsafe extern "C" fn(*mut c_void)>,
    owner: *mut c_void,
    is_ours: Arc<AtomicBool>,
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

/// Says that the content of an array on a device is made by work that is in `stream` by now: readers are ordered after it.
/// NULL says that the content is there. The stream lives as long as the array.
///
/// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for an array in host memory, and for the per-thread default stream, which is
/// another one in every thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_made_on(
    array: *mut uncopy_array,
    stream: *mut c_void,
) -> uncopy_status {
    call("uncopy_array_made_on", || {
        let held = get(array)?;
        let stream = kept_stream("stream", stream)?;
        if stream.is_some() && held.tensor.device().is_host_accessible() {
            return Err(Failure::Argument(
                "the array is in host memory, where no stream makes anything".to_owned(),
            ));
        }
        held.made_on.store(stream.map_or(0, Stream::raw), Release);
        Ok(())
    })
}

/// Orders `stream` after the content of the array: work that is put into it after this call may read the elements. Waits
/// for nothing itself. Of a frame it is noted too that the stream reads it, as with `uncopy_frame_used_on`, so that the
/// stream lives until the last of frame, arrays and DLPack structs of it is gone. Does nothing for an array in host memory.
///
/// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` while a stream is being captured into a graph, `UNCOPY_ERROR_UNSUPPORTED` where
/// there is no driver, `UNCOPY_ERROR_DEVICE_LOST`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_ready_on(
    array: *const uncopy_array,
    stream: *mut c_void,
) -> uncopy_status {
    call("uncopy_array_ready_on", || {
        let held = get(array)?;
        let stream = stream_of(stream);
        if held.tensor.device().is_host_accessible() {
            return Ok(());
        }
        if let Some(frame) = &held.frame {
            return Ok(frame.ready_on(stream)?);
        }
        if let Some(made_on) = held.made_on() {
            order(held.tensor.device(), made_on, stream)?;
        }
        Ok(())
    })
}

fn order(device: uncopy::Device, first: Stream, then: Stream) -> Result<(), Failure> {
    uncopy::order_streams(device, first, then)
        .map_err(|source| Failure::Device { what: "ordering a stream after an array", source })
}

/// Gives an array as a DLPack 1.x struct. Shares the memory; shape and strides are the struct's own.
///
/// Owner: the caller, who gives it on or calls its deleter once, on any thread. It keeps the memory by itself, and of a
/// frame the slot: the handle may be destroyed before. Read-only arrays say so in the flags, and **must not be written**.
///
/// Stream order: none; see `uncopy_array_ready_on`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_to_dlpack(
    array: *const uncopy_array,
    out: *mut *mut DLManagedTensorVersioned,
) -> uncopy_status {
    call("uncopy_array_to_dlpack", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let held = get(array)?;
        out.put(dlpack::dlpack_versioned_from_tensor(held.tensor.clone()).as_ptr());
        Ok(())
    })
}

/// Gives an array as a legacy DLPack struct, from before 1.0. As `uncopy_array_to_dlpack`.
///
/// Errors: `UNCOPY_ERROR_READ_ONLY` for a read-only array, such as a received frame: the struct can't say so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_to_dlpack_legacy(
    array: *const uncopy_array,
    out: *mut *mut DLManagedTensor,
) -> uncopy_status {
    call("uncopy_array_to_dlpack_legacy", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let held = get(array)?;
        out.put(dlpack::dlpack_from_tensor(held.tensor.clone())?.as_ptr());
        Ok(())
    })
}

/// Says what an array is: shape, dtype, strides, device, address, whether it may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_describe(
    array: *const uncopy_array,
    info: *mut uncopy_array_info,
) -> uncopy_status {
    call("uncopy_array_describe", || {
        // SAFETY: the contract of the header.
        let info = unsafe { SizedOut::at("info", info) }?;
        let held = get(array)?;
        info.put(info_of(&held.tensor, held.made_on()));
        Ok(())
    })
}

/// Copies the elements of an array in host memory to `bytes`, in C order without gaps. **A copy.** `len_bytes` is exactly
/// `uncopy_array_info.len_bytes`.
///
/// Errors: `UNCOPY_ERROR_UNSUPPORTED` for an array on a device, `UNCOPY_ERROR_INVALID_ARGUMENT` for another length, or
/// memory that overlaps the array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_copy_to(
    array: *const uncopy_array,
    bytes: *mut c_void,
    len_bytes: u64,
) -> uncopy_status {
    call("uncopy_array_copy_to", || {
        let held = get(array)?;
        // Lossless on 64-bit targets.
        let len = len_bytes as usize;
        // SAFETY: the contract of the header.
        let bytes = unsafe { slice_mut::<u8>("bytes", bytes.cast(), len) }?;
        Ok(held.tensor.copy_packed_into(bytes)?)
    })
}

/// Another handle of the same array. The memory lives until the last is destroyed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_clone(
    array: *const uncopy_array,
    out: *mut *mut uncopy_array,
) -> uncopy_status {
    call("uncopy_array_clone", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let held = get(array)?;
        let made_on = AtomicU64::new(held.made_on.load(Relaxed));
        out.put(put(Held { tensor: held.tensor.clone(), made_on, frame: held.frame.clone() })?);
        Ok(())
    })
}

/// Ends a handle. NULL is left alone. A handle that was destroyed before is left alone too, and kept as the thread's last
/// failure; so is every handle in a process that was forked after it was made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_destroy(array: *mut uncopy_array) {
    if !array.is_null() {
        call_silently("uncopy_array_destroy", || ARRAYS.take(array.addr()).map(drop));
    }
}
