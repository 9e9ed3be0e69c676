// SPDX-License-Identifier: MIT OR Apache-2.0
//! An array somewhere: a region, and the layout of its elements in it.
//!
//! A [`Tensor`] is what every part of uncopy hands around. It is checked once, when it is made: from then on the layout
//! lies inside the region. Clones share the memory.
//!
//! It does no arithmetic, moves no data to another device, and copies only in [`Tensor::copy_packed_into`] and
//! [`Tensor::to_packed`].
//!
//! ```
//! use uncopy_core::{DType, Layout};
//! use uncopy_tensor::{Region, Tensor};
//!
//! let region = Region::from_vec(vec![1, 2, 3, 4, 5, 6]);
//! let columns = Layout::strided(DType::U8, &[3, 2], &[1, 3])?; // the transposed view of 2 rows of 3
//! let tensor = Tensor::new(region, columns, 0)?;
//!
//! let mut packed = [0; 6];
//! tensor.copy_packed_into(&mut packed)?;
//! assert_eq!(packed, [1, 4, 2, 5, 3, 6]);
//! assert_eq!(tensor.view::<u8, 2>()?.get([2, 1]), Some(6));
//! # Ok::<(), uncopy_tensor::TensorError>(())
//! ```

use std::fmt;

use uncopy_core::{DType, DTypeCode, Device, Layout};

use crate::{Access, Element, HostBuffer, Region, TensorError, View, pack};

/// An array in a live region: shape, dtype, strides, device, access. Cheap to clone; clones share the region.
#[derive(Clone)]
pub struct Tensor {
    region: Region,
    layout: Layout,
    offset_bytes: usize,
    read_only: bool,
    copied: bool,
}

impl Tensor {
    /// An array of `layout` whose element 0 stands `offset_bytes` into `region`.
    ///
    /// Shares the region, on its device. Alignment is not required: see [`is_aligned`](Self::is_aligned).
    ///
    /// # Errors
    ///
    /// [`TensorError::Layout`] when some element would lie outside the region.
    #[inline]
    pub fn new(region: Region, layout: Layout, offset_bytes: usize) -> Result<Tensor, TensorError> {
        layout.fits(region.len_bytes(), offset_bytes)?;
        Ok(Tensor { region, layout, offset_bytes, read_only: false, copied: false })
    }

    /// The same array, of which every export and view says that it must not be written. Other clones are unaffected.
    #[must_use]
    pub fn read_only(self) -> Tensor {
        Tensor { read_only: true, ..self }
    }

    /// The same array, marked as a copy that was made for this exchange (DLPack's `IS_COPIED`).
    #[must_use]
    pub fn copied(self) -> Tensor {
        Tensor { copied: true, ..self }
    }

    /// Whether the elements must not be written, because the region or this tensor says so.
    pub fn is_read_only(&self) -> bool {
        self.read_only || self.region.access() == Access::ReadOnly
    }

    /// Whether these elements are a copy made for this exchange, by us or by the producer.
    pub fn was_copied(&self) -> bool {
        self.copied
    }

    /// Shape, dtype and strides.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where the elements are.
    pub fn device(&self) -> Device {
        self.region.device()
    }

    /// The memory that the elements lie in. It may be larger than they are.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Bytes from the start of the region to element 0.
    pub fn offset_bytes(&self) -> usize {
        self.offset_bytes
    }

    /// Address of element 0 in the device's address space; for handles (see [`has_addresses`](crate::has_addresses))
    /// use the region's address and [`offset_bytes`](Self::offset_bytes) instead.
    pub fn address(&self) -> usize {
        self.as_ptr().addr()
    }

    /// Element 0 as a pointer; writing through it needs write access and the writing rule of the crate's front page.
    pub fn as_ptr(&self) -> *mut u8 {
        self.region.as_ptr().wrapping_add(self.offset_bytes)
    }

    /// Whether every element stands at a multiple of its scalar's size (the largest power of two in it). Empty arrays
    /// are aligned.
    pub fn is_aligned(&self) -> bool {
        self.layout.is_empty() || self.address().is_multiple_of(align_bytes(self.layout.dtype()))
    }

    /// The elements as values of `T` in `N` dimensions. Shares the memory, whatever the strides.
    ///
    /// # Errors
    ///
    /// When the data is not on the host, the dtype or the number of dimensions is another, or the data is not aligned
    /// for `T`; then copy ([`to_packed`](Self::to_packed)) or read the bytes.
    pub fn view<T: Element, const N: usize>(&self) -> Result<View<'_, T, N>, TensorError> {
        View::new(self)
    }

    /// The elements' bytes, when they are on the host and lie in C order without gaps; else `None`. Shares the memory.
    pub fn as_packed_bytes(&self) -> Option<&[u8]> {
        if !self.layout.is_c_contiguous() {
            return None;
        }
        let end = self.offset_bytes.checked_add(self.layout.len_bytes())?;
        self.region.as_bytes()?.get(self.offset_bytes..end)
    }

    /// Copies the elements into `out` in C order without gaps. Host only; one pass, large runs at memcpy speed.
    ///
    /// # Errors
    ///
    /// When `out` is not exactly `layout().len_bytes()` long or overlaps the source, and when the data is not on the
    /// host. `out` is untouched then.
    pub fn copy_packed_into(&self, out: &mut [u8]) -> Result<(), TensorError> {
        pack::copy_packed(self, out)
    }

    /// A private, writable, C-contiguous copy in new host memory, marked as copied.
    ///
    /// # Errors
    ///
    /// As [`copy_packed_into`](Self::copy_packed_into), and [`TensorError::OutOfMemory`].
    pub fn to_packed(&self) -> Result<Tensor, TensorError> {
        let mut buffer = HostBuffer::zeroed(self.layout.len_bytes())?;
        self.copy_packed_into(&mut buffer)?;
        Ok(Tensor::new(buffer.into_region(), self.layout.to_c_contiguous(), 0)?.copied())
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("layout", &format_args!("{}", self.layout))
            .field("device", &format_args!("{}", self.device()))
            .field("address", &format_args!("{:#x}", self.address()))
            .field("read_only", &self.is_read_only())
            .field("copied", &self.copied)
            .finish_non_exhaustive()
    }
}

/// Alignment that arithmetic on a dtype needs: the largest power of two that divides its scalar's bytes, where the
/// scalar of a complex number is one of its two parts. 1 for elements that are not whole bytes.
fn align_bytes(dtype: DType) -> usize {
    let parts = if dtype.code == DTypeCode::COMPLEX { 2 } else { 1 };
    let scalar_bits = usize::from(dtype.bits) / parts;
    if scalar_bits == 0 || !scalar_bits.is_multiple_of(8) {
        return 1;
    }
    1 << (scalar_bits / 8).trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_is_that_of_the_scalar() {
        let f80 = DType::new(DTypeCode::FLOAT, 80, 1);
        let cases = [
            (DType::U8, 1),
            (DType::F16, 2),
            (DType::F64, 8),
            (DType::COMPLEX64, 4),
            (DType::COMPLEX128, 8),
            (DType::F32.with_lanes(3), 4),
            (DType::F4_E2M1FN, 1),
            (DType::F4_E2M1FN.with_lanes(2), 1),
            (f80, 2),
        ];
        for (dtype, expected) in cases {
            assert_eq!(align_bytes(dtype), expected, "{dtype}");
        }
    }
}
