// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copying a strided host array into C order.
//!
//! Two steps: a [`Plan`] turns the layout into the fewest axes of whole *units* (a unit is the longest run of bytes
//! that is contiguous in the source), and [`copy_axes`] walks those axes. A packed array is one unit and costs one
//! `memcpy`; rows with a pitch cost one per row; only truly scattered elements are moved one by one.
#![expect(unsafe_code, reason = "fence: reads elements through their tensor's pointer")]

mod copy;
mod plan;

use crate::{Tensor, TensorError};
use copy::copy_axes;

pub use plan::{Axis, Plan};

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
