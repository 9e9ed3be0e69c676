// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an array is, whoever made it.

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use uncopy::Layout;
use uncopy_pyo3::ArrayArg;

use crate::errors::Failure;

/// What any array is: NumPy, torch, CuPy, jax, numba, anything with DLPack, the CUDA array interface or the buffer protocol. Up
/// to 8 axes, in host memory or on a CUDA device. Nothing is copied, waited for or imported.
///
/// Raises InvalidArgument, InvalidDType, InvalidLayout for what no array is, or one that can't be shared, and says why.
#[pyfunction]
#[pyo3(signature = (array, /))]
pub fn describe(array: &Bound<'_, PyAny>) -> Result<PyDescription, Failure> {
    let array: ArrayArg<'_, '_> = array.extract().map_err(|error: Box<uncopy_pyo3::ArrayError>| *error)?;
    Ok(PyDescription {
        layout: array.layout()?,
        device: array.device().to_string(),
        ptr: array.address(),
        readonly: array.is_read_only(),
        stream: array.stream()?.map(|stream| stream.raw()),
        protocol: array.protocol().name(),
    })
}

/// What an array is, by uncopy.describe(). A plain value: it keeps nothing alive.
#[pyclass(frozen, eq, module = "uncopy", name = "Description")]
#[derive(PartialEq)]
pub struct PyDescription {
    layout: Layout,
    /// Where it lies: 'cpu', 'cuda:0', ...
    #[pyo3(get)]
    device: String,
    /// Address of the first element, in its device's memory.
    #[pyo3(get)]
    ptr: usize,
    /// Whether its owner says that it may not be written.
    #[pyo3(get)]
    readonly: bool,
    /// On a device the handle of the stream that work on the array is to be put into; None in host memory.
    #[pyo3(get)]
    stream: Option<u64>,
    /// By which protocol it was read: 'numpy', 'dlpack_table', 'dlpack', 'cuda_array_interface' or 'buffer'.
    #[pyo3(get)]
    protocol: &'static str,
}

#[pymethods]
impl PyDescription {
    /// Elements along each axis.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.layout.shape())
    }

    /// Bytes from one element to the next along each axis; None where an element is no whole number of bytes.
    #[getter]
    fn strides<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let strides = self.layout.strides_bytes();
        strides.map(|strides| PyTuple::new(py, strides.iter().take(self.layout.ndim()))).transpose()
    }

    /// Name of the dtype, such as 'uint8' or 'bfloat16'.
    #[getter]
    fn dtype(&self) -> String {
        self.layout.dtype().to_string()
    }

    /// Bytes of its elements, packed.
    #[getter]
    fn nbytes(&self) -> usize {
        self.layout.len_bytes()
    }

    fn __repr__(&self) -> String {
        let readonly = if self.readonly { ", read-only" } else { "" };
        let Self { layout, device, protocol, ptr, .. } = self;
        let (dtype, shape) = (layout.dtype(), layout.shape());
        // In bytes, as the attribute has them.
        let strides = match layout.strides_bytes() {
            Some(strides) if !layout.is_c_contiguous() => {
                format!(" strides {:?} bytes", strides.get(..layout.ndim()).unwrap_or_default())
            }
            _ => String::new(),
        };
        format!(
            "<uncopy.Description {dtype}{shape:?}{strides} on {device} at {ptr:#x}{readonly}, by {protocol}>"
        )
    }
}
