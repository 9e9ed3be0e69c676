// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tensors by the buffer protocol.
//!
//! What keeps the memory alive hangs on the `Py_buffer`, not on the Python object that was asked: a view stays good
//! after that object has let go of its own share (a released frame, a published slot).
//!
//! Source: Python/C API, "Buffer Protocol", the tables of request types.
#![expect(unsafe_code, reason = "fence: fills and frees the Py_buffer of a consumer")]

use std::ffi::c_int;
use std::ptr::{self, NonNull};

use pyo3::ffi;
use pyo3::prelude::*;
use uncopy::{Layout, MAX_NDIM, Tensor};

use super::strides_bytes;
use crate::error::ArrayError;
use crate::format::format_from_dtype;

/// What one `Py_buffer` of ours points to; freed when it is released.
struct Lent {
    shape: [isize; MAX_NDIM],
    strides_bytes: [isize; MAX_NDIM],
    _tensor: Tensor,
}

/// The body of `__getbuffer__`: lends a host tensor.
///
/// Shares the memory, with its strides, and read-only if the tensor is. The `Py_buffer` holds `tensor` until
/// [`release_buffer`], whatever `exporter` does meanwhile. Dtypes without a letter (bfloat16, fp8) are lent as plain
/// bytes to consumers that ask for no format.
///
/// # Errors
///
/// [`ArrayError::ReadOnly`], [`ArrayError::Order`] and [`ArrayError::NoWord`] when the tensor is not what `flags` ask
/// for, and [`TensorError::NotOnHost`](uncopy::TensorError). `view` then holds nothing.
///
/// # Safety
///
/// 1. `view` is what Python passed to `__getbuffer__` of `exporter`: null or a `Py_buffer` to fill.
/// 2. `__releasebuffer__` of `exporter` calls [`release_buffer`], and does nothing else with the `Py_buffer`.
pub unsafe fn fill_buffer(
    exporter: &Bound<'_, PyAny>,
    tensor: Tensor,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> Result<(), ArrayError> {
    let Some(view) = NonNull::new(view) else {
        return Err(ArrayError::Order { asked: "a null Py_buffer" });
    };
    let empty = ffi::Py_buffer::new();
    // SAFETY: by 1. it may be written, and holds nothing that would have to be dropped. Python wants `obj` to be null
    // after a refusal.
    unsafe { view.write(empty) };
    let filled = lend(exporter, tensor, flags)?;
    // SAFETY: as above.
    unsafe { view.write(filled) };
    Ok(())
}

/// The body of `__releasebuffer__`.
///
/// # Safety
///
/// `view` is what Python passed to `__releasebuffer__`, and was filled by [`fill_buffer`].
pub unsafe fn release_buffer(view: *mut ffi::Py_buffer) {
    let Some(view) = NonNull::new(view) else { return };
    // SAFETY: Python passes the struct that was filled (contract); the fields are plain data.
    let lent = unsafe { view.read() }.internal.cast::<Lent>();
    if lent.is_null() {
        return;
    }
    // SAFETY: `internal` came from the leaked box of `lend`, and Python releases a buffer once. Consumers may copy the
    // struct, but only one of the copies is released (Python/C API, Py_buffer.internal).
    drop(unsafe { Box::from_raw(lent) });
}

fn lend(exporter: &Bound<'_, PyAny>, tensor: Tensor, flags: c_int) -> Result<ffi::Py_buffer, ArrayError> {
    let layout = *tensor.layout();
    let asks = |what: c_int| flags & what == what;
    if !tensor.device().is_host_accessible() {
        return Err(uncopy::TensorError::NotOnHost { device: tensor.device() }.into());
    }
    if asks(ffi::PyBUF_WRITABLE) && tensor.is_read_only() {
        return Err(ArrayError::ReadOnly {
            asked: "a writable buffer",
            advice: "copy it, then write to the copy",
        });
    }
    check_order(&layout, flags)?;
    let no_word = ArrayError::NoWord { dtype: layout.dtype(), protocol: "the buffer protocol" };
    let (Some(item_bytes), Some(strides_bytes)) = (layout.dtype().item_bytes(), strides_bytes(&layout))
    else {
        return Err(no_word);
    };
    let format = match format_from_dtype(layout.dtype()) {
        _ if !asks(ffi::PyBUF_FORMAT) => ptr::null_mut(),
        Some(format) => format.as_ptr().cast_mut(),
        None => return Err(no_word),
    };
    let mut shape = [0; MAX_NDIM];
    // Lossless: extents, lengths and items are at most isize::MAX.
    shape.iter_mut().zip(layout.shape()).for_each(|(to, &extent)| *to = extent as isize);
    let address = tensor.as_ptr();
    let readonly = c_int::from(tensor.is_read_only());
    let lent = Box::into_raw(Box::new(Lent { shape, strides_bytes, _tensor: tensor }));
    let has_axes = layout.ndim() > 0;
    // SAFETY: the box was just leaked, so the field is live until `release_buffer`; no reference is made.
    let shape = unsafe { &raw mut (*lent).shape };
    // SAFETY: as above.
    let strides = unsafe { &raw mut (*lent).strides_bytes };
    Ok(ffi::Py_buffer {
        buf: address.cast(),
        obj: exporter.clone().into_ptr(),
        len: layout.len_bytes() as isize,
        itemsize: item_bytes as isize,
        readonly,
        ndim: layout.ndim() as c_int,
        format,
        shape: if has_axes && asks(ffi::PyBUF_ND) { shape.cast() } else { ptr::null_mut() },
        strides: if has_axes && asks(ffi::PyBUF_STRIDES) { strides.cast() } else { ptr::null_mut() },
        suboffsets: ptr::null_mut(),
        internal: lent.cast(),
    })
}

/// Whether the elements lie as the request wants them; one without strides wants C order.
fn check_order(layout: &Layout, flags: c_int) -> Result<(), ArrayError> {
    let asks = |what: c_int| flags & what == what;
    let (c_order, f_order) = (layout.is_c_contiguous(), layout.is_f_contiguous());
    let asked = if asks(ffi::PyBUF_C_CONTIGUOUS) && !c_order {
        "C order"
    } else if asks(ffi::PyBUF_F_CONTIGUOUS) && !f_order {
        "Fortran order"
    } else if asks(ffi::PyBUF_ANY_CONTIGUOUS) && !c_order && !f_order {
        "one contiguous piece"
    } else if !asks(ffi::PyBUF_STRIDES) && !c_order {
        "no strides"
    } else {
        return Ok(());
    };
    Err(ArrayError::Order { asked })
}
