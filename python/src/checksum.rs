// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checksum with which `uncopy demo` compares what was sent with what was received.

use pyo3::prelude::*;
use uncopy_pyo3::tensor_from_python;

use crate::errors::Failure;

/// CRC-32C (Castagnoli) over the bytes of an array, in C order: what `uncopy send --crc` puts into the metadata.
#[pyfunction]
pub fn _crc32c(py: Python<'_>, array: &Bound<'_, PyAny>) -> PyResult<u32> {
    let tensor = tensor_from_python(array)?;
    py.detach(|| match tensor.as_packed_bytes() {
        Some(bytes) => Ok(crc32c::crc32c(bytes)),
        None => {
            let mut packed = vec![0; tensor.layout().len_bytes()];
            tensor.copy_packed_into(&mut packed).map_err(|error| Failure::Link(error.into()))?;
            Ok(crc32c::crc32c(&packed))
        }
    })
}
