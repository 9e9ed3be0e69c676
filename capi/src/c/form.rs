// SPDX-License-Identifier: MIT OR Apache-2.0
//! Functions that make dtypes, layouts and forms.

use std::ffi::c_char;

use uncopy::{DType, Form, Layout, PixelFormat};

use super::call::call;
use super::error::uncopy_status;
use super::pointers::{Out, slice, text};
use super::values::{extents_of, uncopy_dtype, uncopy_form, uncopy_layout};
use crate::failure::Failure;

/// Reads the name of a dtype: `"float32"`, `"uint8"`, `"bfloat16"`, short as in `"f32"`, or with lanes as in
/// `"float32x4"`.
///
/// Errors: `UNCOPY_ERROR_INVALID_DTYPE` for a name that is none, or whose width differs between languages (`"int"`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_dtype_from_name(
    name: *const c_char,
    out: *mut uncopy_dtype,
) -> uncopy_status {
    call("uncopy_dtype_from_name", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, uncopy_dtype::default()) }?;
        // SAFETY: the contract of the header.
        let name = unsafe { text("name", name) }?;
        out.put(name.parse::<DType>()?.into());
        Ok(())
    })
}

/// The layout of an array in C order without gaps. `shape` has `ndim` extents, in elements; it may be NULL for 0 axes.
///
/// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for more than 8 axes or a negative extent, `UNCOPY_ERROR_INVALID_LAYOUT` where
/// the size overflows, `UNCOPY_ERROR_INVALID_DTYPE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_layout_packed(
    dtype: uncopy_dtype,
    ndim: i32,
    shape: *const i64,
    out: *mut uncopy_layout,
) -> uncopy_status {
    call("uncopy_layout_packed", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, uncopy_layout::default()) }?;
        // SAFETY: the contract of the header.
        out.put((&unsafe { packed(dtype, ndim, shape) }?).into());
        Ok(())
    })
}

/// The form of a frame that is an array in C order, and no picture. As `uncopy_layout_packed`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_form_array(
    dtype: uncopy_dtype,
    ndim: i32,
    shape: *const i64,
    out: *mut uncopy_form,
) -> uncopy_status {
    call("uncopy_form_array", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, uncopy_form::default()) }?;
        // SAFETY: the contract of the header.
        let layout = unsafe { packed(dtype, ndim, shape) }?;
        out.put((&Form::from_layout(layout)).into());
        Ok(())
    })
}

/// The form of a picture of `height` by `width` pixels, `UNCOPY_PIXEL_*`: dtype and shape come with the pixel format, the
/// first row is the top one, rows have no padding. `UNCOPY_PIXEL_RGBA8` is `uint8[height, width, 4]`,
/// `UNCOPY_PIXEL_NV12` is `uint8[height * 3 / 2, width]`.
///
/// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for a format without a layout, `UNCOPY_ERROR_INVALID_LAYOUT` for an odd size of
/// a format with halved colour, or a size that overflows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_form_image(
    height: u64,
    width: u64,
    pixel_format: u16,
    out: *mut uncopy_form,
) -> uncopy_status {
    call("uncopy_form_image", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, uncopy_form::default()) }?;
        // Lossless on 64-bit targets.
        let form = Form::image(height as usize, width as usize, PixelFormat(pixel_format))?;
        out.put((&form).into());
        Ok(())
    })
}

/// # Safety
/// `shape` is null or has `ndim` entries.
unsafe fn packed(dtype: uncopy_dtype, ndim: i32, shape: *const i64) -> Result<Layout, Failure> {
    let axes = uncopy_layout::axes(ndim)?;
    // SAFETY: passed on.
    let extents = extents_of(unsafe { slice("shape", shape, axes) }?)?;
    let dtype = DType::from(dtype);
    if dtype.is_known() {
        dtype.validate()?;
    }
    Ok(Layout::contiguous(dtype, extents.get(..axes).unwrap_or_default())?)
}
