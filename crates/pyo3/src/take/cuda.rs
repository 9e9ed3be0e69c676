// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays by the CUDA array interface, versions 2 and 3: numba, and whoever speaks nothing else.
//!
//! It has no owner and names no device: the tensor holds the Python object, and the driver is asked whose memory it is.
//! Version 2 names no stream either, so that its arrays are taken to be of the legacy default stream. torch has version 2
//! and works in other streams, which is why it is never asked by this protocol.
//!
//! Source: Numba, "CUDA Array Interface (Version 3)".
#![expect(unsafe_code, reason = "fence: pairs the address that an array tells with the array")]

use std::ptr::NonNull;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use uncopy::{Access, Device, Layout, Region, Stream, Tensor};

use crate::error::{ArrayError, type_name_of};
use crate::kept::Kept;

/// When the elements are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Made {
    /// They are.
    Already,
    /// When the stream has done what it holds.
    In(Stream),
}

pub(crate) fn tensor_from_interface(array: &Bound<'_, PyAny>) -> Result<(Tensor, Made), ArrayError> {
    let py = array.py();
    let answer = array
        .getattr(intern!(py, "__cuda_array_interface__"))
        .map_err(|cause| ArrayError::refused(array, cause))?;
    let bad = |found| ArrayError::BadInterface { type_name: type_name_of(array), found };
    let dict = answer.cast::<PyDict>().map_err(|_| bad("no dictionary"))?;
    let entry = |name| -> Result<Option<Bound<'_, PyAny>>, ArrayError> {
        Ok(dict.get_item(name)?.filter(|value| !value.is_none()))
    };
    if entry("mask")?.is_some() {
        return Err(ArrayError::NotAnArray { type_name: type_name_of(array), advice: super::route::MASKED });
    }
    let shape: Vec<usize> = match entry("shape")? {
        Some(shape) => shape.extract().map_err(|_| bad("a shape that is no tuple of extents"))?,
        None => return Err(bad("no shape")),
    };
    let typestr: String = match entry("typestr")? {
        Some(typestr) => typestr.extract().map_err(|_| bad("a typestr that is no text"))?,
        None => return Err(bad("no typestr")),
    };
    let dtype = uncopy::dtype_from_typestr(&typestr).and_then(uncopy::Typestr::native_dtype);
    let dtype = dtype.map_err(|_| ArrayError::Elements {
        type_name: type_name_of(array),
        found: format!("typestr '{typestr}'"),
        advice: "only bool, integers, floats and complex numbers of the machine's byte order are carried",
    })?;
    let (address, is_read_only): (usize, bool) = match entry("data")? {
        Some(data) => data.extract().map_err(|_| bad("data that is no pair of address and read-only"))?,
        None => return Err(bad("no data")),
    };
    let layout = match entry("strides")? {
        None => Layout::contiguous(dtype, &shape)?,
        Some(strides) => {
            let strides: Vec<isize> = strides.extract().map_err(|_| bad("strides that are no tuple"))?;
            if strides.len() != shape.len() {
                return Err(bad("another number of strides than of axes"));
            }
            let item_bytes = dtype.item_bytes().ok_or_else(|| bad("items smaller than a byte"))?;
            let strides = super::buffer::strides_elems(array, &shape, &strides, item_bytes)?;
            Layout::strided(dtype, &shape, &strides)?
        }
    };
    let made = made(&entry("version")?, &entry("stream")?, &bad)?;
    let access = if is_read_only { Access::ReadOnly } else { Access::ReadWrite };
    let device = match address {
        0 if layout.is_empty() => Device::cuda(0),
        0 => return Err(bad("elements at address 0")),
        address => uncopy::device_of(address)
            .map_err(|source| ArrayError::Device { what: "asking for the device of an array", source })?,
    };
    // SAFETY: 1. the interface promises memory for every element of the shape and strides on the device that the driver
    // names, for as long as the object lives, which the tensor holds. 2. As for `tensor_from_python`, the Python program
    // is asked not to write while elements are read.
    let tensor = unsafe { tensor_from_address(address, layout, device, access, Kept::from(array.clone())) }?;
    Ok((tensor, made))
}

fn made(
    version: &Option<Bound<'_, PyAny>>,
    stream: &Option<Bound<'_, PyAny>>,
    bad: &impl Fn(&'static str) -> ArrayError,
) -> Result<Made, ArrayError> {
    let version: i64 = match version {
        Some(version) => version.extract().map_err(|_| bad("a version that is no number"))?,
        None => return Err(bad("no version")),
    };
    let handle: Option<i64> = match stream {
        Some(stream) => Some(stream.extract().map_err(|_| bad("a stream that is no number"))?),
        None => None,
    };
    match handle {
        None if version < 3 => Ok(Made::In(Stream::LEGACY_DEFAULT)),
        None => Ok(Made::Already),
        // "0 is disallowed as it would be ambiguous between None and the default stream."
        Some(0) => Err(bad("stream 0")),
        Some(handle) => Ok(Made::In(Stream::from_raw(handle.cast_unsigned()))),
    }
}

/// An array at a raw address, on the host or a device, kept alive by `owner`; strides may lead below the address.
///
/// # Errors
///
/// What a layout can be refused for.
///
/// # Safety
///
/// 1. Memory for every element of the layout, from the lowest byte to the highest, lies on `device` and stays allocated
///    until `owner` is dropped. If the CPU can reach it, it is initialised, readable from any thread and, with
///    [`Access::ReadWrite`], writable.
/// 2. Whoever writes the elements does so only while no slice or view of the tensor is alive.
pub unsafe fn tensor_from_address(
    address: usize,
    layout: Layout,
    device: Device,
    access: Access,
    owner: impl Send + Sync + 'static,
) -> Result<Tensor, ArrayError> {
    let (lowest, _) = layout.extent_bytes();
    let start = if layout.is_empty() { address } else { address.wrapping_add_signed(lowest) };
    let pointer = std::ptr::with_exposed_provenance_mut::<u8>(start);
    let start = NonNull::new(pointer).unwrap_or(NonNull::dangling());
    // SAFETY: the range goes from the lowest byte of any element to the highest; the rest is what is asked.
    let region = unsafe { Region::from_raw(start, layout.span_bytes(), device, access, owner) };
    Ok(Tensor::new(region, layout, lowest.unsigned_abs())?)
}
