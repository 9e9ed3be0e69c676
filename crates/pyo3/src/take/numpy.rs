// SPDX-License-Identifier: MIT OR Apache-2.0
//! NumPy arrays.
//!
//! They go by the buffer protocol, which says strides, dtype, byte order and read-only in one call. It has no letter
//! for the dtypes that ml_dtypes registers (bfloat16, fp8) and for datetimes; those are found by the dtype's name, and
//! the former are taken through a view as unsigned integers of the same size, which has the same memory and strides.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;
use uncopy::{DType, Tensor};

use super::buffer::{tensor_from_buffer, tensor_from_view};
use crate::error::{ArrayError, type_name_of};

pub(crate) fn tensor_from_numpy(array: &Bound<'_, PyAny>) -> Result<Tensor, ArrayError> {
    match PyMemoryView::from(array) {
        Ok(view) => tensor_from_view(array, view, None),
        Err(cause) => tensor_of_named_dtype(array, cause),
    }
}

/// An array whose dtype the buffer protocol can't say; `cause` is NumPy's own refusal.
fn tensor_of_named_dtype(array: &Bound<'_, PyAny>, cause: PyErr) -> Result<Tensor, ArrayError> {
    let py = array.py();
    let found = array.getattr(intern!(py, "dtype"))?;
    let name: String = found.getattr(intern!(py, "name"))?.extract()?;
    let kind: String = found.getattr(intern!(py, "kind"))?.extract()?;
    let item_bytes: usize = found.getattr(intern!(py, "itemsize"))?.extract()?;
    let advice = match kind.as_str() {
        "M" | "m" => "times are not carried; pass array.view('i8') and say the unit in meta",
        "T" => "text is not carried; encode it to uint8",
        _ => match name.parse::<DType>().ok() {
            Some(dtype) if dtype.item_bytes() == Some(item_bytes) => {
                let unsigned = array.call_method1(intern!(py, "view"), (format!("u{item_bytes}"),))?;
                return tensor_from_buffer(&unsigned, Some(dtype));
            }
            Some(_) => {
                "it keeps one item to a byte, and packed items are carried; array.view('u1') passes the bytes"
            }
            None => return Err(ArrayError::refused(array, cause)),
        },
    };
    Err(ArrayError::Elements { type_name: type_name_of(array), found: format!("dtype {name}"), advice })
}
