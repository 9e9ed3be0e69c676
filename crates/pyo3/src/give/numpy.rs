// SPDX-License-Identifier: MIT OR Apache-2.0
//! NumPy arrays over memory of ours, made by NumPy's own C functions: `numpy.from_dlpack` takes three times as long.
//!
//! The functions are found by their places in NumPy's table, which have been part of its ABI since 1.0 (`numpy/__multiarray_api.h`).
//! A NumPy whose table says another ABI, and dtypes that NumPy has no number for, go by DLPack.
#![expect(unsafe_code, reason = "fence: calls functions of NumPy's table")]

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyCapsule;
use uncopy::{Layout, MAX_NDIM};

use crate::array::Array;
use crate::error::ArrayError;
use crate::take::{Taken, numpy_number_of};

/// `PyArray_New`.
type New = unsafe extern "C" fn(
    *mut ffi::PyTypeObject,
    c_int,
    *const isize,
    c_int,
    *const isize,
    *mut c_void,
    c_int,
    c_int,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;
/// `PyArray_SetBaseObject`.
type SetBase = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> c_int;
/// `PyArray_GetNDArrayCVersion`.
type Version = unsafe extern "C" fn() -> c_uint;

/// The places of those functions, and of the type of arrays.
const VERSION: usize = 0;
const ARRAY_TYPE: usize = 2;
const NEW: usize = 93;
const SET_BASE: usize = 282;
/// ABIs in which they stand there: those of 1.x and 2.x.
const KNOWN: [c_uint; 2] = [0x0100_0009, 0x0200_0000];
const WRITEABLE: c_int = 0x400;

struct Functions {
    array_type: *mut ffi::PyTypeObject,
    new: New,
    set_base: SetBase,
}

// SAFETY: the type and the functions live as long as the interpreter, and are used while it is attached.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

/// A tensor in host memory as a NumPy array, which keeps it. It may be written unless the tensor is read-only.
pub(super) fn numpy_from_taken(py: Python<'_>, taken: Taken) -> Result<Bound<'_, PyAny>, ArrayError> {
    let layout = *taken.tensor.layout();
    let (address, is_read_only) = (taken.tensor.address(), taken.tensor.is_read_only());
    let owner = Bound::new(py, Array::from(taken))?;
    match (functions(py)?, numpy_number_of(layout.dtype()), layout.strides_bytes()) {
        (Some(functions), Some(number), Some(strides)) => {
            made(owner.into_any(), functions, (&layout, &strides), address, number, is_read_only)
        }
        _ => Ok(py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "from_dlpack"), (owner,))?),
    }
}

fn made<'py>(
    owner: Bound<'py, PyAny>,
    functions: &Functions,
    (layout, strides): (&Layout, &[isize; MAX_NDIM]),
    address: usize,
    number: c_int,
    is_read_only: bool,
) -> Result<Bound<'py, PyAny>, ArrayError> {
    let mut shape = [0_isize; MAX_NDIM];
    for (to, len) in shape.iter_mut().zip(layout.shape()) {
        *to = len.cast_signed();
    }
    // Below 9.
    let ndim = layout.ndim() as c_int;
    let data = ptr::with_exposed_provenance_mut::<c_void>(address);
    let flags = if is_read_only { 0 } else { WRITEABLE };
    // SAFETY: the type and the function are NumPy's; shape and strides have `ndim` entries, which are copied; the number is
    // that of a dtype of fixed size; the memory is the tensor's, which holds all that the layout describes.
    let array = unsafe {
        (functions.new)(
            functions.array_type,
            ndim,
            shape.as_ptr(),
            number,
            strides.as_ptr(),
            data,
            0,
            flags,
            ptr::null_mut(),
        )
    };
    let py = owner.py();
    // SAFETY: a new reference, or null with an exception set.
    let array = unsafe { Bound::from_owned_ptr_or_err(py, array) }?;
    // SAFETY: an array that was just made, and a reference of ours that is taken, also where it fails.
    let status = unsafe { (functions.set_base)(array.as_ptr(), owner.into_ptr()) };
    if status == 0 { Ok(array) } else { Err(ArrayError::Python(PyErr::fetch(py))) }
}

/// NumPy's functions, which is imported if it was not; `None` for an ABI that is not known here.
fn functions(py: Python<'_>) -> Result<Option<&'static Functions>, ArrayError> {
    static FOUND: PyOnceLock<Option<Functions>> = PyOnceLock::new();
    Ok(FOUND.get_or_try_init(py, || find(py))?.as_ref())
}

fn find(py: Python<'_>) -> PyResult<Option<Functions>> {
    let numpy = py.import(intern!(py, "numpy"))?;
    // Before 2.0 it was called `core`.
    let core = numpy.getattr(intern!(py, "_core")).or_else(|_| numpy.getattr(intern!(py, "core")))?;
    let table = core.getattr(intern!(py, "_multiarray_umath"))?.getattr(intern!(py, "_ARRAY_API"))?;
    let Ok(table) = table.cast_into::<PyCapsule>() else { return Ok(None) };
    let table = table.pointer_checked(None)?.cast::<*mut c_void>();
    let at = |place: usize| {
        // SAFETY: the table of every NumPy since 1.7 has more entries than the last that is asked for.
        unsafe { table.as_ptr().wrapping_add(place).read() }
    };
    // SAFETY: what stands there in every version.
    let version = unsafe { std::mem::transmute::<*mut c_void, Version>(at(VERSION)) };
    // SAFETY: it takes nothing and only answers.
    if !KNOWN.contains(&unsafe { version() }) {
        return Ok(None);
    }
    // SAFETY: what stands there in the ABIs that are known.
    let new = unsafe { std::mem::transmute::<*mut c_void, New>(at(NEW)) };
    // SAFETY: likewise.
    let set_base = unsafe { std::mem::transmute::<*mut c_void, SetBase>(at(SET_BASE)) };
    Ok(Some(Functions { array_type: at(ARRAY_TYPE).cast(), new, set_base }))
}
