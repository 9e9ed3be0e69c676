// SPDX-License-Identifier: MIT OR Apache-2.0
//! A slot on loan: write the next frame straight into shared memory.
#![expect(unsafe_code, reason = "fence: passes Python's buffer requests on")]

use std::ffi::c_int;
use std::sync::{Arc, Mutex};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use uncopy::{Claim, ErrorKind, Form, Publisher, Tensor};
use uncopy_pyo3::give;

use crate::end::{End, locked};
use crate::errors::Failure;
use crate::frameworks;
use crate::meta::meta_from_python;

/// A loan is open while it has its claim; then it has a number, or was given back unpublished.
struct State {
    claim: Option<Claim>,
    seq: Option<u64>,
    meta: Option<Py<PyAny>>,
    captured: Option<Py<PyAny>>,
    /// Kept once the address was given out without an owner (`__array_interface__`): the slot is not reused while this
    /// object lives.
    kept: Option<Tensor>,
}

/// A slot of a link, lent for one frame: `with pub.loan(shape, dtype) as slot`.
///
/// It is an array: write to it by numpy.asarray(slot), slot.numpy(), slot.torch(), memoryview(slot) or any library that
/// reads DLPack. Host memory in C order, aligned to 4096 bytes; it holds what an older frame left there. Nothing is
/// copied. The end of the block publishes it; an exception inside the block publishes nothing.
///
/// A view that is kept after the block can't change the published frame: the memory is read-only then, and a write ends
/// the process with a message.
#[pyclass(frozen, module = "uncopy", name = "Slot")]
pub struct PySlot {
    end: Arc<End<Publisher>>,
    form: Form,
    state: Mutex<State>,
}

impl PySlot {
    pub fn new(end: Arc<End<Publisher>>, claim: Claim) -> Self {
        let form = *claim.form();
        let state = State { claim: Some(claim), seq: None, meta: None, captured: None, kept: None };
        PySlot { end, form, state: Mutex::new(state) }
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
        let (claim, meta, captured) = {
            let mut state = locked(&self.state);
            (state.claim.take(), state.meta.take(), state.captured.take())
        };
        let Some(claim) = claim else { return Err(self.over()) };
        let meta = meta_from_python(
            meta.as_ref().map(|meta| meta.bind(py)),
            captured.as_ref().map(|captured| captured.bind(py)),
        )?;
        let seq = self.end.with(|publisher| publisher.commit(claim, meta))?;
        locked(&self.state).seq = Some(seq);
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

    /// The slot as a writable numpy.ndarray. Shares the memory.
    fn numpy<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Failure> {
        let slot = slf.get();
        // NumPy drops the error of a buffer request and asks on; so this is asked first.
        if locked(&slot.state).claim.is_none() {
            return Err(slot.over());
        }
        frameworks::numpy(slf.as_any(), slot.form.dtype(), || slot.tensor())
    }

    /// The slot as a writable torch.Tensor on the CPU. Shares the memory.
    fn torch<'py>(slf: &Bound<'py, Self>) -> Result<Bound<'py, PyAny>, Failure> {
        let capsule = give::capsule_from_tensor(slf.py(), &slf.get().tensor()?, None, None, None, None)?;
        frameworks::torch(&capsule)
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
        Ok(give::capsule_from_tensor(py, &tensor, stream, max_version, dl_device, copy)?)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        frameworks::CPU
    }

    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>, Failure> {
        let tensor = self.tensor()?;
        let interface = give::array_interface_from_tensor(py, &tensor)?;
        locked(&self.state).kept = Some(tensor);
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
        format!("<uncopy.Slot {} {state} '{}'>", self.form, self.end.name())
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
