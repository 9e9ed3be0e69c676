// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exceptions of pybind11_cuda_array_interface, by its names.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Makes the classes, and the function that puts them into a module, from one list.
macro_rules! exceptions {
    ($($name:ident)+) => {
        $(pyo3::create_exception!(pycai, $name, PyException);)+

        pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            let py = module.py();
            let classes: &[(&str, Bound<'_, PyType>)] = &[$((stringify!($name), py.get_type::<$name>())),+];
            classes.iter().try_for_each(|(name, class)| module.add(*name, class))
        }
    };
}

exceptions! {
    InterfaceNotImplementedError IncompleteInterfaceError DtypeMismatchError CudaCallError ReadOnlyAccessError
    EndiannessDetectionError InvalidShapeError InvalidVersionError InvalidCapsuleError ObjectOwnershipError
    InvalidTypestrError MissingDeleterError SimpleNamespaceError UnRegCudaTypeError
}

/// What a call of the driver answers.
pub fn of_driver(error: impl std::fmt::Display) -> PyErr {
    CudaCallError::new_err(error.to_string())
}
