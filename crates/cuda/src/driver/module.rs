// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels from PTX: for tests, benchmarks and programs that render into a frame.

use std::ffi::{CStr, c_void};

use uncopy_core::Stream;

use super::context::Context;
use crate::CudaError;
use crate::raw::{CUfunction, CUmodule};

/// Code that was loaded on a device, until this drops.
#[derive(Debug)]
pub struct Module {
    context: &'static Context,
    handle: CUmodule,
}

impl Module {
    /// Compiles and loads a text of PTX.
    ///
    /// # Errors
    /// The driver's: what is no PTX, or is for a newer device.
    pub fn from_ptx(context: &'static Context, ptx: &CStr) -> Result<Module, CudaError> {
        let entered = context.enter()?;
        let _relaxed = entered.relaxed()?;
        let mut handle = CUmodule::NULL;
        // SAFETY: a place for a handle, and a text that ends with a zero as `cuda.h` asks of PTX, alive during the call.
        unsafe { entered.module_load_data(&raw mut handle, ptx.as_ptr().cast()) }?;
        Ok(Module { context, handle })
    }

    /// A kernel by its name.
    ///
    /// # Errors
    /// The driver's: there is none of that name.
    pub fn kernel(&self, name: &CStr) -> Result<Kernel<'_>, CudaError> {
        let entered = self.context.enter()?;
        let mut handle = CUfunction::NULL;
        // SAFETY: a place for a handle and a text that ends with a zero, alive during the call; the module is loaded.
        unsafe { entered.module_get_function(&raw mut handle, self.handle, name.as_ptr()) }?;
        Ok(Kernel { module: self, handle })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let Ok(entered) = self.context.enter() else { return };
        let _relaxed = entered.relaxed();
        // SAFETY: the module was loaded by `from_ptx`; its kernels borrow it.
        let unloaded = unsafe { entered.module_unload(self.handle) };
        // It fails when the driver is gone, and the module with it.
        let _ = unloaded;
    }
}

/// A kernel of a module.
#[derive(Debug)]
pub struct Kernel<'m> {
    module: &'m Module,
    handle: CUfunction,
}

impl Kernel<'_> {
    /// Puts the kernel into a stream, with `blocks` blocks of `threads` threads in one dimension.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Safety
    /// `arguments` lead to values of the types and in the number that the kernel takes, and the kernel touches only
    /// memory that stays until the stream is done with it, and that nobody else uses meanwhile in a way that races.
    pub unsafe fn launch(
        &self,
        blocks: u32,
        threads: u32,
        arguments: &mut [*mut c_void],
        stream: Stream,
    ) -> Result<(), CudaError> {
        let entered = self.module.context.enter()?;
        let arguments = arguments.as_mut_ptr();
        let none = std::ptr::null_mut();
        // SAFETY: the kernel's module is loaded while it is borrowed, the stream exists (rule 2 of the layer), and the
        // rest is the caller's promise.
        unsafe {
            entered.launch_kernel(self.handle, blocks, 1, 1, threads, 1, 1, 0, stream.into(), arguments, none)
        }
    }
}
