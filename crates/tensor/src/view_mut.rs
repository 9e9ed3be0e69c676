// SPDX-License-Identifier: MIT OR Apache-2.0
//! Typed writing of host memory that is lent for a while, in place.
//!
//! A [`ViewMut`] is to a strided array what `&mut [T]` is to a packed one. Only memory that nobody else reads or writes
//! meanwhile can be lent so, which a [`Tensor`](crate::Tensor) does not promise: it has clones. So it is made where that
//! is known: from an array of another language that was given for a call, to be written.
#![expect(unsafe_code, reason = "fence: writes elements through a pointer that was lent")]

use std::fmt;
use std::marker::PhantomData;

use crate::{Element, View};

/// A borrowed, typed view of host memory with `N` dimensions, for writing.
// Law of this type: that of `View`, for memory that may be written, and that nobody else uses for `'a`.
pub struct ViewMut<'a, T, const N: usize> {
    base: *mut T,
    shape: [usize; N],
    strides_elems: [isize; N],
    lent: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a `&'a mut [T]` with holes, which may go to another thread when `T: Send`.
unsafe impl<T: Send, const N: usize> Send for ViewMut<'_, T, N> {}
// SAFETY: shared, it only reads `T`s, which other threads may do too when `T: Sync`.
unsafe impl<T: Sync, const N: usize> Sync for ViewMut<'_, T, N> {}

impl<'a, T: Element, const N: usize> ViewMut<'a, T, N> {
    /// A view of memory that is lent. Strides count elements.
    ///
    /// # Safety
    ///
    /// For `'a`, and for every index inside `shape`, `base` plus the sum of index times stride is an aligned `T` in one
    /// allocation on the host, which may be read and written, and which nobody else uses. No two indices lead to the same
    /// element. The product of `shape` times the size of `T` is at most `isize::MAX`.
    #[inline]
    pub unsafe fn from_raw_parts(base: *mut T, shape: [usize; N], strides_elems: [isize; N]) -> Self {
        ViewMut { base, shape, strides_elems, lent: PhantomData }
    }

    /// Elements along each axis.
    pub fn shape(&self) -> [usize; N] {
        self.shape
    }

    /// Elements from one index to the next along each axis; may be negative.
    pub fn strides_elems(&self) -> [isize; N] {
        self.strides_elems
    }

    /// The same elements for reading.
    #[inline]
    pub fn as_view(&self) -> View<'_, T, N> {
        // SAFETY: by the law of this type, for as long as `self` is borrowed, and nobody writes meanwhile.
        unsafe { View::from_raw_parts(self.base, self.shape, self.strides_elems) }
    }

    /// The element at `index`, or `None` outside the shape.
    #[inline]
    pub fn get(&self, index: [usize; N]) -> Option<T> {
        self.as_view().get(index)
    }

    /// Writes the element at `index`. Returns what stood there, or `None` outside the shape.
    #[inline]
    pub fn set(&mut self, index: [usize; N], value: T) -> Option<T> {
        let mut offset_elems = 0_isize;
        for ((&at, &len), &stride) in index.iter().zip(&self.shape).zip(&self.strides_elems) {
            if at >= len {
                return None;
            }
            // Cannot wrap: each partial sum is the offset of an element (the remaining indices being 0).
            offset_elems = offset_elems.wrapping_add(at.cast_signed().wrapping_mul(stride));
        }
        let element = self.base.wrapping_offset(offset_elems);
        // SAFETY: the index lies inside the shape, so by the law of this type `element` is an aligned `T` that is ours.
        Some(unsafe { element.replace(value) })
    }

    /// The elements as a slice, when they lie in C order without gaps.
    pub fn as_mut_slice(&mut self) -> Option<&mut [T]> {
        let len = self.as_view().as_slice()?.len();
        if len == 0 {
            return Some(&mut []);
        }
        // SAFETY: the elements are the `len` values from `base` on, as the slice of the view was, and by the law of this
        // type nobody else uses them while `self` is borrowed.
        Some(unsafe { std::slice::from_raw_parts_mut(self.base, len) })
    }
}

impl<T: Element, const N: usize> fmt::Debug for ViewMut<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewMut")
            .field("dtype", &format_args!("{}", T::DTYPE))
            .field("shape", &self.shape)
            .field("strides_elems", &self.strides_elems)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_where_their_strides_lead() {
        let mut memory = [0_i32, 1, 2, 3, 4, 5];
        // The rows stand upside down.
        // SAFETY: the six elements of the array, each once.
        let mut view =
            unsafe { ViewMut::from_raw_parts(memory.as_mut_ptr().wrapping_add(3), [2, 3], [-3, 1]) };
        assert_eq!(view.set([0, 2], 50), Some(5));
        assert_eq!(view.set([1, 0], 10), Some(0));
        assert_eq!(view.set([2, 0], 9), None);
        assert_eq!(
            (view.get([0, 2]), view.as_view().iter().collect::<Vec<_>>()),
            (Some(50), vec![3, 4, 50, 10, 1, 2])
        );
        assert!(view.as_mut_slice().is_none());
        assert_eq!(memory, [10, 1, 2, 3, 4, 50]);
    }

    #[test]
    fn a_packed_view_is_a_slice() {
        let mut memory = [1_u8, 2, 3, 4];
        // SAFETY: the four elements of the array, each once.
        let mut view = unsafe { ViewMut::from_raw_parts(memory.as_mut_ptr(), [2, 2], [2, 1]) };
        view.as_mut_slice().unwrap().reverse();
        assert_eq!(memory, [4, 3, 2, 1]);
        // SAFETY: there are no elements.
        let mut empty = unsafe { ViewMut::<u8, 1>::from_raw_parts(std::ptr::dangling_mut(), [0], [7]) };
        assert_eq!(empty.as_mut_slice(), Some(&mut [][..]));
    }
}
