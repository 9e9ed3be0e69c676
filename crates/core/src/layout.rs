// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the items of an array lie in memory: dtype, shape, strides, and nothing of the memory itself.
//!
//! A [`Layout`] that exists is sound: every product, sum and extent was computed with checked arithmetic, and no offset
//! that it yields leaves the range of `isize`. So whoever holds one can do address arithmetic without another check,
//! except the one that needs the memory: [`Layout::fits`].
//!
//! | case | what holds |
//! |---|---|
//! | no axes (0-d) | one item; strides are empty |
//! | an axis of length 0 | no items: extent `(0, 0)`, C order, no overlap; the other axes are still limited |
//! | an axis of length 1 | its stride is kept as given and never used |
//! | negative stride | element 0 is not the lowest; see [`Layout::extent_bytes`] |
//! | stride 0 on a longer axis | broadcast: allowed, and [`Layout::has_overlap`] |
//! | items under a byte | packed, C order only |
//!
//! Strides count items, as in DLPack; [`Layout::from_strides_bytes`] takes NumPy's bytes.
//!
//! It refuses more than [`MAX_NDIM`] axes and anything over `isize::MAX` bytes, packed or spread out.
//!
//! ```
//! use uncopy_core::{DType, Layout};
//!
//! let frame = Layout::contiguous(DType::U8, &[1080, 1920, 4])?;
//! assert_eq!(frame.len_bytes(), 8_294_400);
//!
//! // the same frame upside down: row 0 is the last in memory
//! let flipped = Layout::strided(DType::U8, &[1080, 1920, 4], &[-7680, 4, 1])?;
//! assert_eq!(flipped.extent_bytes(), (-1079 * 7680, 7680));
//! assert!(flipped.fits(8_294_400, 1079 * 7680).is_ok());
//! assert!(flipped.fits(8_294_400, 0).is_err());
//! # Ok::<(), uncopy_core::LayoutError>(())
//! ```

mod checked;
mod error;
mod overlap;

pub use error::LayoutError;

use crate::dtype::DType;
use std::fmt;

/// The most axes that a layout can have.
pub const MAX_NDIM: usize = 8;

/// Where the items of an array lie, relative to its element 0; see the [module](self).
///
/// Two layouts are equal when dtype, shape and strides are, the unused strides of axes of length 1 included.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    dtype: DType,
    ndim: u8,
    /// Axes past `ndim` are 0, so that equality and hash may look at all of them.
    shape: [usize; MAX_NDIM],
    strides_elems: [isize; MAX_NDIM],
    len_elems: usize,
    len_bytes: usize,
    lowest_bytes: isize,
    highest_bytes: isize,
}

impl Layout {
    /// What the items are.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// How many axes there are.
    pub fn ndim(&self) -> usize {
        self.ndim.into()
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.shape.get(..self.ndim()).unwrap_or_default()
    }

    /// The distance from one item to the next along each axis, in items.
    pub fn strides_elems(&self) -> &[isize] {
        self.strides_elems.get(..self.ndim()).unwrap_or_default()
    }

    /// The same distances in bytes, 0 past the last axis; `None` for items under a byte. A stride that is never used
    /// and would not fit is cut to what fits.
    pub fn strides_bytes(&self) -> Option<[isize; MAX_NDIM]> {
        let item_bytes = isize::try_from(self.dtype.item_bytes()?).ok()?;
        // strides that are used reach no further than the checked extent
        Some(self.strides_elems.map(|stride| stride.saturating_mul(item_bytes)))
    }

    /// How many items there are: the product of the shape.
    pub fn len_elems(&self) -> usize {
        self.len_elems
    }

    /// Bytes of the items packed side by side. This is what a copy of the array needs, not what the array spans: see
    /// [`span_bytes`](Layout::span_bytes).
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// The bytes that the items touch, relative to the first byte of element 0: from the lowest (0 or negative) to one
    /// past the highest. `(0, 0)` when there are no items.
    pub fn extent_bytes(&self) -> (isize, isize) {
        (self.lowest_bytes, self.highest_bytes)
    }

    /// Bytes from the lowest to one past the highest that the items touch.
    pub fn span_bytes(&self) -> usize {
        self.highest_bytes.abs_diff(self.lowest_bytes)
    }

    /// Is an axis of length 0?
    pub fn is_empty(&self) -> bool {
        self.len_elems == 0
    }

    /// Are the items side by side with the last axis fastest? Axes of length 1 and empty arrays do not matter.
    pub fn is_c_contiguous(&self) -> bool {
        let axes = self.shape().iter().zip(self.strides_elems());
        self.is_empty() || is_packed_in_order(axes.rev())
    }

    /// Are the items side by side with the first axis fastest? Axes of length 1 and empty arrays do not matter.
    pub fn is_f_contiguous(&self) -> bool {
        let axes = self.shape().iter().zip(self.strides_elems());
        self.is_empty() || is_packed_in_order(axes)
    }

    /// The same items packed in C order.
    pub fn to_c_contiguous(&self) -> Layout {
        let strided = *self;
        // the constructor took this dtype and shape once, and strides play no part in what it refuses
        Layout::contiguous(self.dtype, self.shape()).unwrap_or(strided)
    }

    /// The byte offset of an item from element 0; `None` when `index` is outside the shape, or items are under a byte.
    pub fn offset_bytes(&self, index: &[usize]) -> Option<isize> {
        if index.len() != self.ndim() {
            return None;
        }
        let mut elems = 0_isize;
        for ((&at, &length), &stride) in index.iter().zip(self.shape()).zip(self.strides_elems()) {
            if at >= length {
                return None;
            }
            elems = elems.checked_add(isize::try_from(at).ok()?.checked_mul(stride)?)?;
        }
        elems.checked_mul(isize::try_from(self.dtype.item_bytes()?).ok()?)
    }

    /// Checks that every item lies inside a memory region of `len_bytes` when element 0 is at `offset_bytes` of it.
    ///
    /// # Errors
    /// [`LayoutError::OutOfRegion`] with all the numbers.
    pub fn fits(&self, len_bytes: usize, offset_bytes: usize) -> Result<(), LayoutError> {
        let lowest = offset_bytes.checked_add_signed(self.lowest_bytes);
        let highest = offset_bytes.checked_add_signed(self.highest_bytes);
        match (lowest, highest) {
            (Some(_), Some(highest)) if highest <= len_bytes => Ok(()),
            _ => Err(LayoutError::OutOfRegion {
                layout: Box::new(*self),
                region_len_bytes: len_bytes,
                offset_bytes,
            }),
        }
    }
}

/// Do these axes, fastest first, leave no gap? Axes of length 1 do not matter.
fn is_packed_in_order<'a>(mut axes: impl Iterator<Item = (&'a usize, &'a isize)>) -> bool {
    let mut expected = 1_usize;
    axes.all(|(&length, &stride)| {
        let fits = length == 1 || usize::try_from(stride) == Ok(expected);
        // the product of a checked shape does not saturate
        expected = expected.saturating_mul(length);
        fits
    })
}

impl fmt::Display for Layout {
    /// `"uint8[1080, 1920, 4]"`, and with its strides when it is not in C order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape())?;
        if !self.is_c_contiguous() {
            write!(f, " strides {:?}", self.strides_elems())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Layout {
    /// As [`Display`](fmt::Display), with the strides in every case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?} strides {:?}", self.dtype, self.shape(), self.strides_elems())
    }
}
