// SPDX-License-Identifier: MIT OR Apache-2.0
//! A ready-made Python class that hands a tensor to every array library.
#![expect(unsafe_code, reason = "fence: passes Python's buffer requests on")]

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use uncopy::{Stream, Tensor};

use crate::error::ArrayError;
use crate::give;
use crate::stream::StreamOwner;
use crate::take::Taken;

/// An array in Python that `numpy.asarray`, `torch.from_dlpack`, `jax.dlpack.from_dlpack` and `memoryview` read without
/// a copy. Return one from your `#[pyfunction]`.
///
/// It holds its tensor as long as it lives, and every array that was made of it holds the tensor by itself.
///
/// On a CUDA device CuPy and numba read it by the CUDA array interface and others by DLPack. Where it is made in a stream, a
/// consumer that names its own is ordered after it.
#[pyclass(frozen, module = "uncopy")]
pub struct Array {
    tensor: Tensor,
    /// The stream that makes it; `None` once it is made.
    stream: Option<Stream>,
    /// What keeps that stream.
    _owner: Option<StreamOwner>,
}

impl From<Tensor> for Array {
    fn from(tensor: Tensor) -> Self {
        Array { tensor, stream: None, _owner: None }
    }
}

impl From<Taken> for Array {
    fn from(taken: Taken) -> Self {
        Array { tensor: taken.tensor, stream: taken.stream, _owner: taken.owner }
    }
}

impl Array {
    fn given(&self) -> give::Given {
        give::Given::new(self.tensor.clone(), self.stream)
    }

    /// The tensor inside.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }
}

#[pymethods]
impl Array {
    /// Elements along each axis.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.tensor.layout().shape())
    }

    /// Name of the dtype, such as 'uint8' or 'bfloat16'.
    #[getter]
    fn dtype(&self) -> String {
        self.tensor.layout().dtype().to_string()
    }

    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
        max_version: Option<&Bound<'py, PyAny>>,
        dl_device: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> Result<Bound<'py, PyCapsule>, ArrayError> {
        self.given().capsule(py, stream, max_version, dl_device, copy)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        give::device_from_tensor(&self.tensor)
    }

    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, ArrayError> {
        give::array_interface_from_tensor(py, &self.tensor)
    }

    #[getter]
    fn __cuda_array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, ArrayError> {
        give::cuda_array_interface_from_tensor(py, &self.tensor, self.stream)
    }

    /// Where it is: 'cpu', 'cuda:0', ...
    #[getter]
    fn device(&self) -> String {
        self.tensor.device().to_string()
    }

    /// Address of the first element, in its device's memory.
    #[getter]
    fn ptr(&self) -> usize {
        self.tensor.address()
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> Result<(), ArrayError> {
        let tensor = slf.get().tensor.clone();
        // SAFETY: 1. Python passes its own Py_buffer. 2. See `__releasebuffer__`.
        unsafe { give::fill_buffer(slf.as_any(), tensor, view, flags) }
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: Python passes a Py_buffer that `__getbuffer__` filled.
        unsafe { give::release_buffer(view) }
    }

    fn __repr__(&self) -> String {
        format!("<uncopy.Array {} on {}>", self.tensor.layout(), self.tensor.device())
    }
}
