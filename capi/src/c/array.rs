// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays: described, copied, waited for. `dlpack` and `memory` make them.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use uncopy::{Frame, Stream, Tensor};

use super::call::{call, call_silently};
use super::error::uncopy_status;
use super::pointers::{Out, slice_mut};
use super::sized::{SizedOut, sized_struct};
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
