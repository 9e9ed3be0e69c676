// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must be copied, in the fewest and longest pieces.

use uncopy_core::{Layout, LayoutError, MAX_NDIM};

/// One axis of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axis {
    /// Steps along the axis; at least 2.
    pub len: usize,
    /// Bytes from one step to the next; may be 0 or negative.
    pub stride_bytes: isize,
}

/// How to pack a layout: its elements as the fewest axes of contiguous *units*, outermost first. For those who copy
/// with something else than the CPU; [`Tensor::copy_packed_into`](crate::Tensor::copy_packed_into) is the CPU's.
#[derive(Debug)]
pub struct Plan {
    axes: [Axis; MAX_NDIM],
    ndim: usize,
    /// Bytes of a unit: the longest run that is contiguous in the layout.
    pub unit_bytes: usize,
}

impl Plan {
    /// Drops axes of one step, joins neighbours that are one longer axis, and takes a contiguous innermost axis into
    /// the unit. An empty layout gives some plan that must not be run.
    ///
    /// # Errors
    ///
    /// Items under a byte that are not packed already.
    pub fn new(layout: &Layout) -> Result<Plan, LayoutError> {
        let mut plan = Plan {
            axes: [Axis { len: 1, stride_bytes: 0 }; MAX_NDIM],
            ndim: 0,
            unit_bytes: layout.len_bytes(),
        };
        if layout.is_c_contiguous() {
            return Ok(plan);
        }
        plan.unit_bytes = layout.dtype().item_bytes().ok_or_else(|| LayoutError::PackedItems {
            dtype: layout.dtype(),
            shape: layout.shape().to_vec(),
            strides_elems: layout.strides_elems().to_vec(),
        })?;
        for (&len, &stride) in layout.shape().iter().zip(layout.strides_elems()).filter(|(len, _)| **len != 1)
        {
            // Cannot wrap: the layout's extent covers at least one such step of at least two, and is checked.
            let stride_bytes = stride.wrapping_mul(plan.unit_bytes.cast_signed());
            plan.push(Axis { len, stride_bytes });
        }
        plan.take_contiguous_innermost();
        Ok(plan)
    }

    /// The axes along which units stand, outermost first; none for a packed array.
    pub fn axes(&self) -> &[Axis] {
        self.axes.get(..self.ndim).unwrap_or_default()
    }

    /// Adds an axis inside the last one, or joins the two when a step of the outer one is all of the inner one.
    fn push(&mut self, inner: Axis) {
        if let Some(outer) = self.ndim.checked_sub(1).and_then(|last| self.axes.get_mut(last))
            && inner.stride_bytes.checked_mul(inner.len.cast_signed()) == Some(outer.stride_bytes)
        {
            // Cannot wrap: both lengths are factors of the layout's checked size.
            *outer = Axis { len: outer.len.wrapping_mul(inner.len), stride_bytes: inner.stride_bytes };
            return;
        }
        if let Some(free) = self.axes.get_mut(self.ndim) {
            *free = inner;
            self.ndim += 1;
        }
    }

    fn take_contiguous_innermost(&mut self) {
        let Some(innermost) = self.axes().last().copied() else { return };
        if innermost.stride_bytes == self.unit_bytes.cast_signed() {
            self.unit_bytes = self.unit_bytes.wrapping_mul(innermost.len);
            self.ndim -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uncopy_core::DType;

    fn plan(shape: &[usize], strides: &[isize]) -> (Vec<(usize, isize)>, usize) {
        let layout = Layout::strided(DType::U16, shape, strides).unwrap();
        let plan = Plan::new(&layout).unwrap();
        (plan.axes().iter().map(|axis| (axis.len, axis.stride_bytes)).collect(), plan.unit_bytes)
    }

    #[test]
    fn a_packed_array_is_one_unit() {
        assert_eq!(plan(&[2, 3, 4], &[12, 4, 1]), (vec![], 48));
    }

    #[test]
    fn rows_with_a_pitch_are_one_unit_each() {
        assert_eq!(plan(&[5, 3, 4], &[100, 4, 1]), (vec![(5, 200)], 24));
    }

    #[test]
    fn axes_that_continue_each_other_are_joined() {
        assert_eq!(plan(&[2, 3, 4], &[24, 8, 2]), (vec![(24, 4)], 2));
        assert_eq!(
            plan(&[3, 4, 5], &[1, 15, 3]),
            (vec![(3, 2), (20, 6)], 2),
            "planes from interleaved pixels"
        );
    }

    #[test]
    fn an_upside_down_image_is_rows_backwards() {
        assert_eq!(plan(&[4, 3, 1], &[-3, 1, 77]), (vec![(4, -6)], 6));
    }

    #[test]
    fn a_broadcast_scalar_is_one_axis_without_stride() {
        assert_eq!(plan(&[3, 4, 5], &[0, 0, 0]), (vec![(60, 0)], 2));
    }
}
