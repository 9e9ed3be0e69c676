// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames as arrays of the frameworks that the user asks for by name.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use uncopy::{CopyReason, Device, ErrorKind, Frame, HostCopy, Stream, Tensor};
use uncopy_pyo3::{
    Array, ArrayError, cupy_current_stream, give, learn_torch, owner_of_stream, torch_current_stream,
};

use crate::ending;
use crate::errors::Failure;
use crate::frame::PyFrame;
use crate::frameworks;
use crate::streams;
use crate::view::PyCudaView;
use crate::waiting::{Attentive, finished};

pub fn numpy<'py>(slf: &Bound<'py, PyFrame>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
    let frame = slf.get();
    frame.check_held()?;
    if !frame.is_on_host() {
        return numpy_from_device(slf.py(), frame, copy);
    }
    let array = frameworks::numpy(slf.as_any(), frame.form().dtype(), || frame.tensor())?;
    if !copy {
        return Ok(array);
    }
    let copied = array.call_method0("copy")?;
    frame.record_copy();
    Ok(copied)
}

fn numpy_from_device<'py>(
    py: Python<'py>,
    frame: &PyFrame,
    copy: bool,
) -> Result<Bound<'py, PyAny>, Failure> {
    let on_its_way = if copy { begun(frame)? } else { begin_copy(frame)? };
    let tensor = wait_for(py, &on_its_way)?;
    let tensor = if copy { tensor } else { tensor.read_only() };
    let source = Bound::new(py, Array::from(tensor.clone()))?;
    frameworks::numpy(source.as_any(), frame.form().dtype(), || Ok(tensor))
}

/// The copy of a frame on the host, begun now unless it was before.
pub fn begin_copy(frame: &PyFrame) -> Result<Arc<HostCopy>, Failure> {
    if let Some(copy) = frame.cell().hosted() {
        return Ok(copy);
    }
    let copy = begun(frame)?;
    frame.cell().set_hosted(&copy);
    Ok(copy)
}

fn begun(frame: &PyFrame) -> Result<Arc<HostCopy>, Failure> {
    let copy = frame.staging().begin(&frame.held()?)?;
    frame.record(copy.record());
    Ok(Arc::new(copy))
}

fn wait_for(py: Python<'_>, copy: &HostCopy) -> Result<Tensor, Failure> {
    let mut attentive = Attentive::alone();
    let waited = ending::detached(py, || copy.wait(Some(&mut attentive)));
    finished(waited, attentive)
}

pub fn torch<'py>(slf: &Bound<'py, PyFrame>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
    let frame = slf.get();
    if !frame.is_on_host() {
        order_torch(slf.py(), &frame.held()?)?;
    }
    let tensor = frameworks::torch(&give::legacy_capsule_without_read_only(slf.py(), &frame.tensor()?)?)?;
    if !copy {
        return Ok(tensor);
    }
    // A shared tensor that goes here: the frame waits for torch's current stream, in which it was cloned.
    let copied = tensor.call_method0("clone")?;
    frame.record_copy();
    Ok(copied)
}

/// Orders torch's current stream after a frame, and the end of the frame after it.
fn order_torch(py: Python<'_>, frame: &Frame) -> Result<(), Failure> {
    let device = frame.device();
    if torch_current_stream(device).is_none() && !learn_torch(&frameworks::torch_class(py)?) {
        // A torch before 2.10 can't be asked where the last tensor is dropped.
        frame.used_anywhere();
    }
    if let Some(stream) = streams::torch_stream(py, device) {
        frame.ready_on(stream)?;
        streams::note_torch(frame, stream);
    }
    Ok(())
}

pub fn cupy<'py>(slf: &Bound<'py, PyFrame>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
    let (py, frame) = (slf.py(), slf.get());
    frame.check_held()?;
    if frame.is_on_host() {
        let message = format!(
            "{} is in host memory, and CuPy's arrays are on a GPU: cupy.asarray(frame.numpy()) copies it there",
            frame.name_in_messages()
        );
        return Err(Failure::Said(ErrorKind::Unsupported, message));
    }
    let held = frame.held()?;
    let tensor = held.tensor()?;
    frameworks::require_cupy(py)?;
    let (stream, object) = cupy_current_stream(py, held.device())?;
    held.ready_on(stream)?;
    streams::note(&held, stream, owner_of_stream(&object));
    let array = frameworks::cupy(&Bound::new(py, PyCudaView::new(tensor, Some(held)))?)?;
    if !copy {
        return Ok(array);
    }
    let copied = array.call_method0("copy")?;
    frame.record_copy();
    Ok(copied)
}

pub fn jax<'py>(slf: &Bound<'py, PyFrame>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
    let (py, frame) = (slf.py(), slf.get());
    let tensor = frame.tensor()?;
    if !frame.is_on_host() {
        frame.held()?.used_anywhere();
        let capsule = give::legacy_capsule_without_read_only(py, &tensor)?;
        let array = frameworks::jax_on_device(slf, &capsule, copy)?;
        if copy {
            frame.record_copy();
        }
        record_conversion(frame, &array)?;
        return Ok(array);
    }
    // jax.dlpack.from_dlpack has taken copy=True and shared all the same, so the copy is made here.
    let tensor = if copy { tensor.to_packed().map_err(ArrayError::from)? } else { tensor };
    let array = frameworks::jax(&give::legacy_capsule_without_read_only(py, &tensor)?)?;
    if copy {
        frame.record_copy();
    }
    record_conversion(frame, &array)?;
    Ok(array)
}

/// jax makes 32 bits of 64 unless it was told otherwise (`jax_enable_x64`), and says nothing.
fn record_conversion(frame: &PyFrame, array: &Bound<'_, PyAny>) -> PyResult<()> {
    let len_bytes: usize = array.getattr(intern!(array.py(), "nbytes"))?.extract()?;
    if len_bytes != frame.form().layout().len_bytes() {
        frame.record_copy_for(CopyReason::DTYPE);
    }
    Ok(())
}

/// Who asks for a capsule does not say who it is, and not in which streams it will work later.
///
/// torch says so itself when the last view is dropped, from 2.10 on. jax names a stream in which it does not work, so that
/// where jax is about, a stream that is neither torch's nor CuPy's is taken to be its.
pub fn note_consumer(py: Python<'_>, frame: &Frame, reader: Option<Stream>) {
    let device: Device = frame.device();
    let torch = streams::torch_stream(py, device);
    if torch.is_some() && torch_current_stream(device).is_none() {
        frame.used_anywhere();
    }
    let Some(reader) = reader else { return };
    if torch == Some(reader) {
        return streams::note_torch(frame, reader);
    }
    let cupy = streams::cupy_stream(py, device).filter(|(stream, _)| *stream == reader);
    match cupy {
        Some((_, object)) => streams::note(frame, reader, owner_of_stream(&object)),
        None if streams::imported(py, intern!(py, "jax")).is_some() => frame.used_anywhere(),
        None => {}
    }
}
