// SPDX-License-Identifier: MIT OR Apache-2.0
//! How arguments cross the C border: what a caller points at, and the driver's structs. Source: `cuda.h` 13.

#![expect(unsafe_code, reason = "reads and writes what C callers point at")]

use crate::code::{Answer, Code};
use std::ffi::{CStr, c_char, c_int, c_void};

/// Where a caller wants an answer. Only a C caller can make one, and it promises by `cuda.h` that the pointer is
/// null or leads to room for a `T` that stays its own until the call returns.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

impl<T> Out<T> {
    /// The same place, for something that by `cuda.h` fits there.
    pub fn cast<U>(&self) -> Out<U> {
        Out(self.0.cast())
    }

    /// Refuses null before anything is done that would have to be undone.
    pub fn check(&self) -> Answer {
        if self.0.is_null() { Err(Code::INVALID_VALUE) } else { Ok(()) }
    }
}

impl<T: Copy> Out<T> {
    /// Writes the answer; null is refused.
    pub fn put(&self, value: T) -> Answer {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: non-null, and by the promise of the type it leads to room for a `T`.
        unsafe { self.0.write(value) };
        Ok(())
    }

    /// Writes the answer where one is wanted.
    pub fn put_if_wanted(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: as in `put`.
            unsafe { self.0.write(value) };
        }
    }

    /// What stands there now, for arguments that are exchanged.
    pub fn get(&self) -> Answer<T> {
        self.check()?;
        // SAFETY: non-null, and callers that exchange a value have put one there.
        Ok(unsafe { self.0.read() })
    }

    /// Writes item `index` of a caller's array, which by `cuda.h` has room for it.
    pub fn put_at(&self, index: usize, value: T) -> Answer {
        self.check()?;
        // SAFETY: the caller promised that many items.
        let place = unsafe { self.0.add(index) };
        // SAFETY: as above.
        unsafe { place.write(value) };
        Ok(())
    }
}

/// What a caller hands over by pointer: null, or as many items as the call says.
#[repr(transparent)]
pub struct In<T>(*const T);

impl<T> Clone for In<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for In<T> {}

impl<T: Copy> In<T> {
    /// A copy of the first item; null is refused.
    pub fn get(&self) -> Answer<T> {
        self.get_at(0)
    }

    /// A copy of item `index`, which by `cuda.h` is there.
    pub fn get_at(&self, index: usize) -> Answer<T> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the caller promised that many items.
        let item = unsafe { self.0.add(index) };
        // SAFETY: as above; unaligned, since nothing but convention aligns what a void pointer led to.
        Ok(unsafe { item.read_unaligned() })
    }
}

impl<T> In<T> {
    /// Whether nothing was handed over.
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// The address as a number.
    pub fn address(&self) -> u64 {
        self.0.expose_provenance() as u64
    }

    /// The same address, holding something else.
    pub fn cast<U>(&self) -> In<U> {
        In(self.0.cast())
    }
}

impl In<c_char> {
    /// The text that ends with a zero byte.
    pub fn text(&self) -> Answer<String> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: non-null, and C callers end their texts with a zero byte.
        let text = unsafe { CStr::from_ptr(self.0) };
        Ok(text.to_string_lossy().into_owned())
    }
}

/// An argument of a kernel: the address of its value.
pub type KernelArguments = In<In<c_void>>;

/// A host function put into a stream, with what it is given.
#[derive(Clone, Copy)]
pub struct HostCall {
    pub function: HostFn,
    pub argument: usize,
}

/// `CUhostFn`
pub type HostFn = Option<unsafe extern "C" fn(*mut c_void)>;

impl HostCall {
    /// Calls it.
    pub fn run(self) {
        if let Some(function) = self.function {
            // SAFETY: whoever put it into the stream promised that it may be called with this argument from any
            // thread.
            unsafe { function(std::ptr::with_exposed_provenance_mut(self.argument)) };
        }
    }
}

/// The 64 opaque bytes of an IPC handle or an exported pool pointer.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opaque(pub [u8; 64]);

/// `CUmemLocation`
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Location {
    pub kind: c_int,
    pub id: c_int,
}

/// `CU_MEM_LOCATION_TYPE_DEVICE`
pub const ON_DEVICE: c_int = 1;

/// `CUmemAllocationProp`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AllocationProp {
    pub kind: c_int,
    pub handle_types: c_int,
    pub location: Location,
    pub win32: usize,
    pub flags: [u8; 8],
}

/// `CUmemAccessDesc`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AccessDesc {
    pub location: Location,
    pub flags: c_int,
}

/// `CUmemPoolProps`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PoolProps {
    pub kind: c_int,
    pub handle_types: c_int,
    pub location: Location,
    pub win32: usize,
    pub max_size: usize,
    pub usage: u16,
    pub reserved: [u8; 54],
}

/// One side of a rectangular copy, as both `CUDA_MEMCPY2D` and `CUDA_MEMCPY3D` describe it.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    pub kind: c_int,
    pub host: u64,
    pub device: u64,
    pub x_bytes: usize,
    pub y: usize,
    pub z: usize,
    pub pitch_bytes: usize,
    pub height: usize,
}

/// `CUDA_MEMCPY2D`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Copy2d {
    pub src_x: usize,
    pub src_y: usize,
    pub src_kind: c_int,
    pub src_host: u64,
    pub src_device: u64,
    pub src_array: u64,
    pub src_pitch: usize,
    pub dst_x: usize,
    pub dst_y: usize,
    pub dst_kind: c_int,
    pub dst_host: u64,
    pub dst_device: u64,
    pub dst_array: u64,
    pub dst_pitch: usize,
    pub width: usize,
    pub height: usize,
}

/// `CUDA_MEMCPY3D`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Copy3d {
    pub src_x: usize,
    pub src_y: usize,
    pub src_z: usize,
    pub src_lod: usize,
    pub src_kind: c_int,
    pub src_host: u64,
    pub src_device: u64,
    pub src_array: u64,
    pub reserved0: u64,
    pub src_pitch: usize,
    pub src_height: usize,
    pub dst_x: usize,
    pub dst_y: usize,
    pub dst_z: usize,
    pub dst_lod: usize,
    pub dst_kind: c_int,
    pub dst_host: u64,
    pub dst_device: u64,
    pub dst_array: u64,
    pub reserved1: u64,
    pub dst_pitch: usize,
    pub dst_height: usize,
    pub width: usize,
    pub height: usize,
    pub depth: usize,
}

/// `CUstreamBatchMemOpParams`, of which waits and writes use these words.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BatchOp {
    pub operation: c_int,
    pub address: u64,
    pub value: u64,
    pub flags: u32,
    pub alias: u64,
    pub pad: u64,
}

const _: () = {
    assert!(size_of::<AllocationProp>() == 32);
    assert!(size_of::<AccessDesc>() == 12);
    assert!(size_of::<PoolProps>() == 88);
    assert!(size_of::<Copy2d>() == 128);
    assert!(size_of::<Copy3d>() == 200);
    assert!(size_of::<BatchOp>() == 48);
};
