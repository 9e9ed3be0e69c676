// SPDX-License-Identifier: MIT OR Apache-2.0
//! What torch's exchange table does not check, and so has to be asked of the tensor itself.
//!
//! torch marks a tensor as conjugated or negated instead of computing it, and then memory holds other numbers. Each
//! question costs a Python call, so it is asked only where the mark can be:
//!
//! | mark | on |
//! |---|---|
//! | conjugated | complex tensors |
//! | negated | tensors of floats that are the imaginary part of a conjugated one: they have a stride of two, or one element |
//!
//! `torch._neg_view`, which is private, makes others; they are not noticed.

use pyo3::intern;
use pyo3::prelude::*;
use uncopy::{DTypeCode, Tensor};

use super::lent::Lent;
use crate::error::{ArrayError, type_name_of};

/// Refuses a torch tensor whose memory does not hold its values.
pub(super) fn check_values(array: &Bound<'_, PyAny>, tensor: &Tensor) -> Result<(), ArrayError> {
    let layout = tensor.layout();
    check_marks(array, layout.dtype().code, || layout.len_elems() <= 1 || !layout.is_c_contiguous())
}

/// The same of a tensor that is lent.
#[inline]
pub(super) fn check_lent<const M: usize>(array: &Bound<'_, PyAny>, lent: &Lent<M>) -> Result<(), ArrayError> {
    let is_odd = || lent.shape().iter().product::<usize>() <= 1 || !lent.is_c_contiguous();
    check_marks(array, lent.dtype.code, is_odd)
}

/// `is_odd`: not several items side by side.
#[inline]
fn check_marks(
    array: &Bound<'_, PyAny>,
    code: DTypeCode,
    is_odd: impl FnOnce() -> bool,
) -> Result<(), ArrayError> {
    if code == DTypeCode::COMPLEX && is(array, intern!(array.py(), "is_conj"))? {
        let what = "has its conjugate bit set, so memory holds other numbers: call .resolve_conj() first";
        return Err(ArrayError::Pending { type_name: type_name_of(array), what });
    }
    let may_be_negated = matches!(code, DTypeCode::FLOAT | DTypeCode::COMPLEX) && is_odd();
    if may_be_negated && is(array, intern!(array.py(), "is_neg"))? {
        return Err(ArrayError::NegativeBit { type_name: type_name_of(array) });
    }
    Ok(())
}

/// Refuses a torch tensor that takes part in a computation of gradients, which whoever writes to it would break.
pub(super) fn check_gradient(array: &Bound<'_, PyAny>) -> Result<(), ArrayError> {
    if array.getattr(intern!(array.py(), "requires_grad"))?.is_truthy()? {
        let what = "requires a gradient, which another library can't compute: pass tensor.detach()";
        return Err(ArrayError::Pending { type_name: type_name_of(array), what });
    }
    Ok(())
}

fn is(array: &Bound<'_, PyAny>, method: &Bound<'_, pyo3::types::PyString>) -> Result<bool, ArrayError> {
    Ok(array.call_method0(method)?.is_truthy()?)
}
