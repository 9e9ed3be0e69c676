// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copying a strided host array into C order.
//!
//! Two steps: [`Plan::new`] turns the layout into the fewest axes of whole *units* (a unit is the longest run of bytes
//! that is contiguous in the source), and [`copy_axes`] walks those axes. A packed array is one unit and costs one
//! `memcpy`; rows with a pitch cost one per row; only truly scattered elements are moved one by one.
//!
//! The source is read through pointers only: another process may map the same memory, so no `&[u8]` is made of it. The
//! destination is an ordinary slice, cut into chunks, and needs no unsafe code.
#![expect(unsafe_code, reason = "fence: reads elements through their tensor's pointer")]

use uncopy_core::{Layout, LayoutError, MAX_NDIM};

use crate::{Tensor, TensorError};

/// See [`Tensor::copy_packed_into`].
pub(crate) fn copy_packed(tensor: &Tensor, out: &mut [u8]) -> Result<(), TensorError> {
    let layout = tensor.layout();
    if out.len() != layout.len_bytes() {
        return Err(TensorError::SizeMismatch { need_bytes: layout.len_bytes(), found_bytes: out.len() });
    }
    if !tensor.device().kind.is_host_accessible() {
        return Err(TensorError::NotOnHost { device: tensor.device() });
    }
    let plan = Plan::new(layout)?;
    if out.is_empty() {
        return Ok(());
    }
    if overlaps(tensor, out) {
        return Err(TensorError::Overlap { address: out.as_ptr().addr() });
    }
    // SAFETY: the law of `copy_axes` holds: `Tensor::new` checked that every element of the layout, from element 0 on,
    // lies in the region; the region lives while `tensor` is borrowed; and all of it is readable on the host (contract
    // of `Region::from_raw`). The plan names exactly the layout's elements. `out` shares no byte with them.
    unsafe { copy_axes(plan.axes(), plan.unit_bytes, tensor.as_ptr(), out) }
    Ok(())
}

/// Whether the destination shares a byte with the memory that the layout spans.
fn overlaps(tensor: &Tensor, out: &[u8]) -> bool {
    let (lowest, highest) = tensor.layout().extent_bytes();
    let start = tensor.address().wrapping_add_signed(lowest);
    let end = tensor.address().wrapping_add_signed(highest);
    let out = out.as_ptr_range();
    out.start.addr() < end && start < out.end.addr()
}

/// One axis of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Axis {
    /// Steps along the axis; at least 2.
    len: usize,
    /// Bytes from one step to the next; may be 0 or negative.
    stride_bytes: isize,
}

/// A non-empty layout as the fewest axes of contiguous units, outermost first.
#[derive(Debug)]
struct Plan {
    axes: [Axis; MAX_NDIM],
    ndim: usize,
    unit_bytes: usize,
}

impl Plan {
    /// Drops axes of one step, joins neighbours that are one longer axis, and takes a contiguous innermost axis into
    /// the unit. An empty layout gives some plan that must not be run.
    fn new(layout: &Layout) -> Result<Plan, TensorError> {
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

    fn axes(&self) -> &[Axis] {
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

/// Copies the units along `axes` from `source` into `out`, in C order.
///
/// # Safety
///
/// For every index along `axes`, `unit_bytes` bytes at `source` plus the sum of index times stride are readable, and
/// none of them is a byte of `out`.
unsafe fn copy_axes(axes: &[Axis], unit_bytes: usize, source: *const u8, out: &mut [u8]) {
    match *axes {
        [] => {
            // SAFETY: with no axes there is one unit, readable at `source`, and it shares no byte with `out`
            // (contract).
            unsafe { copy_unit(source, unit_bytes, out) }
        }
        [inner] => {
            // SAFETY: an outer axis of one step adds no index, so the contract is the same.
            unsafe { copy_plane(Axis { len: 1, stride_bytes: 0 }, inner, unit_bytes, source, out) }
        }
        [outer, inner] => {
            // SAFETY: the contract is the same, its two axes named.
            unsafe { copy_plane(outer, inner, unit_bytes, source, out) }
        }
        [first, ref rest @ ..] => {
            let chunk_len = (out.len() / first.len).max(1);
            for (step, chunk) in out.chunks_exact_mut(chunk_len).take(first.len).enumerate() {
                let source = source.wrapping_offset(step.cast_signed().wrapping_mul(first.stride_bytes));
                // SAFETY: `step` is an index along `first`, so every index along `rest` continues one of `axes`.
                unsafe { copy_axes(rest, unit_bytes, source, chunk) }
            }
        }
    }
}

/// The two innermost axes in one loop nest, compiled apart for the unit sizes of pixels and numbers.
///
/// # Safety
///
/// As [`copy_axes`] with the axes `outer` and `inner`.
unsafe fn copy_plane(outer: Axis, inner: Axis, unit_bytes: usize, source: *const u8, out: &mut [u8]) {
    macro_rules! by_unit {
        ($($unit:literal)*) => {
            match unit_bytes {
                $($unit => {
                    // SAFETY: the unit size is the one matched; the rest of the contract is passed on.
                    unsafe { copy_small_units::<$unit>(outer, inner, source, out) }
                })*
                _ => {
                    // SAFETY: the contract is passed on.
                    unsafe { copy_runs(outer, inner, unit_bytes, source, out) }
                }
            }
        };
    }
    by_unit!(1 2 3 4 6 8 12 16)
}

/// # Safety
///
/// As [`copy_axes`] with the axes `outer` and `inner` and units of `UNIT` bytes.
unsafe fn copy_small_units<const UNIT: usize>(outer: Axis, inner: Axis, source: *const u8, out: &mut [u8]) {
    for (step, row) in out.chunks_exact_mut(UNIT * inner.len).take(outer.len).enumerate() {
        let mut source = source.wrapping_offset(step.cast_signed().wrapping_mul(outer.stride_bytes));
        for unit in row.chunks_exact_mut(UNIT) {
            // SAFETY: `row` has `inner.len` units, so `source` stands at an index inside both axes, where UNIT bytes are
            // readable (contract); a byte array needs no alignment, and any bytes are one.
            let bytes = unsafe { source.cast::<[u8; UNIT]>().read() };
            unit.copy_from_slice(&bytes);
            source = source.wrapping_offset(inner.stride_bytes);
        }
    }
}

/// # Safety
///
/// As [`copy_axes`] with the axes `outer` and `inner`.
unsafe fn copy_runs(outer: Axis, inner: Axis, unit_bytes: usize, source: *const u8, out: &mut [u8]) {
    for (step, row) in out.chunks_exact_mut(unit_bytes * inner.len).take(outer.len).enumerate() {
        let mut source = source.wrapping_offset(step.cast_signed().wrapping_mul(outer.stride_bytes));
        for unit in row.chunks_exact_mut(unit_bytes) {
            // SAFETY: `row` has `inner.len` units, so `source` stands at an index inside both axes (contract).
            unsafe { copy_unit(source, unit_bytes, unit) }
            source = source.wrapping_offset(inner.stride_bytes);
        }
    }
}

/// # Safety
///
/// `unit_bytes` bytes at `source` are readable, and none of them is a byte of `out`.
unsafe fn copy_unit(source: *const u8, unit_bytes: usize, out: &mut [u8]) {
    let len = unit_bytes.min(out.len());
    // SAFETY: `len` bytes are readable at `source` and writable in `out`, and the two do not overlap (contract).
    unsafe { std::ptr::copy_nonoverlapping(source, out.as_mut_ptr(), len) }
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
