// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tensors by `__array_interface__`, version 3.
//!
//! Source: NumPy, "The array interface protocol".

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use uncopy::{DType, DeviceKind, Stream, Tensor, TensorError, typestr_from_dtype};

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

/// The answer to `__cuda_array_interface__` of a tensor on a CUDA device: version 3, with the stream that a reader has to
/// be ordered after; `None` where the elements are there already.
///
/// **The dictionary keeps nothing alive**, as with [`array_interface_from_tensor`], and a reader does not say in which
/// stream it reads.
///
/// # Errors
///
/// `AttributeError` for host memory, as `hasattr` is what libraries ask by; [`ArrayError::NoWord`] for dtypes without a
/// typestr.
pub fn cuda_array_interface_from_tensor<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    stream: Option<Stream>,
) -> Result<Bound<'py, PyDict>, ArrayError> {
    let layout = tensor.layout();
    if tensor.device().kind != DeviceKind::CUDA {
        return Err(no_cuda_array_interface().into());
    }
    let no_word = || ArrayError::NoWord { dtype: layout.dtype(), protocol: "the CUDA array interface" };
    let strides = match strides_bytes(layout) {
        _ if layout.is_c_contiguous() => None,
        Some(strides) => Some(PyTuple::new(py, strides.into_iter().take(layout.ndim()))?),
        None => return Err(no_word()),
    };
    let typestr = typestr_from_dtype(layout.dtype()).map_err(|_| no_word())?;
    let address = if layout.is_empty() { 0 } else { tensor.address() };
    let interface = PyDict::new(py);
    interface.set_item(intern!(py, "shape"), PyTuple::new(py, layout.shape())?)?;
    interface.set_item(intern!(py, "typestr"), typestr)?;
    interface.set_item(intern!(py, "data"), (address, tensor.is_read_only()))?;
    interface.set_item(intern!(py, "strides"), strides)?;
    interface.set_item(intern!(py, "version"), 3)?;
    interface.set_item(intern!(py, "stream"), stream.map(Stream::raw))?;
    Ok(interface)
}

/// What an array in host memory answers to who looks for its `__cuda_array_interface__`.
#[must_use]
pub fn no_cuda_array_interface() -> PyErr {
    PyAttributeError::new_err(
        "__cuda_array_interface__ is for arrays on a CUDA device; this one is in host memory",
    )
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
