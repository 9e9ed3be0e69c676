// SPDX-License-Identifier: MIT OR Apache-2.0
//! The test module of pybind11_cuda_array_interface by PyO3: the functions that its public tests call, with its strictness.
//!
//! `capi/tests/arrays/pycai` has them in C++, from the drop-in header. What its programs rely on is tested of both.

#![deny(unsafe_code)]

mod errors;
mod made;
mod saxpy;
mod strict;

/// Loaded by Python as `pycai`.
#[pyo3::pymodule]
mod pycai {
    use pyo3::prelude::*;

    use crate::made::{copied, made};
    use crate::strict::{Strict, Wanted};

    /// s = a * x + y, written to s.
    #[pyfunction]
    fn saxpy(s: &Bound<'_, PyAny>, x: &Bound<'_, PyAny>, y: &Bound<'_, PyAny>, a: i32) -> PyResult<()> {
        crate::saxpy::run(s, x, y, a as f32)
    }

    /// Returns the array that it is given.
    #[pyfunction]
    fn receive_and_return_cuda_array_interface_float<'py>(
        s: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Strict::of(&s, Wanted::Float)?;
        Ok(s)
    }

    /// Returns the array that it is given.
    #[pyfunction]
    fn receive_and_return_cuda_array_interface_int<'py>(s: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Strict::of(&s, Wanted::Int)?;
        Ok(s)
    }

    /// Makes an array of floats.
    #[pyfunction]
    #[pyo3(signature = (shape=vec![3, 4, 5], readonly=false, version=3))]
    fn return_cuda_array_interface(
        py: Python<'_>,
        shape: Vec<usize>,
        readonly: bool,
        version: i64,
    ) -> PyResult<Bound<'_, PyAny>> {
        made(py, &shape, readonly, version)
    }

    /// Makes an array of floats, and copies values to it.
    #[pyfunction]
    #[pyo3(signature = (vec=vec![1.0, 2.0, 3.0, 4.0, 5.0], readonly=false, version=3))]
    fn return_cuda_array_interface_with_memory_copy(
        py: Python<'_>,
        vec: Vec<f32>,
        readonly: bool,
        version: i64,
    ) -> PyResult<Bound<'_, PyAny>> {
        copied(py, &vec, readonly, version)
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::errors::register(module)
    }
}
