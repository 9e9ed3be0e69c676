// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C structs of DLPack 1.3, field by field, with their layout asserted at compile time.
//!
//! Source: `dlpack.h` of release 1.3 (dmlc/dlpack). Dtype codes and device kinds are newtypes, never Rust enums: codes
//! from after 1.3 are in use, and an unknown enum value would be undefined behaviour.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::offset_of;

use uncopy_core::{DType, Device, DeviceKind};

/// `DLDevice`: kind (`int32_t`) and index (`int32_t`).
pub type DLDevice = Device;
/// `DLDataType`: code (`uint8_t`), bits (`uint8_t`), lanes (`uint16_t`).
pub type DLDataType = DType;

/// The version that our exports carry. Imports accept every minor version of this major one.
pub const VERSION: DLPackVersion = DLPackVersion { major: 1, minor: 3 };

/// The consumer must not write the elements.
pub const FLAG_READ_ONLY: u64 = 1 << 0;
/// The producer made a copy for this exchange; until the deleter call, the consumer is its only owner.
pub const FLAG_IS_COPIED: u64 = 1 << 1;
/// Elements smaller than a byte take a byte each; without the flag they are packed, lowest bits first.
pub const FLAG_IS_SUBBYTE_TYPE_PADDED: u64 = 1 << 2;

/// Capsule name of a [`DLManagedTensor`] that nobody took yet.
pub const NAME: &CStr = c"dltensor";
/// Capsule name of a [`DLManagedTensor`] that was taken.
pub const USED_NAME: &CStr = c"used_dltensor";
/// Capsule name of a [`DLManagedTensorVersioned`] that nobody took yet.
pub const NAME_VERSIONED: &CStr = c"dltensor_versioned";
/// Capsule name of a [`DLManagedTensorVersioned`] that was taken.
pub const USED_NAME_VERSIONED: &CStr = c"used_dltensor_versioned";
/// Capsule name of a [`DLPackExchangeAPI`]; the capsule is the type attribute `__dlpack_c_exchange_api__`.
pub const NAME_EXCHANGE_API: &CStr = c"dlpack_exchange_api";

/// `DLPackVersion`. With another `major`, nothing but the deleter of a struct may be used.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DLPackVersion {
    /// Changes break the ABI.
    pub major: u32,
    /// Changes add codes, kinds and flags.
    pub minor: u32,
}

/// `DLTensor`: an array, without ownership.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DLTensor {
    /// Address or handle of the memory; null for an array without elements.
    pub data: *mut c_void,
    /// Where the memory is.
    pub device: DLDevice,
    /// Number of axes.
    pub ndim: i32,
    /// Type of the elements.
    pub dtype: DLDataType,
    /// `ndim` extents, in elements; may be null when `ndim` is 0.
    pub shape: *mut i64,
    /// `ndim` strides, in elements. Null means C order: forbidden since 1.2, and still seen.
    pub strides: *mut i64,
    /// Bytes from `data` to element 0.
    pub byte_offset: u64,
}

/// `DLManagedTensor`: the form from before 1.0, without version and flags.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DLManagedTensor {
    /// The array.
    pub dl_tensor: DLTensor,
    /// The producer's own.
    pub manager_ctx: *mut c_void,
    /// Ends the loan and frees this struct; to be called once, with the struct's own address. May be null.
    pub deleter: Option<unsafe extern "C" fn(*mut DLManagedTensor)>,
}

/// `DLManagedTensorVersioned`: the current form. Everything up to `flags` is promised to every later version.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DLManagedTensorVersioned {
    /// The producer's version.
    pub version: DLPackVersion,
    /// The producer's own.
    pub manager_ctx: *mut c_void,
    /// Ends the loan and frees this struct; to be called once, with the struct's own address. May be null.
    pub deleter: Option<unsafe extern "C" fn(*mut DLManagedTensorVersioned)>,
    /// `FLAG_*` bits.
    pub flags: u64,
    /// The array.
    pub dl_tensor: DLTensor,
}

/// Reports an error of [`DLPackExchangeAPI::managed_tensor_allocator`]: context, kind, message.
pub type SetError = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char);

/// `DLPackExchangeAPIHeader`: the part of the exchange table that stays the same in every version.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DLPackExchangeAPIHeader {
    /// The table's version; with another `major`, follow `prev_api`.
    pub version: DLPackVersion,
    /// An older table of the same producer, or null.
    pub prev_api: *mut DLPackExchangeAPIHeader,
}

/// `DLPackExchangeAPI`: a producer's functions for exchange without Python calls. Lives as long as the process; each
/// function returns 0, or -1 with a Python exception set. `*_no_sync` orders no streams.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DLPackExchangeAPI {
    /// Version, and the way to older tables.
    pub header: DLPackExchangeAPIHeader,
    /// New memory like a prototype (dtype, ndim, shape, device); errors go to the callback. Never null.
    pub managed_tensor_allocator: Option<
        unsafe extern "C" fn(
            *mut DLTensor,
            *mut *mut DLManagedTensorVersioned,
            *mut c_void,
            SetError,
        ) -> c_int,
    >,
    /// An owning struct from a Python object of the table's type. Never null.
    pub managed_tensor_from_py_object_no_sync:
        Option<unsafe extern "C" fn(*mut c_void, *mut *mut DLManagedTensorVersioned) -> c_int>,
    /// A Python object from an owning struct, which is taken. Never null.
    pub managed_tensor_to_py_object_no_sync:
        Option<unsafe extern "C" fn(*mut DLManagedTensorVersioned, *mut *mut c_void) -> c_int>,
    /// A borrowed array, good until control returns to the producer. May be null.
    pub dltensor_from_py_object_no_sync: Option<unsafe extern "C" fn(*mut c_void, *mut DLTensor) -> c_int>,
    /// The producer's current stream on a device; null for the CPU. Never null.
    pub current_work_stream: Option<unsafe extern "C" fn(DeviceKind, i32, *mut *mut c_void) -> c_int>,
}

/// Offsets and sizes as a C compiler lays them out on the 64-bit targets that we support (System V and Windows alike).
const _: () = {
    assert!(size_of::<DLPackVersion>() == 8);
    assert!(size_of::<DLDevice>() == 8 && offset_of!(DLDevice, id) == 4);
    assert!(size_of::<DLDataType>() == 4);
    assert!(offset_of!(DLDataType, bits) == 1 && offset_of!(DLDataType, lanes) == 2);
    assert!(size_of::<DLTensor>() == 48 && align_of::<DLTensor>() == 8);
    assert!(offset_of!(DLTensor, device) == 8);
    assert!(offset_of!(DLTensor, ndim) == 16);
    assert!(offset_of!(DLTensor, dtype) == 20);
    assert!(offset_of!(DLTensor, shape) == 24);
    assert!(offset_of!(DLTensor, strides) == 32);
    assert!(offset_of!(DLTensor, byte_offset) == 40);
    assert!(size_of::<DLManagedTensor>() == 64);
    assert!(offset_of!(DLManagedTensor, manager_ctx) == 48);
    assert!(offset_of!(DLManagedTensor, deleter) == 56);
    assert!(size_of::<DLManagedTensorVersioned>() == 80);
    assert!(offset_of!(DLManagedTensorVersioned, manager_ctx) == 8);
    assert!(offset_of!(DLManagedTensorVersioned, deleter) == 16);
    assert!(offset_of!(DLManagedTensorVersioned, flags) == 24);
    assert!(offset_of!(DLManagedTensorVersioned, dl_tensor) == 32);
    assert!(size_of::<DLPackExchangeAPIHeader>() == 16);
    assert!(size_of::<DLPackExchangeAPI>() == 56);
    assert!(offset_of!(DLPackExchangeAPI, managed_tensor_allocator) == 16);
    assert!(offset_of!(DLPackExchangeAPI, current_work_stream) == 48);
};
