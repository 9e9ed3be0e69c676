// SPDX-License-Identifier: MIT OR Apache-2.0
//! A live piece of memory and whatever keeps it alive.
//!
//! A [`Region`] is an address, a length, a device, an [`Access`] and an owner. Clones share the owner; the last clone
//! drops it, on whichever thread that happens. A region knows nothing of elements: see [`Tensor`](crate::Tensor).
//!
//! It refuses to hand out bytes that the CPU cannot reach, and it never lends `&mut`: see *Who may write* on the
//! crate's front page.
//!
//! ```
//! use uncopy_tensor::{Access, Region};
//!
//! let region = Region::from_vec(vec![1, 2, 3, 4]);
//! assert_eq!(region.access(), Access::ReadWrite);
//!
//! let tail = region.part(2, 2, ())?; // keeps the whole region alive
//! drop(region);
//! assert_eq!(tail.as_bytes(), Some(&[3, 4][..]));
//! # Ok::<(), uncopy_tensor::TensorError>(())
//! ```
#![expect(unsafe_code, reason = "fence: addresses are paired with their owners here")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use uncopy_core::{Device, DeviceKind};

use crate::TensorError;

/// What the holder of a region or tensor may do with its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Reading only; a write is a bug of the writer, and on shared frames the kernel refuses it.
    ReadOnly,
    /// Reading and writing, under the writing rule of the crate's front page.
    ReadWrite,
}

/// A live piece of memory: address, length, device, access, and the owner that keeps it alive.
///
/// Cheap to clone: clones share the owner, and the last one drops it.
#[derive(Clone)]
pub struct Region(Arc<Piece<dyn Send + Sync>>);

/// One allocation for the description and its owner; `owner` stands last so that it can be unsized.
struct Piece<O: ?Sized> {
    address: NonNull<u8>,
    len_bytes: usize,
    device: Device,
    access: Access,
    _owner: O,
}

// SAFETY: the address is a plain value here; every read through it goes by the contract of `Region::from_raw`, which
// promises memory that any thread may read. The owner is `Send` by the bound.
unsafe impl<O: Send + ?Sized> Send for Piece<O> {}
// SAFETY: shared use only copies the fields or reads the bytes, and nobody writes the bytes while they are lent
// (contract of `Region::from_raw`). The owner is `Sync` by the bound.
unsafe impl<O: Sync + ?Sized> Sync for Piece<O> {}

impl Region {
    /// Describes `len_bytes` bytes at `address` that live until `owner` is dropped.
    ///
    /// The bytes are shared, never copied. `owner` is dropped with the last clone, on any thread; its `Drop` must
    /// neither panic nor wait without bound. For device kinds whose DLPack data is a handle (OpenCL, Vulkan, Metal,
    /// see [`has_addresses`]), `address` is that handle.
    ///
    /// # Safety
    ///
    /// 1. `address..address + len_bytes` is one allocation (or one mapping) that stays allocated until `owner` is
    ///    dropped, and `len_bytes` is at most `isize::MAX`. With `len_bytes == 0` any address will do.
    /// 2. If `device` is reachable by the CPU (`device.kind.is_host_accessible()`), all of it is initialised and any
    ///    thread may read it; with [`Access::ReadWrite`] any thread may also write it.
    /// 3. Whoever writes the bytes from now on (this process through a pointer, another process through its own
    ///    mapping, a device) does so only while no slice or view lent by this region is alive. For a shared frame the
    ///    lease is what keeps that promise: it is, or is held by, `owner`.
    pub unsafe fn from_raw(
        address: NonNull<u8>,
        len_bytes: usize,
        device: Device,
        access: Access,
        owner: impl Send + Sync + 'static,
    ) -> Region {
        Region(Arc::new(Piece { address, len_bytes, device, access, _owner: owner }))
    }

    /// Takes a vector's bytes as a writable host region. Nothing is copied; spare capacity stays unused.
    pub fn from_vec(mut bytes: Vec<u8>) -> Region {
        let len_bytes = bytes.len();
        let address = NonNull::new(bytes.as_mut_ptr()).unwrap_or(NonNull::dangling());
        // SAFETY: 1. the vector owns `len_bytes` initialised bytes at `address`, and moving it into the owner does not
        // move them. 2. It is ordinary memory of this process. 3. The vector is now unreachable except by its drop, so
        // every writer has to go through the region's pointer and its rule.
        unsafe { Region::from_raw(address, len_bytes, Device::CPU, Access::ReadWrite, bytes) }
    }

    /// Shares immutable bytes as a read-only host region. Nothing is copied.
    pub fn from_bytes(bytes: Arc<[u8]>) -> Region {
        let len_bytes = bytes.len();
        let address = NonNull::from(&*bytes).cast();
        // SAFETY: 1. the `Arc` keeps its `len_bytes` initialised bytes in place while it lives. 2. It is ordinary
        // memory of this process. 3. Bytes in an `Arc` with another holder cannot be written, and ours never lends
        // them.
        unsafe { Region::from_raw(address, len_bytes, Device::CPU, Access::ReadOnly, bytes) }
    }

    /// `len_bytes` bytes of this region from `offset_bytes`, as a region of their own.
    ///
    /// Shares the memory. The part keeps the whole region and `hold` (a lease, or `()`) alive; `hold` is dropped
    /// with the last clone of the part, before the region itself can end.
    ///
    /// # Errors
    ///
    /// [`TensorError::OutOfRegion`] when the part does not lie inside, and [`TensorError::OpaqueAddress`] when the
    /// region's address is a handle, to which no offset can be added.
    pub fn part(
        &self,
        offset_bytes: usize,
        len_bytes: usize,
        hold: impl Send + Sync + 'static,
    ) -> Result<Region, TensorError> {
        let within = self.len_bytes();
        if offset_bytes.checked_add(len_bytes).is_none_or(|end| end > within) {
            return Err(TensorError::OutOfRegion { offset_bytes, len_bytes, region_len_bytes: within });
        }
        if offset_bytes > 0 && !has_addresses(self.device().kind) {
            return Err(TensorError::OpaqueAddress { device: self.device() });
        }
        // The check above keeps the sum inside the allocation, so it can be null only for a null region: never.
        let address = NonNull::new(self.as_ptr().wrapping_add(offset_bytes)).unwrap_or(self.0.address);
        // Fields drop in order: the hold ends before the memory that it may refer to.
        let owner = (hold, self.clone());
        // SAFETY: 1. the range lies inside this region (checked) and `owner` holds a clone of it. 2. and 3. hold for
        // the part because the same promises were made for the whole when it was made.
        Ok(unsafe { Region::from_raw(address, len_bytes, self.device(), self.access(), owner) })
    }

    /// The first byte's address in `device()`'s address space, as a number for comparisons and reports.
    pub fn address(&self) -> usize {
        self.0.address.addr().get()
    }

    /// The first byte as a pointer. Writing through it needs [`Access::ReadWrite`] and the writing rule of the crate's
    /// front page; it is never null, and dangling when the region is empty.
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.address.as_ptr()
    }

    /// Length in bytes.
    pub fn len_bytes(&self) -> usize {
        self.0.len_bytes
    }

    /// The device whose memory this is.
    pub fn device(&self) -> Device {
        self.0.device
    }

    /// Whether the bytes may be written.
    pub fn access(&self) -> Access {
        self.0.access
    }

    /// The bytes, shared, when the CPU can reach them; `None` for device memory.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if !self.device().kind.is_host_accessible() {
            return None;
        }
        // SAFETY: `from_raw` was promised that 1. the range is one live, initialised allocation of at most `isize::MAX`
        // bytes until the owner drops, and the owner lives as long as `self`, which the slice borrows; 2. the CPU may
        // read it; 3. nobody writes it while this slice is alive.
        Some(unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len_bytes()) })
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("address", &format_args!("{:#x}", self.address()))
            .field("len_bytes", &self.len_bytes())
            .field("device", &format_args!("{}", self.device()))
            .field("access", &self.access())
            .finish_non_exhaustive()
    }
}

/// Whether an address of this kind of memory is a number that offsets can be added to.
///
/// For other kinds (OpenCL, Vulkan, Metal, WebGPU, and every kind that we do not know) it is a handle, and offsets
/// travel beside it. Source: DLPack 1.3, comment at `DLTensor::data`.
pub fn has_addresses(kind: DeviceKind) -> bool {
    matches!(
        kind,
        DeviceKind::CPU
            | DeviceKind::CUDA
            | DeviceKind::CUDA_HOST
            | DeviceKind::CUDA_MANAGED
            | DeviceKind::ROCM
            | DeviceKind::ROCM_HOST
            | DeviceKind::ONEAPI
    )
}
