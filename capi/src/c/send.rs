// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sending arrays: one copy into a slot.

use std::ffi::c_void;

use uncopy::{Form, Meta, Sent, Waiting};

use super::array::{self, Held, uncopy_array};
use super::call::call;
use super::error::uncopy_status;
use super::memory::{uncopy_memory, wrapped};
use super::meta::{meta_of, uncopy_meta};
use super::pointers::Out;
use super::publisher::{self, Producing, PublisherEnd, uncopy_publisher};
use super::sized::{read_optional, read_sized, sized_struct};
use super::stream::stream_of;
use super::values::picture;
use super::waiting::Attentive;
use crate::failure::Failure;

/// How an array is sent. Begin with `UNCOPY_SEND_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_send_options {
    /// `sizeof(uncopy_send_options)`.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// `UNCOPY_PIXEL_*`.
    pub pixel_format: u16,
    /// `UNCOPY_ORIGIN_*`.
    pub origin: u8,
    /// `UNCOPY_CHANNELS_*`; 0: what the pixel format implies.
    pub channel_order: u8,
    /// 0.
    pub reserved: u32,
    /// The stream that an array on a device is copied in, ordered after the work that makes its content. NULL: the one
    /// that the array was said to be made on, or the legacy default stream.
    pub stream: *mut c_void,
    /// NULL: none.
    pub meta: *const uncopy_meta,
}
sized_struct!(uncopy_send_options, "UNCOPY_SEND_OPTIONS_INIT", 32);

/// Copies an array into a slot and publishes it: **one copy**, where the array is, recorded with the frame. It is packed in
/// C order. Host and GPU alike. `options` may be NULL. `*seq` is the frame's number, from 1, or 0 when it was dropped
/// because every slot was held, which is no failure.
///
/// Stream order: in host memory the copy is made when the call returns. On a device it is put into `options->stream` and
/// the call returns; the memory of the array is kept until it is made, and given back by a later call. Work that is put into
/// that stream afterwards may write to the array. The stream may be destroyed as soon as the call has returned.
///
/// Errors: `UNCOPY_ERROR_FORM_MISMATCH` on a link that was opened for another form, `UNCOPY_ERROR_INVALID_ARGUMENT` for
/// metadata that is too long and for a stream that is being captured, `UNCOPY_ERROR_NO_FREE_SLOT` when a producer that
/// blocks found no room in time, `UNCOPY_ERROR_SUPERSEDED` after a takeover, `UNCOPY_ERROR_INTERRUPTED`,
/// `UNCOPY_ERROR_OUT_OF_MEMORY`, `UNCOPY_ERROR_UNSUPPORTED` where the array's device can't be used,
/// `UNCOPY_ERROR_DEVICE_LOST`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_send(
    publisher: *mut uncopy_publisher,
    array: *const uncopy_array,
    options: *const uncopy_send_options,
    seq: *mut u64,
) -> uncopy_status {
    call("uncopy_publisher_send", || {
        // SAFETY: the contract of the header.
        let seq = unsafe { Out::at("seq", seq, 0) }?;
        let end = publisher::get(publisher)?;
        let held = array::get(array)?;
        // SAFETY: the contract of the header.
        unsafe { send(&end, &held, options, &seq) }
    })
}

/// `uncopy_publisher_send` of memory that need not be an array: `memory->release` is not called, and memory on a device stays
/// until the copy in its stream is made, which `uncopy_publisher_flush` waits for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_send_memory(
    publisher: *mut uncopy_publisher,
    memory: *const uncopy_memory,
    options: *const uncopy_send_options,
    seq: *mut u64,
) -> uncopy_status {
    call("uncopy_publisher_send_memory", || {
        // SAFETY: the contract of the header.
        let seq = unsafe { Out::at("seq", seq, 0) }?;
        let end = publisher::get(publisher)?;
        // SAFETY: the contract of the header.
        let memory = unsafe { read_sized("memory", memory) }?;
        // SAFETY: the contract of the header: it is there until the copy is made.
        let held = unsafe { wrapped(&memory, ()) }?;
        // SAFETY: the contract of the header.
        unsafe { send(&end, &held, options, &seq) }
    })
}

/// # Safety
/// `options` is null or leads to such a struct, whose metadata is there.
unsafe fn send(
    end: &PublisherEnd,
    held: &Held,
    options: *const uncopy_send_options,
    seq: &Out<u64>,
) -> Result<(), Failure> {
    // SAFETY: passed on.
    let options = unsafe { read_optional("options", options) }?;
    let tensor = held.tensor();
    let mut form = Form::from_layout(tensor.layout().to_c_contiguous());
    let mut meta = Meta::default();
    let mut stream = held.made_on();
    if let Some(options) = options {
        form = picture(form, options.pixel_format, options.origin, options.channel_order);
        // SAFETY: passed on.
        meta = unsafe { meta_of(options.meta) }?;
        stream = if options.stream.is_null() { stream } else { Some(stream_of(options.stream)) };
    }
    if tensor.device().is_host_accessible() && stream.is_some() {
        return Err(Failure::Argument(
            "stream is for arrays on a device, and this is in host memory".to_owned(),
        ));
    }
    let sent = end.with(|Producing { publisher, .. }| {
        let mut attentive = Attentive(end);
        let waiting: Option<&mut dyn Waiting> = Some(&mut attentive);
        Ok(match stream {
            Some(stream) => publisher.send_on(&form, tensor, meta, stream, waiting)?,
            None => publisher.send_with(&form, tensor, meta, waiting)?,
        })
    })?;
    seq.put(match sent {
        Sent::Published { seq } => seq,
        Sent::Dropped => 0,
    });
    Ok(())
}
