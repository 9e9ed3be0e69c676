// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tensors by `__array_interface__`, version 3.
//!
//! Source: NumPy, "The array interface protocol".

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use uncopy::{DType, Tensor, TensorError, typestr_from_dtype};

use super::strides_bytes;
use crate::error::ArrayError;

/// The answer to `__array_interface__` of a host tensor: `shape`, `typestr`, `data` (address, read-only), `strides` in
/// bytes (`None` for C order) and `version`.
///
/// **The dictionary keeps nothing alive.** A consumer holds the object that it asked; that object has to hold the
/// tensor, unchanged, as long as it lives.
///
/// dtypes that NumPy has no code for (bfloat16, fp8) are called `<V2` or `|V1`, as ml_dtypes does.
///
/// # Errors
///
/// [`ArrayError::NoWord`] for items that are not whole bytes, [`TensorError::NotOnHost`], and Python's own.
pub fn array_interface_from_tensor<'py>(
    py: Python<'py>,
    tensor: &Tensor,
) -> Result<Bound<'py, PyDict>, ArrayError> {
    let layout = tensor.layout();
    if !tensor.device().is_host_accessible() {
        return Err(TensorError::NotOnHost { device: tensor.device() }.into());
    }
    let strides = match strides_bytes(layout) {
        _ if layout.is_c_contiguous() => None,
        Some(strides) => Some(PyTuple::new(py, strides.into_iter().take(layout.ndim()))?),
        None => return Err(no_word(layout.dtype())),
    };
    let interface = PyDict::new(py);
    interface.set_item(intern!(py, "shape"), PyTuple::new(py, layout.shape())?)?;
    interface.set_item(intern!(py, "typestr"), typestr(layout.dtype())?)?;
    interface.set_item(intern!(py, "data"), (tensor.address(), tensor.is_read_only()))?;
    interface.set_item(intern!(py, "strides"), strides)?;
    interface.set_item(intern!(py, "version"), 3)?;
    Ok(interface)
}

fn typestr(dtype: DType) -> Result<String, ArrayError> {
    if let Ok(typestr) = typestr_from_dtype(dtype) {
        return Ok(typestr);
    }
    match dtype.item_bytes() {
        Some(1) => Ok("|V1".to_owned()),
        Some(item_bytes) => Ok(format!("<V{item_bytes}")),
        None => Err(no_word(dtype)),
    }
}

fn no_word(dtype: DType) -> ArrayError {
    ArrayError::NoWord { dtype, protocol: "the array interface" }
}
