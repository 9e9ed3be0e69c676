// SPDX-License-Identifier: MIT OR Apache-2.0
//! Received frames: described, exported, named to streams, given back.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use uncopy::dlpack::{self, DLManagedTensorVersioned};
use uncopy::{Frame, Staging};

use super::array::{self, Held, uncopy_array};
use super::call::{call, call_silently};
use super::error::uncopy_status;
use super::memory::Owner;
use super::meta::{UNCOPY_CLOCK_NONE, UNCOPY_META_NONE};
use super::pointers::Out;
use super::sized::{SizedOut, sized_struct};
use super::stream::stream_of;
use super::values::{uncopy_copy, uncopy_device, uncopy_form};
use crate::failure::Failure;
use crate::table::{FIRST_TYPE, Table};

/// The most copies that a frame can tell of.
pub const UNCOPY_MAX_COPIES: usize = 8;
const _: () = assert!(UNCOPY_MAX_COPIES == uncopy::MAX_COPY_RECORDS);

/// A received frame, held: its content stays as it is until the last of its handles, arrays and DLPack structs is gone. A
/// handle; any number of threads may use one at the same time.
pub struct uncopy_frame(());

/// What stands behind the handle.
struct Received {
    frame: Frame,
    /// Its subscriber's.
    staging: Arc<Staging>,
}

static FRAMES: Table<Received> = Table::new("uncopy_frame", FIRST_TYPE + 4);

/// A new handle.
pub fn put(frame: Frame, staging: &Arc<Staging>) -> Result<*mut uncopy_frame, Failure> {
    FRAMES.put(Received { frame, staging: Arc::clone(staging) }).map(std::ptr::without_provenance_mut)
}

fn get(frame: *const uncopy_frame) -> Result<Arc<Received>, Failure> {
    FRAMES.get(frame.addr())
}

/// What a frame is. Begin with `UNCOPY_FRAME_INFO_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_frame_info {
    /// `sizeof(uncopy_frame_info)`; after the call, the bytes that were filled.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// Element 0: an address in the memory of `device`, **for reading only**. In host memory a write ends the process with a
    /// message; on a device it changes the frame for everybody.
    pub data: *const c_void,
    /// Where it is.
    pub device: uncopy_device,
    /// Dtype, shape, strides, pixel format and origin.
    pub form: uncopy_form,
    /// Bytes from `data` to the end of the last element.
    pub len_bytes: u64,
    /// The producer's number of this frame, from 1.
    pub seq: u64,
    /// Frames that were published between the one received before and this one.
    pub missed: u64,
    /// When it was published: nanoseconds of this process's `CLOCK_MONOTONIC`.
    pub published_nanos: u64,
    /// Nanoseconds since then; -1 where that can't be told.
    pub age_nanos: i64,
    /// When its content came to be, in nanoseconds of `captured_clock`.
    pub captured_nanos: i64,
    /// `UNCOPY_CLOCK_*`; `UNCOPY_CLOCK_NONE` where the producer did not say.
    pub captured_clock: u32,
    /// The allocation of frame memory that it lies in; changes when frames outgrow their slots.
    pub epoch: u32,
}
sized_struct!(uncopy_frame_info, "UNCOPY_FRAME_INFO_INIT", 224);

/// Says what a frame is: form, device, address, number, times.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_describe(
    frame: *const uncopy_frame,
    info: *mut uncopy_frame_info,
) -> uncopy_status {
    call("uncopy_frame_describe", || {
        // SAFETY: the contract of the header.
        let info = unsafe { SizedOut::at("info", info) }?;
        let Received { frame, .. } = &*get(frame)?;
        let captured = frame.captured();
        let age = frame.age().and_then(|age| i64::try_from(age.as_nanos()).ok());
        info.put(uncopy_frame_info {
            size_bytes: 0,
            version: 0,
            data: std::ptr::with_exposed_provenance(frame.address()),
            device: frame.device().into(),
            form: frame.form().into(),
            len_bytes: frame.form().len_bytes() as u64,
            seq: frame.seq(),
            missed: frame.missed(),
            published_nanos: frame.published_nanos(),
            age_nanos: age.unwrap_or(-1),
            captured_nanos: captured.map_or(0, |captured| captured.nanos),
            captured_clock: captured.map_or(UNCOPY_CLOCK_NONE, |captured| captured.clock.0.into()),
            epoch: frame.epoch(),
        });
        Ok(())
    })
}

/// The producer's metadata: `*kind` is `UNCOPY_META_*`, `*bytes` leads to `*len_bytes` bytes, to `""` without any. `kind` may
/// be NULL.
///
/// Lifetime: until this handle of the frame is destroyed; copy them to keep them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_meta(
    frame: *const uncopy_frame,
    kind: *mut u32,
    bytes: *mut *const c_char,
    len_bytes: *mut u64,
) -> uncopy_status {
    call("uncopy_frame_meta", || {
        let mut unwanted = UNCOPY_META_NONE;
        let kind = if kind.is_null() { &raw mut unwanted } else { kind };
        // SAFETY: the contract of the header, or a variable of ours.
        let kind = unsafe { Out::at("kind", kind, UNCOPY_META_NONE) }?;
        // SAFETY: the contract of the header.
        let bytes = unsafe { Out::at("bytes", bytes, c"".as_ptr()) }?;
        // SAFETY: the contract of the header.
        let len_bytes = unsafe { Out::at("len_bytes", len_bytes, 0) }?;
        let Received { frame, .. } = &*get(frame)?;
        let meta = frame.meta();
        kind.put(meta.kind.0.into());
        if !meta.bytes.is_empty() {
            // They belong to the frame behind the handle, which stays where it is until that is destroyed.
            bytes.put(meta.bytes.as_ptr().cast());
            len_bytes.put(meta.bytes.len() as u64);
        }
        Ok(())
    })
}

/// Every copy that the content went through, in order: fills up to `capacity` of `copies`, at most `UNCOPY_MAX_COPIES` are
/// needed. `*count` is how many there are. None for a frame that was written straight into its slot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_copies(
    frame: *const uncopy_frame,
    copies: *mut uncopy_copy,
    capacity: u64,
    count: *mut u64,
) -> uncopy_status {
    call("uncopy_frame_copies", || {
        // SAFETY: the contract of the header.
        let count = unsafe { Out::at("count", count, 0) }?;
        let Received { frame, .. } = &*get(frame)?;
        let records = frame.copies();
        // Lossless on 64-bit targets.
        let room = (capacity as usize).min(records.len());
        for (at, record) in records.iter().take(room).enumerate() {
            // SAFETY: the contract of the header: there is room for `capacity`.
            let place = unsafe { Out::at("copies", copies.wrapping_add(at), uncopy_copy::default()) }?;
            place.put(uncopy_copy {
                reason: record.reason.0.into(),
                reserved: 0,
                from: record.from.into(),
                to: record.to.into(),
                len_bytes: record.len_bytes,
            });
        }
        count.put(records.len() as u64);
        Ok(())
    })
}

/// The frame as an array: shared, read-only, holding the slot by itself.
///
/// Stream order: `uncopy_array_ready_on` orders a stream after the content, and the slot's return after that stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_array(
    frame: *const uncopy_frame,
    out: *mut *mut uncopy_array,
) -> uncopy_status {
    call("uncopy_frame_array", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let Received { frame, .. } = &*get(frame)?;
        let held = Held::new(frame.tensor()?, None, Some(frame.clone()));
        out.put(array::put(held)?);
        Ok(())
    })
}

/// Gives the frame as a DLPack 1.x struct that says that it is read-only. Shares the memory, and holds the slot by itself.
///
/// Owner: the caller, who gives it on or calls its deleter once, on any thread. A consumer that does not honour
/// `DLPACK_FLAG_BITMASK_READ_ONLY` and writes ends the process, in host memory.
///
/// Stream order: none; name the streams that read it with `uncopy_frame_used_on`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_to_dlpack(
    frame: *const uncopy_frame,
    out: *mut *mut DLManagedTensorVersioned,
) -> uncopy_status {
    call("uncopy_frame_to_dlpack", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        out.put(dlpack::dlpack_versioned_from_tensor(get(frame)?.frame.tensor()?).as_ptr());
        Ok(())
    })
}

/// A private, writable array in host memory with the frame's elements in C order: **one copy**, made when this returns. Of a
/// frame on a device the device makes it, into pinned memory. The frame is needed no longer then.
///
/// Errors: `UNCOPY_ERROR_OUT_OF_MEMORY`, `UNCOPY_ERROR_DEVICE_LOST`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_to_host(
    frame: *const uncopy_frame,
    out: *mut *mut uncopy_array,
) -> uncopy_status {
    call("uncopy_frame_to_host", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let Received { frame, staging } = &*get(frame)?;
        let tensor = if frame.device().is_host_accessible() {
            frame.tensor()?.to_packed()?
        } else {
            staging.begin(frame)?.wait(None)?
        };
        out.put(array::put(Held::new(tensor, None, None))?);
        Ok(())
    })
}

/// Notes that work in `stream` reads a frame on a device, through its address or an export: the slot goes back to the
/// producer only after what the stream holds when the last of handles, arrays and DLPack structs is gone. Without any such
/// stream it goes back at that moment. **The stream lives until then**, and may be destroyed at once after it, whatever it
/// still has to do. Nothing is noted of a frame in host memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_used_on(
    frame: *const uncopy_frame,
    stream: *mut c_void,
) -> uncopy_status {
    call("uncopy_frame_used_on", || {
        get(frame)?.frame.used_on(stream_of(stream));
        Ok(())
    })
}

/// As `uncopy_frame_used_on`, and keeps what the stream belongs to: `release` is called once, with `owner`, on any thread, when
/// the stream is not needed any more. It must not throw, and must not call uncopy. It is not called where this fails; of a
/// frame in host memory it is called before this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_used_on_kept(
    frame: *const uncopy_frame,
    stream: *mut c_void,
    release: Option<unsafe extern "C" fn(owner: *mut c_void)>,
    owner: *mut c_void,
) -> uncopy_status {
    call("uncopy_frame_used_on_kept", || {
        let wanted = "a function to be called when the stream is not needed any more";
        let release = release.ok_or(Failure::Null { argument: "release", wanted })?;
        let received = get(frame)?;
        received.frame.used_on_kept(stream_of(stream), Owner::new(Some(release), owner));
        Ok(())
    })
}

/// Orders `stream` after the content of the frame and notes it as used: needed only for another stream than that of
/// `uncopy_subscriber_recv_on`; for every other frame this is `uncopy_frame_used_on`.
///
/// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` while the stream is being captured, `UNCOPY_ERROR_DEVICE_LOST`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_ready_on(
    frame: *const uncopy_frame,
    stream: *mut c_void,
) -> uncopy_status {
    call("uncopy_frame_ready_on", || {
        let Received { frame, .. } = &*get(frame)?;
        if frame.device().is_host_accessible() {
            return Ok(());
        }
        Ok(frame.ready_on(stream_of(stream))?)
    })
}

/// Notes that something reads the frame on its device that can't say in which stream: the slot goes back only when the
/// device has done everything that this process gave it. `uncopy_frame_used_on` is better wherever the stream is known.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_used_anywhere(frame: *const uncopy_frame) -> uncopy_status {
    call("uncopy_frame_used_anywhere", || {
        get(frame)?.frame.used_anywhere();
        Ok(())
    })
}

/// Whether the content never came, since the producer died while its device was at work on it; `*torn` is 1 then. Only a
/// frame of `uncopy_subscriber_recv_on` can turn out so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_is_torn(frame: *const uncopy_frame, torn: *mut i32) -> uncopy_status {
    call("uncopy_frame_is_torn", || {
        // SAFETY: the contract of the header.
        let torn = unsafe { Out::at("torn", torn, 0) }?;
        torn.put(get(frame)?.frame.is_torn().into());
        Ok(())
    })
}

/// Another handle of the same frame. The slot goes back after the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_clone(
    frame: *const uncopy_frame,
    out: *mut *mut uncopy_frame,
) -> uncopy_status {
    call("uncopy_frame_clone", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let Received { frame, staging } = &*get(frame)?;
        out.put(put(frame.clone(), staging)?);
        Ok(())
    })
}

/// Ends a handle; the slot goes back to the producer after the last of handles, arrays and DLPack structs. On any thread,
/// also after the subscriber is gone. NULL is left alone; so is a handle that was destroyed, or made before a fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_frame_destroy(frame: *mut uncopy_frame) {
    if !frame.is_null() {
        call_silently("uncopy_frame_destroy", || FRAMES.take(frame.addr()).map(drop));
    }
}
