// SPDX-License-Identifier: MIT OR Apache-2.0
//! An array that an object hands out, with the stream that makes it: what `#[exports]` and `Array` are made of.
#![expect(unsafe_code, reason = "fence: passes Python's buffer requests on")]

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use uncopy::{Stream, Tensor};

use super::{
    array_interface_from_tensor, capsule_from_tensor, cuda_array_interface_from_tensor, device_from_tensor,
    fill_buffer, legacy_capsule_without_read_only, reader_stream,
};
use crate::error::ArrayError;
use crate::take::Taken;

/// An array, and the stream that makes it, if it is not made yet.
#[derive(Clone, Debug)]
pub struct Given {
    tensor: Tensor,
    stream: Option<Stream>,
}

impl From<Tensor> for Given {
    fn from(tensor: Tensor) -> Self {
        Given { tensor, stream: None }
    }
}

impl From<&Tensor> for Given {
    fn from(tensor: &Tensor) -> Self {
        tensor.clone().into()
    }
}

impl From<Taken> for Given {
    fn from(taken: Taken) -> Self {
        Given { tensor: taken.tensor, stream: taken.stream }
    }
}

impl From<&Taken> for Given {
    fn from(taken: &Taken) -> Self {
        Given { tensor: taken.tensor.clone(), stream: taken.stream }
    }
}

impl Given {
    /// An array that work in `stream` makes; `None` once it is made.
    #[must_use]
    pub fn new(tensor: Tensor, stream: Option<Stream>) -> Self {
        Given { tensor, stream }
    }

    /// `__dlpack__`. A consumer that names its stream is ordered after the array's.
    ///
    /// # Errors
    /// As for [`capsule_from_tensor`].
    pub fn capsule<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
        max_version: Option<&Bound<'py, PyAny>>,
        dl_device: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> Result<Bound<'py, PyCapsule>, ArrayError> {
        self.order(stream)?;
        capsule_from_tensor(py, &self.tensor, stream, max_version, dl_device, copy)
    }

    /// A capsule that every version of a library takes, for one that never writes: it can't say read-only.
    ///
    /// # Errors
    /// [`ArrayError::Stream`], the driver's, or Python's.
    pub(super) fn capsule_for_reading<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyCapsule>, ArrayError> {
        self.order(stream)?;
        legacy_capsule_without_read_only(py, &self.tensor)
    }

    /// Makes the consumer's stream, if it names one, wait for the array's.
    fn order(&self, stream: Option<&Bound<'_, PyAny>>) -> Result<(), ArrayError> {
        let device = self.tensor.device();
        if let (Some(reader), Some(maker)) = (reader_stream(device, stream)?, self.stream) {
            let ordered = uncopy::order_streams(device, maker, reader);
            ordered
                .map_err(|source| ArrayError::Device { what: "ordering a stream after an array", source })?;
        }
        Ok(())
    }

    /// `__dlpack_device__`.
    #[must_use]
    pub fn dlpack_device(&self) -> (i32, i32) {
        device_from_tensor(&self.tensor)
    }

    /// `__array_interface__`.
    ///
    /// # Errors
    /// As for [`array_interface_from_tensor`].
    pub fn array_interface<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, ArrayError> {
        array_interface_from_tensor(py, &self.tensor)
    }

    /// `__cuda_array_interface__`, of version 3, with the stream.
    ///
    /// # Errors
    /// As for [`cuda_array_interface_from_tensor`].
    pub fn cuda_array_interface<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, ArrayError> {
        cuda_array_interface_from_tensor(py, &self.tensor, self.stream)
    }

    /// `__getbuffer__` of `object`.
    ///
    /// # Safety
    /// 1. `view` is a `Py_buffer` of Python's. 2. It is given back to [`release_buffer`](super::release_buffer).
    ///
    /// # Errors
    /// As for [`fill_buffer`].
    pub unsafe fn fill_buffer(
        self,
        object: &Bound<'_, PyAny>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> Result<(), ArrayError> {
        // SAFETY: both are what is asked.
        unsafe { fill_buffer(object, self.tensor, view, flags) }
    }
}
