// SPDX-License-Identifier: MIT OR Apache-2.0
//! The primary context of a device: the one that every library of a process shares.
//!
//! It is retained once in a process and never released: releasing the last hold waits for the device and ends what
//! other libraries think is theirs, and memory of ours may be dropped at any time, on any thread. When it is lost to
//! an error (`CUDA_ERROR_ILLEGAL_ADDRESS` and its like), calls through it fail from then on without asking the driver:
//! [`CudaError::Poisoned`].

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Mutex;

use super::{Calls, Driver};
use crate::CudaError;
use crate::raw::{CUcontext, CUdevice};

/// The contexts of this process. Locked when a device is opened, and by no process that was forked: opening is refused
/// there before.
static CONTEXTS: Mutex<Vec<&'static Context>> = Mutex::new(Vec::new());

/// The primary context of one device.
#[derive(Debug)]
pub struct Context {
    calls: Calls,
    handle: CUcontext,
    device: CUdevice,
    ordinal: i32,
}

impl Context {
    /// The primary context of the device with this ordinal, retained at the first call. Other libraries' flags stay.
    ///
    /// # Errors
    ///
    /// No such device, or the driver's: out of memory, or a device in another's exclusive use.
    pub fn primary(driver: &'static Driver, ordinal: i32) -> Result<&'static Context, CudaError> {
        let device = driver.device(ordinal)?;
        let mut contexts = CONTEXTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = contexts.iter().find(|context| context.device == device) {
            return Ok(known);
        }
        let _relaxed = driver.calls().relaxed()?;
        let mut handle = CUcontext::NULL;
        // SAFETY: a place for a `CUcontext`, alive during the call; the device is one that the driver gave.
        unsafe { driver.calls().device_primary_ctx_retain(&raw mut handle, device) }?;
        let context = Context { calls: driver.calls().for_context(), handle, device, ordinal };
        let context: &'static Context = Box::leak(Box::new(context));
        contexts.push(context);
        Ok(context)
    }

    /// Makes the context current on this thread until the guard drops. Costs a question if it is current already.
    ///
    /// # Errors
    ///
    /// The context is lost, the process was forked, or the driver's.
    #[inline]
    pub fn enter(&self) -> Result<Entered<'_>, CudaError> {
        let mut current = CUcontext::NULL;
        // SAFETY: a place for a `CUcontext`, alive during the call.
        unsafe { self.calls.ctx_get_current(&raw mut current) }?;
        let pushed = current != self.handle;
        if pushed {
            // SAFETY: the context is retained until the process ends.
            unsafe { self.calls.ctx_push_current(self.handle) }?;
        }
        Ok(Entered { context: self, pushed, _not_send: PhantomData })
    }

    /// The driver's handle.
    pub fn handle(&self) -> CUcontext {
        self.handle
    }

    /// The device as the driver's handle.
    pub fn device(&self) -> CUdevice {
        self.device
    }

    /// The device as this process counts it.
    pub fn ordinal(&self) -> i32 {
        self.ordinal
    }

    /// The error that later calls get, once the context is lost.
    pub fn loss(&self) -> Option<CudaError> {
        let loss = self.calls.loss()?;
        Some(CudaError::Poisoned { call: "a later call", first_call: loss.call, code: loss.code })
    }
}

/// Entries that need no context, for drops: whether a context is lost does not matter to them.
pub(super) fn calls_without_context() -> Option<&'static Calls> {
    Driver::loaded().map(Driver::calls)
}

/// A thread on which a context is current. It derefs to the driver's [`Calls`].
#[derive(Debug)]
pub struct Entered<'c> {
    context: &'c Context,
    pushed: bool,
    /// Contexts are current on a thread.
    _not_send: PhantomData<*const ()>,
}

impl<'c> Entered<'c> {
    /// Whose context it is.
    pub fn context(&self) -> &'c Context {
        self.context
    }
}

impl Deref for Entered<'_> {
    type Target = Calls;

    fn deref(&self) -> &Calls {
        &self.context.calls
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.pushed {
            return;
        }
        let mut popped = CUcontext::NULL;
        let Some(calls) = calls_without_context() else { return };
        // SAFETY: a place for a `CUcontext`, alive during the call. What is popped is what `enter` pushed: guards drop
        // on their own thread, innermost first. Also of a lost context, so that it does not stay current.
        let popping = unsafe { calls.ctx_pop_current(&raw mut popped) };
        // Fails only in a forked child, where no context is current.
        let _ = popping;
    }
}
