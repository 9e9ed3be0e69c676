// SPDX-License-Identifier: MIT OR Apache-2.0
//! A received frame in Python. What it holds is in `lease`, the arrays that are made of it in `arrays`; what a frame says
//! about itself stays readable after it was released.
#![expect(unsafe_code, reason = "fence: passes Python's buffer requests on")]

use std::ffi::c_int;
use std::sync::{Arc, Mutex};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use uncopy::{
    Captured, CopyReason, CopyRecord, Device, ErrorKind, Form, Frame, Origin, PixelFormat, Staging, Stamp,
    Stream, Tensor,
};
use uncopy_pyo3::{give, owner_of_stream, stream_from_python};

use crate::arrays;
use crate::end::locked;
use crate::errors::Failure;
use crate::frameworks;
use crate::lease::{Cell, Held};
use crate::meta::{clock_name, meta_to_python, seconds_from_nanos};
use crate::stats::PyCopyRecord;
use crate::streams;

/// A frame of a link, held: its memory is shared, read-only, and does not change while it or an array of it lives.
///
/// It is an array: numpy.asarray(frame), torch.from_dlpack(frame), memoryview(frame) and every library that reads
/// DLPack or the buffer protocol take it without a copy, on the host, in C order unless the producer chose other
/// strides. Each of these holds the frame by itself; when the last one is gone, the producer gets the slot back.
///
/// On a GPU (frame.device is 'cuda:0' or its like) it is an array there, by DLPack and the CUDA array interface, whose
/// content is there when it is received: nothing has to be waited for. The slot goes back after the work that reads it: in
/// every stream that a view was asked for with, and in the current stream of torch or CuPy of the thread that drops the
/// last view. Name others with used_on(). Objects of streams are kept as long as they are needed, handles are not. Whoever
/// writes into a frame on a GPU changes it for everybody.
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
    device: Device,
    /// The stream that it was received for.
    stream: Option<Stream>,
    staging: Staging,
    meta: PyOnceLock<Py<PyAny>>,
    /// Copies that this process was asked for, in the order of asking.
    asked: Mutex<Vec<CopyRecord>>,
}

impl PyFrame {
    pub fn new(link: Arc<str>, frame: Frame, staging: &Staging, stream: Option<Stream>) -> Self {
        PyFrame {
            link,
            seq: frame.seq(),
            epoch: frame.epoch(),
            missed: frame.missed(),
            published: frame.published(),
            captured: frame.captured(),
            form: *frame.form(),
            device: frame.device(),
            stream,
            staging: staging.clone(),
            meta: PyOnceLock::new(),
            asked: Mutex::default(),
            cell: Cell::new(frame),
        }
    }

    pub fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }

    pub fn form(&self) -> &Form {
        &self.form
    }

    pub fn is_on_host(&self) -> bool {
        self.device == Device::CPU
    }

    pub fn where_it_is(&self) -> Device {
        self.device
    }

    pub fn staging(&self) -> &Staging {
        &self.staging
    }

    /// The stream that it was received for, of which its content may still be waited for.
    pub fn received_for(&self) -> Option<Stream> {
        self.stream
    }

    /// The frame itself, with a share of the lease.
    pub fn held(&self) -> Result<Frame, Failure> {
        self.cell.frame().ok_or_else(|| self.released())
    }

    /// The pixels, with a share of the lease.
    pub fn tensor(&self) -> Result<Tensor, Failure> {
        if self.is_on_host() {
            // A frame whose address was given out has a tensor already.
            return self.cell.look(|held| match held {
                Held::Lease(frame) => Ok(frame.tensor()?),
                Held::Kept(_, tensor) => Ok(tensor.clone()),
                Held::Released(_) => Err(self.released()),
            });
        }
        self.cell.exported(&self.held()?)
    }

    /// NumPy drops the error of a buffer request and asks on; so this is asked first.
    pub fn check_held(&self) -> Result<(), Failure> {
        self.cell.look(|held| match held {
            Held::Lease(_) | Held::Kept(..) => Ok(()),
            Held::Released(_) => Err(self.released()),
        })
    }

    fn released(&self) -> Failure {
        let message = format!(
            "frame {} of '{}' was released: take its array (frame.numpy()) before the next frame of a for loop is \
             asked for, or receive it by recv()",
            self.seq, self.link
        );
        Failure::Said(ErrorKind::Closed, message)
    }

    pub fn name_in_messages(&self) -> String {
        format!("frame {} of '{}'", self.seq, self.link)
    }

    /// Writes down a copy that the caller asked for.
    pub fn record(&self, record: CopyRecord) {
        locked(&self.asked).push(record);
    }

    /// Writes down a copy that was asked for, on the frame's own device.
    pub fn record_copy(&self) {
        self.record_copy_for(CopyReason::ASKED);
    }

    /// Writes down a copy on the frame's own device.
    pub fn record_copy_for(&self, reason: CopyReason) {
        let len_bytes = self.form.layout().len_bytes() as u64;
        let (from, to) = (self.device, self.device);
        self.record(CopyRecord { reason, from, to, len_bytes });
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

    /// Where the pixels are: 'cpu', or 'cuda:0' and its like, as this process counts devices.
    #[getter]
    fn device(&self) -> String {
        self.device.to_string()
    }

    /// Address of the first element, in its device's memory. Good while the frame is held; who works by it in a stream other
    /// than the current one of torch or CuPy, or the legacy default stream, says so with used_on().
    ///
    /// Raises Closed once the frame is released.
    #[getter]
    fn ptr(&self) -> Result<usize, Failure> {
        let frame = self.held()?;
        self.cell.note_address();
        Ok(frame.address())
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
            let (kind, bytes) = self.cell.look(|held| match held {
                Held::Lease(frame) | Held::Kept(frame, _) => (frame.meta().kind, frame.meta().bytes.into()),
                Held::Released(rest) => (rest.kind, rest.meta.clone()),
            });
            meta_to_python(py, kind, &bytes, &self.name_in_messages())
        });
        Ok(meta?.clone_ref(py))
    }

    /// Every copy that the pixels went through, as CopyRecords: the producer's, and those asked of this object.
    ///
    /// Empty for a frame that was written straight into its slot.
    #[getter]
    fn copies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut copies = self.cell.look(|held| match held {
            Held::Lease(frame) | Held::Kept(frame, _) => frame.copies().to_vec(),
            Held::Released(rest) => rest.copies.to_vec(),
        });
        copies.extend_from_slice(&locked(&self.asked));
        PyTuple::new(py, copies.iter().map(PyCopyRecord::from).collect::<Vec<_>>())
    }

    /// The pixels as a read-only numpy.ndarray that shares the frame's memory and holds it; with copy=True a private,
    /// writable copy. bfloat16 and fp8 come as dtypes of ml_dtypes.
    ///
    /// A frame on a GPU is copied to the host, once, into pinned memory that is used again when the array is gone; the
    /// copy is in frame.copies, and the call waits for it. With subscribe(prefetch=True) it was begun before. The array
    /// does not hold the frame.
    ///
    /// Raises Closed once the frame is released, ModuleNotFoundError without NumPy, DeviceLost, OutOfMemory.
    #[pyo3(signature = (*, copy=false))]
    fn numpy<'py>(slf: &Bound<'py, Self>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
        arrays::numpy(slf, copy)
    }

    /// The pixels as a torch.Tensor that shares the frame's memory and holds it, on the CPU or, for a frame on a GPU, there:
    /// to be read in torch's current stream.
    ///
    /// torch can't say read-only: on the CPU a write into it ends the process with a message, and never changes the frame; on
    /// a GPU it changes the frame. With copy=True the tensor is private and writable.
    ///
    /// Raises Closed once the frame is released, ModuleNotFoundError without torch, InvalidArgument while torch's current
    /// stream is being captured into a graph.
    #[pyo3(signature = (*, copy=false))]
    fn torch<'py>(slf: &Bound<'py, Self>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
        arrays::torch(slf, copy)
    }

    /// The pixels of a frame on a GPU as a cupy.ndarray that shares the frame's memory and holds it, to be read in CuPy's
    /// current stream; with copy=True a private copy. CuPy can't say read-only: a write changes the frame.
    ///
    /// Raises Unsupported for a frame in host memory, Closed once the frame is released, ModuleNotFoundError without CuPy.
    #[pyo3(signature = (*, copy=false))]
    fn cupy<'py>(slf: &Bound<'py, Self>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
        arrays::cupy(slf, copy)
    }

    /// The pixels as a jax.Array that shares the frame's memory and holds it, where the frame is; with copy=True a private
    /// copy.
    ///
    /// jax never writes to what it imports. Where jax has no 64-bit numbers (jax_enable_x64 is off), it converts int64,
    /// uint64, float64 and complex128 to half of that: a copy, which is in frame.copies as 'dtype'. Nobody knows in which streams jax works, so that a frame on a GPU that it had goes
    /// back only when the device has done everything that this process gave it. Raises Closed once the frame is released,
    /// ModuleNotFoundError without jax, and what jax raises for strides or a dtype that it can't share.
    #[pyo3(signature = (*, copy=false))]
    fn jax<'py>(slf: &Bound<'py, Self>, copy: bool) -> Result<Bound<'py, PyAny>, Failure> {
        arrays::jax(slf, copy)
    }

    /// Says that work in this stream reads the frame: what is put into it from now on finds the content there, and the slot
    /// goes back after what it holds when the last view is gone. stream is a handle or an object of torch, CuPy, cuda.core
    /// or numba. An object is kept alive until then. A handle is not: its stream may be destroyed once the frame and every view
    /// of it is gone, and before that ends the process. Does nothing for a frame in host memory.
    ///
    /// Raises Closed once the frame is released, InvalidArgument while the stream is being captured into a graph.
    fn used_on(&self, stream: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let named = stream_from_python(stream)?;
        let frame = self.held()?;
        if !self.is_on_host() {
            frame.ready_on(named)?;
            streams::note(&frame, named, owner_of_stream(stream));
        }
        Ok(())
    }

    /// Lets go of the frame. Arrays that were made of it keep it; without any, the producer gets the slot back, after what
    /// stream holds if one is named, which is as for used_on(). Numbers and metadata stay readable. Does nothing the second
    /// time, or once __array_interface__ or __cuda_array_interface__ was read.
    #[pyo3(signature = (stream=None))]
    fn release(&self, stream: Option<&Bound<'_, PyAny>>) -> Result<(), Failure> {
        if let Some(stream) = stream
            && self.cell.frame().is_some()
        {
            self.used_on(stream)?;
        }
        self.cell.release();
        Ok(())
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
        let frame = self.held()?;
        let reader = give::reader_stream(self.device, stream)?;
        if let Some(reader) = reader {
            frame.ready_on(reader)?;
        }
        if !self.is_on_host() {
            arrays::note_consumer(py, &frame, reader);
        }
        if copy == Some(true) && !self.is_on_host() {
            return Err(Failure::Said(ErrorKind::CopyRequired, ON_A_GPU.to_owned()));
        }
        let tensor = self.tensor()?;
        let capsule = give::capsule_from_tensor(py, &tensor, stream, max_version, dl_device, copy)?;
        if copy == Some(true) {
            self.record_copy();
        }
        Ok(capsule)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        (self.device.kind.0, self.device.id)
    }

    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, Failure> {
        if !self.is_on_host() {
            return Err(self.not_on_host());
        }
        let tensor = self.tensor()?;
        let interface = give::array_interface_from_tensor(py, &tensor)?;
        self.cell.keep(tensor);
        Ok(interface)
    }

    #[getter]
    fn __cuda_array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, Failure> {
        if self.is_on_host() {
            return Err(give::no_cuda_array_interface().into());
        }
        let tensor = self.tensor()?;
        let interface = give::cuda_array_interface_from_tensor(py, &tensor, self.stream)?;
        self.cell.note_address();
        self.cell.keep(tensor);
        Ok(interface)
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> Result<(), Failure> {
        if !slf.get().is_on_host() {
            // NumPy asks on with `__array_interface__`, which says the same.
            return Err(slf.get().not_on_host());
        }
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
        let released = self.cell.look(|held| matches!(held, Held::Released(_)));
        let state = if released { ", released" } else { "" };
        let place = if self.is_on_host() { String::new() } else { format!(" on {}", self.device) };
        format!("<uncopy.Frame {} of '{}': {}{place}{state}>", self.seq, self.link, self.form)
    }
}

const ON_A_GPU: &str = "a frame on a GPU makes no copy for __dlpack__; take frame.torch(copy=True), or copy the array that you take";

impl PyFrame {
    fn not_on_host(&self) -> Failure {
        let message = format!(
            "{} is on {}, and its bytes can't be read on the host: frame.numpy() copies them there, frame.torch() and \
             frame.cupy() use them where they are",
            self.name_in_messages(),
            self.device
        );
        Failure::Said(ErrorKind::Unsupported, message)
    }
}
