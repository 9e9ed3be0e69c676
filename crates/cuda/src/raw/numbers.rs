// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers of the C enumerations that we pass or read.

/// Declares constants of one enumeration.
macro_rules! numbers {
    ($($type:ident { $($name:ident = $value:literal, $meaning:literal;)+ })+) => {
        $($(#[doc = $meaning] pub const $name: $type = $value;)+)+
    };
}

// `CUdevice_attribute`.
numbers! { i32 {
    DEVICE_INTEGRATED = 18, "Whether the device shares the host's memory.";
    DEVICE_UNIFIED_ADDRESSING = 41, "Whether host and device share one address space.";
    DEVICE_COMPUTE_CAPABILITY_MAJOR = 75, "The major number of the compute capability.";
    DEVICE_COMPUTE_CAPABILITY_MINOR = 76, "The minor number of the compute capability.";
    DEVICE_HOST_REGISTER = 99, "Whether host memory can be registered.";
    DEVICE_VIRTUAL_MEMORY_MANAGEMENT = 102, "Whether memory and addresses can be had apart.";
    DEVICE_POSIX_FILE_DESCRIPTOR = 103, "Whether such memory can be shared by a file descriptor.";
    DEVICE_WIN32_HANDLE = 104, "Whether such memory can be shared by a handle of Windows.";
    DEVICE_READ_ONLY_HOST_REGISTER = 113, "Whether host memory can be registered for reading only.";
    DEVICE_MEMORY_POOLS = 115, "Whether there are memory pools.";
    DEVICE_MEMORY_POOL_HANDLE_TYPES = 119, "By which handles memory pools can be shared.";
    DEVICE_IPC_EVENT = 125, "Whether events can be shared by the legacy calls.";
    DEVICE_MPS_ENABLED = 133, "Whether contexts made on this device go through MPS.";
} }

numbers! { u32 {
    STREAM_NON_BLOCKING = 0x1, "`CU_STREAM_NON_BLOCKING`: not ordered with the legacy default stream.";
    EVENT_DISABLE_TIMING = 0x2, "`CU_EVENT_DISABLE_TIMING`.";
    EVENT_INTERPROCESS = 0x4, "`CU_EVENT_INTERPROCESS`; needs timing disabled.";
    WAIT_VALUE_GEQ = 0x0, "`CU_STREAM_WAIT_VALUE_GEQ`: until `(i32)(*address - value) >= 0`.";
    WRITE_VALUE_DEFAULT = 0x0, "`CU_STREAM_WRITE_VALUE_DEFAULT`: after everything before it is visible.";
    MEM_OP_WAIT_VALUE_32 = 1, "`CU_STREAM_MEM_OP_WAIT_VALUE_32`.";
    MEM_OP_WRITE_VALUE_32 = 2, "`CU_STREAM_MEM_OP_WRITE_VALUE_32`.";
    HOST_ALLOC_PORTABLE = 0x01, "`CU_MEMHOSTALLOC_PORTABLE`: pinned for every context.";
    HOST_ALLOC_DEVICEMAP = 0x02, "`CU_MEMHOSTALLOC_DEVICEMAP`.";
    HOST_REGISTER_PORTABLE = 0x01, "`CU_MEMHOSTREGISTER_PORTABLE`: registered for every context.";
    HOST_REGISTER_DEVICEMAP = 0x02, "`CU_MEMHOSTREGISTER_DEVICEMAP`: with an address for the device.";
    HOST_REGISTER_READ_ONLY = 0x08, "`CU_MEMHOSTREGISTER_READ_ONLY`: the device only reads it.";
    MEMORY_TYPE_HOST = 1, "`CU_MEMORYTYPE_HOST`.";
    MEMORY_TYPE_DEVICE = 2, "`CU_MEMORYTYPE_DEVICE`.";
    MEMORY_TYPE_UNIFIED = 4, "`CU_MEMORYTYPE_UNIFIED`: the driver looks the address up.";
    ALLOCATION_PINNED = 1, "`CU_MEM_ALLOCATION_TYPE_PINNED`.";
    HANDLE_POSIX_FILE_DESCRIPTOR = 1, "`CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`.";
    HANDLE_WIN32 = 2, "`CU_MEM_HANDLE_TYPE_WIN32`.";
    LOCATION_DEVICE = 1, "`CU_MEM_LOCATION_TYPE_DEVICE`.";
    ACCESS_READ = 1, "`CU_MEM_ACCESS_FLAGS_PROT_READ`.";
    ACCESS_READ_WRITE = 3, "`CU_MEM_ACCESS_FLAGS_PROT_READWRITE`.";
    GRANULARITY_RECOMMENDED = 1, "`CU_MEM_ALLOC_GRANULARITY_RECOMMENDED`.";
    CAPTURE_GLOBAL = 0, "`CU_STREAM_CAPTURE_MODE_GLOBAL`: unsafe calls of any thread end the capture.";
    CAPTURE_THREAD_LOCAL = 1, "`CU_STREAM_CAPTURE_MODE_THREAD_LOCAL`: those of the capturing thread do.";
    CAPTURE_RELAXED = 2, "`CU_STREAM_CAPTURE_MODE_RELAXED`: none does.";
    CAPTURE_STATUS_NONE = 0, "`CU_STREAM_CAPTURE_STATUS_NONE`.";
    IPC_LAZY_ENABLE_PEER_ACCESS = 1, "`CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS`; the only flag that is accepted.";
} i32 {
    POINTER_MEMORY_TYPE = 2, "`CU_POINTER_ATTRIBUTE_MEMORY_TYPE`, a `u32`.";
    POINTER_IS_MANAGED = 8, "`CU_POINTER_ATTRIBUTE_IS_MANAGED`, a `u32`.";
    POINTER_DEVICE_ORDINAL = 9, "`CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL`, an `i32`.";
    POINTER_RANGE_START = 11, "`CU_POINTER_ATTRIBUTE_RANGE_START_ADDR`, a `CUdeviceptr`.";
    POINTER_RANGE_SIZE = 12, "`CU_POINTER_ATTRIBUTE_RANGE_SIZE`, a `usize`.";
    EXTERNAL_OPAQUE_FD = 1, "`CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD`, also of semaphores.";
    EXTERNAL_TIMELINE_FD = 9, "`CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD`.";
} }
