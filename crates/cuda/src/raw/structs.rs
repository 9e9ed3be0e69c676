// SPDX-License-Identifier: MIT OR Apache-2.0
//! Structures of the C interface, each held to the size and the offsets that a C compiler gave for `cuda.h` 13.2.

use std::mem::offset_of;

use super::{CUdevice, CUdeviceptr};

/// Asserts a structure's size and the offsets of some fields at compile time.
macro_rules! laid_out {
    ($type:ty, $size:literal, $($($field:ident).+ $at:literal),*) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            $(assert!(offset_of!($type, $($field).+) == $at);)*
        };
    };
}

/// `CUuuid`.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct Uuid {
    /// The 16 bytes.
    pub bytes: [u8; 16],
}
laid_out!(Uuid, 16, bytes 0);

/// `CUipcMemHandle` and `CUipcEventHandle`: 64 bytes that any process may try. Keep them where only the owner reads.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IpcHandle {
    /// The bytes, which mean nothing outside the driver.
    pub reserved: [u8; 64],
}
laid_out!(IpcHandle, 64, reserved 0);

/// `CUmemPoolPtrExportData`: where in a shared pool an allocation lies.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PoolPointer {
    /// The bytes, which mean nothing outside the driver.
    pub reserved: [u8; 64],
}
laid_out!(PoolPointer, 64, reserved 0);

/// `CUmemLocation`.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct MemLocation {
    /// What `id` counts: [`LOCATION_DEVICE`](super::numbers::LOCATION_DEVICE).
    pub kind: u32,
    /// Which one.
    pub id: CUdevice,
}
laid_out!(MemLocation, 8, kind 0, id 4);

/// `CUmemAccessDesc`.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct AccessDesc {
    /// Who may reach the memory.
    pub location: MemLocation,
    /// [`ACCESS_READ`](super::numbers::ACCESS_READ) or more.
    pub flags: u32,
}
laid_out!(AccessDesc, 12, location 0, flags 8);

/// `CUmemAllocationProp`.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct AllocationProp {
    /// [`ALLOCATION_PINNED`](super::numbers::ALLOCATION_PINNED).
    pub kind: u32,
    /// By which handles it can be shared, as bits.
    pub handle_types: u32,
    /// Where it lies.
    pub location: MemLocation,
    /// Security attributes of Windows; 0 elsewhere.
    pub win32_metadata: usize,
    /// Whether it may be compressed.
    pub compression: u8,
    /// Whether other devices of the bus may reach it.
    pub rdma_capable: u8,
    /// Intended usage, as bits.
    pub usage: u16,
    /// Zero.
    pub reserved: [u8; 4],
}
laid_out!(AllocationProp, 32, kind 0, handle_types 4, location 8, win32_metadata 16, compression 24);

/// `CUmemPoolProps`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PoolProps {
    /// [`ALLOCATION_PINNED`](super::numbers::ALLOCATION_PINNED).
    pub kind: u32,
    /// By which handles it can be shared, as bits.
    pub handle_types: u32,
    /// Where allocations lie.
    pub location: MemLocation,
    /// Security attributes of Windows; 0 elsewhere.
    pub win32_attributes: usize,
    /// The most bytes of the pool; 0 leaves it to the driver.
    pub max_size: usize,
    /// Intended usage, as bits.
    pub usage: u16,
    /// Zero.
    pub reserved: [u8; 54],
}
laid_out!(PoolProps, 88, kind 0, location 8, win32_attributes 16, max_size 24, usage 32, reserved 34);

/// `CUstreamBatchMemOpParams` for a 32-bit wait or write; the union's other members are not used.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct BatchMemOp {
    /// [`MEM_OP_WAIT_VALUE_32`](super::numbers::MEM_OP_WAIT_VALUE_32) or write.
    pub operation: u32,
    /// Zero: C leaves a gap here.
    pub gap: u32,
    /// The device's address of the word.
    pub address: CUdeviceptr,
    /// The value, in the low half.
    pub value: u64,
    /// How to wait or write.
    pub flags: u32,
    /// Zero: C leaves a gap here.
    pub gap_after: u32,
    /// The driver's own.
    pub alias: CUdeviceptr,
    /// The union is larger than this member.
    pub rest: u64,
}
laid_out!(BatchMemOp, 48, operation 0, address 8, value 16, flags 24, alias 32);

/// One side of a 2D copy.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct Side2d {
    /// First byte of each row.
    pub x_bytes: usize,
    /// First row.
    pub y: usize,
    /// `MEMORY_TYPE_HOST`, `MEMORY_TYPE_DEVICE` or `MEMORY_TYPE_UNIFIED`.
    pub memory_type: u32,
    /// Zero: C leaves a gap here.
    pub gap: u32,
    /// The address, for host memory.
    pub host: usize,
    /// The address, for the other types.
    pub device: CUdeviceptr,
    /// An array; 0.
    pub array: usize,
    /// Bytes from one row to the next.
    pub pitch_bytes: usize,
}
laid_out!(Side2d, 56, memory_type 16, host 24, device 32, array 40, pitch_bytes 48);

/// `CUDA_MEMCPY2D_v2`.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct Memcpy2d {
    /// From.
    pub source: Side2d,
    /// To.
    pub destination: Side2d,
    /// Bytes of each row.
    pub width_bytes: usize,
    /// Rows.
    pub height: usize,
}
laid_out!(Memcpy2d, 128, source.memory_type 16, source.pitch_bytes 48, destination.memory_type 72,
    destination.pitch_bytes 104, width_bytes 112, height 120);

/// One side of a 3D copy.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct Side3d {
    /// First byte of each row.
    pub x_bytes: usize,
    /// First row.
    pub y: usize,
    /// First plane.
    pub z: usize,
    /// Level of detail; 0.
    pub lod: usize,
    /// `MEMORY_TYPE_HOST`, `MEMORY_TYPE_DEVICE` or `MEMORY_TYPE_UNIFIED`.
    pub memory_type: u32,
    /// Zero: C leaves a gap here.
    pub gap: u32,
    /// The address, for host memory.
    pub host: usize,
    /// The address, for the other types.
    pub device: CUdeviceptr,
    /// An array; 0.
    pub array: usize,
    /// Zero.
    pub reserved: usize,
    /// Bytes from one row to the next.
    pub pitch_bytes: usize,
    /// Rows from one plane to the next.
    pub height: usize,
}
laid_out!(Side3d, 88, memory_type 32, host 40, device 48, array 56, reserved 64, pitch_bytes 72, height 80);

/// `CUDA_MEMCPY3D_v2`.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct Memcpy3d {
    /// From.
    pub source: Side3d,
    /// To.
    pub destination: Side3d,
    /// Bytes of each row.
    pub width_bytes: usize,
    /// Rows of each plane.
    pub height: usize,
    /// Planes.
    pub depth: usize,
}
laid_out!(Memcpy3d, 200, source.memory_type 32, source.pitch_bytes 72, destination 88,
    destination.memory_type 120, destination.pitch_bytes 160, width_bytes 176, depth 192);

/// A file descriptor, a `HANDLE` with a name, or a pointer: what the union of an external handle holds.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct ExternalHandle {
    /// The descriptor in the low half, or the handle.
    pub first: u64,
    /// The name of a Windows object, or 0.
    pub name: u64,
}
laid_out!(ExternalHandle, 16, first 0, name 8);

/// `CUDA_EXTERNAL_MEMORY_HANDLE_DESC`.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct ExternalMemoryDesc {
    /// What the handle is.
    pub kind: i32,
    /// Zero: C leaves a gap here.
    pub gap: u32,
    /// The handle.
    pub handle: ExternalHandle,
    /// Bytes of the memory.
    pub size: u64,
    /// 0, or 1 for a dedicated allocation.
    pub flags: u32,
    /// Zero.
    pub reserved: [u32; 16],
    /// Zero: C leaves a gap here.
    pub gap_after: u32,
}
laid_out!(ExternalMemoryDesc, 104, handle 8, size 24, flags 32, reserved 36);

/// `CUDA_EXTERNAL_MEMORY_BUFFER_DESC`.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct ExternalBufferDesc {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Zero.
    pub flags: u32,
    /// Zero.
    pub reserved: [u32; 16],
    /// Zero: C leaves a gap here.
    pub gap_after: u32,
}
laid_out!(ExternalBufferDesc, 88, flags 16, reserved 20);

/// `CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC`.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct ExternalSemaphoreDesc {
    /// What the handle is.
    pub kind: i32,
    /// Zero: C leaves a gap here.
    pub gap: u32,
    /// The handle.
    pub handle: ExternalHandle,
    /// Zero.
    pub flags: u32,
    /// Zero.
    pub reserved: [u32; 16],
    /// Zero: C leaves a gap here.
    pub gap_after: u32,
}
laid_out!(ExternalSemaphoreDesc, 96, handle 8, flags 24, reserved 28);

/// `CUDA_EXTERNAL_SEMAPHORE_SIGNAL_PARAMS` and `CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS`, which differ in fields that
/// fences and timelines do not use.
#[derive(Clone, Copy, Default, Debug)]
#[repr(C)]
pub struct SemaphoreParams {
    /// The value to signal or to wait for.
    pub fence_value: u64,
    /// For NvSciSync.
    pub nv_sci_sync: u64,
    /// For keyed mutexes: the key, and the timeout in milliseconds of a wait.
    pub keyed_mutex: [u64; 2],
    /// Zero.
    pub reserved_params: [u32; 10],
    /// Zero.
    pub flags: u32,
    /// Zero.
    pub reserved: [u32; 16],
    /// Zero: C leaves a gap here.
    pub gap_after: u32,
}
laid_out!(SemaphoreParams, 144, nv_sci_sync 8, keyed_mutex 16, reserved_params 32, flags 72, reserved 76);
