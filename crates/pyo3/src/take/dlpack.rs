// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays by `__dlpack__`.
//!
//! Here in host memory: the device is asked for first, so that no producer moves data or orders streams for an array that
//! is refused anyway. `stream` is never passed: only device memory has one, and some producers refuse even -1 for host
//! arrays. For devices see `ordered.rs`.
//!
//! Source: Python array API standard, `__dlpack__`, and DLPack 1.3, "Python Specification".
#![expect(unsafe_code, reason = "fence: takes the struct out of a DLPack capsule")]

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict};
use uncopy::dlpack::{self, DLManagedTensor, DLManagedTensorVersioned};
use uncopy::{Device, DeviceKind, Tensor};

use super::route::{Keywords, Producer, Route};
use super::torch;
use super::types::remember;
use crate::error::{ArrayError, type_name_of};

pub(crate) fn tensor_from_producer(
    array: &Bound<'_, PyAny>,
    producer: Producer,
) -> Result<Tensor, ArrayError> {
    if producer.tells_device {
        refuse_device(array, device_of(array)?)?;
    }
    let answer = ask(array, producer).map_err(|cause| ArrayError::refused(array, cause))?;
    let tensor = tensor_from_capsule(array, &answer)?;
    // A producer without `__dlpack_device__`, or one that said something else.
    refuse_device(array, tensor.device())?;
    if producer.torch {
        torch::check_values(array, &tensor)?;
    }
    Ok(if producer.immutable { tensor.read_only() } else { tensor })
}

/// What `__dlpack_device__` says. Ids may be None, and kinds are often an IntEnum.
pub(super) fn device_of(array: &Bound<'_, PyAny>) -> Result<Device, ArrayError> {
    let py = array.py();
    let answer = array
        .call_method0(intern!(py, "__dlpack_device__"))
        .map_err(|cause| ArrayError::refused(array, cause))?;
    let kind: i32 = answer.get_item(0)?.extract()?;
    let id: Option<i32> = answer.get_item(1)?.extract()?;
    Ok(Device::new(DeviceKind(kind), id.unwrap_or(0)))
}

pub(super) fn refuse_device(array: &Bound<'_, PyAny>, device: Device) -> Result<(), ArrayError> {
    if device.is_host_accessible() {
        return Ok(());
    }
    Err(ArrayError::NotOnHost { type_name: type_name_of(array), device })
}

/// Calls `__dlpack__` with the keywords that this type takes, and remembers it when that changes.
pub(super) fn ask<'py>(array: &Bound<'py, PyAny>, producer: Producer) -> PyResult<Bound<'py, PyAny>> {
    let py = array.py();
    let name = intern!(py, "__dlpack__");
    if producer.keywords == Keywords::Bare {
        return array.call_method0(name);
    }
    match array.call_method(name, (), Some(keywords(py)?)) {
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {
            let answer = array.call_method0(name)?;
            remember(&array.get_type(), Route::Dlpack(Producer { keywords: Keywords::Bare, ..producer }));
            Ok(answer)
        }
        answer => answer,
    }
}

fn keywords(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
    static KEYWORDS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let version = dlpack::VERSION;
    let keywords = KEYWORDS.get_or_try_init(py, || {
        let keywords = PyDict::new(py);
        keywords.set_item("max_version", (version.major, version.minor))?;
        PyResult::Ok(keywords.unbind())
    })?;
    Ok(keywords.bind(py))
}

pub(super) fn tensor_from_capsule(
    array: &Bound<'_, PyAny>,
    answer: &Bound<'_, PyAny>,
) -> Result<Tensor, ArrayError> {
    let not_a_capsule = |found: String| ArrayError::NotACapsule { type_name: type_name_of(array), found };
    let capsule = answer.cast::<PyCapsule>().map_err(|_| not_a_capsule(type_name_of(answer)))?;
    if let Ok(managed) = capsule.pointer_checked(Some(dlpack::NAME_VERSIONED)) {
        mark_used(capsule, dlpack::USED_NAME_VERSIONED)?;
        let managed = managed.cast::<DLManagedTensorVersioned>();
        // SAFETY: 1. the capsule had the name of a struct that nobody took yet, and it was just renamed so that nobody
        // else does and its destructor leaves the struct alone. 2. The producer promises it by using the name. 3. The
        // standard lets a consumer call the deleter from any thread. 4. See `tensor_from_python` on writers.
        return Ok(unsafe { dlpack::tensor_from_dlpack_versioned(managed) }?);
    }
    if let Ok(managed) = capsule.pointer_checked(Some(dlpack::NAME)) {
        mark_used(capsule, dlpack::USED_NAME)?;
        let managed = managed.cast::<DLManagedTensor>();
        // SAFETY: as above, for the name of legacy structs.
        return Ok(unsafe { dlpack::tensor_from_dlpack(managed) }?);
    }
    let name = capsule.name().ok().flatten();
    // SAFETY: the name of a capsule is a C string that lives as long as the capsule, which `answer` holds; it is
    // copied.
    let name = name.map(|name| unsafe { name.as_cstr() }.to_string_lossy().into_owned());
    Err(not_a_capsule(format!("a capsule named {name:?}")))
}

fn mark_used(capsule: &Bound<'_, PyCapsule>, name: &'static std::ffi::CStr) -> Result<(), ArrayError> {
    // SAFETY: the capsule is live and the interpreter attached, as `Bound` says; the name is static, as it must outlive
    // the capsule.
    let status = unsafe { ffi::PyCapsule_SetName(capsule.as_ptr(), name.as_ptr()) };
    if status == 0 { Ok(()) } else { Err(ArrayError::Python(PyErr::fetch(capsule.py()))) }
}
