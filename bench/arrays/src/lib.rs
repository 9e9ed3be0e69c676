// SPDX-License-Identifier: MIT OR Apache-2.0
//! The smallest functions that take or return an array, for `bench/python/arrays.py`. Each returns the address of the array
//! that it was given, so that what was measured is known to have been there.

#![forbid(unsafe_code)]

use pyo3::prelude::*;

/// Loaded by Python as `bench_arrays`.
#[pymodule]
mod bench_arrays {
    use super::*;
    use numpy::PyReadonlyArray1;
    use uncopy::{DType, Layout, Region, Tensor};
    use uncopy_pyo3::{Array, ArrayArg, ArrayError, ArrayMut, ArrayRef, Framework, Taken};

    /// What any call costs.
    #[pyfunction]
    fn noop(_object: &Bound<'_, PyAny>) {}

    #[pyfunction]
    fn any(array: ArrayArg<'_, '_>) -> usize {
        array.address()
    }

    #[pyfunction]
    fn read(array: ArrayRef<'_, f32, 1>) -> usize {
        array.as_slice().map_or(0, |items| items.as_ptr().addr())
    }

    #[pyfunction]
    fn write(mut array: ArrayMut<'_, f32, 1>) -> usize {
        array.as_mut_slice().map_or(0, |items| items.as_ptr().addr())
    }

    #[pyfunction]
    #[uncopy_pyo3::arrays(array = "f32[n] cpu C")]
    fn checked(array: ArrayArg<'_, '_>) -> Result<usize, ArrayError> {
        Ok(array.address())
    }

    #[pyfunction]
    fn new_numpy(py: Python<'_>) -> Result<Bound<'_, PyAny>, ArrayError> {
        Framework::NumPy.array(py, fresh()?)
    }

    #[pyfunction]
    fn new_torch(py: Python<'_>) -> Result<Bound<'_, PyAny>, ArrayError> {
        Framework::Torch.array(py, fresh()?)
    }

    #[pyfunction]
    fn new_array() -> Result<Array, ArrayError> {
        Ok(fresh()?.into())
    }

    /// 64 floats of its own.
    fn fresh() -> Result<Tensor, ArrayError> {
        let layout = Layout::contiguous(DType::F32, &[64])?;
        Ok(Tensor::new(Region::from_vec(vec![0_u8; layout.len_bytes()]), layout, 0)?)
    }

    /// Whether an object is refused, without an exception.
    #[pyfunction]
    fn refuses(object: &Bound<'_, PyAny>) -> bool {
        object.extract::<ArrayRef<'_, f32, 1>>().is_err()
    }

    /// The same as `read`, by rust-numpy.
    #[pyfunction]
    fn rust_numpy(array: PyReadonlyArray1<'_, f32>) -> usize {
        array.as_slice().map_or(0, |items| items.as_ptr().addr())
    }

    #[pyfunction]
    fn keep(array: Taken) -> Result<usize, ArrayError> {
        Ok(array.tensor.address())
    }
}
