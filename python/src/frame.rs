// SPDX-License-Identifier: MIT OR Apache-2.0
//! A received frame in Python.
//!
//! The lease is in a cell that the subscriber knows too: the loop's next step takes it out, and what was handed out
//! before (arrays, capsules, buffers) holds a share of its own. What a frame says about itself stays readable.
#![expect(unsafe_code, reason = "fence: passes Python's buffer requests on")]

use std::ffi::c_int;
use std::sync::{Arc, Mutex};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use uncopy::{
    Captured, CopyReason, CopyRecord, Device, ErrorKind, Form, Frame, MetaKind, Origin, PixelFormat, Stamp,
    Tensor,
};
use uncopy_pyo3::{ArrayError, give};

use crate::end::locked;
use crate::errors::Failure;
use crate::frameworks;
use crate::meta::{clock_name, meta_to_python, seconds_from_nanos};
use crate::stats::PyCopyRecord;

/// A frame's lease, shared by the Python object and the subscriber that made it.
pub struct Cell {
    held: Mutex<Held>,
}

enum Held {
    Lease(Frame),
    /// The address was given out without an owner (`__array_interface__`): held as long as the Python object lives.
    Kept(Frame, Tensor),
    Released(Rest),
}

/// What is left of a released frame beside its numbers.
struct Rest {
    kind: MetaKind,
    meta: Box<[u8]>,
    copies: Box<[CopyRecord]>,
}

impl Cell {
    /// Lets go of this object's share of the lease.
    pub fn release(&self) {
        let mut held = locked(&self.held);
        let Held::Lease(frame) = &*held else { return };
        let meta = frame.meta();
        let rest = Rest { kind: meta.kind, meta: meta.bytes.into(), copies: frame.copies().into() };
        let lease = std::mem::replace(&mut *held, Held::Released(rest));
        drop(held);
        drop(lease);
    }
}

/// A frame of a link, held: its memory is shared, read-only, and does not change while it or an array of it lives.
///
/// It is an array: numpy.asarray(frame), torch.from_dlpack(frame), memoryview(frame) and every library that reads
/// DLPack or the buffer protocol take it without a copy, on the host, in C order unless the producer chose other
/// strides. Each of these holds the frame by itself; when the last one is gone, the producer gets the slot back.
///
/// The frame of a for loop is released when the next one is asked for, unless an array of it still lives. Numbers and
/// metadata stay readable then.
#[pyclass(frozen, module = "uncopy", name = "Frame", weakref)]
pub struct PyFrame {
    cell: Arc<Cell>,
    link: Arc<str>,
    seq: u64,
    epoch: u32,
    missed: u64,
    published: Stamp,
    captured: Option<Captured>,
    form: Form,
    meta: PyOnceLock<Py<PyAny>>,
    /// Copies that this process was asked for, in the order of asking.
    asked: Mutex<Vec<CopyRecord>>,
}

impl PyFrame {
    pub fn new(link: Arc<str>, frame: Frame) -> Self {
        PyFrame {
            link,
            seq: frame.seq(),
            epoch: frame.epoch(),
            missed: frame.missed(),
            published: frame.published(),
            captured: frame.captured(),
            form: *frame.form(),
            meta: PyOnceLock::new(),
            asked: Mutex::default(),
            cell: Arc::new(Cell { held: Mutex::new(Held::Lease(frame)) }),
        }
    }

    pub fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }

    pub fn form(&self) -> &Form {
        &self.form
    }

    /// The pixels, with a share of the lease.
    pub fn tensor(&self) -> Result<Tensor, Failure> {
        match &*locked(&self.cell.held) {
            Held::Lease(frame) => Ok(frame.tensor()?),
            Held::Kept(_, tensor) => Ok(tensor.clone()),
            Held::Released(_) => Err(self.released()),
        }
    }

    /// NumPy drops the error of a buffer request and asks on; so this is asked first.
    fn check_held(&self) -> Result<(), Failure> {
        match &*locked(&self.cell.held) {
            Held::Lease(_) | Held::Kept(..) => Ok(()),
            Held::Released(_) => Err(self.released()),
        }
    }

    fn released(&self) -> Failure {
        let message = format!(
            "frame {} of '{}' was released: take its array (frame.numpy()) before the next frame of a for loop is \
             asked for, or receive it by recv()",
            self.seq, self.link
        );
        Failure::Said(ErrorKind::Closed, message)
    }

    fn name_in_messages(&self) -> String {
        format!("frame {} of '{}'", self.seq, self.link)
    }

    /// The array itself, or its copy by the framework's own method, written down.
    fn copied_if<'py>(
        &self,
        copy: bool,
        array: Bound<'py, PyAny>,
        method: &str,
    ) -> Result<Bound<'py, PyAny>, Failure> {
        if !copy {
            return Ok(array);
        }
        let copied = array.call_method0(method)?;
        self.record_copy();
        Ok(copied)
    }

    /// Writes down a copy that the caller asked for.
    fn record_copy(&self) {
        let len_bytes = self.form.layout().len_bytes() as u64;
        let record = CopyRecord { reason: CopyReason::ASKED, from: Device::CPU, to: Device::CPU, len_bytes };
        locked(&self.asked).push(record);
    }
}

#[pymethods]
impl PyFrame {
    /// The name of its link.
    #[getter]
    fn link(&self) -> &str {
        &self.link
    }

    /// The producer's number of this frame, from 1.
    #[getter]
    fn seq(&self) -> u64 {
        self.seq
    }

    /// Number of the allocation of frame memory that it lies in; changes when frames outgrow their slots.
    #[getter]
    fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Frames published between the one received before and this one.
    #[getter]
    fn missed(&self) -> u64 {
        self.missed
    }

    /// Seconds since it was published; None where its stamp is of another boot of the machine, and says nothing.
    #[getter]
    fn age(&self) -> Option<f64> {
        self.published.age().map(|age| age.as_secs_f64())
    }

    /// When it was published: seconds of the clock of time.monotonic(), which all processes of this machine share.
    #[getter]
    fn published(&self) -> f64 {
        self.published.nanos() as f64 / 1e9
    }

    /// When its content came to be, as the producer said: seconds on captured_clock, or None.
    #[getter]
    fn captured(&self) -> Option<f64> {
        self.captured.map(|captured| seconds_from_nanos(captured.nanos))
    }

    /// The clock of captured: 'monotonic' (as published), 'realtime' (as time.time()), 'other', or None.
    #[getter]
    fn captured_clock(&self) -> Option<&'static str> {
        self.captured.map(|captured| clock_name(captured.clock))
    }

    /// Elements along each axis.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.form.shape())
    }

    /// Name of the dtype, such as 'uint8' or 'bfloat16'.
    #[getter]
    fn dtype(&self) -> String {
        self.form.dtype().to_string()
    }

    /// Name of the pixel format, such as 'rgba8', or None for a plain array.
    #[getter]
    fn pixel(&self) -> Option<String> {
        (self.form.pixel() != PixelFormat::UNSPECIFIED).then(|| self.form.pixel().to_string())
    }

    /// Where row 0 is: 'top_left' or 'bottom_left'.
    #[getter]
    fn origin(&self) -> &'static str {
        if self.form.origin() == Origin::BOTTOM_LEFT { "bottom_left" } else { "top_left" }
    }

    /// Size of the pixels in bytes, without padding.
    #[getter]
    fn nbytes(&self) -> usize {
        self.form.layout().len_bytes()
    }

    /// The producer's metadata: what its JSON says, bytes, or None. Read once; later calls return the same object.
    ///
    /// Raises CorruptLink for metadata that is said to be JSON and is not.
    #[getter]
    fn meta(&self, py: Python<'_>) -> Result<Py<PyAny>, Failure> {
        let meta = self.meta.get_or_try_init(py, || {
            let (kind, bytes) = match &*locked(&self.cell.held) {
                Held::Lease(frame) | Held::Kept(frame, _) => (frame.meta().kind, frame.meta().bytes.into()),
                Held::Released(rest) => (rest.kind, rest.meta.clone()),
            };
            meta_to_python(py, kind, &bytes, &self.name_in_messages())
        });
        Ok(meta?.clone_ref(py))
    }

    /// Every copy that the pixels went through, as CopyRecords: the producer's, and those asked of this object.
    ///
    /// Empty for a frame that was written straight into its slot.
    #[getter]
    fn copies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut copies = match &*locked(&self.cell.held) {
            Held::Lease(frame) | Held::Kept(frame, _) => frame.copies().to_vec(),
            Held::Released(rest) => rest.copies.to_vec(),
        };
        copies.extend_from_slice(&locked(&self.asked));
        PyTuple::new(py, copies.iter().map(PyCopyRecord::from).collect::<Vec<_>>())
    }

    /// The pixels as a read-only numpy.ndarray that shares the frame's memory and holds it; with copy=True a private,
    /// writable copy. bfloat16 and fp8 come as dtypes of ml_dtypes.
    ///
    /// Raises Closed once the frame is released, and ModuleNotFoundError without NumPy.
    #[pyo3(signature = (*, copy=false))]
    fn numpy<'py>(slf: &Bound<'py, Self>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
        let frame = slf.get();
        frame.check_held()?;
        let array = frameworks::numpy(slf.as_any(), frame.form.dtype(), || frame.tensor())?;
        frame.copied_if(copy, array, "copy")
    }

    /// The pixels as a torch.Tensor on the CPU that shares the frame's memory and holds it.
    ///
    /// torch can't say read-only: a write into it ends the process with a message, and never changes the frame. With
    /// copy=True the tensor is private and writable.
    ///
    /// Raises Closed once the frame is released, and ModuleNotFoundError without torch.
    #[pyo3(signature = (*, copy=false))]
    fn torch<'py>(slf: &Bound<'py, Self>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
        let frame = slf.get();
        let capsule = give::legacy_capsule_without_read_only(slf.py(), &frame.tensor()?)?;
        frame.copied_if(copy, frameworks::torch(&capsule)?, "clone")
    }

    /// The pixels as a jax.Array on the CPU that shares the frame's memory and holds it; with copy=True a private copy.
    ///
    /// jax never writes to what it imports. Raises Closed once the frame is released, ModuleNotFoundError without jax,
    /// and what jax raises for strides or a dtype that it can't share.
    #[pyo3(signature = (*, copy=false))]
    fn jax<'py>(slf: &Bound<'py, Self>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
        let frame = slf.get();
        let tensor = frame.tensor()?;
        // jax.dlpack.from_dlpack has taken copy=True and shared all the same, so the copy is made here.
        let tensor = if copy { tensor.to_packed().map_err(ArrayError::from)? } else { tensor };
        let array = frameworks::jax(&give::legacy_capsule_without_read_only(slf.py(), &tensor)?)?;
        if copy {
            frame.record_copy();
        }
        Ok(array)
    }

    /// Lets go of the frame. Arrays that were made of it keep it; without any, the producer gets the slot back. Numbers
    /// and metadata stay readable. Does nothing the second time, or once __array_interface__ was read.
    fn release(&self) {
        self.cell.release();
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (kind, error, traceback, /))]
    fn __exit__(
        &self,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> bool {
        let _ = (kind, error, traceback);
        self.cell.release();
        false
    }

    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
        max_version: Option<&Bound<'py, PyAny>>,
        dl_device: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> Result<Bound<'py, PyCapsule>, Failure> {
        let tensor = self.tensor()?;
        let capsule = give::capsule_from_tensor(py, &tensor, stream, max_version, dl_device, copy)?;
        if copy == Some(true) {
            self.record_copy();
        }
        Ok(capsule)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        frameworks::CPU
    }

    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, Failure> {
        let tensor = self.tensor()?;
        let interface = give::array_interface_from_tensor(py, &tensor)?;
        let mut held = locked(&self.cell.held);
        if let Held::Lease(frame) = &*held {
            *held = Held::Kept(frame.clone(), tensor);
        }
        Ok(interface)
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> Result<(), Failure> {
        let tensor = slf.get().tensor()?;
        // SAFETY: 1. Python passes its own Py_buffer. 2. See `__releasebuffer__`.
        Ok(unsafe { give::fill_buffer(slf.as_any(), tensor, view, flags) }?)
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: Python passes a Py_buffer that `__getbuffer__` filled.
        unsafe { give::release_buffer(view) }
    }

    fn _repr_png_<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Failure> {
        frameworks::notebook(slf, "png_from")
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Failure> {
        frameworks::notebook(slf, "html_from")
    }

    fn __reduce_ex__(&self, protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let _ = protocol;
        Err(Failure::argument(
            "a Frame can't be pickled or copied: it is a lease on shared memory; send frame.numpy(copy=True), or \
             subscribe to the link in the other process",
        ))
    }

    fn __repr__(&self) -> String {
        let released = matches!(*locked(&self.cell.held), Held::Released(_));
        let state = if released { ", released" } else { "" };
        format!("<uncopy.Frame {} of '{}': {}{state}>", self.seq, self.link, self.form)
    }
}
