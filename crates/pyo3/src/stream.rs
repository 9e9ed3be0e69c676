// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams as Python programs name them.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyInt;
use uncopy::Stream;

use crate::error::ArrayError;
use crate::kept::Kept;

/// The stream that an object names: its driver handle, or an object that has one.
///
/// | object | handle |
/// |---|---|
/// | `int` | itself; 0 and 1 are the legacy default stream, 2 the per-thread one |
/// | has `__cuda_stream__` (cuda.core, torch, CuPy, numba) | the second of the pair that it returns |
/// | has `cuda_stream` (torch), `ptr` (CuPy) or `handle` | that |
///
/// The number keeps nothing alive: see [`owner_of_stream`].
///
/// # Errors
/// [`ArrayError::Stream`] for anything else.
pub fn stream_from_python(object: &Bound<'_, PyAny>) -> Result<Stream, ArrayError> {
    let py = object.py();
    let unknown = || ArrayError::Stream {
        found: object.repr().map(|repr| repr.to_string_lossy().into_owned()).unwrap_or_default(),
        wanted: "a handle of 0 or more, or an object with __cuda_stream__, cuda_stream, ptr or handle",
    };
    if object.is_instance_of::<PyInt>() && !object.is_instance_of::<pyo3::types::PyBool>() {
        return object.extract::<u64>().map(Stream::from_raw).map_err(|_| unknown());
    }
    if let Ok(protocol) = object.getattr(intern!(py, "__cuda_stream__")) {
        // Early versions had a property in place of the method.
        let pair = if protocol.is_callable() { protocol.call0()? } else { protocol };
        let (_, handle): (i64, u64) = pair.extract().map_err(|_| unknown())?;
        return Ok(Stream::from_raw(handle));
    }
    for name in [intern!(py, "cuda_stream"), intern!(py, "ptr"), intern!(py, "handle")] {
        let Ok(handle) = object.getattr(name) else { continue };
        // ctypes has its number inside, and None for 0.
        let handle = handle.getattr(intern!(py, "value")).unwrap_or(handle);
        if handle.is_none() {
            return Ok(Stream::LEGACY_DEFAULT);
        }
        return handle.extract::<u64>().map(Stream::from_raw).map_err(|_| unknown());
    }
    Err(unknown())
}

/// The object that keeps the stream which it names: torch's, CuPy's, cuda.core's and numba's, which destroy it with the
/// last reference. `None` for a number, and for an object that says that the stream is another's (`ExternalStream` of torch
/// and CuPy, `external` of numba). Whoever uses the stream later than the call that named it holds this so long: a call of
/// the driver on a stream that was destroyed ends the process.
pub fn owner_of_stream(object: &Bound<'_, PyAny>) -> Option<StreamOwner> {
    let py = object.py();
    let is_number = object.is_instance_of::<PyInt>();
    let is_external = || {
        let says_so =
            object.getattr(intern!(py, "external")).is_ok_and(|says| says.is_truthy().unwrap_or(true));
        says_so || object.get_type().name().is_ok_and(|name| name == "ExternalStream")
    };
    (!is_number && !is_external()).then(|| Arc::new(Kept::from(object.clone())))
}

/// A Python object that keeps a stream from being destroyed. It may be dropped on any thread.
pub type StreamOwner = Arc<Kept>;
