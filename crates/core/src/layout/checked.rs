// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a layout comes to be: every product, sum and extent computed once, with checked arithmetic.
//!
//! It refuses what no memory could hold, so that nothing after it has to ask again.
//!
//! ```
//! use uncopy_core::{DType, Layout};
//!
//! assert!(Layout::contiguous(DType::U8, &[usize::MAX, 0]).is_err()); // empty, and still impossible
//! assert!(Layout::strided(DType::U8, &[2, 1], &[1, isize::MIN]).is_ok()); // the second stride is never used
//! assert!(Layout::strided(DType::U8, &[2, 2], &[1, isize::MIN]).is_err());
//! ```

use super::{Layout, LayoutError, MAX_NDIM};
use crate::dtype::DType;

impl Layout {
    /// Items side by side in C order: the last axis varies fastest.
    ///
    /// # Errors
    /// [`LayoutError`] for too many axes, an item of no bits, or more than `isize::MAX` bytes. Axes of length 0 count
    /// as 1 for that limit, so that an empty array cannot hide a shape that no memory could hold.
    #[inline]
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
    #[inline]
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
