// SPDX-License-Identifier: MIT OR Apache-2.0
//! The entries of the driver, and the one way to call them.
//!
//! A line of the list below is an entry: whether we can do without it, its name, the version of CUDA that brought the
//! form that we call (asked of `cuGetProcAddress`), the name under which the library exports that form (asked of
//! `dlsym` where there is no `cuGetProcAddress`), and its signature. Source: `cuda.h` and `cudaTypedefs.h` of CUDA
//! 13.2. A version pins the form: a newer driver answers with the old one when it is asked for the old version.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::fork;
use crate::code::Aftermath;
use crate::raw::*;
use crate::{CudaError, DriverCode};

/// What is known of an entry before it is found.
pub(super) struct Entry {
    /// The name without a version.
    pub name: &'static str,
    /// The same, with a zero byte.
    pub name_with_nul: &'static str,
    /// The version of CUDA that has this form, as 1000 × major + 10 × minor.
    pub version: c_int,
    /// The exported name of this form, with a zero byte.
    pub exported_with_nul: &'static str,
    /// Whether a driver without it is no driver.
    pub is_required: bool,
}

/// The first call that found the context lost, and what it answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    pub call: &'static str,
    pub code: DriverCode,
}

/// The driver's entries. [`Driver`](crate::Driver) gives them without a context, [`Entered`](crate::Entered) with one.
///
/// Every call through here is checked: in a forked child it is [`CudaError::Forked`], and when it belongs to a context
/// that is lost it is [`CudaError::Poisoned`]; neither reaches the driver. A code other than 0 is an error, and a code
/// that says that the context is lost makes it so for all later calls.
#[derive(Debug)]
pub struct Calls {
    table: Table,
    generation: u32,
    /// Set by the first call that finds the context lost. For entries without a context it is never set.
    loss: OnceLock<Loss>,
    has_context: bool,
}

impl Calls {
    pub(super) fn without_context(table: Table, generation: u32) -> Calls {
        Calls { table, generation, loss: OnceLock::new(), has_context: false }
    }

    /// The same entries for one context, whose losses count for it alone.
    pub(super) fn for_context(&self) -> Calls {
        Calls { table: self.table, generation: self.generation, loss: OnceLock::new(), has_context: true }
    }

    /// Whether streams can write and await words.
    pub(crate) fn has_stream_memory_operations(&self) -> bool {
        self.check_stream_memory_operations().is_ok()
    }

    /// Refuses a driver whose streams can't, by the name of what it lacks.
    pub(crate) fn check_stream_memory_operations(&self) -> Result<(), CudaError> {
        let Table { stream_batch_mem_op, stream_write_value_32, .. } = &self.table;
        let needed = [
            ("cuStreamBatchMemOp", stream_batch_mem_op.is_some()),
            ("cuStreamWriteValue32", stream_write_value_32.is_some()),
        ];
        match needed.iter().find(|(_, is_there)| !is_there) {
            Some((symbol, _)) => Err(CudaError::Missing { symbol }),
            None => Ok(()),
        }
    }

    /// Whether an event can be recorded behind everything that is in a context.
    pub(crate) fn has_events_of_contexts(&self) -> bool {
        self.table.ctx_record_event.is_some()
    }

    /// How the context was lost, if it was.
    pub(crate) fn loss(&self) -> Option<Loss> {
        self.loss.get().copied()
    }

    /// Lets a call through to the driver, or says why not.
    #[inline]
    pub(super) fn admit(&self, call: &'static str) -> Result<(), CudaError> {
        if fork::generation() != self.generation {
            return Err(CudaError::Forked { call });
        }
        match self.loss.get() {
            None => Ok(()),
            Some(loss) => Err(CudaError::Poisoned { call, first_call: loss.call, code: loss.code }),
        }
    }

    /// The error for `code`, after noting what it means for the context.
    #[cold]
    fn failed(&self, call: &'static str, code: CUresult) -> CudaError {
        let code = DriverCode(code);
        if self.has_context && self.is_lost_after(code) && self.loss.set(Loss { call, code }).is_ok() {
            tracing::error!(call, %code, "the CUDA context of this process is lost");
        }
        CudaError::Driver { call, code }
    }

    fn is_lost_after(&self, code: DriverCode) -> bool {
        match code.aftermath() {
            Aftermath::Usable => false,
            Aftermath::Lost => true,
            Aftermath::Unknown => !self.answers(),
        }
    }

    /// Whether the current context still answers a harmless question.
    fn answers(&self) -> bool {
        let (mut free, mut total) = (0, 0);
        let Some(mem_get_info) = self.table.mem_get_info else { return false };
        // SAFETY: both are places for a `size_t`, alive during the call.
        let code = unsafe { mem_get_info(&raw mut free, &raw mut total) };
        code == 0
    }
}

/// Writes the table and its calls from one list, so that a signature is said once.
macro_rules! entries {
    ($($need:ident $symbol:literal $version:literal $exported:literal
        fn $name:ident($($argument:ident: $type:ty),* $(,)?);)+) => {
        /// The addresses of the entries; `None` where this driver has none.
        #[derive(Clone, Copy, Debug)]
        pub(super) struct Table {
            $($name: Option<unsafe extern "system" fn($($type),*) -> CUresult>,)+
        }

        impl Table {
            /// Finds every entry; the name of the first that is required and not there is the error.
            ///
            /// # Safety
            ///
            /// What `find` returns for an entry is the address of the C function of that name and version, and stays
            /// so until the process ends.
            pub(super) unsafe fn find(
                find: &dyn Fn(&Entry) -> Option<NonNull<c_void>>,
            ) -> Result<Table, &'static str> {
                Ok(Table {$(
                    $name: {
                        const ENTRY: Entry = Entry {
                            name: $symbol,
                            name_with_nul: concat!($symbol, "\0"),
                            version: $version,
                            exported_with_nul: concat!($exported, "\0"),
                            is_required: entries!(@is_required $need),
                        };
                        let found = find(&ENTRY);
                        if ENTRY.is_required && found.is_none() {
                            return Err(ENTRY.name);
                        }
                        found.map(|address| {
                            // SAFETY: `address` is that of the C function (contract of `find`), the list has its
                            // signature from the header, and a pointer to a function is as large as one to data on
                            // every system that has a driver.
                            unsafe {
                                std::mem::transmute::<
                                    NonNull<c_void>,
                                    unsafe extern "system" fn($($type),*) -> CUresult,
                                >(address)
                            }
                        })
                    },
                )+})
            }
        }

        impl Calls {$(
            #[doc = concat!("`", $symbol, "`, in the form of CUDA version ", stringify!($version), ".")]
            ///
            /// # Errors
            ///
            /// The driver's answer; [`CudaError::Missing`], [`CudaError::Forked`], [`CudaError::Poisoned`].
            ///
            /// # Safety
            ///
            /// What the C function asks: handles are alive and of this process, pointers lead to places of the right
            /// size that stay until the call (for work in a stream: the work) is done, and the right context is
            /// current.
            #[inline]
            #[allow(clippy::too_many_arguments)]
            pub unsafe fn $name(&self, $($argument: $type),*) -> Result<(), CudaError> {
                self.admit($symbol)?;
                let Some(entry) = self.table.$name else {
                    return Err(CudaError::Missing { symbol: $symbol });
                };
                // SAFETY: the caller keeps the C function's contract (contract of this function), and the address is
                // that function's (contract of `Table::find`).
                let code = unsafe { entry($($argument),*) };
                if code == 0 { Ok(()) } else { Err(self.failed($symbol, code)) }
            }
        )+}
    };
    (@is_required required) => { true };
    (@is_required optional) => { false };
}

entries! {
    // The driver, and its devices.
    required "cuInit" 2000 "cuInit" fn init(flags: c_uint);
    required "cuDriverGetVersion" 2020 "cuDriverGetVersion" fn driver_get_version(version: *mut c_int);
    required "cuGetErrorName" 6000 "cuGetErrorName" fn get_error_name(code: CUresult, name: *mut *const c_char);
    required "cuGetErrorString" 6000 "cuGetErrorString"
        fn get_error_string(code: CUresult, text: *mut *const c_char);
    required "cuDeviceGetCount" 2000 "cuDeviceGetCount" fn device_get_count(count: *mut c_int);
    required "cuDeviceGet" 2000 "cuDeviceGet" fn device_get(device: *mut CUdevice, ordinal: c_int);
    required "cuDeviceGetName" 2000 "cuDeviceGetName"
        fn device_get_name(name: *mut c_char, len: c_int, device: CUdevice);
    required "cuDeviceGetUuid" 11040 "cuDeviceGetUuid_v2"
        fn device_get_uuid(uuid: *mut Uuid, device: CUdevice);
    required "cuDeviceGetAttribute" 2000 "cuDeviceGetAttribute"
        fn device_get_attribute(value: *mut c_int, attribute: c_int, device: CUdevice);
    required "cuDeviceTotalMem" 3020 "cuDeviceTotalMem_v2"
        fn device_total_mem(bytes: *mut usize, device: CUdevice);
    optional "cuDeviceGetPCIBusId" 4010 "cuDeviceGetPCIBusId"
        fn device_get_pci_bus_id(id: *mut c_char, len: c_int, device: CUdevice);
    optional "cuDeviceCanAccessPeer" 4000 "cuDeviceCanAccessPeer"
        fn device_can_access_peer(can: *mut c_int, device: CUdevice, peer: CUdevice);

    // Contexts.
    required "cuDevicePrimaryCtxRetain" 7000 "cuDevicePrimaryCtxRetain"
        fn device_primary_ctx_retain(context: *mut CUcontext, device: CUdevice);
    required "cuDevicePrimaryCtxRelease" 11000 "cuDevicePrimaryCtxRelease_v2"
        fn device_primary_ctx_release(device: CUdevice);
    optional "cuDevicePrimaryCtxGetState" 7000 "cuDevicePrimaryCtxGetState"
        fn device_primary_ctx_get_state(device: CUdevice, flags: *mut c_uint, active: *mut c_int);
    required "cuCtxGetCurrent" 4000 "cuCtxGetCurrent" fn ctx_get_current(context: *mut CUcontext);
    required "cuCtxPushCurrent" 4000 "cuCtxPushCurrent_v2" fn ctx_push_current(context: CUcontext);
    required "cuCtxPopCurrent" 4000 "cuCtxPopCurrent_v2" fn ctx_pop_current(context: *mut CUcontext);
    optional "cuCtxGetDevice" 2000 "cuCtxGetDevice" fn ctx_get_device(device: *mut CUdevice);
    optional "cuCtxSynchronize" 2000 "cuCtxSynchronize" fn ctx_synchronize();
    optional "cuCtxEnablePeerAccess" 4000 "cuCtxEnablePeerAccess"
        fn ctx_enable_peer_access(peer: CUcontext, flags: c_uint);
    optional "cuCtxRecordEvent" 12050 "cuCtxRecordEvent"
        fn ctx_record_event(context: CUcontext, event: CUevent);

    // Streams, and captures of them.
    required "cuStreamCreate" 2000 "cuStreamCreate" fn stream_create(stream: *mut CUstream, flags: c_uint);
    required "cuStreamDestroy" 4000 "cuStreamDestroy_v2" fn stream_destroy(stream: CUstream);
    required "cuStreamQuery" 2000 "cuStreamQuery" fn stream_query(stream: CUstream);
    required "cuStreamSynchronize" 2000 "cuStreamSynchronize" fn stream_synchronize(stream: CUstream);
    required "cuStreamWaitEvent" 3020 "cuStreamWaitEvent"
        fn stream_wait_event(stream: CUstream, event: CUevent, flags: c_uint);
    required "cuStreamIsCapturing" 10000 "cuStreamIsCapturing"
        fn stream_is_capturing(stream: CUstream, status: *mut c_uint);
    required "cuThreadExchangeStreamCaptureMode" 10010 "cuThreadExchangeStreamCaptureMode"
        fn thread_exchange_stream_capture_mode(mode: *mut c_uint);
    optional "cuStreamGetCaptureInfo" 10010 "cuStreamGetCaptureInfo"
        fn stream_get_capture_info(stream: CUstream, status: *mut c_uint, id: *mut u64);
    optional "cuStreamBeginCapture" 10010 "cuStreamBeginCapture_v2"
        fn stream_begin_capture(stream: CUstream, mode: c_uint);
    optional "cuStreamEndCapture" 10000 "cuStreamEndCapture"
        fn stream_end_capture(stream: CUstream, graph: *mut CUgraph);
    optional "cuGraphInstantiateWithFlags" 11040 "cuGraphInstantiateWithFlags"
        fn graph_instantiate(executable: *mut CUgraphExec, graph: CUgraph, flags: u64);
    optional "cuGraphLaunch" 10000 "cuGraphLaunch" fn graph_launch(executable: CUgraphExec, stream: CUstream);
    optional "cuGraphExecDestroy" 10000 "cuGraphExecDestroy" fn graph_exec_destroy(executable: CUgraphExec);
    optional "cuGraphDestroy" 10000 "cuGraphDestroy" fn graph_destroy(graph: CUgraph);
    optional "cuGraphGetNodes" 10000 "cuGraphGetNodes"
        fn graph_get_nodes(graph: CUgraph, nodes: *mut c_void, count: *mut usize);
    optional "cuLaunchHostFunc" 10000 "cuLaunchHostFunc"
        fn launch_host_func(stream: CUstream, function: CUhostFn, data: *mut c_void);

    // Events.
    required "cuEventCreate" 2000 "cuEventCreate" fn event_create(event: *mut CUevent, flags: c_uint);
    required "cuEventRecord" 2000 "cuEventRecord" fn event_record(event: CUevent, stream: CUstream);
    required "cuEventQuery" 2000 "cuEventQuery" fn event_query(event: CUevent);
    required "cuEventSynchronize" 2000 "cuEventSynchronize" fn event_synchronize(event: CUevent);
    required "cuEventDestroy" 4000 "cuEventDestroy_v2" fn event_destroy(event: CUevent);
    optional "cuEventElapsedTime" 2000 "cuEventElapsedTime"
        fn event_elapsed_time(milliseconds: *mut f32, start: CUevent, end: CUevent);

    // Memory of the device.
    required "cuMemGetInfo" 3020 "cuMemGetInfo_v2" fn mem_get_info(free: *mut usize, total: *mut usize);
    required "cuMemAlloc" 3020 "cuMemAlloc_v2" fn mem_alloc(address: *mut CUdeviceptr, bytes: usize);
    required "cuMemFree" 3020 "cuMemFree_v2" fn mem_free(address: CUdeviceptr);
    required "cuMemGetAddressRange" 3020 "cuMemGetAddressRange_v2"
        fn mem_get_address_range(base: *mut CUdeviceptr, bytes: *mut usize, address: CUdeviceptr);
    required "cuPointerGetAttribute" 4000 "cuPointerGetAttribute"
        fn pointer_get_attribute(value: *mut c_void, attribute: c_int, address: CUdeviceptr);
    optional "cuPointerGetAttributes" 7000 "cuPointerGetAttributes"
        fn pointer_get_attributes(
            count: c_uint, attributes: *mut c_int, values: *mut *mut c_void, address: CUdeviceptr,
        );
    required "cuMemsetD8Async" 3020 "cuMemsetD8Async"
        fn memset_d8_async(address: CUdeviceptr, value: u8, count: usize, stream: CUstream);
    optional "cuMemsetD32Async" 3020 "cuMemsetD32Async"
        fn memset_d32_async(address: CUdeviceptr, value: c_uint, count: usize, stream: CUstream);
    required "cuMemcpyAsync" 4000 "cuMemcpyAsync"
        fn memcpy_async(to: CUdeviceptr, from: CUdeviceptr, bytes: usize, stream: CUstream);
    required "cuMemcpyDtoDAsync" 3020 "cuMemcpyDtoDAsync_v2"
        fn memcpy_dtod_async(to: CUdeviceptr, from: CUdeviceptr, bytes: usize, stream: CUstream);
    required "cuMemcpyHtoDAsync" 3020 "cuMemcpyHtoDAsync_v2"
        fn memcpy_htod_async(to: CUdeviceptr, from: *const c_void, bytes: usize, stream: CUstream);
    required "cuMemcpyDtoHAsync" 3020 "cuMemcpyDtoHAsync_v2"
        fn memcpy_dtoh_async(to: *mut c_void, from: CUdeviceptr, bytes: usize, stream: CUstream);
    optional "cuMemcpyPeerAsync" 4000 "cuMemcpyPeerAsync"
        fn memcpy_peer_async(
            to: CUdeviceptr, to_context: CUcontext, from: CUdeviceptr, from_context: CUcontext, bytes: usize,
            stream: CUstream,
        );
    optional "cuMemcpy2DAsync" 3020 "cuMemcpy2DAsync_v2"
        fn memcpy_2d_async(copy: *const Memcpy2d, stream: CUstream);
    optional "cuMemcpy3DAsync" 3020 "cuMemcpy3DAsync_v2"
        fn memcpy_3d_async(copy: *const Memcpy3d, stream: CUstream);
    optional "cuMemAllocAsync" 11020 "cuMemAllocAsync"
        fn mem_alloc_async(address: *mut CUdeviceptr, bytes: usize, stream: CUstream);
    optional "cuMemFreeAsync" 11020 "cuMemFreeAsync" fn mem_free_async(address: CUdeviceptr, stream: CUstream);

    // Memory pools.
    optional "cuMemPoolCreate" 11020 "cuMemPoolCreate"
        fn mem_pool_create(pool: *mut CUmemoryPool, props: *const PoolProps);
    optional "cuMemPoolDestroy" 11020 "cuMemPoolDestroy" fn mem_pool_destroy(pool: CUmemoryPool);
    optional "cuMemPoolSetAccess" 11020 "cuMemPoolSetAccess"
        fn mem_pool_set_access(pool: CUmemoryPool, access: *const AccessDesc, count: usize);
    optional "cuMemAllocFromPoolAsync" 11020 "cuMemAllocFromPoolAsync"
        fn mem_alloc_from_pool_async(
            address: *mut CUdeviceptr, bytes: usize, pool: CUmemoryPool, stream: CUstream,
        );
    optional "cuMemPoolExportToShareableHandle" 11020 "cuMemPoolExportToShareableHandle"
        fn mem_pool_export(handle: *mut c_void, pool: CUmemoryPool, handle_type: c_uint, flags: u64);
    optional "cuMemPoolImportFromShareableHandle" 11020 "cuMemPoolImportFromShareableHandle"
        fn mem_pool_import(pool: *mut CUmemoryPool, handle: *mut c_void, handle_type: c_uint, flags: u64);
    optional "cuMemPoolExportPointer" 11020 "cuMemPoolExportPointer"
        fn mem_pool_export_pointer(data: *mut PoolPointer, address: CUdeviceptr);
    optional "cuMemPoolImportPointer" 11020 "cuMemPoolImportPointer"
        fn mem_pool_import_pointer(address: *mut CUdeviceptr, pool: CUmemoryPool, data: *mut PoolPointer);

    // Memory of the host.
    required "cuMemHostAlloc" 2020 "cuMemHostAlloc"
        fn mem_host_alloc(address: *mut *mut c_void, bytes: usize, flags: c_uint);
    required "cuMemFreeHost" 2000 "cuMemFreeHost" fn mem_free_host(address: *mut c_void);
    required "cuMemHostRegister" 6050 "cuMemHostRegister_v2"
        fn mem_host_register(address: *mut c_void, bytes: usize, flags: c_uint);
    required "cuMemHostUnregister" 4000 "cuMemHostUnregister" fn mem_host_unregister(address: *mut c_void);
    required "cuMemHostGetDevicePointer" 3020 "cuMemHostGetDevicePointer_v2"
        fn mem_host_get_device_pointer(device: *mut CUdeviceptr, host: *mut c_void, flags: c_uint);

    // Memory and addresses apart.
    optional "cuMemGetAllocationGranularity" 10020 "cuMemGetAllocationGranularity"
        fn mem_get_allocation_granularity(bytes: *mut usize, prop: *const AllocationProp, option: c_uint);
    optional "cuMemCreate" 10020 "cuMemCreate"
        fn mem_create(
            handle: *mut CUmemGenericAllocationHandle, bytes: usize, prop: *const AllocationProp, flags: u64,
        );
    optional "cuMemRelease" 10020 "cuMemRelease" fn mem_release(handle: CUmemGenericAllocationHandle);
    optional "cuMemRetainAllocationHandle" 11000 "cuMemRetainAllocationHandle"
        fn mem_retain_allocation_handle(handle: *mut CUmemGenericAllocationHandle, address: *mut c_void);
    optional "cuMemExportToShareableHandle" 10020 "cuMemExportToShareableHandle"
        fn mem_export(
            shareable: *mut c_void, handle: CUmemGenericAllocationHandle, handle_type: c_uint, flags: u64,
        );
    optional "cuMemImportFromShareableHandle" 10020 "cuMemImportFromShareableHandle"
        fn mem_import(
            handle: *mut CUmemGenericAllocationHandle, shareable: *mut c_void, handle_type: c_uint,
        );
    optional "cuMemGetAllocationPropertiesFromHandle" 10020 "cuMemGetAllocationPropertiesFromHandle"
        fn mem_get_allocation_properties(prop: *mut AllocationProp, handle: CUmemGenericAllocationHandle);
    optional "cuMemAddressReserve" 10020 "cuMemAddressReserve"
        fn mem_address_reserve(
            address: *mut CUdeviceptr, bytes: usize, alignment: usize, hint: CUdeviceptr, flags: u64,
        );
    optional "cuMemAddressFree" 10020 "cuMemAddressFree"
        fn mem_address_free(address: CUdeviceptr, bytes: usize);
    optional "cuMemMap" 10020 "cuMemMap"
        fn mem_map(
            address: CUdeviceptr, bytes: usize, offset: usize, handle: CUmemGenericAllocationHandle, flags: u64,
        );
    optional "cuMemUnmap" 10020 "cuMemUnmap" fn mem_unmap(address: CUdeviceptr, bytes: usize);
    optional "cuMemSetAccess" 10020 "cuMemSetAccess"
        fn mem_set_access(address: CUdeviceptr, bytes: usize, access: *const AccessDesc, count: usize);

    // Legacy interprocess handles.
    optional "cuIpcGetMemHandle" 4010 "cuIpcGetMemHandle"
        fn ipc_get_mem_handle(handle: *mut IpcHandle, address: CUdeviceptr);
    optional "cuIpcOpenMemHandle" 11000 "cuIpcOpenMemHandle_v2"
        fn ipc_open_mem_handle(address: *mut CUdeviceptr, handle: IpcHandle, flags: c_uint);
    optional "cuIpcCloseMemHandle" 4010 "cuIpcCloseMemHandle" fn ipc_close_mem_handle(address: CUdeviceptr);
    optional "cuIpcGetEventHandle" 4010 "cuIpcGetEventHandle"
        fn ipc_get_event_handle(handle: *mut IpcHandle, event: CUevent);
    optional "cuIpcOpenEventHandle" 4010 "cuIpcOpenEventHandle"
        fn ipc_open_event_handle(event: *mut CUevent, handle: IpcHandle);

    // Words that streams write and wait for.
    optional "cuStreamWriteValue32" 11070 "cuStreamWriteValue32_v2"
        fn stream_write_value_32(stream: CUstream, address: CUdeviceptr, value: u32, flags: c_uint);
    optional "cuStreamWaitValue32" 11070 "cuStreamWaitValue32_v2"
        fn stream_wait_value_32(stream: CUstream, address: CUdeviceptr, value: u32, flags: c_uint);
    optional "cuStreamBatchMemOp" 11070 "cuStreamBatchMemOp_v2"
        fn stream_batch_mem_op(stream: CUstream, count: c_uint, operations: *mut BatchMemOp, flags: c_uint);

    // Code.
    optional "cuModuleLoadData" 2000 "cuModuleLoadData"
        fn module_load_data(module: *mut CUmodule, image: *const c_void);
    optional "cuModuleUnload" 2000 "cuModuleUnload" fn module_unload(module: CUmodule);
    optional "cuModuleGetFunction" 2000 "cuModuleGetFunction"
        fn module_get_function(function: *mut CUfunction, module: CUmodule, name: *const c_char);
    optional "cuLaunchKernel" 4000 "cuLaunchKernel"
        fn launch_kernel(
            function: CUfunction, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint,
            block_y: c_uint, block_z: c_uint, shared_bytes: c_uint, stream: CUstream,
            arguments: *mut *mut c_void, extra: *mut *mut c_void,
        );

    // Memory and semaphores of other APIs.
    optional "cuImportExternalMemory" 10000 "cuImportExternalMemory"
        fn import_external_memory(memory: *mut CUexternalMemory, desc: *const ExternalMemoryDesc);
    optional "cuExternalMemoryGetMappedBuffer" 10000 "cuExternalMemoryGetMappedBuffer"
        fn external_memory_get_mapped_buffer(
            address: *mut CUdeviceptr, memory: CUexternalMemory, desc: *const ExternalBufferDesc,
        );
    optional "cuDestroyExternalMemory" 10000 "cuDestroyExternalMemory"
        fn destroy_external_memory(memory: CUexternalMemory);
    optional "cuImportExternalSemaphore" 10000 "cuImportExternalSemaphore"
        fn import_external_semaphore(semaphore: *mut CUexternalSemaphore, desc: *const ExternalSemaphoreDesc);
    optional "cuDestroyExternalSemaphore" 10000 "cuDestroyExternalSemaphore"
        fn destroy_external_semaphore(semaphore: CUexternalSemaphore);
    optional "cuSignalExternalSemaphoresAsync" 10000 "cuSignalExternalSemaphoresAsync"
        fn signal_external_semaphores_async(
            semaphores: *const CUexternalSemaphore, params: *const SemaphoreParams, count: c_uint,
            stream: CUstream,
        );
    optional "cuWaitExternalSemaphoresAsync" 10000 "cuWaitExternalSemaphoresAsync"
        fn wait_external_semaphores_async(
            semaphores: *const CUexternalSemaphore, params: *const SemaphoreParams, count: c_uint,
            stream: CUstream,
        );
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

    use super::*;

    static CALLS_MADE: AtomicUsize = AtomicUsize::new(0);
    static ANSWER: AtomicI32 = AtomicI32::new(0);
    static INFO_ANSWER: AtomicI32 = AtomicI32::new(0);
    /// The statics above belong to one test at a time.
    static IN_USE: std::sync::Mutex<()> = std::sync::Mutex::new(());

    extern "system" fn stream_query(_: CUstream) -> CUresult {
        CALLS_MADE.fetch_add(1, Ordering::Relaxed);
        ANSWER.load(Ordering::Relaxed)
    }

    extern "system" fn mem_get_info(_: *mut usize, _: *mut usize) -> CUresult {
        INFO_ANSWER.load(Ordering::Relaxed)
    }

    /// Any address: entries other than the two above are found, and never called.
    extern "system" fn never_called() -> CUresult {
        1
    }

    fn address_of(entry: &Entry) -> Option<NonNull<c_void>> {
        let function: *const () = match entry.name {
            "cuStreamQuery" => stream_query as *const (),
            "cuMemGetInfo" => mem_get_info as *const (),
            _ => never_called as *const (),
        };
        NonNull::new(function.cast_mut().cast())
    }

    fn table_without(missing: &[&str]) -> Result<Table, &'static str> {
        let find = |entry: &Entry| (!missing.contains(&entry.name)).then(|| address_of(entry)).flatten();
        // SAFETY: the two entries that are called have the signatures of the list; the others are not called.
        unsafe { Table::find(&find) }
    }

    fn calls_of_a_context() -> Calls {
        Calls::without_context(table_without(&[]).unwrap(), fork::generation()).for_context()
    }

    fn query(calls: &Calls) -> Result<(), CudaError> {
        // SAFETY: the stream is not looked at.
        unsafe { calls.stream_query(CUstream(1)) }
    }

    #[test]
    fn a_required_entry_that_is_missing_is_named_and_an_optional_one_is_not_missed() {
        assert_eq!(table_without(&["cuStreamWaitEvent"]).unwrap_err(), "cuStreamWaitEvent");
        assert!(table_without(&["cuMemCreate", "cuStreamBatchMemOp", "cuCtxRecordEvent"]).is_ok());
    }

    #[test]
    fn a_call_that_the_driver_lacks_is_an_error_that_names_it() {
        let calls = Calls::without_context(table_without(&["cuMemRelease"]).unwrap(), fork::generation());
        // SAFETY: nothing is called.
        let error = unsafe { calls.mem_release(1) }.unwrap_err();
        assert!(matches!(error, CudaError::Missing { symbol: "cuMemRelease" }), "{error}");
    }

    #[test]
    fn every_form_is_asked_for_by_a_version_that_a_supported_driver_may_have() {
        let seen = RefCell::new(Vec::new());
        let find = |entry: &Entry| {
            seen.borrow_mut().push((entry.name, entry.version, entry.is_required));
            assert!(entry.name_with_nul.ends_with('\0') && entry.exported_with_nul.ends_with('\0'));
            assert!(entry.exported_with_nul.starts_with(entry.name), "{}", entry.name);
            address_of(entry)
        };
        // SAFETY: nothing is called.
        unsafe { Table::find(&find) }.unwrap();
        for (name, version, is_required) in seen.borrow().iter() {
            let is_old = *version <= crate::DriverVersion::NEEDED.0;
            assert!(is_old || !is_required, "{name} of {version} is required of a driver that may lack it");
        }
        let mut names: Vec<_> = seen.borrow().iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), seen.borrow().len(), "an entry stands in the list twice");
    }

    #[test]
    fn f29_the_first_lost_call_is_remembered_and_later_ones_never_reach_the_driver() {
        let _alone = IN_USE.lock().unwrap();
        let calls = calls_of_a_context();
        ANSWER.store(700, Ordering::Relaxed);
        assert!(matches!(query(&calls).unwrap_err(), CudaError::Driver { code: DriverCode(700), .. }));
        ANSWER.store(0, Ordering::Relaxed);
        let made = CALLS_MADE.load(Ordering::Relaxed);
        let error = query(&calls).unwrap_err();
        assert!(
            matches!(
                error,
                CudaError::Poisoned {
                    call: "cuStreamQuery",
                    first_call: "cuStreamQuery",
                    code: DriverCode(700)
                }
            ),
            "{error}"
        );
        assert_eq!(CALLS_MADE.load(Ordering::Relaxed), made);
    }

    #[test]
    fn f29_an_error_that_only_failed_leaves_the_context_usable() {
        let _alone = IN_USE.lock().unwrap();
        let calls = calls_of_a_context();
        for code in [1, 2, 400, 600, 900] {
            ANSWER.store(code, Ordering::Relaxed);
            assert_eq!(query(&calls).unwrap_err().code(), Some(DriverCode(code)));
        }
        ANSWER.store(0, Ordering::Relaxed);
        query(&calls).unwrap();
    }

    #[test]
    fn f29_an_unknown_error_loses_the_context_only_if_it_no_longer_answers() {
        let _alone = IN_USE.lock().unwrap();
        ANSWER.store(999, Ordering::Relaxed);
        let calls = calls_of_a_context();
        INFO_ANSWER.store(0, Ordering::Relaxed);
        query(&calls).unwrap_err();
        assert!(calls.loss().is_none());
        INFO_ANSWER.store(999, Ordering::Relaxed);
        query(&calls).unwrap_err();
        assert!(calls.loss().is_some());
        ANSWER.store(0, Ordering::Relaxed);
    }

    #[test]
    fn one_context_is_lost_without_the_driver_or_another() {
        let _alone = IN_USE.lock().unwrap();
        let driver = Calls::without_context(table_without(&[]).unwrap(), fork::generation());
        let (one, other) = (driver.for_context(), driver.for_context());
        ANSWER.store(719, Ordering::Relaxed);
        query(&driver).unwrap_err();
        query(&one).unwrap_err();
        ANSWER.store(0, Ordering::Relaxed);
        query(&driver).unwrap();
        query(&other).unwrap();
        assert!(matches!(query(&one), Err(CudaError::Poisoned { .. })));
    }

    #[test]
    fn f45_calls_of_another_generation_never_reach_the_driver() {
        let calls = Calls::without_context(table_without(&[]).unwrap(), fork::generation().wrapping_add(1));
        assert!(matches!(query(&calls), Err(CudaError::Forked { call: "cuStreamQuery" })));
    }
}
