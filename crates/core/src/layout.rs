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

use crate::dtype::DType;
use crate::layout_error::LayoutError;
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
    /// Items side by side in C order: the last axis varies fastest.
    ///
    /// # Errors
    /// [`LayoutError`] for too many axes, an item of no bits, or more than `isize::MAX` bytes. Axes of length 0 count as
    /// 1 for that limit, so that an empty array cannot hide a shape that no memory could hold.
    pub fn contiguous(dtype: DType, shape: &[usize]) -> Result<Layout, LayoutError> {
        let (axes, ndim) = axes_from_shape(shape)?;
        let sizes = Sizes::of(dtype, shape)?;
        let mut strides_elems = [0; MAX_NDIM];
        let mut step = 1_usize;
        for (stride, length) in strides_elems.iter_mut().zip(&axes).take(ndim.into()).rev() {
            // both fit: Sizes::of has checked the product of all lengths
            *stride = isize::try_from(step).unwrap_or(isize::MAX);
            step = step.saturating_mul((*length).max(1));
        }
        Ok(Layout {
            dtype,
            ndim,
            shape: axes,
            strides_elems,
            len_elems: sizes.len_elems,
            len_bytes: sizes.len_bytes,
            lowest_bytes: 0,
            highest_bytes: sizes.len_bytes_signed,
        })
    }

    /// Items at any distance from each other, in items; strides may be negative or 0.
    ///
    /// # Errors
    /// As [`contiguous`](Layout::contiguous), and for strides of another number than axes, for an extent over
    /// `isize::MAX` bytes, and for strides other than C order on items under a byte.
    pub fn strided(dtype: DType, shape: &[usize], strides_elems: &[isize]) -> Result<Layout, LayoutError> {
        let mut layout = Layout::contiguous(dtype, shape)?;
        if strides_elems.len() != shape.len() {
            return Err(LayoutError::StridesLength { axes: shape.len(), strides: strides_elems.len() });
        }
        for (ours, given) in layout.strides_elems.iter_mut().zip(strides_elems) {
            *ours = *given;
        }
        if layout.is_c_contiguous() {
            // what contiguous() computed holds for these strides too
            return Ok(layout);
        }
        let Some(item_bytes) = dtype.item_bytes() else {
            return Err(LayoutError::PackedItems {
                dtype,
                shape: shape.to_vec(),
                strides_elems: strides_elems.to_vec(),
            });
        };
        let too_large = || LayoutError::ExtentTooLarge {
            dtype,
            shape: shape.to_vec(),
            strides_elems: strides_elems.to_vec(),
        };
        (layout.lowest_bytes, layout.highest_bytes) =
            extent_bytes(shape, strides_elems, item_bytes).ok_or_else(too_large)?;
        Ok(layout)
    }

    /// As [`strided`](Layout::strided), with strides in bytes, as NumPy and the array interfaces have them.
    ///
    /// A stride that is never used (an axis of length 0 or 1, an empty array) may be any number and is replaced by the
    /// one of C order when it is not a whole number of items.
    ///
    /// # Errors
    /// As [`strided`](Layout::strided), and for a stride that is not a whole number of items.
    pub fn from_strides_bytes(
        dtype: DType,
        shape: &[usize],
        strides_bytes: &[isize],
    ) -> Result<Layout, LayoutError> {
        let packed = Layout::contiguous(dtype, shape)?;
        if strides_bytes.len() != shape.len() {
            return Err(LayoutError::StridesLength { axes: shape.len(), strides: strides_bytes.len() });
        }
        let item_bytes = dtype.item_bytes().and_then(|bytes| isize::try_from(bytes).ok());
        let mut strides_elems = packed.strides_elems;
        for (axis, (stride_elems, stride_bytes)) in strides_elems.iter_mut().zip(strides_bytes).enumerate() {
            let whole = item_bytes.filter(|item| stride_bytes.checked_rem(*item) == Some(0));
            let is_used = !packed.is_empty() && shape.get(axis).is_some_and(|length| *length > 1);
            match whole.and_then(|item| stride_bytes.checked_div(item)) {
                Some(elems) => *stride_elems = elems,
                None if !is_used => {}
                None => {
                    return Err(LayoutError::StrideWithinItem { dtype, axis, stride_bytes: *stride_bytes });
                }
            }
        }
        Layout::strided(dtype, shape, strides_elems.get(..shape.len()).unwrap_or_default())
    }

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

/// The first `shape.len()` axes from `shape`, and how many they are.
fn axes_from_shape(shape: &[usize]) -> Result<([usize; MAX_NDIM], u8), LayoutError> {
    let mut axes = [0; MAX_NDIM];
    let ndim = u8::try_from(shape.len()).ok().filter(|ndim| usize::from(*ndim) <= MAX_NDIM);
    let ndim = ndim.ok_or(LayoutError::TooManyAxes { ndim: shape.len() })?;
    for (ours, given) in axes.iter_mut().zip(shape) {
        *ours = *given;
    }
    Ok((axes, ndim))
}

/// What a shape amounts to, with every product checked.
struct Sizes {
    len_elems: usize,
    len_bytes: usize,
    len_bytes_signed: isize,
}

impl Sizes {
    fn of(dtype: DType, shape: &[usize]) -> Result<Sizes, LayoutError> {
        if dtype.item_bits() == 0 {
            return Err(LayoutError::NoBits { dtype });
        }
        let too_large = || LayoutError::TooLarge { dtype, shape: shape.to_vec() };
        let full_len = shape.iter().try_fold(1_usize, |len, axis| len.checked_mul((*axis).max(1)));
        let full_len = full_len.filter(|len| isize::try_from(*len).is_ok()).ok_or_else(too_large)?;
        let full_bytes = dtype.len_bytes(full_len).and_then(|bytes| isize::try_from(bytes).ok());
        let full_bytes = full_bytes.ok_or_else(too_large)?;
        if shape.contains(&0) {
            return Ok(Sizes { len_elems: 0, len_bytes: 0, len_bytes_signed: 0 });
        }
        Ok(Sizes { len_elems: full_len, len_bytes: full_bytes.unsigned_abs(), len_bytes_signed: full_bytes })
    }
}

/// Lowest and one past the highest byte of a layout with items, or `None` when one of them, or their distance, is more
/// than `isize` holds.
fn extent_bytes(shape: &[usize], strides_elems: &[isize], item_bytes: usize) -> Option<(isize, isize)> {
    let item_bytes = isize::try_from(item_bytes).ok()?;
    let (mut lowest, mut highest) = (0_isize, 0_isize);
    for (&length, &stride) in shape.iter().zip(strides_elems) {
        let steps = isize::try_from(length.saturating_sub(1)).ok()?;
        // an axis of one item has 0 steps, and then even isize::MIN as stride reaches nowhere
        let reach = steps.checked_mul(stride)?.checked_mul(item_bytes)?;
        if reach < 0 {
            lowest = lowest.checked_add(reach)?;
        } else {
            highest = highest.checked_add(reach)?;
        }
    }
    let highest = highest.checked_add(item_bytes)?;
    highest.checked_sub(lowest)?;
    Some((lowest, highest))
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
