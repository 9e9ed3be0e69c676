// SPDX-License-Identifier: MIT OR Apache-2.0
//! May two different indices of a layout reach the same item? Writers must know: such an array cannot be filled.
//!
//! The question in full is as hard as subset sum, so this answers what can be answered cheaply, and is careful
//! otherwise.
//!
//! ```
//! use uncopy_core::{DType, Layout};
//!
//! let column = Layout::strided(DType::F32, &[3, 4], &[1, 0])?; // one column, shown four times
//! assert!(column.has_overlap());
//! let transposed = Layout::strided(DType::F32, &[4, 3], &[1, 4])?;
//! assert!(!transposed.has_overlap());
//! # Ok::<(), uncopy_core::LayoutError>(())
//! ```

use super::{Layout, MAX_NDIM};

impl Layout {
    /// May two different indices reach the same item? `false` is certain; `true` may be careful:
    ///
    /// | strides, axes of length 1 left out | answer |
    /// |---|---|
    /// | one is 0 | yes, certainly: broadcast |
    /// | sorted by size, each is larger than all that the smaller ones can reach | no, certainly: C, Fortran, any permutation, slices, steps, flips |
    /// | anything else | yes, to be careful: sliding windows, and rare interleavings that would be sound |
    pub fn has_overlap(&self) -> bool {
        if self.is_empty() {
            return false;
        }
        // (stride, steps) of the axes that move, the rest 0 and sorted to the front
        let mut moves = [(0_usize, 0_usize); MAX_NDIM];
        for (slot, (&length, &stride)) in moves.iter_mut().zip(self.shape().iter().zip(self.strides_elems()))
        {
            if length > 1 {
                *slot = (stride.unsigned_abs(), length - 1);
            }
        }
        moves.sort_unstable();
        let mut reach = 0_usize;
        for (stride, steps) in moves {
            if steps == 0 {
                continue;
            }
            if stride <= reach {
                return true;
            }
            // a checked extent does not saturate; if it did, the answer would only be more careful
            reach = reach.saturating_add(stride.saturating_mul(steps));
        }
        false
    }
}
