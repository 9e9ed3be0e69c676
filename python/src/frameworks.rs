// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to `uncopy.frameworks`, which makes arrays of the frameworks that the user asks for by name.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyType};
use uncopy::{DType, Layout, Tensor};
use uncopy_pyo3::Array;

use crate::errors::Failure;
use crate::frame::PyFrame;
use crate::view::PyCudaView;

/// `numpy.asarray(source)`; bfloat16 and fp8 come as ml_dtypes, through an array of unsigned integers.
pub fn numpy<'py>(
    source: &Bound<'py, PyAny>,
    dtype: DType,
    tensor: impl FnOnce() -> Result<Tensor, Failure>,
) -> Result<Bound<'py, PyAny>, Failure> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = source.py();
    if uncopy::typestr_from_dtype(dtype).is_ok() {
        return Ok(FUNCTION.import(py, "uncopy.frameworks._numpy", "array_from")?.call1((source,))?);
    }
    let unsigned = Array::from(as_unsigned(&tensor()?)?);
    let function = py.import("uncopy.frameworks._numpy")?.getattr("array_from_unsigned")?;
    Ok(function.call1((unsigned, dtype.to_string()))?)
}

/// `torch.from_dlpack(capsule)`.
pub fn torch<'py>(capsule: &Bound<'py, PyCapsule>) -> Result<Bound<'py, PyAny>, Failure> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(FUNCTION.import(capsule.py(), "uncopy.frameworks._torch", "tensor_from")?.call1((capsule,))?)
}

/// `torch.Tensor`.
pub fn torch_class(py: Python<'_>) -> Result<Bound<'_, PyType>, Failure> {
    let class = py.import("uncopy.frameworks._torch")?.getattr("tensor_class")?.call0()?;
    Ok(class.cast_into::<PyType>().map_err(PyErr::from)?)
}

/// `jax.dlpack.from_dlpack`, with a capsule that every version of jax takes.
pub fn jax<'py>(capsule: &Bound<'py, PyCapsule>) -> Result<Bound<'py, PyAny>, Failure> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(FUNCTION.import(capsule.py(), "uncopy.frameworks._jax", "array_from")?.call1((capsule,))?)
}

/// The same for a frame on a device, whose content jax's stream is ordered after.
pub fn jax_on_device<'py>(
    frame: &Bound<'py, PyFrame>,
    capsule: &Bound<'py, PyCapsule>,
    copy: bool,
) -> Result<Bound<'py, PyAny>, Failure> {
    let function = frame.py().import("uncopy.frameworks._jax")?.getattr("array_on_device")?;
    Ok(function.call1((frame, capsule, copy))?)
}

/// Imports CuPy, or says which extra to install.
pub fn require_cupy(py: Python<'_>) -> Result<(), Failure> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    FUNCTION.import(py, "uncopy.frameworks._cupy", "module")?.call0()?;
    Ok(())
}

/// `cupy.asarray(view)`.
pub fn cupy<'py>(view: &Bound<'py, PyCudaView>) -> Result<Bound<'py, PyAny>, Failure> {
    static FUNCTION: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(FUNCTION.import(view.py(), "uncopy.frameworks._cupy", "array_from")?.call1((view,))?)
}

/// A function of `uncopy.notebook`, for a frame.
pub fn notebook<'py>(frame: &Bound<'py, PyFrame>, function: &str) -> Result<Bound<'py, PyAny>, Failure> {
    Ok(frame.py().import("uncopy.notebook")?.getattr(function)?.call1((frame,))?)
}

/// The same memory as unsigned integers of the same size.
fn as_unsigned(tensor: &Tensor) -> Result<Tensor, Failure> {
    let layout = tensor.layout();
    let dtype = match layout.dtype().item_bytes() {
        Some(1) => DType::U8,
        Some(2) => DType::U16,
        Some(4) => DType::U32,
        Some(8) => DType::U64,
        _ => {
            let message = format!("NumPy has no array of {}; use frame.torch() or DLPack", layout.dtype());
            return Err(Failure::Said(uncopy::ErrorKind::InvalidDType, message));
        }
    };
    let layout = Layout::strided(dtype, layout.shape(), layout.strides_elems())?;
    let same = Tensor::new(tensor.region().clone(), layout, tensor.offset_bytes());
    let same = same.map_err(uncopy_pyo3::ArrayError::from)?;
    Ok(if tensor.is_read_only() { same.read_only() } else { same })
}
