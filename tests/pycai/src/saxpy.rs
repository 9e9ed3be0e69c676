// SPDX-License-Identifier: MIT OR Apache-2.0
//! s = a * x + y on a device, in the legacy default stream: after the streams of its arguments, and before what comes in them.
#![expect(unsafe_code, reason = "fence: launches a kernel over the memory of its arguments")]

use std::ffi::{CString, c_void};
use std::sync::OnceLock;

use pyo3::prelude::*;
use uncopy::Stream;
use uncopy::cuda::{CudaDevice, Module};

use crate::errors::*;
use crate::strict::{Strict, Wanted};

/// The kernel's text stands in a header of C++.
const HEADER: &str = include_str!("../../../capi/tests/arrays/pycai/saxpy.hpp");
const BLOCKS: u32 = 256;
const THREADS: u32 = 32;

pub fn run(s: &Bound<'_, PyAny>, x: &Bound<'_, PyAny>, y: &Bound<'_, PyAny>, a: f32) -> PyResult<()> {
    let [s, x, y] = [s, x, y].map(|array| Strict::of(array, Wanted::Float));
    let (s, x, y) = (s?, x?, y?);
    if s.is_read_only {
        return Err(ReadOnlyAccessError::new_err("s is read-only, and is to be written"));
    }
    if x.len_elems() != s.len_elems() || y.len_elems() != s.len_elems() {
        return Err(InvalidShapeError::new_err("s, x and y have different numbers of elements"));
    }
    for array in [&s, &x, &y] {
        if let Some(stream) = array.stream {
            uncopy::order_streams(s.device, stream, Stream::LEGACY_DEFAULT).map_err(of_driver)?;
        }
    }
    launch(&s, &x, &y, a)?;
    for array in [&s, &x, &y] {
        if let Some(stream) = array.stream {
            uncopy::order_streams(s.device, Stream::LEGACY_DEFAULT, stream).map_err(of_driver)?;
        }
    }
    Ok(())
}

fn launch(s: &Strict, x: &Strict, y: &Strict, a: f32) -> PyResult<()> {
    let (mut to, mut from, mut added) = (s.address as u64, x.address as u64, y.address as u64);
    let (mut factor, mut len) = (a, s.len_elems() as u64);
    let (mut step_s, mut step_x, mut step_y) = (s.step()? as i64, x.step()? as i64, y.step()? as i64);
    let mut arguments: [*mut c_void; 8] = [
        (&raw mut to).cast(),
        (&raw mut from).cast(),
        (&raw mut added).cast(),
        (&raw mut factor).cast(),
        (&raw mut len).cast(),
        (&raw mut step_s).cast(),
        (&raw mut step_x).cast(),
        (&raw mut step_y).cast(),
    ];
    let kernel = module()?.kernel(c"uncopy_saxpy").map_err(of_driver)?;
    // SAFETY: the eight values are of the kernel's types; the addresses are of arrays that the caller holds, whose owners say
    // that they have so many elements at such steps; their streams are ordered before and after.
    unsafe { kernel.launch(BLOCKS, THREADS, &mut arguments, Stream::LEGACY_DEFAULT) }.map_err(of_driver)
}

/// Loaded once.
fn module() -> PyResult<&'static Module> {
    static LOADED: OnceLock<Module> = OnceLock::new();
    if let Some(module) = LOADED.get() {
        return Ok(module);
    }
    let text = HEADER.split("R\"(").nth(1).and_then(|rest| rest.split(")\"").next()).unwrap_or_default();
    let text = CString::new(text).map_err(of_driver)?;
    let device = CudaDevice::with_ordinal(0).map_err(of_driver)?;
    let module = Module::from_ptx(device.context(), &text).map_err(of_driver)?;
    Ok(LOADED.get_or_init(|| module))
}
