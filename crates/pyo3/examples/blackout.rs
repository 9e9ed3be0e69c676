// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small extension module: any array in, an array for any framework out.
use pyo3::prelude::*;
use uncopy_pyo3::{Array, ArrayError, tensor_from_python};

/// Loaded by Python as `blackout`.
#[pymodule]
mod blackout {
    use super::*;
    use uncopy::{Region, Tensor};

    /// The array itself, under another name: nothing is copied, and read-only stays read-only.
    #[pyfunction]
    fn same(array: &Bound<'_, PyAny>) -> Result<Array, ArrayError> {
        Ok(tensor_from_python(array)?.into())
    }

    /// A new array of the same shape and dtype, all zero.
    #[pyfunction]
    fn black_like(array: &Bound<'_, PyAny>) -> Result<Array, ArrayError> {
        let layout = tensor_from_python(array)?.layout().to_c_contiguous();
        let black = Region::from_vec(vec![0; layout.len_bytes()]);
        Ok(Tensor::new(black, layout, 0)?.into())
    }
}
