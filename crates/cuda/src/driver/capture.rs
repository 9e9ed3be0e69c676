// SPDX-License-Identifier: MIT OR Apache-2.0
//! Not disturbing a capture that goes on in another thread.
//!
//! While any stream is being captured in the driver's global mode, calls that allocate, free, register or query end
//! that capture with an error, from whatever thread they come. A thread in relaxed mode is exempt. Source: `cuda.h`,
//! `cuThreadExchangeStreamCaptureMode`.

use std::marker::PhantomData;

use super::Calls;
use crate::CudaError;
use crate::raw::numbers::CAPTURE_RELAXED;

/// While it lives, calls of this thread disturb nobody's capture.
pub(crate) struct Relaxed<'c> {
    calls: &'c Calls,
    before: u32,
    /// The mode belongs to the thread.
    _not_send: PhantomData<*const ()>,
}

impl Calls {
    /// Puts this thread into relaxed mode; the guard puts it back.
    pub(crate) fn relaxed(&self) -> Result<Relaxed<'_>, CudaError> {
        let mut mode = CAPTURE_RELAXED;
        // SAFETY: a place for the mode, alive during the call; it holds a mode.
        unsafe { self.thread_exchange_stream_capture_mode(&raw mut mode) }?;
        Ok(Relaxed { calls: self, before: mode, _not_send: PhantomData })
    }
}

impl Drop for Relaxed<'_> {
    fn drop(&mut self) {
        let mut mode = self.before;
        // SAFETY: a place for the mode, alive during the call; it holds the mode that this thread had.
        let restored = unsafe { self.calls.thread_exchange_stream_capture_mode(&raw mut mode) };
        // It fails when the process was forked or the context lost meanwhile; then no capture is left to protect.
        let _ = restored;
    }
}
