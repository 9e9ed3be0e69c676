// SPDX-License-Identifier: MIT OR Apache-2.0
//! Legacy interprocess handles (`cuIpc…`). Links don't use them: their memory goes with its maker, and of their 64 bytes
//! 47 can be changed unnoticed. Other programs need them, so that `uncopy doctor` says whether they can be had.

use super::context::Context;
use crate::CudaError;
use crate::raw::{CUdeviceptr, IpcHandle};

impl Context {
    /// Tries to get a legacy handle of a little memory of this device (`cuIpcGetMemHandle`), which is freed before this
    /// returns; nobody is given the handle. Freeing waits for the device, so that this is for who looks and not for who works.
    ///
    /// # Errors
    /// The driver's: it may promise them and refuse, as in some containers and virtual machines.
    pub fn try_legacy_memory_handle(&self) -> Result<(), CudaError> {
        /// The least that is worth an allocation.
        const LEN_BYTES: usize = 4096;
        let entered = self.enter()?;
        let _relaxed = entered.relaxed()?;
        let mut address: CUdeviceptr = 0;
        // SAFETY: a place for an address, alive during the call.
        unsafe { entered.mem_alloc(&raw mut address, LEN_BYTES) }?;
        let mut handle = IpcHandle { reserved: [0; 64] };
        // SAFETY: a place for a handle, alive during the call; the memory was made just now.
        let given = unsafe { entered.ipc_get_mem_handle(&raw mut handle, address) };
        // SAFETY: made by this call, used by nothing, and freed once.
        let freed = unsafe { entered.mem_free(address) };
        given.and(freed)
    }
}
