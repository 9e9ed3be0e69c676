// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tensors as DLPack capsules.
//!
//! Source: Python array API standard, `__dlpack__`, and DLPack 1.3, "Python Specification".
#![expect(
    unsafe_code,
    reason = "fence: puts a DLPack struct into a capsule and frees it when nobody took it"
)]

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use uncopy::dlpack::{self, DLManagedTensor, DLManagedTensorVersioned, DlpackError};
use uncopy::{Device, DeviceKind, Stream, Tensor};

use crate::error::ArrayError;

/// The answer to `__dlpack_device__`: kind and id as DLPack numbers them.
#[must_use]
pub fn device_from_tensor(tensor: &Tensor) -> (i32, i32) {
    (tensor.device().kind.0, tensor.device().id)
}

/// The stream that a consumer names in `__dlpack__(stream=...)`: work that is put into it reads the array, and the caller
/// orders it after the array's content. `None` where no order is asked for.
///
/// | device | stream | meaning |
/// |---|---|---|
/// | host | None, -1 | nothing |
/// | CUDA | None, 1 | the legacy default stream |
/// | CUDA | 2 | the per-thread default stream |
/// | CUDA | above 2 | a driver handle |
/// | CUDA | -1 | no order: the consumer knows by itself |
///
/// Source: Python array API standard, `__dlpack__`.
///
/// # Errors
///
/// [`ArrayError::Stream`] for everything else: 0 is ambiguous, and host memory has no streams.
pub fn reader_stream(
    device: Device,
    stream: Option<&Bound<'_, PyAny>>,
) -> Result<Option<Stream>, ArrayError> {
    if device.is_host_accessible() {
        check_stream(stream)?;
        return Ok(None);
    }
    let Some(object) = stream.filter(|stream| !stream.is_none()) else {
        return Ok(Some(Stream::LEGACY_DEFAULT));
    };
    match object.extract::<i64>() {
        Ok(-1) => Ok(None),
        Ok(handle) if handle > 0 => Ok(Some(Stream::from_raw(handle.cast_unsigned()))),
        _ => Err(ArrayError::Stream {
            found: object.repr()?.to_string_lossy().into_owned(),
            wanted: "None, -1, 1, 2 or the handle of a stream",
        }),
    }
}

/// The answer to `__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)`. For memory of a device the
/// caller has dealt with `stream` by [`reader_stream`], and there is no `copy=True`.
///
/// - **Copy or share**: shares; with `copy=True` a private writable copy in C order, flagged as copied.
/// - **Version**: a 1.3 capsule when `max_version` is 1.0 or later, else a legacy one.
/// - **Stream**: None or -1 for host memory, which has none.
/// - **Owner**: whoever takes the capsule; until then the capsule. The deleter runs on any thread, without the GIL and
///   after the interpreter has ended.
///
/// # Errors
///
/// [`ArrayError::ReadOnly`] for a legacy capsule of a read-only tensor without `copy=True`,
/// [`ArrayError::OtherDevice`], [`ArrayError::Stream`], and what a copy can meet.
pub fn capsule_from_tensor<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    stream: Option<&Bound<'py, PyAny>>,
    max_version: Option<&Bound<'py, PyAny>>,
    dl_device: Option<&Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> Result<Bound<'py, PyCapsule>, ArrayError> {
    if tensor.device().is_host_accessible() {
        check_stream(stream)?;
    }
    check_device(tensor.device(), dl_device)?;
    let tensor = if copy == Some(true) { tensor.to_packed()? } else { tensor.clone() };
    let major: u32 = match max_version {
        Some(version) => version.get_item(0)?.extract()?,
        None => 0,
    };
    if major >= dlpack::VERSION.major {
        return versioned_capsule(py, tensor);
    }
    let managed = dlpack::dlpack_from_tensor(tensor).map_err(|error| match error {
        DlpackError::ReadOnlyLegacy => ArrayError::ReadOnly {
            asked: "a DLPack capsule from before 1.0",
            advice: "pass max_version=(1, 0), or copy=True for a private copy",
        },
        error => ArrayError::Dlpack(error),
    })?;
    legacy_capsule(py, managed)
}

/// A legacy capsule of any tensor, also of a read-only one, which such a capsule can't say.
///
/// For consumers that only know legacy capsules and either never write to what they import (jax) or are asked for in
/// the knowledge that they can (torch). Whoever writes to memory that the kernel keeps read-only ends the process.
/// Shares; owned as with [`capsule_from_tensor`].
///
/// # Errors
///
/// Only Python's own, when it has no memory for a capsule.
pub fn legacy_capsule_without_read_only<'py>(
    py: Python<'py>,
    tensor: &Tensor,
) -> Result<Bound<'py, PyCapsule>, ArrayError> {
    let versioned = dlpack::dlpack_versioned_from_tensor(tensor.clone());
    // SAFETY: the struct was just made and is ours; it is plain data.
    let dl_tensor = unsafe { versioned.read() }.dl_tensor;
    let managed = DLManagedTensor {
        dl_tensor,
        manager_ctx: versioned.as_ptr().cast(),
        deleter: Some(delete_with_versioned),
    };
    legacy_capsule(py, NonNull::from(Box::leak(Box::new(managed))))
}

/// Deletes a legacy struct that stands for the versioned one in its context.
///
/// # Safety
///
/// `managed` is null or was made by [`legacy_capsule_without_read_only`], and was not deleted before.
unsafe extern "C" fn delete_with_versioned(managed: *mut DLManagedTensor) {
    if managed.is_null() {
        return;
    }
    // SAFETY: it came from a leaked box (contract), and this is its one deletion.
    let managed = unsafe { Box::from_raw(managed) };
    if let Some(versioned) = NonNull::new(managed.manager_ctx.cast()) {
        // SAFETY: the context is the versioned struct that was made together with this one, deleted only here.
        unsafe { delete_versioned(versioned) }
    }
}

fn check_stream(stream: Option<&Bound<'_, PyAny>>) -> Result<(), ArrayError> {
    match stream {
        None => Ok(()),
        Some(stream) if stream.extract::<i64>().is_ok_and(|stream| stream == -1) => Ok(()),
        Some(stream) => Err(ArrayError::Stream {
            found: stream.repr()?.to_string_lossy().into_owned(),
            wanted: "None for an array in host memory",
        }),
    }
}

fn check_device(found: Device, dl_device: Option<&Bound<'_, PyAny>>) -> Result<(), ArrayError> {
    let Some(wanted) = dl_device else { return Ok(()) };
    let kind: i32 = wanted.get_item(0)?.extract()?;
    let id: Option<i32> = wanted.get_item(1)?.extract()?;
    let wanted = Device::new(DeviceKind(kind), id.unwrap_or(0));
    if wanted == found { Ok(()) } else { Err(ArrayError::OtherDevice { wanted, found }) }
}

fn versioned_capsule(py: Python<'_>, tensor: Tensor) -> Result<Bound<'_, PyCapsule>, ArrayError> {
    let managed = dlpack::dlpack_versioned_from_tensor(tensor);
    // SAFETY: the struct is live until its deleter is called, which the destructor or the consumer does; the name is
    // static; the destructor is made for capsules of this name.
    let capsule = unsafe { new_capsule(py, managed.cast(), dlpack::NAME_VERSIONED, end_versioned) };
    capsule.inspect_err(|_| {
        // SAFETY: no capsule came to be, so the struct is still ours, and not deleted.
        unsafe { delete_versioned(managed) }
    })
}

fn legacy_capsule(
    py: Python<'_>,
    managed: NonNull<DLManagedTensor>,
) -> Result<Bound<'_, PyCapsule>, ArrayError> {
    // SAFETY: as in `versioned_capsule`.
    let capsule = unsafe { new_capsule(py, managed.cast(), dlpack::NAME, end_legacy) };
    capsule.inspect_err(|_| {
        // SAFETY: no capsule came to be, so the struct is still ours, and not deleted.
        unsafe { delete_legacy(managed) }
    })
}

/// # Safety
///
/// `pointer` is what `destructor` expects in a capsule called `name`, and stays so until that is called.
unsafe fn new_capsule<'py>(
    py: Python<'py>,
    pointer: NonNull<c_void>,
    name: &'static CStr,
    destructor: ffi::PyCapsule_Destructor,
) -> Result<Bound<'py, PyCapsule>, ArrayError> {
    // SAFETY: passed on; PyO3 asks for the same.
    Ok(unsafe { PyCapsule::new_with_pointer_and_destructor(py, pointer, name, Some(destructor)) }?)
}

/// Destructor of a versioned capsule: if nobody took the struct, the name is still the first one.
unsafe extern "C" fn end_versioned(capsule: *mut ffi::PyObject) {
    // SAFETY: Python calls a destructor once, with its capsule.
    if let Some(managed) = unsafe { untaken(capsule, dlpack::NAME_VERSIONED) } {
        // SAFETY: nobody took the struct that we put in, so its deleter was not called.
        unsafe { delete_versioned(managed.cast()) }
    }
}

/// Destructor of a legacy capsule.
unsafe extern "C" fn end_legacy(capsule: *mut ffi::PyObject) {
    // SAFETY: Python calls a destructor once, with its capsule.
    if let Some(managed) = unsafe { untaken(capsule, dlpack::NAME) } {
        // SAFETY: nobody took the struct that we put in, so its deleter was not called.
        unsafe { delete_legacy(managed.cast()) }
    }
}

/// The pointer of a capsule that still has this name. Sets no exception: one may be under way.
///
/// # Safety
///
/// `capsule` is a live capsule and the interpreter is attached.
unsafe fn untaken(capsule: *mut ffi::PyObject, name: &'static CStr) -> Option<NonNull<c_void>> {
    // SAFETY: passed on.
    let valid = unsafe { ffi::PyCapsule_IsValid(capsule, name.as_ptr()) };
    if valid == 0 {
        return None;
    }
    // SAFETY: passed on; a valid capsule of this name has a pointer, so no exception is set.
    NonNull::new(unsafe { ffi::PyCapsule_GetPointer(capsule, name.as_ptr()) })
}

/// # Safety
///
/// The struct is live, its deleter was not called, and nobody else will call it.
unsafe fn delete_versioned(managed: NonNull<DLManagedTensorVersioned>) {
    // SAFETY: the struct is live (contract) and plain data.
    let deleter = unsafe { managed.read() }.deleter;
    if let Some(deleter) = deleter {
        // SAFETY: its one call (contract), with the struct's own address.
        unsafe { deleter(managed.as_ptr()) }
    }
}

/// # Safety
///
/// As [`delete_versioned`].
unsafe fn delete_legacy(managed: NonNull<DLManagedTensor>) {
    // SAFETY: the struct is live (contract) and plain data.
    let deleter = unsafe { managed.read() }.deleter;
    if let Some(deleter) = deleter {
        // SAFETY: its one call (contract), with the struct's own address.
        unsafe { deleter(managed.as_ptr()) }
    }
}
