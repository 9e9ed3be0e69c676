// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams: what Python programs pass, and what frameworks work in now.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};
use uncopy::{Device, Frame, Stream};
use uncopy_pyo3::{
    StreamOwner, cupy_current_stream, learn_torch, owner_of_stream, stream_from_python, torch_current_stream,
    torch_stream_of,
};

use crate::errors::Failure;

/// What keeps torch's streams: they are of a pool, and destroyed with the process. (Not what `torch.cuda.ExternalStream`
/// wraps: whoever made that keeps it, and can't be told from here.)
const TORCH: () = ();

/// Notes that work in a stream reads a frame; whatever owns the stream is kept with it.
pub fn note(frame: &Frame, stream: Stream, owner: Option<StreamOwner>) {
    match owner {
        Some(owner) => frame.used_on_kept(stream, owner),
        None => frame.used_on(stream),
    }
}

/// The same for a stream of torch's.
pub fn note_torch(frame: &Frame, stream: Stream) {
    frame.used_on_kept(stream, TORCH);
}

/// The stream that an argument names; `None` where there is none.
pub fn stream_from_argument(stream: Option<&Bound<'_, PyAny>>) -> Result<Option<Stream>, Failure> {
    Ok(stream.filter(|stream| !stream.is_none()).map(stream_from_python).transpose()?)
}

/// The device that an argument names: 'cpu', 'cuda:1', torch.device('cuda'), or whatever says so as text.
pub fn device_from_argument(device: &Bound<'_, PyAny>) -> Result<Device, Failure> {
    let text = match device.cast::<PyString>() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => device.str()?.to_string_lossy().into_owned(),
    };
    text.parse().map_err(|error: uncopy::DeviceError| Failure::Said(error.kind(), error.to_string()))
}

/// A module that somebody has imported.
pub fn imported<'py>(py: Python<'py>, module: &Bound<'py, PyString>) -> Option<Bound<'py, PyAny>> {
    let modules = py.import(intern!(py, "sys")).ok()?.getattr(intern!(py, "modules")).ok()?;
    modules.cast::<PyDict>().ok()?.get_item(module).ok().flatten()
}

/// torch's current stream on a device, where torch is imported.
pub fn torch_stream(py: Python<'_>, device: Device) -> Option<Stream> {
    if let Some(stream) = torch_current_stream(device) {
        return Some(stream);
    }
    let torch = imported(py, intern!(py, "torch"))?;
    let class = torch.getattr(intern!(py, "Tensor")).ok()?.cast_into::<PyType>().ok()?;
    if learn_torch(&class) {
        return torch_stream_of(py, device);
    }
    let current = torch.getattr("cuda").ok()?.call_method1("current_stream", (device.id,)).ok()?;
    Some(Stream::from_raw(current.getattr("cuda_stream").ok()?.extract().ok()?))
}

/// CuPy's current stream on a device, where CuPy is imported, and what keeps it.
pub fn cupy_stream(py: Python<'_>, device: Device) -> Option<(Stream, Bound<'_, PyAny>)> {
    imported(py, intern!(py, "cupy"))?;
    cupy_current_stream(py, device).ok()
}

/// The stream of a loan for which none was named, and what owns it: torch's current one where torch is imported, else
/// CuPy's, else the legacy default stream.
pub fn default_stream(py: Python<'_>, device: Device) -> (Stream, Option<StreamOwner>) {
    if let Some(stream) = torch_stream(py, device) {
        return (stream, None);
    }
    match cupy_stream(py, device) {
        Some((stream, object)) => (stream, owner_of_stream(&object)),
        None => (Stream::LEGACY_DEFAULT, None),
    }
}

/// What owns a stream that whoever asks for an array has named by its handle: CuPy, if that works in it now. Others name
/// streams that nobody can be found for, and keep them.
pub fn owner_among_current(py: Python<'_>, device: Device, named: Stream) -> Option<StreamOwner> {
    let (_, object) = cupy_stream(py, device).filter(|(stream, _)| *stream == named)?;
    owner_of_stream(&object)
}

/// Notes the streams that work by a frame's address may be in: the current ones of torch and CuPy, and the legacy default
/// stream, which numba launches into.
pub fn note_current(frame: &Frame) {
    frame.used_on(Stream::LEGACY_DEFAULT);
    if let Some(stream) = torch_current_stream(frame.device()) {
        note_torch(frame, stream);
    }
    note_cupy(frame);
}

/// Notes CuPy's current stream. For places where Python can't take an exception.
pub fn note_cupy(frame: &Frame) {
    Python::try_attach(|py| {
        let under_way = PyErr::take(py);
        if let Some((stream, object)) = cupy_stream(py, frame.device()) {
            note(frame, stream, owner_of_stream(&object));
        }
        if let Some(error) = under_way {
            error.restore(py);
        }
    });
}
