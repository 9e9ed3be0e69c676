// SPDX-License-Identifier: MIT OR Apache-2.0
//! A slot on loan: write the next frame straight into shared memory.
#![expect(unsafe_code, reason = "fence: passes Python's buffer requests on")]

use std::ffi::c_int;
use std::sync::{Arc, Mutex};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use uncopy::{Claim, Device, ErrorKind, Form, LinkError, Publisher, Stream, Tensor};
use uncopy_pyo3::{StreamOwner, cupy_current_stream, give, owner_of_stream};

use crate::end::{End, locked};
use crate::errors::Failure;
use crate::frameworks;
use crate::meta::meta_from_python;
use crate::streams;
use crate::view::PyCudaView;

/// A loan is open while it has its claim; then it has a number, or was given back unpublished.
struct State {
    claim: Option<Claim>,
    seq: Option<u64>,
    meta: Option<Py<PyAny>>,
    captured: Option<Py<PyAny>>,
    /// Kept once the address was given out without an owner (`__array_interface__`): the slot is not reused while this
    /// object lives.
    kept: Option<Tensor>,
    /// Who may write on the device in a stream that is not known yet.
    writers: Writers,
    /// What owns the streams that write, kept until the claim is spent. After the claim, which ends with them.
    streams: Vec<StreamOwner>,
}

/// Frameworks that have a view of a slot on a device. Their current streams are asked for once more at the end.
#[derive(Clone, Copy, Default)]
struct Writers {
    torch: bool,
    cupy: bool,
    /// Whoever was given the address.
    any: bool,
}

/// A slot of a link, lent for one frame: `with pub.loan(shape, dtype) as slot`.
///
/// It is an array: write to it by numpy.asarray(slot), slot.numpy(), slot.torch(), memoryview(slot) or any library that
/// reads DLPack. Host memory in C order, aligned to 4096 bytes; it holds what an older frame left there. Nothing is
/// copied. The end of the block publishes it; an exception inside the block publishes nothing.
///
/// A view that is kept after the block can't change the published frame: the memory is read-only then, and a write ends
/// the process with a message.
///
/// With device='cuda:0' it is an array on the GPU: slot.torch(), slot.cupy(), DLPack or the CUDA array interface. What is
/// put into the loan's stream, into a stream that a view was asked for with, or into the current stream of torch or CuPy,
/// finds the slot free and is part of the frame if it was put in before the end of the block; nothing has to be waited for.
/// Work in other streams has to be joined into one of these. Nothing catches a write after the end of the block.
/// A stream that was named by its handle lives until then, and is not needed any more after it.
#[pyclass(frozen, module = "uncopy", name = "Slot")]
pub struct PySlot {
    end: Arc<End<Publisher>>,
    form: Form,
    device: Device,
    /// The loan's stream, on a device.
    stream: Option<Stream>,
    state: Mutex<State>,
}

impl PySlot {
    pub fn new(
        end: Arc<End<Publisher>>,
        claim: Claim,
        stream: Option<Stream>,
        owners: Vec<StreamOwner>,
    ) -> Self {
        let (form, device) = (*claim.form(), claim.device());
        let state = State {
            claim: Some(claim),
            seq: None,
            meta: None,
            captured: None,
            kept: None,
            writers: Writers::default(),
            streams: owners,
        };
        PySlot { end, form, device, stream, state: Mutex::new(state) }
    }

    fn is_on_host(&self) -> bool {
        self.device == Device::CPU
    }

    /// Lets work in a stream write the slot.
    fn written_on(&self, stream: Stream) -> Result<(), Failure> {
        match &locked(&self.state).claim {
            Some(claim) => Ok(claim.also_on(stream)?),
            None => Err(self.over()),
        }
    }

    /// The streams that frameworks with a view work in now: what they hold is part of the frame.
    fn join_writers(&self, py: Python<'_>, claim: &Claim, writers: Writers) -> Result<(), Failure> {
        let torch = (writers.torch || writers.any).then(|| streams::torch_stream(py, self.device)).flatten();
        let cupy = (writers.cupy || writers.any).then(|| streams::cupy_stream(py, self.device)).flatten();
        // numba launches into the legacy default stream.
        let legacy = writers.any.then_some(Stream::LEGACY_DEFAULT);
        let owner = cupy.as_ref().and_then(|(_, object)| owner_of_stream(object));
        locked(&self.state).streams.extend(owner);
        for stream in [torch, cupy.map(|(stream, _)| stream), legacy].into_iter().flatten() {
            match claim.also_on(stream) {
                // What is being captured is not done by the stream, and so no part of the frame.
                Err(LinkError::Capturing { .. }) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn not_on_host(&self) -> Failure {
        let message = format!(
            "this slot of '{}' is on {}: write to it with slot.torch(), slot.cupy(), DLPack or the CUDA array interface",
            self.end.name(),
            self.device
        );
        Failure::Said(ErrorKind::Unsupported, message)
    }

    fn tensor(&self) -> Result<Tensor, Failure> {
        match &locked(&self.state).claim {
            Some(claim) => Ok(claim.tensor()?),
            None => Err(self.over()),
        }
    }

    fn over(&self) -> Failure {
        let message =
            format!("this loan from '{}' is over; ask for the next one with loan()", self.end.name());
        Failure::Said(ErrorKind::Closed, message)
    }
}

#[pymethods]
impl PySlot {
    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (kind, error, traceback, /))]
    fn __exit__(
        &self,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> Result<bool, Failure> {
        let _ = (error, traceback);
        if kind.is_none() {
            self.end_block(kind.py())?;
        } else {
            self.discard();
        }
        Ok(false)
    }

    /// Publishes the frame now and returns its number, from 1. The end of the with block does this by itself.
    ///
    /// Raises Closed when the loan is over, and InvalidArgument for metadata that JSON can't say or that is too large;
    /// then nothing is published and the slot is given back.
    fn publish(&self, py: Python<'_>) -> Result<u64, Failure> {
        let (claim, meta, captured, writers) = {
            let mut state = locked(&self.state);
            (state.claim.take(), state.meta.take(), state.captured.take(), state.writers)
        };
        let Some(claim) = claim else { return Err(self.over()) };
        self.join_writers(py, &claim, writers)?;
        let meta = meta_from_python(
            meta.as_ref().map(|meta| meta.bind(py)),
            captured.as_ref().map(|captured| captured.bind(py)),
        )?;
        let seq = self.end.with(|publisher| publisher.commit(claim, meta))?;
        let streams = {
            let mut state = locked(&self.state);
            state.seq = Some(seq);
            std::mem::take(&mut state.streams)
        };
        drop(streams);
        Ok(seq)
    }

    /// Gives the slot back without publishing. Does nothing when the loan is over.
    fn discard(&self) {
        let claim = locked(&self.state).claim.take();
        drop(claim);
    }

    /// Number of the frame once it is published, None before and when it never is.
    #[getter]
    fn seq(&self) -> Option<u64> {
        locked(&self.state).seq
    }

    /// Metadata for the frame: bytes, or anything that JSON can say; at most 4096 bytes. Set it before the block ends.
    #[getter]
    fn meta(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        locked(&self.state).meta.as_ref().map(|meta| meta.clone_ref(py))
    }

    #[setter]
    fn set_meta(&self, meta: Option<Py<PyAny>>) {
        let old = std::mem::replace(&mut locked(&self.state).meta, meta);
        drop(old);
    }

    /// When the content came to be: seconds, or a pair of seconds and 'monotonic', 'realtime' or 'other'.
    #[getter]
    fn captured(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        locked(&self.state).captured.as_ref().map(|captured| captured.clone_ref(py))
    }

    #[setter]
    fn set_captured(&self, captured: Option<Py<PyAny>>) {
        let old = std::mem::replace(&mut locked(&self.state).captured, captured);
        drop(old);
    }

    /// Elements along each axis.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.form.shape())
    }

    /// Name of the dtype, such as 'uint8'.
    #[getter]
    fn dtype(&self) -> String {
        self.form.dtype().to_string()
    }

    /// Where it is: 'cpu', or 'cuda:0' and its like.
    #[getter]
    fn device(&self) -> String {
        self.device.to_string()
    }

    /// Address of the first element, in its device's memory. Good until the end of the loan.
    #[getter]
    fn ptr(&self) -> Result<usize, Failure> {
        let address = self.tensor()?.address();
        locked(&self.state).writers.any = true;
        Ok(address)
    }

    /// The slot as a writable numpy.ndarray. Shares the memory. Raises Unsupported for a slot on a GPU.
    fn numpy<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Failure> {
        let slot = slf.get();
        // NumPy drops the error of a buffer request and asks on; so this is asked first.
        if locked(&slot.state).claim.is_none() {
            return Err(slot.over());
        }
        if !slot.is_on_host() {
            return Err(slot.not_on_host());
        }
        frameworks::numpy(slf.as_any(), slot.form.dtype(), || slot.tensor())
    }

    /// The slot as a writable torch.Tensor where it is, on the CPU or the GPU. Shares the memory.
    fn torch<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Failure> {
        let (py, slot) = (slf.py(), slf.get());
        let capsule = give::capsule_from_tensor(py, &slot.tensor()?, None, None, None, None)?;
        let tensor = frameworks::torch(&capsule)?;
        if !slot.is_on_host() {
            locked(&slot.state).writers.torch = true;
            if let Some(stream) = streams::torch_stream(py, slot.device) {
                slot.written_on(stream)?;
            }
        }
        Ok(tensor)
    }

    /// A slot on a GPU as a writable cupy.ndarray. Shares the memory. Raises Unsupported for a slot in host memory.
    fn cupy<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Failure> {
        let (py, slot) = (slf.py(), slf.get());
        let tensor = slot.tensor()?;
        if slot.is_on_host() {
            let message = "CuPy's arrays are on a GPU: lend a slot there, with loan(..., device='cuda:0')";
            return Err(Failure::Said(ErrorKind::Unsupported, message.to_owned()));
        }
        frameworks::require_cupy(py)?;
        let (stream, object) = cupy_current_stream(py, slot.device)?;
        slot.written_on(stream)?;
        {
            let mut state = locked(&slot.state);
            state.writers.cupy = true;
            state.streams.extend(owner_of_stream(&object));
        }
        frameworks::cupy(&Bound::new(py, PyCudaView::new(tensor, None))?)
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
        if let Some(writer) = give::reader_stream(self.device, stream)? {
            self.written_on(writer)?;
            let owner = streams::owner_among_current(py, self.device, writer);
            locked(&self.state).streams.extend(owner);
        }
        let capsule = give::capsule_from_tensor(py, &tensor, stream, max_version, dl_device, copy)?;
        if !self.is_on_host() {
            let mut state = locked(&self.state);
            (state.writers.torch, state.writers.cupy) = (true, true);
        }
        Ok(capsule)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        (self.device.kind.0, self.device.id)
    }

    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, Failure> {
        let tensor = self.tensor()?;
        if !self.is_on_host() {
            return Err(self.not_on_host());
        }
        let interface = give::array_interface_from_tensor(py, &tensor)?;
        locked(&self.state).kept = Some(tensor);
        Ok(interface)
    }

    #[getter]
    fn __cuda_array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, Failure> {
        if self.is_on_host() {
            return Err(give::no_cuda_array_interface().into());
        }
        let tensor = self.tensor()?;
        let interface = give::cuda_array_interface_from_tensor(py, &tensor, self.stream)?;
        let mut state = locked(&self.state);
        state.writers.any = true;
        state.kept = Some(tensor);
        Ok(interface)
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> Result<(), Failure> {
        let tensor = slf.get().tensor()?;
        if !slf.get().is_on_host() {
            // NumPy asks on with `__array_interface__`, which says the same.
            return Err(slf.get().not_on_host());
        }
        // SAFETY: 1. Python passes its own Py_buffer. 2. See `__releasebuffer__`.
        Ok(unsafe { give::fill_buffer(slf.as_any(), tensor, view, flags) }?)
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: Python passes a Py_buffer that `__getbuffer__` filled.
        unsafe { give::release_buffer(view) }
    }

    fn __reduce_ex__(&self, protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let _ = protocol;
        Err(Failure::argument(
            "a Slot can't be pickled or copied: it is lent for one frame; send the array, or open the link in the \
             other process with uncopy.subscribe",
        ))
    }

    fn __repr__(&self) -> String {
        let state = locked(&self.state);
        let state = match (&state.claim, state.seq) {
            (Some(_), _) => "on loan from".to_owned(),
            (None, Some(seq)) => format!("published as frame {seq} of"),
            (None, None) => "given back to".to_owned(),
        };
        let place = if self.is_on_host() { String::new() } else { format!(" on {}", self.device) };
        format!("<uncopy.Slot {}{place} {state} '{}'>", self.form, self.end.name())
    }
}

impl PySlot {
    /// The end of the block: publishes, unless the block did so or gave the slot back.
    fn end_block(&self, py: Python<'_>) -> Result<(), Failure> {
        let open = locked(&self.state).claim.is_some();
        if open {
            self.publish(py)?;
        }
        Ok(())
    }
}
