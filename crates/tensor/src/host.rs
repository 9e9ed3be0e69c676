// SPDX-License-Identifier: MIT OR Apache-2.0
//! Host memory of our own: zeroed and aligned for every framework.
//!
//! A [`HostBuffer`] has one owner and can be written through `&mut`; [`HostBuffer::into_region`] ends that and makes it
//! shareable. The alignment is 256 bytes, which is what DLPack asks of exported data (JAX copies below 64).
//!
//! It refuses to abort when memory is short: that is an error value.
//!
//! ```
//! use uncopy_tensor::HostBuffer;
//!
//! let mut buffer = HostBuffer::zeroed(1920 * 1080 * 4)?;
//! buffer[0] = 255;
//! let region = buffer.into_region();
//! assert_eq!(region.address() % HostBuffer::ALIGN_BYTES, 0);
//! # Ok::<(), uncopy_tensor::TensorError>(())
//! ```
#![expect(unsafe_code, reason = "fence: allocates and frees host memory")]

use std::alloc::Layout as AllocLayout;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use uncopy_core::Device;

use crate::{Access, Region, TensorError};

/// Owned host memory, zeroed, aligned to [`HostBuffer::ALIGN_BYTES`].
pub struct HostBuffer {
    /// Dangling (but aligned) when `len_bytes` is 0, else allocated here with `alloc_layout(len_bytes)`.
    address: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: the buffer is plain bytes that only this value owns, like a `Box<[u8]>`.
unsafe impl Send for HostBuffer {}
// SAFETY: through `&HostBuffer` the bytes can only be read.
unsafe impl Sync for HostBuffer {}

impl HostBuffer {
    /// Alignment of the first byte.
    pub const ALIGN_BYTES: usize = 256;

    /// Allocates `len_bytes` zero bytes. Large buffers come from the kernel already zeroed, so they cost no pass.
    ///
    /// # Errors
    ///
    /// [`TensorError::OutOfMemory`] when the allocator refuses, or the length is beyond what an allocation can have.
    pub fn zeroed(len_bytes: usize) -> Result<HostBuffer, TensorError> {
        let layout = alloc_layout(len_bytes).ok_or(TensorError::OutOfMemory { len_bytes })?;
        if len_bytes == 0 {
            return Ok(HostBuffer { address: dangling(layout), len_bytes });
        }
        // SAFETY: the layout has a size above 0, checked just now.
        let address = unsafe { std::alloc::alloc_zeroed(layout) };
        let address = NonNull::new(address).ok_or(TensorError::OutOfMemory { len_bytes })?;
        Ok(HostBuffer { address, len_bytes })
    }

    /// Gives the bytes to a writable region, which frees them with its last clone. Nothing is copied.
    pub fn into_region(self) -> Region {
        let (address, len_bytes) = (self.address, self.len_bytes);
        // SAFETY: 1. `self` owns the allocation (or it is empty) and becomes the owner; it frees it only when dropped.
        // 2. The bytes are initialised (zeroed at birth) ordinary memory of this process. 3. `self` is now unreachable
        // except by its drop, so every writer goes through the region's pointer and its rule.
        unsafe { Region::from_raw(address, len_bytes, Device::CPU, Access::ReadWrite, self) }
    }
}

impl Deref for HostBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `address` is aligned, non-null and has `len_bytes` initialised bytes (zeroed at birth) that `self`
        // owns; the slice borrows `self`, so nobody can write meanwhile.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.len_bytes) }
    }
}

impl DerefMut for HostBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; the slice borrows `self` exclusively, and no region exists before `into_region`.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.len_bytes) }
    }
}

impl Drop for HostBuffer {
    fn drop(&mut self) {
        if let Some(layout) = alloc_layout(self.len_bytes).filter(|layout| layout.size() > 0) {
            // SAFETY: a buffer with bytes was allocated in `zeroed` with this very layout (same length, same
            // alignment), and this is its only owner's only drop.
            unsafe { std::alloc::dealloc(self.address.as_ptr(), layout) }
        }
    }
}

impl fmt::Debug for HostBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuffer").field("len_bytes", &self.len_bytes).finish_non_exhaustive()
    }
}

fn alloc_layout(len_bytes: usize) -> Option<AllocLayout> {
    AllocLayout::from_size_align(len_bytes, HostBuffer::ALIGN_BYTES).ok()
}

fn dangling(layout: AllocLayout) -> NonNull<u8> {
    // An alignment is never 0, so the address is never null.
    NonNull::new(std::ptr::without_provenance_mut(layout.align())).unwrap_or(NonNull::dangling())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zeroed_and_aligned_for_dlpack() {
        for len_bytes in [0, 1, 255, 256, 257, 4096] {
            let buffer = HostBuffer::zeroed(len_bytes).unwrap();
            assert_eq!(buffer.len(), len_bytes);
            assert!(buffer.iter().all(|&byte| byte == 0));
            assert_eq!(buffer.as_ptr() as usize % 256, 0, "length {len_bytes}");
        }
    }

    #[test]
    fn an_impossible_length_is_an_error_and_no_abort() {
        let error = HostBuffer::zeroed(usize::MAX).unwrap_err();
        assert!(matches!(error, TensorError::OutOfMemory { len_bytes: usize::MAX }), "{error}");
    }

    #[test]
    fn a_region_shows_what_was_written_before_at_the_same_address() {
        let mut buffer = HostBuffer::zeroed(3).unwrap();
        buffer.copy_from_slice(&[7, 8, 9]);
        let address = buffer.as_ptr() as usize;
        let region = buffer.into_region();
        assert_eq!(region.address(), address);
        assert_eq!(region.as_bytes(), Some(&[7, 8, 9][..]));
        assert_eq!(region.access(), Access::ReadWrite);
    }
}
