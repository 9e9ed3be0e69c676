// SPDX-License-Identifier: MIT OR Apache-2.0
//! NumPy arrays.
//!
//! They are read where NumPy keeps what it says: in the fields of its object, whose order has been part of its ABI since 1.0
//! (`numpy/ndarraytypes.h`, `PyArrayObject_fields`). Of the dtype's object only the fields before those that 2.0 moved are read.
//! Whether the fields are there is tried with the first array that is seen, against what the array says in Python; if not,
//! and for dtypes that are not NumPy's own, arrays go by the buffer protocol.
//!
//! That has no letter for the dtypes that ml_dtypes registers (bfloat16, fp8) and for datetimes; those are found by the
//! dtype's name, and the former are taken through a view as unsigned integers of the same size, which has the same memory
//! and strides.
#![expect(unsafe_code, reason = "fence: reads the fields of NumPy's objects")]

use std::ffi::{c_char, c_int};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView};
use uncopy::{Access, DType, Device, MAX_NDIM, Tensor};

use super::buffer::{tensor_from_buffer, tensor_from_view};
use super::cuda::tensor_from_address;
use super::lent::Lent;
use crate::error::{ArrayError, type_name_of};
use crate::kept::Kept;

/// Whether the fields of a type's objects are where we look for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fields {
    AsKnown,
    Unknown,
}

/// `PyArrayObject_fields`, as far as it is read.
#[repr(C)]
struct ArrayFields {
    base: ffi::PyObject,
    data: *mut u8,
    ndim: c_int,
    shape: *const isize,
    strides_bytes: *const isize,
    owner: *mut ffi::PyObject,
    dtype: *const DTypeFields,
    flags: c_int,
}

/// `PyArray_Descr`, as far as it is the same in 1.x and 2.x.
#[repr(C)]
struct DTypeFields {
    base: ffi::PyObject,
    scalar: *mut ffi::PyObject,
    kind: c_char,
    letter: c_char,
    byte_order: c_char,
    _flags: c_char,
    number: c_int,
}

/// `NPY_ARRAY_WRITEABLE`.
const WRITEABLE: c_int = 0x400;

/// By `NPY_TYPES`: which dtypes have the same number everywhere and are shared. `long` is as wide as a pointer where we run.
const BY_NUMBER: [Option<DType>; 24] = {
    let mut all = [None; 24];
    all[0] = Some(DType::BOOL);
    all[1] = Some(DType::I8);
    all[2] = Some(DType::U8);
    all[3] = Some(DType::I16);
    all[4] = Some(DType::U16);
    all[5] = Some(DType::I32);
    all[6] = Some(DType::U32);
    all[7] = Some(if cfg!(windows) { DType::I32 } else { DType::I64 });
    all[8] = Some(if cfg!(windows) { DType::U32 } else { DType::U64 });
    all[9] = Some(DType::I64);
    all[10] = Some(DType::U64);
    all[11] = Some(DType::F32);
    all[12] = Some(DType::F64);
    all[14] = Some(DType::COMPLEX64);
    all[15] = Some(DType::COMPLEX128);
    all[23] = Some(DType::F16);
    all
};

/// The number of a dtype of NumPy's own.
pub(crate) fn numpy_number_of(dtype: DType) -> Option<c_int> {
    BY_NUMBER.iter().position(|found| *found == Some(dtype)).and_then(|number| c_int::try_from(number).ok())
}

/// An array as its fields describe it, for as long as nobody changes it; `None` where the buffer protocol has to say, and
/// for more axes than there is room for.
#[inline]
pub(super) fn lent_from_fields<const M: usize>(array: &Bound<'_, PyAny>) -> Option<Lent<M>> {
    let fields = array.as_ptr().cast::<ArrayFields>();
    // SAFETY: the object is a NumPy array, alive as `Bound` says, whose fields were found to be these; while the
    // interpreter is attached nobody changes them.
    let fields = unsafe { &*fields };
    // SAFETY: an array always has a dtype, which lives as long as the array has it.
    let dtype = unsafe { &*fields.dtype };
    let number = usize::try_from(dtype.number).ok()?;
    let found = BY_NUMBER.get(number).copied().flatten()?;
    if !matches!(dtype.byte_order as u8, b'=' | b'|') {
        return None;
    }
    let ndim = usize::try_from(fields.ndim).ok()?;
    let mut lent = Lent::new(fields.data, found, Device::CPU, ndim)?;
    lent.is_read_only = fields.flags & WRITEABLE == 0;
    // A power of two.
    let item_bytes = found.item_bytes()?;
    let (shift, rest) = (item_bytes.trailing_zeros(), item_bytes as isize - 1);
    for axis in 0..ndim {
        // SAFETY: there are `ndim` entries.
        let len = unsafe { fields.shape.wrapping_add(axis).read() };
        // SAFETY: likewise.
        let stride_bytes = unsafe { fields.strides_bytes.wrapping_add(axis).read() };
        if stride_bytes & rest != 0 {
            return None;
        }
        lent.set_axis(axis, len.cast_unsigned(), stride_bytes >> shift);
    }
    Some(lent)
}

/// Tries the fields of an array against what it says in Python.
pub(super) fn fields_of(array: &Bound<'_, PyAny>) -> Fields {
    match are_as_known(array) {
        Ok(true) => Fields::AsKnown,
        _ => Fields::Unknown,
    }
}

fn are_as_known(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = array.py();
    let size: usize = array.get_type().getattr(intern!(py, "__basicsize__"))?.extract()?;
    if size < size_of::<ArrayFields>() {
        return Ok(false);
    }
    let dtype = array.getattr(intern!(py, "dtype"))?;
    let size: usize = dtype.get_type().getattr(intern!(py, "__basicsize__"))?.extract()?;
    if size < size_of::<DTypeFields>() {
        return Ok(false);
    }
    let said = array.getattr(intern!(py, "__array_interface__"))?.cast_into::<PyDict>()?;
    let shape: Vec<isize> = array.getattr(intern!(py, "shape"))?.extract()?;
    let strides: Vec<isize> = array.getattr(intern!(py, "strides"))?.extract()?;
    let (address, is_read_only): (usize, bool) = said.as_any().get_item(intern!(py, "data"))?.extract()?;
    let number: c_int = dtype.getattr(intern!(py, "num"))?.extract()?;
    let order: char = dtype.getattr(intern!(py, "byteorder"))?.extract()?;
    // SAFETY: the object is at least as large as the struct, and each field is a plain number or pointer.
    let fields = unsafe { &*array.as_ptr().cast::<ArrayFields>() };
    if fields.ndim != shape.len() as c_int || fields.dtype.addr() != dtype.as_ptr().addr() {
        return Ok(false);
    }
    // SAFETY: it is the dtype's own address, and that object is at least as large as the struct.
    let found = unsafe { &*dtype.as_ptr().cast::<DTypeFields>() };
    let is_same = |at: *const isize, wanted: &[isize]| {
        // SAFETY: only where the number of axes was as said, and only if there is any: pointers to as many entries.
        wanted.is_empty()
            || (!at.is_null() && unsafe { std::slice::from_raw_parts(at, wanted.len()) } == wanted)
    };
    // NumPy says another address for arrays without elements.
    let is_address = fields.data.addr() == address || shape.contains(&0);
    Ok(is_address
        && is_same(fields.shape, &shape)
        && is_same(fields.strides_bytes, &strides)
        && (fields.flags & WRITEABLE == 0) == is_read_only
        && found.number == number
        && found.byte_order as u8 == order as u8)
}

/// An array to be kept. NumPy gives the memory of an array with another reference no other size, unless it is told not to
/// look (`resize(refcheck=False)`).
pub(crate) fn tensor_from_numpy(array: &Bound<'_, PyAny>, fields: Fields) -> Result<Tensor, ArrayError> {
    if fields == Fields::AsKnown
        && let Some(lent) = lent_from_fields::<MAX_NDIM>(array)
    {
        let access = if lent.is_read_only { Access::ReadOnly } else { Access::ReadWrite };
        let (layout, owner) = (lent.layout()?, Kept::from(array.clone()));
        // SAFETY: 1. the array's fields say that its elements stand there, in memory of this process that the array keeps for as
        // long as it lives, and NumPy's memory is initialised. 2. The Python program is asked not to write while the elements are
        // read (see `tensor_from_python`).
        return unsafe {
            tensor_from_address(lent.address.expose_provenance(), layout, Device::CPU, access, owner)
        };
    }
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
        "M" | "m" => "times are not carried; pass array.view('i8') and say the unit beside it",
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
