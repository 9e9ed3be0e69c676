// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams of our own, and questions about anybody's.

use uncopy_core::Stream;

use super::context::{Context, Entered};
use crate::raw::CUstream;
use crate::raw::numbers::{CAPTURE_STATUS_NONE, STREAM_NON_BLOCKING};
use crate::{CudaError, DriverCode};

impl From<Stream> for CUstream {
    fn from(stream: Stream) -> CUstream {
        // A handle is as wide as an address, and only 64-bit systems are supported.
        CUstream(stream.raw() as usize)
    }
}

/// A stream that ends with this object; work in it is finished by the driver.
#[derive(Debug)]
pub(crate) struct OwnStream {
    context: &'static Context,
    handle: CUstream,
}

impl OwnStream {
    /// A stream that is not ordered with the legacy default stream.
    pub(crate) fn new(context: &'static Context) -> Result<OwnStream, CudaError> {
        let entered = context.enter()?;
        let _relaxed = entered.relaxed()?;
        let mut handle = CUstream::NULL;
        // SAFETY: a place for a `CUstream`, alive during the call.
        unsafe { entered.stream_create(&raw mut handle, STREAM_NON_BLOCKING) }?;
        Ok(OwnStream { context, handle })
    }

    /// The stream's number, good while this object lives.
    pub(crate) fn stream(&self) -> Stream {
        Stream::from_raw(self.handle.0 as u64)
    }
}

impl Drop for OwnStream {
    fn drop(&mut self) {
        let Ok(entered) = self.context.enter() else { return };
        // SAFETY: the handle was made by `new`, and nobody else destroys it.
        let destroyed = unsafe { entered.stream_destroy(self.handle) };
        // It fails when the driver is gone or the context lost, and the stream with it.
        let _ = destroyed;
    }
}

impl Entered<'_> {
    /// Whether the stream records its work into a graph.
    #[inline]
    pub(crate) fn is_capturing(&self, stream: Stream) -> Result<bool, CudaError> {
        let mut status = CAPTURE_STATUS_NONE;
        // SAFETY: a place for the status, alive during the call; the stream exists (rule 2 of the layer).
        match unsafe { self.stream_is_capturing(stream.into(), &raw mut status) } {
            Ok(()) => Ok(status != CAPTURE_STATUS_NONE),
            // The legacy default stream would become part of a capture that goes on in another stream.
            Err(CudaError::Driver { code: DriverCode::CAPTURE_IMPLICIT, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Refuses a stream that is being captured.
    #[inline]
    pub(crate) fn refuse_capturing(&self, stream: Stream) -> Result<(), CudaError> {
        if self.is_capturing(stream)? { Err(CudaError::Capturing { stream }) } else { Ok(()) }
    }

    /// Whether all work of the stream is done.
    pub(crate) fn is_done(&self, stream: Stream) -> Result<bool, CudaError> {
        // SAFETY: the stream exists (rule 2 of the layer).
        match unsafe { self.stream_query(stream.into()) } {
            Ok(()) => Ok(true),
            Err(CudaError::Driver { code: DriverCode::NOT_READY, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until all work of the context is done.
    pub(crate) fn settle(&self) -> Result<(), CudaError> {
        // SAFETY: a context is current, as this guard says.
        unsafe { self.ctx_synchronize() }
    }

    /// Waits until all work of the stream is done.
    pub(crate) fn synchronize(&self, stream: Stream) -> Result<(), CudaError> {
        // SAFETY: the stream exists (rule 2 of the layer).
        unsafe { self.stream_synchronize(stream.into()) }
    }
}
