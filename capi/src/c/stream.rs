// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams as C programs pass them: the driver's handle, `cudaStream_t` or `CUstream`.

use std::ffi::c_void;

use uncopy::Stream;

use crate::failure::Failure;

/// The stream of a handle; null is the legacy default stream.
pub fn stream_of(handle: *mut c_void) -> Stream {
    // `as` only widens.
    Stream::from_raw(handle.addr() as u64)
}

/// The handle of a stream.
pub fn handle_of(stream: Stream) -> *mut c_void {
    // Lossless on 64-bit targets.
    std::ptr::without_provenance_mut(stream.raw() as usize)
}

/// A stream that is kept for later calls, which may come from another thread; `None` for null.
pub fn kept_stream(argument: &'static str, handle: *mut c_void) -> Result<Option<Stream>, Failure> {
    if handle.is_null() {
        return Ok(None);
    }
    let stream = stream_of(handle);
    if stream == Stream::PER_THREAD_DEFAULT {
        return Err(Failure::Argument(format!(
            "{argument} is the per-thread default stream, which is another one in every thread; name one that you made"
        )));
    }
    Ok(Some(stream))
}
