// SPDX-License-Identifier: MIT OR Apache-2.0
//! What CuPy arrays of frames and slots hold.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use uncopy::{Frame, Tensor};
use uncopy_pyo3::{ArrayError, give};

use crate::streams;

/// The owner of a CuPy array. CuPy drops it with the GIL, so that its current stream can be asked for then.
#[pyclass(frozen, module = "uncopy", name = "_CudaView")]
pub struct PyCudaView {
    tensor: Tensor,
    /// Of a received frame.
    frame: Option<Frame>,
}

impl PyCudaView {
    pub fn new(tensor: Tensor, frame: Option<Frame>) -> Self {
        PyCudaView { tensor, frame }
    }
}

#[pymethods]
impl PyCudaView {
    #[getter]
    fn __cuda_array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, ArrayError> {
        // The reading stream was ordered when this was made.
        give::cuda_array_interface_from_tensor(py, &self.tensor, None)
    }
}

impl Drop for PyCudaView {
    fn drop(&mut self) {
        if let Some(frame) = &self.frame {
            streams::note_cupy(frame);
        }
    }
}
