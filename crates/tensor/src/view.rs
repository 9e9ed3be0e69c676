// SPDX-License-Identifier: MIT OR Apache-2.0
//! Typed reading of a tensor on the host, in place.
//!
//! A [`View`] is to a strided array what `&[T]` is to a packed one. It can be read element by element, axis by axis
//! ([`View::outer`]), in C order ([`View::iter`]), or as a slice where it is one.
//!
//! It never writes and never copies more than the element asked for.
//!
//! ```
//! use uncopy_core::{DType, Layout};
//! use uncopy_tensor::{Region, Tensor};
//!
//! let region = Region::from_vec((0..6).collect());
//! let upside_down = Layout::strided(DType::U8, &[2, 3], &[-3, 1])?;
//! let tensor = Tensor::new(region, upside_down, 3)?;
//!
//! let view = tensor.view::<u8, 2>()?;
//! assert_eq!(view.iter().collect::<Vec<_>>(), [3, 4, 5, 0, 1, 2]);
//! assert_eq!(view.outer(1).and_then(|row| row.as_slice()), Some(&[0, 1, 2][..]));
//! # Ok::<(), uncopy_tensor::TensorError>(())
//! ```
#![expect(unsafe_code, reason = "fence: reads elements through their tensor's pointer")]

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

use crate::{Element, Tensor, TensorError};

/// A borrowed, typed, read-only view of a host tensor with `N` dimensions.
// Law of this type: for every index inside `shape`, `base` plus the sum of index times stride is an aligned, readable
// `T` for `'a`. Both makers, `new` and `outer`, keep it.
pub struct View<'a, T, const N: usize> {
    base: *const T,
    shape: [usize; N],
    strides_elems: [isize; N],
    lent: PhantomData<&'a [T]>,
}

impl<T, const N: usize> Clone for View<'_, T, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const N: usize> Copy for View<'_, T, N> {}

// SAFETY: a view is a `&'a [T]` with holes: it only reads `T`s, which other threads may do too when `T: Sync`.
unsafe impl<T: Sync, const N: usize> Send for View<'_, T, N> {}
// SAFETY: as for `Send`.
unsafe impl<T: Sync, const N: usize> Sync for View<'_, T, N> {}

impl<'a, T: Element, const N: usize> View<'a, T, N> {
    /// See [`Tensor::view`].
    pub(crate) fn new(tensor: &'a Tensor) -> Result<Self, TensorError> {
        let layout = tensor.layout();
        if !tensor.device().kind.is_host_accessible() {
            return Err(TensorError::NotOnHost { device: tensor.device() });
        }
        if layout.dtype() != T::DTYPE {
            return Err(TensorError::DTypeMismatch { wanted: T::DTYPE, found: layout.dtype() });
        }
        let base = tensor.as_ptr().cast_const().cast::<T>();
        if !layout.is_empty() && !base.is_aligned() {
            return Err(TensorError::Misaligned { address: base.addr(), align_bytes: align_of::<T>() });
        }
        let ndim = |_| TensorError::NdimMismatch { wanted: N, found: layout.ndim() };
        let shape = layout.shape().try_into().map_err(ndim)?;
        let strides_elems = layout.strides_elems().try_into().map_err(ndim)?;
        // The law holds: `Tensor::new` checked that every element lies in the region, which `tensor` keeps alive; all
        // of it is readable on the host (contract of `Region::from_raw`); element 0 is aligned and so is any whole
        // number of elements from it, `size_of::<T>()` being both the dtype's size and a multiple of the alignment.
        Ok(View { base, shape, strides_elems, lent: PhantomData })
    }

    /// A view of memory that is lent without a tensor, such as an array of another language for the time of a call. Strides
    /// count elements.
    ///
    /// # Safety
    ///
    /// For `'a`, and for every index inside `shape`, `base` plus the sum of index times stride is an aligned `T` in one
    /// allocation on the host, which may be read and which nobody writes. The product of `shape` times the size of `T` is at
    /// most `isize::MAX`.
    #[inline]
    pub unsafe fn from_raw_parts(base: *const T, shape: [usize; N], strides_elems: [isize; N]) -> Self {
        View { base, shape, strides_elems, lent: PhantomData }
    }

    /// Elements along each axis.
    pub fn shape(&self) -> [usize; N] {
        self.shape
    }

    /// Elements from one index to the next along each axis; may be 0 or negative.
    pub fn strides_elems(&self) -> [isize; N] {
        self.strides_elems
    }

    /// Number of elements.
    pub fn len_elems(&self) -> usize {
        // Only an empty view can overflow on the way to its product: a layout's whole size is checked.
        self.shape.iter().fold(1, |product, &len| product.wrapping_mul(len))
    }

    /// The element at `index`, or `None` outside the shape.
    #[inline]
    pub fn get(&self, index: [usize; N]) -> Option<T> {
        let mut offset_elems = 0_isize;
        for ((&at, &len), &stride) in index.iter().zip(&self.shape).zip(&self.strides_elems) {
            if at >= len {
                return None;
            }
            // Cannot wrap: each partial sum is the offset of an element (the remaining indices being 0).
            offset_elems = offset_elems.wrapping_add(at.cast_signed().wrapping_mul(stride));
        }
        let element = self.base.wrapping_offset(offset_elems);
        // SAFETY: the index lies inside the shape, so by the law of this type `element` is an aligned, readable `T`.
        Some(unsafe { element.read() })
    }

    /// The elements as a slice, when they lie in C order without gaps.
    pub fn as_slice(&self) -> Option<&'a [T]> {
        let len = self.len_elems();
        if len == 0 {
            return Some(&[]);
        }
        let mut expected = 1_isize;
        for (&len, &stride) in self.shape.iter().zip(&self.strides_elems).rev().filter(|(len, _)| **len != 1)
        {
            if stride != expected {
                return None;
            }
            expected = expected.wrapping_mul(len.cast_signed());
        }
        // SAFETY: the strides are those of C order, so the elements are the `len` values from `base` on: by the law of
        // this type aligned and readable for `'a`, in one region, whose bytes nobody writes while they are lent.
        Some(unsafe { std::slice::from_raw_parts(self.base, len) })
    }

    /// The values in C order (the last axis fastest), whatever the strides.
    pub fn iter(&self) -> Iter<'a, T, N> {
        Iter { view: *self, index: [0; N], offset_elems: 0, left: self.len_elems() }
    }
}

impl<'a, T: Element, const N: usize> IntoIterator for View<'a, T, N> {
    type Item = T;
    type IntoIter = Iter<'a, T, N>;

    fn into_iter(self) -> Iter<'a, T, N> {
        self.iter()
    }
}

impl<'a, T: Element, const N: usize> IntoIterator for &View<'a, T, N> {
    type Item = T;
    type IntoIter = Iter<'a, T, N>;

    fn into_iter(self) -> Iter<'a, T, N> {
        self.iter()
    }
}

impl<T: Element, const N: usize> fmt::Debug for View<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("dtype", &format_args!("{}", T::DTYPE))
            .field("shape", &self.shape)
            .field("strides_elems", &self.strides_elems)
            .finish_non_exhaustive()
    }
}

/// Stable Rust cannot write `View<'a, T, { N - 1 }>`, so each number of dimensions that a layout may have is written
/// out.
macro_rules! outer {
    ($($n:literal => $fewer:literal),* $(,)?) => {$(
        impl<'a, T: Element> View<'a, T, $n> {
            /// The view at `index` of the outermost axis, with one dimension less; `None` outside the shape.
            pub fn outer(&self, index: usize) -> Option<View<'a, T, $fewer>> {
                let (&len, shape) = self.shape.split_first()?;
                let (&stride, strides_elems) = self.strides_elems.split_first()?;
                if index >= len {
                    return None;
                }
                // The law holds for the rest: an index inside it is one inside `self` with `index` in front. Wrapping
                // arithmetic, because with an empty axis behind, no element need exist there.
                let base = self.base.wrapping_offset(index.cast_signed().wrapping_mul(stride));
                let (shape, strides_elems) = (shape.try_into().ok()?, strides_elems.try_into().ok()?);
                Some(View { base, shape, strides_elems, lent: PhantomData })
            }
        }
    )*};
}

outer! { 1 => 0, 2 => 1, 3 => 2, 4 => 3, 5 => 4, 6 => 5, 7 => 6, 8 => 7 }

/// The values of a [`View`] in C order.
#[derive(Clone)]
pub struct Iter<'a, T, const N: usize> {
    view: View<'a, T, N>,
    index: [usize; N],
    /// Offset of the element at `index`, while `left > 0`.
    offset_elems: isize,
    left: usize,
}

impl<T: Element, const N: usize> Iterator for Iter<'_, T, N> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let element = self.view.base.wrapping_offset(self.offset_elems);
        // SAFETY: `left` was above 0, so `index` is inside the shape and `offset_elems` is its offset; by the view's
        // law an aligned, readable `T` stands there.
        let value = unsafe { element.read() };
        let axes = self.view.shape.iter().zip(&self.view.strides_elems).zip(&mut self.index);
        for ((&len, &stride), at) in axes.rev() {
            *at += 1;
            self.offset_elems = self.offset_elems.wrapping_add(stride);
            if *at < len {
                break;
            }
            *at = 0;
            self.offset_elems = self.offset_elems.wrapping_sub(stride.wrapping_mul(len.cast_signed()));
        }
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Element, const N: usize> ExactSizeIterator for Iter<'_, T, N> {}
impl<T: Element, const N: usize> FusedIterator for Iter<'_, T, N> {}
