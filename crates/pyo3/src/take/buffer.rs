// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays by the buffer protocol.
//!
//! The owner of the tensor is a `memoryview`: it holds the exporter's buffer, and dropping a reference to it without
//! the GIL is only noted by PyO3 and made good later, so a tensor may end on any thread. A `Py_buffer` of our own would
//! have to take the GIL to be released.
//!
//! Source: Python/C API, "Buffer Protocol"; in the limited API since 3.11.
#![expect(unsafe_code, reason = "fence: reads the Py_buffer of an exporter")]

use std::ffi::CStr;
use std::ptr::NonNull;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;
use uncopy::{Access, DType, Device, Layout, Region, Tensor};

use crate::error::{ArrayError, type_name_of};
use crate::format::{Refusal, dtype_from_format};
use crate::kept::Kept;

/// Whether the buffer protocol can be asked for at all.
pub(crate) fn has_buffer(array: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the pointer is a live object, since `array` holds it, and `Bound` says that the interpreter is attached.
    unsafe { ffi::PyObject_CheckBuffer(array.as_ptr()) != 0 }
}

/// An array as its buffer describes it, or with another dtype of the same size for its items.
pub(crate) fn tensor_from_buffer(
    array: &Bound<'_, PyAny>,
    dtype: Option<DType>,
) -> Result<Tensor, ArrayError> {
    let view = PyMemoryView::from(array).map_err(|cause| ArrayError::refused(array, cause))?;
    tensor_from_view(array, view, dtype)
}

/// As [`tensor_from_buffer`], from a view of the array that the caller has made.
pub(crate) fn tensor_from_view(
    array: &Bound<'_, PyAny>,
    view: Bound<'_, PyMemoryView>,
    dtype: Option<DType>,
) -> Result<Tensor, ArrayError> {
    let buffer = Buffer::of(array, &view)?;
    let layout = buffer.layout(array, dtype)?;
    let (lowest, _) = layout.extent_bytes();
    let element0 = buffer.raw.buf.cast::<u8>();
    let start = if layout.is_empty() { element0 } else { element0.wrapping_offset(lowest) };
    let start = match NonNull::new(start) {
        Some(start) => start,
        None if layout.is_empty() => NonNull::dangling(),
        None => return Err(bad_buffer(array, "elements at address 0")),
    };
    let access = if buffer.raw.readonly == 0 { Access::ReadWrite } else { Access::ReadOnly };
    drop(buffer);
    let owner = Kept::from(view);
    // SAFETY: 1. the exporter promises memory for every element of the shape and strides that it gave, which is the
    // range from the lowest byte of any of them to the highest, until its buffer is released; the memoryview in `owner`
    // holds the buffer, and nobody else has a reference by which to release it. 2. It is memory of this process that
    // exporters keep initialised, and writable unless `readonly`. 3. The Python program is asked not to write while the
    // elements are read (the front page's rule for arrays that are taken).
    let region = unsafe { Region::from_raw(start, layout.span_bytes(), Device::CPU, access, owner) };
    Ok(Tensor::new(region, layout, lowest.unsigned_abs())?)
}

/// A `Py_buffer` that is released when this is dropped. Exporters may point into the struct, so it stays in its box.
struct Buffer<'py> {
    raw: Box<ffi::Py_buffer>,
    _attached: Python<'py>,
}

impl<'py> Buffer<'py> {
    fn of(array: &Bound<'py, PyAny>, view: &Bound<'py, PyMemoryView>) -> Result<Self, ArrayError> {
        let mut raw = Box::new(ffi::Py_buffer::new());
        // SAFETY: the object is live, the struct is ours to fill, and `Bound` says that the interpreter is attached.
        let status = unsafe { ffi::PyObject_GetBuffer(view.as_ptr(), &mut *raw, ffi::PyBUF_FULL_RO) };
        if status != 0 {
            return Err(ArrayError::refused(array, PyErr::fetch(array.py())));
        }
        Ok(Buffer { raw, _attached: array.py() })
    }

    /// The layout that the buffer describes; with `dtype`, for items of the same size.
    fn layout(&self, array: &Bound<'_, PyAny>, dtype: Option<DType>) -> Result<Layout, ArrayError> {
        if !self.raw.suboffsets.is_null() {
            return Err(ArrayError::Suboffsets { type_name: type_name_of(array) });
        }
        let item_bytes =
            usize::try_from(self.raw.itemsize).map_err(|_| bad_buffer(array, "negative item size"))?;
        let dtype = match dtype {
            Some(dtype) if dtype.item_bytes() == Some(item_bytes) => dtype,
            Some(_) => return Err(bad_buffer(array, "another item size than its dtype")),
            None => self.dtype(array, item_bytes)?,
        };
        let shape = self.axes(array, self.raw.shape)?;
        let strides = self.axes(array, self.raw.strides)?;
        let mut extents = Vec::with_capacity(shape.len());
        for &extent in shape {
            extents.push(usize::try_from(extent).map_err(|_| bad_buffer(array, "negative extent"))?);
        }
        let strides_elems = strides_elems(array, &extents, strides, item_bytes)?;
        Ok(Layout::strided(dtype, &extents, &strides_elems)?)
    }

    fn dtype(&self, array: &Bound<'_, PyAny>, item_bytes: usize) -> Result<DType, ArrayError> {
        // The format of untyped bytes may be left out.
        let format = if self.raw.format.is_null() {
            c"B"
        } else {
            // SAFETY: a non-null format is a C string that lives as long as the buffer (Python/C API,
            // Py_buffer.format), which `self` holds; the slice does not leave this function.
            unsafe { CStr::from_ptr(self.raw.format) }
        };
        dtype_from_format(format.to_bytes(), item_bytes).map_err(|refusal| ArrayError::Elements {
            type_name: type_name_of(array),
            found: format!("format '{}'", format.to_string_lossy()),
            advice: advice_for(refusal),
        })
    }

    /// `ndim` entries of shape or strides.
    fn axes(
        &self,
        array: &Bound<'_, PyAny>,
        axes: *mut ffi::Py_ssize_t,
    ) -> Result<&[ffi::Py_ssize_t], ArrayError> {
        let ndim =
            usize::try_from(self.raw.ndim).map_err(|_| bad_buffer(array, "negative number of axes"))?;
        if ndim == 0 {
            return Ok(&[]);
        }
        if axes.is_null() {
            return Err(bad_buffer(array, "axes without shape or strides"));
        }
        // SAFETY: with PyBUF_FULL_RO a non-null shape or strides has `ndim` entries that live as long as the buffer
        // (Python/C API, Py_buffer.shape), and the slice borrows `self`, which holds it.
        Ok(unsafe { std::slice::from_raw_parts(axes, ndim) })
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        // SAFETY: the struct was filled by PyObject_GetBuffer and not released before; the interpreter is attached,
        // since this type can't outlive the token that it was made with.
        unsafe { ffi::PyBuffer_Release(&mut *self.raw) }
    }
}

/// Strides in elements. Those of axes that are never stepped along don't count, whatever they are.
pub(super) fn strides_elems(
    array: &Bound<'_, PyAny>,
    extents: &[usize],
    strides_bytes: &[isize],
    item_bytes: usize,
) -> Result<Vec<isize>, ArrayError> {
    // Lossless: the size of an item is far below the limit.
    let item = item_bytes as isize;
    let stepped = !extents.contains(&0);
    let mut strides = Vec::with_capacity(extents.len());
    for (axis, (&extent, &stride_bytes)) in extents.iter().zip(strides_bytes).enumerate() {
        let whole = stride_bytes.checked_rem(item) == Some(0);
        if stepped && extent > 1 && !whole {
            let type_name = type_name_of(array);
            return Err(ArrayError::BrokenStride { type_name, axis, stride_bytes, item_bytes });
        }
        strides.push(stride_bytes.checked_div(item).unwrap_or(0));
    }
    Ok(strides)
}

fn bad_buffer(array: &Bound<'_, PyAny>, found: &'static str) -> ArrayError {
    ArrayError::BadBuffer { type_name: type_name_of(array), found }
}

fn advice_for(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::BigEndian => {
            "big-endian numbers are not carried; array.astype(array.dtype.newbyteorder('=')) converts them"
        }
        Refusal::Objects => "Python objects are no numbers; convert to a numeric dtype",
        Refusal::Records => "records are not carried; pass one field at a time, or bytes by array.view('u1')",
        Refusal::Text => "text is not carried; encode it to uint8",
        Refusal::LongDouble => "long double differs between machines; array.astype('f8') converts it",
        Refusal::Void => "untyped bytes are not carried; name their dtype, for example array.view('u1')",
        Refusal::Unknown => {
            "only bool, integers, floats and complex numbers are carried; convert to one of them"
        }
    }
}
