// SPDX-License-Identifier: MIT OR Apache-2.0
//! The producing end of a link in Python.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use uncopy::{
    DType, Device, ErrorKind, Form, LinkError, MAX_CONSUMERS, PixelFormat, Publisher, PublisherStats, Sent,
    Waiting, Waker, WhenFull,
};
use uncopy_pyo3::{Taken, owner_of_stream, taken_from_python};

use crate::end::{End, Inner, locked};
use crate::ending::Closable;
use crate::errors::Failure;
use crate::form::{LastAsked, Picture, dtype_from_python, layout_from_python};
use crate::frame::PyFrame;
use crate::meta::meta_from_python;
use crate::slot::PySlot;
use crate::stats::PyPublisherStats;
use crate::streams::{self, device_from_argument, stream_from_argument};
use crate::waiting::{Attentive, duration_from_seconds, finished};

/// Opens a link for publishing, under a name of letters, digits, '.', '_' and '-'.
///
/// shape and dtype fix the form of every frame; without them each frame brings its own. pixel ('rgba8', 'bgr8',
/// 'nv12', ...) and origin ('top_left', 'bottom_left') say what the numbers mean as a picture, unless a frame says
/// otherwise. slots (2 to 64) is the number of frames in shared memory: 2 and the frames that consumers hold at once.
/// takeover=True takes the name from the producer that has it.
///
/// when_full says what happens when every slot is held. 'drop': the incoming frame is dropped and counted; the
/// producer never waits. 'block': it waits for room, at most room_timeout seconds (None: for ever; Ctrl-C works), and
/// keeps frames that a subscriber with read='every' has not received. evict_after is how many seconds a consumer may
/// keep slots from a producer that finds no room, without receiving a frame, before its place is taken away (None:
/// for ever).
///
/// mirror='host' copies each frame on a GPU to host memory too, once for all consumers: those without the GPU, and those
/// that subscribe with device='cpu', read it there with no copy of their own. The copy is in frame.copies.
///
/// Raises NameTaken (also a FileExistsError), InvalidName, InvalidArgument, OutOfMemory, PermissionDenied.
#[pyfunction]
#[pyo3(signature = (
    name, *, shape=None, dtype=None, pixel=None, origin=None, slots=4, when_full="drop", room_timeout=None,
    evict_after=None, takeover=false, mirror=None
))]
#[expect(clippy::too_many_arguments, reason = "the keywords of the Python function")]
pub fn publish(
    py: Python<'_>,
    name: &str,
    shape: Option<&Bound<'_, PyAny>>,
    dtype: Option<&Bound<'_, PyAny>>,
    pixel: Option<&str>,
    origin: Option<&str>,
    slots: i64,
    when_full: &str,
    room_timeout: Option<f64>,
    evict_after: Option<f64>,
    takeover: bool,
    mirror: Option<&str>,
) -> Result<PyPublisher, Failure> {
    let slots = usize::try_from(slots)
        .map_err(|_| Failure::argument(format!("a link has 2 to 64 slots, not {slots}")))?;
    let room_timeout = duration_from_seconds("room_timeout", room_timeout)?;
    let when_full = match when_full {
        "drop" if room_timeout.is_some() => {
            return Err(Failure::argument(
                "room_timeout is for when_full='block'; a producer that drops never waits",
            ));
        }
        "drop" => WhenFull::Drop,
        "block" => WhenFull::Block(room_timeout),
        other => return Err(Failure::argument(format!("when_full is 'drop' or 'block', not '{other}'"))),
    };
    let mirror = match mirror {
        None => false,
        Some("host") => true,
        Some(other) => return Err(Failure::argument(format!("mirror is 'host' or None, not '{other}'"))),
    };
    let evict_after = duration_from_seconds("evict_after", evict_after)?;
    let picture = Picture::parse(pixel, origin)?;
    let mut options =
        uncopy::publish(name).slots(slots).takeover(takeover).when_full(when_full).evict_after(evict_after);
    options = options.mirror(mirror);
    let fixed = match (shape, dtype) {
        (None, None) => None,
        (Some(shape), dtype) => Some(form_from_arguments(shape, dtype, picture)?),
        (None, Some(_)) => {
            return Err(Failure::argument("a dtype without a shape fixes nothing; give both or none"));
        }
    };
    if let Some(form) = fixed {
        options = options.form(form);
    }
    let publisher = py.detach(|| options.open())?;
    let end = End::new("publisher", name, publisher);
    let blocks = when_full != WhenFull::Drop;
    Ok(PyPublisher { end, slots, blocks, picture, fixed, last: Mutex::default() })
}

/// The form of a frame from its shape, and a dtype that the pixel format may imply.
fn form_from_arguments(
    shape: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
    picture: Picture,
) -> Result<Form, Failure> {
    let dtype = match dtype {
        Some(dtype) => dtype_from_python(dtype)?,
        None => implied_dtype(picture.pixel)?,
    };
    picture.form(layout_from_python(shape, dtype)?)
}

fn implied_dtype(pixel: Option<PixelFormat>) -> Result<DType, Failure> {
    pixel.and_then(PixelFormat::dtype).ok_or_else(|| {
        Failure::argument("a shape needs a dtype, such as 'uint8', or a pixel format that implies one")
    })
}

/// What a publisher shows to other threads.
#[derive(Clone, Copy)]
pub struct Published {
    seq: u64,
    stats: PublisherStats,
}

impl Inner for Publisher {
    type Seen = Published;

    fn waker(&self) -> Waker {
        self.waker()
    }

    fn look(&self) -> Published {
        Published { seq: self.seq(), stats: self.stats() }
    }

    fn flush(&mut self, limit: Duration) {
        // Nobody is left to be told.
        let _ = Publisher::flush(self, limit);
    }
}

/// The producing end of a link; made by uncopy.publish().
///
/// One thread at a time uses it; close() may come from any. Use it in a with block, or call close().
#[pyclass(frozen, module = "uncopy", name = "Publisher", weakref)]
pub struct PyPublisher {
    end: Arc<End<Publisher>>,
    slots: usize,
    /// Calls may wait for room.
    blocks: bool,
    picture: Picture,
    fixed: Option<Form>,
    last: Mutex<LastAsked>,
}

impl PyPublisher {
    /// Calls the publisher without the GIL, looking up for Ctrl-C and for `close()` while it waits for room.
    fn wait<R: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut Publisher, &mut dyn Waiting) -> Result<R, LinkError> + Send,
    ) -> Result<R, Failure> {
        let mut attentive = Attentive::until(self.end.closing());
        let done =
            self.end.with_detached(py, |publisher| Ok::<_, Failure>(call(publisher, &mut attentive)))?;
        match finished(done, attentive) {
            // Interrupted without an exception: another thread closed this end in the midst of the wait.
            Err(Failure::Link(LinkError::Interrupted)) if self.end.is_closed() => Err(self.end.closed()),
            done => done,
        }
    }
}

#[pymethods]
impl PyPublisher {
    /// Copies an array into a slot and publishes it. Returns the frame's number, from 1, or None when it was dropped
    /// because every slot was held. With when_full='block' it waits for room instead.
    ///
    /// array is any array in host memory or on a CUDA device: NumPy, torch, CuPy, jax, numba, anything with DLPack, the CUDA
    /// array interface or the buffer protocol; any shape of up to 8 axes. It is packed in C order: one copy where it is,
    /// recorded with the frame. In host memory the copy is made during the call, with the GIL released, so no other thread
    /// may write to the array.
    ///
    /// On a GPU the copy is put into a stream and the call returns; the array is kept until it is made. The stream is the
    /// current one of torch or CuPy on that device, or the one that a numba array is bound to, else the legacy default stream;
    /// what is put into it later comes after the copy, and so may write to the array. Other arrays, such as jax's and
    /// uncopy.wrap's, are copied in a stream of ours that waits for them: write to them after flush(). stream names another: a
    /// handle, or an object of torch, CuPy, cuda.core or numba; then the copy is made in that one, which may be destroyed as
    /// soon as the call has returned.
    ///
    /// meta is bytes or what JSON can say, at most 4096 bytes. captured is a time in seconds, or a pair of it and
    /// 'monotonic', 'realtime' or 'other'. A Frame that is sent on keeps its pixel format and origin.
    ///
    /// Raises FormMismatch on a link that was opened for another shape or dtype, InvalidDType, InvalidLayout and
    /// InvalidArgument for arrays that can't be carried and for a stream that is being captured into a graph, Unsupported
    /// where the array's device can't be used, DeviceLost, OutOfMemory, Superseded; with when_full='block' NoFreeSlot (also
    /// a BlockingIOError) when there was no room in time.
    #[pyo3(signature = (array, *, stream=None, meta=None, captured=None, pixel=None, origin=None))]
    fn send(
        &self,
        array: &Bound<'_, PyAny>,
        stream: Option<&Bound<'_, PyAny>>,
        meta: Option<&Bound<'_, PyAny>>,
        captured: Option<&Bound<'_, PyAny>>,
        pixel: Option<&str>,
        origin: Option<&str>,
    ) -> Result<Option<u64>, Failure> {
        // What owns the stream is kept until the call returns.
        let Taken { tensor, stream, owner: _owner } = self.take(array, stream)?;
        let mut picture = Picture::parse(pixel, origin)?.or(self.picture);
        if let Ok(frame) = array.cast::<PyFrame>() {
            picture = picture.or(Picture::of(frame.get().form()));
        }
        let form = picture.form(tensor.layout().to_c_contiguous())?;
        let meta = meta_from_python(meta, captured)?;
        let sent = self.wait(array.py(), |publisher, attentive| match stream {
            Some(stream) => publisher.send_on(&form, &tensor, meta, stream, Some(attentive)),
            None => publisher.send_with(&form, &tensor, meta, Some(attentive)),
        })?;
        match sent {
            Sent::Published { seq } => Ok(Some(seq)),
            Sent::Dropped => Ok(None),
        }
    }

    /// Lends a slot to write the next frame into, for a with block: nothing is copied.
    ///
    /// shape is a tuple, dtype a name or a dtype of any framework; a link that was opened with a shape needs neither.
    /// The end of the block publishes the frame; an exception inside it publishes nothing.
    ///
    /// device='cuda:0' or its like lends a slot on that GPU, to be written by work in stream: a handle or an object of a
    /// framework; unless it is named, torch's current stream there if torch is imported, else CuPy's if that is, else the
    /// legacy default stream. An object is kept until the loan is over; the stream of a handle has to live so long.
    ///
    /// With when_full='block' it waits for room.
    ///
    /// Raises NoFreeSlot (also a BlockingIOError) when every slot is held, which is counted as a dropped frame;
    /// FormMismatch, InvalidArgument, InvalidDType, InvalidLayout, OutOfMemory, Superseded; for a device also Unsupported and
    /// DeviceLost.
    #[pyo3(signature = (shape=None, dtype=None, *, pixel=None, origin=None, device=None, stream=None))]
    #[expect(clippy::too_many_arguments, reason = "the keywords of the Python function")]
    fn loan(
        &self,
        py: Python<'_>,
        shape: Option<&Bound<'_, PyAny>>,
        dtype: Option<&Bound<'_, PyAny>>,
        pixel: Option<&Bound<'_, PyAny>>,
        origin: Option<&Bound<'_, PyAny>>,
        device: Option<&Bound<'_, PyAny>>,
        stream: Option<&Bound<'_, PyAny>>,
    ) -> Result<PySlot, Failure> {
        let asked = [shape, dtype, pixel, origin];
        let known = locked(&self.last).get(&asked);
        let device = device.map(device_from_argument).transpose()?.filter(|device| *device != Device::CPU);
        if let Some(device) = device {
            let form = match known {
                Some(form) => form,
                None => self.form_of_loan(asked)?,
            };
            locked(&self.last).set(&asked, form);
            return self.loan_on(py, &form, device, stream);
        }
        if stream.is_some_and(|stream| !stream.is_none()) {
            return Err(Failure::argument(
                "stream is for a loan on a device: loan(..., device='cuda:0', stream=...)",
            ));
        }
        let claim = match known {
            Some(form) if !self.blocks => self.end.with(|publisher| publisher.claim(&form))?,
            Some(form) => {
                self.wait(py, |publisher, attentive| publisher.claim_with(&form, Some(attentive)))?
            }
            None => {
                // Not under the lock: reading the arguments may run Python code, and that may ask for a loan too.
                let form = self.form_of_loan(asked)?;
                locked(&self.last).set(&asked, form);
                // A new form may need new memory, which takes its time.
                self.wait(py, |publisher, attentive| publisher.claim_with(&form, Some(attentive)))?
            }
        };
        Ok(PySlot::new(Arc::clone(&self.end), claim, None, Vec::new()))
    }

    /// Waits until at least n consumers are attached, up to timeout seconds (None: for ever). Ctrl-C works.
    ///
    /// Raises TimedOut, Superseded; InvalidArgument for more consumers than a link takes (16).
    #[pyo3(signature = (n, timeout=None))]
    fn wait_for_consumers(&self, py: Python<'_>, n: i64, timeout: Option<f64>) -> Result<(), Failure> {
        let n = match usize::try_from(n) {
            Ok(n @ 0..=MAX_CONSUMERS) => n,
            _ => return Err(Failure::argument(format!("n is a number from 0 to {MAX_CONSUMERS}, not {n}"))),
        };
        let timeout = duration_from_seconds("timeout", timeout)?;
        let begun = Instant::now();
        loop {
            let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            let slice = left.unwrap_or(SLICE).min(SLICE);
            let waited = self.end.with_detached(py, |publisher| publisher.wait_for_consumers(n, slice));
            match waited {
                Err(Failure::Link(LinkError::FewConsumers { name, wanted, found, .. })) => {
                    if let Some(waited) = timeout.filter(|timeout| begun.elapsed() >= *timeout) {
                        return Err(LinkError::FewConsumers { name, wanted, found, waited }.into());
                    }
                }
                done => return done,
            }
            py.check_signals()?;
        }
    }

    /// The name of the link.
    #[getter]
    fn name(&self) -> &str {
        self.end.name()
    }

    /// Number of the newest frame, 0 before the first.
    #[getter]
    fn seq(&self) -> u64 {
        self.end.seen().seq
    }

    /// Number of slots.
    #[getter]
    fn slots(&self) -> usize {
        self.slots
    }

    /// Counters: frames published and dropped, consumers attached now. Also from other threads, and after close().
    #[getter]
    fn stats(&self) -> PyPublisherStats {
        self.end.seen().stats.into()
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.end.is_closed()
    }

    /// Waits until GPUs have written every frame that was published, mirrors included, up to timeout seconds (None: as long
    /// as it takes). Returns whether they have; at once where all frames are in host memory. From then on the frames need
    /// this process no longer, and the arrays that were sent have been let go of. Ctrl-C works, and the GIL is free meanwhile.
    ///
    /// False when the time is over, or within about a second when the GPU is lost to this process. Raises Closed.
    #[pyo3(signature = (timeout=None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> Result<bool, Failure> {
        let timeout = duration_from_seconds("timeout", timeout)?;
        self.wait(py, |publisher, attentive| publisher.flush_with(timeout, attentive))
    }

    /// Closes the link: consumers are told and the name is free. Frames that they hold stay as they are. May be called
    /// twice, and from any thread.
    ///
    /// Waits before that, for a second at most, until GPUs have written what was published, as flush() does: the process
    /// may end right after, and takes the work of its GPU with it. Ctrl-C ends the wait, and the link is closed all the same.
    /// It does not wait while another thread is in a call of this publisher: that call closes it on its way out.
    fn close(&self, py: Python<'_>) -> Result<(), Failure> {
        // The second time there is nothing to wait for, and a call of another thread's is not waited for.
        let flushed = self.wait(py, |publisher, attentive| {
            publisher.flush_with(Some(Publisher::CLOSE_PATIENCE), attentive)
        });
        py.detach(|| self.end.close());
        match flushed {
            Err(raised @ Failure::Python(_)) => Err(raised),
            _ => Ok(()),
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Result<Bound<'_, Self>, Failure> {
        if slf.get().end.is_closed() { Err(slf.get().end.closed()) } else { Ok(slf) }
    }

    #[pyo3(signature = (kind, error, traceback, /))]
    fn __exit__(
        &self,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> Result<bool, Failure> {
        let _ = (error, traceback);
        self.close(kind.py())?;
        Ok(false)
    }

    fn __reduce_ex__(&self, protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let _ = protocol;
        Err(Failure::argument(
            "a Publisher can't be pickled or copied: a link has one producer; open it in the process that publishes, \
             with uncopy.publish",
        ))
    }

    fn __repr__(&self) -> String {
        let state = if self.end.is_closed() { ", closed" } else { "" };
        format!("<uncopy.Publisher '{}'{state}>", self.end.name())
    }
}

/// The longest wait without a look at signals.
const SLICE: Duration = Duration::from_millis(50);

impl PyPublisher {
    /// An array and the stream in which it is to be read; none in host memory.
    fn take(&self, array: &Bound<'_, PyAny>, named: Option<&Bound<'_, PyAny>>) -> Result<Taken, Failure> {
        let (object, named) = (named, stream_from_argument(named)?);
        let own = |device| self.end.with(|publisher| publisher.stream_on(device));
        if let Ok(frame) = array.cast::<PyFrame>()
            && !frame.get().is_on_host()
        {
            let (frame, held) = (frame.get(), frame.get().held()?);
            let stream = match named.or(frame.received_for()) {
                Some(stream) => stream,
                None => own(frame.where_it_is())?,
            };
            held.ready_on(stream)?;
            // The frame goes back after the copy, whenever it is dropped.
            streams::note(&held, stream, object.and_then(owner_of_stream));
            return Ok(Taken { tensor: held.tensor()?, stream: Some(stream), owner: None });
        }
        let taken = taken_from_python(array, named, &mut |device| own(device).map_err(PyErr::from))?;
        if taken.stream.is_none() && named.is_some() {
            return Err(Failure::argument(
                "stream is for an array on a device, and this one is in host memory",
            ));
        }
        Ok(taken)
    }

    fn loan_on(
        &self,
        py: Python<'_>,
        form: &Form,
        device: Device,
        named: Option<&Bound<'_, PyAny>>,
    ) -> Result<PySlot, Failure> {
        let (stream, owner) = match (stream_from_argument(named)?, named) {
            (Some(stream), Some(named)) => (stream, owner_of_stream(named)),
            _ => streams::default_stream(py, device),
        };
        let claim =
            self.wait(py, |publisher, attentive| publisher.claim_on(form, device, stream, Some(attentive)))?;
        Ok(PySlot::new(Arc::clone(&self.end), claim, Some(stream), owner.into_iter().collect()))
    }

    fn form_of_loan(&self, asked: [Option<&Bound<'_, PyAny>>; 4]) -> Result<Form, Failure> {
        let [shape, dtype, pixel, origin] = asked;
        let pixel = pixel.map(|pixel| pixel.extract::<String>()).transpose()?;
        let origin = origin.map(|origin| origin.extract::<String>()).transpose()?;
        let picture = Picture::parse(pixel.as_deref(), origin.as_deref())?.or(self.picture);
        match (shape, self.fixed) {
            (Some(shape), Some(fixed)) if dtype.is_none() => {
                picture.form(layout_from_python(shape, fixed.dtype())?)
            }
            (Some(shape), _) => form_from_arguments(shape, dtype, picture),
            (None, Some(fixed)) if dtype.is_none() => picture.form(*fixed.layout()),
            (None, _) => Err(Failure::Said(
                ErrorKind::InvalidArgument,
                "loan needs a shape and a dtype; only a link that was opened with them needs neither"
                    .to_owned(),
            )),
        }
    }
}

impl Drop for PyPublisher {
    fn drop(&mut self) {
        self.end.warn_if_forgotten();
    }
}
