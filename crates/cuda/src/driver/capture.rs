// SPDX-License-Identifier: MIT OR Apache-2.0
//! Not disturbing a capture that goes on in another thread.
//!
//! While any stream is being captured in the driver's global mode, calls that allocate, free, register or query end
//! that capture with an error, from whatever thread they come. A thread in relaxed mode is exempt. Source: `cuda.h`,
//! `cuThreadExchangeStreamCaptureMode`.

use std::marker::PhantomData;

use super::Calls;
use super::context::calls_without_context;
use crate::CudaError;
use crate::raw::numbers::CAPTURE_RELAXED;

/// While it lives, calls of this thread disturb nobody's capture.
pub(crate) struct Relaxed {
    before: u32,
    /// The mode belongs to the thread.
    _not_send: PhantomData<*const ()>,
}

impl Calls {
    /// Puts this thread into relaxed mode; the guard puts it back.
    pub(crate) fn relaxed(&self) -> Result<Relaxed, CudaError> {
        let mut mode = CAPTURE_RELAXED;
        // SAFETY: a place for the mode, alive during the call; it holds a mode.
        unsafe { self.thread_exchange_stream_capture_mode(&raw mut mode) }?;
        Ok(Relaxed { before: mode, _not_send: PhantomData })
    }
}

impl Drop for Relaxed {
    fn drop(&mut self) {
        let mut mode = self.before;
        // The mode belongs to the thread, not to a context that may be lost by now.
        let Some(calls) = calls_without_context() else { return };
        // SAFETY: a place for the mode, alive during the call; it holds the mode that this thread had.
        let restored = unsafe { calls.thread_exchange_stream_capture_mode(&raw mut mode) };
        // It fails in a forked child, which captures nothing.
        let _ = restored;
    }
}
