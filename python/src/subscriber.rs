// SPDX-License-Identifier: MIT OR Apache-2.0
//! The consuming end of a link in Python.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex, Weak};

use pyo3::prelude::*;
use uncopy::{
    DeviceKind, Frame, LinkError, Read, Release, Staging, Stream, Subscriber, SubscriberStats, Waker, Where,
};
use uncopy_pyo3::owner_of_stream;

use crate::arrays;
use crate::end::{End, Inner, locked};
use crate::ending::Closable;
use crate::errors::Failure;
use crate::frame::PyFrame;
use crate::lease::Cell;
use crate::stats::PySubscriberStats;
use crate::streams::{self, device_from_argument, stream_from_argument};
use crate::waiting::{Attentive, RestartTimeout, duration_from_seconds, finished};

/// Opens a link for receiving. Waits for its producer to appear.
///
/// timeout is how long to be without a producer, in seconds, now and whenever it goes away later; None for ever. A
/// receive that says how long waits that long in its place: recv(timeout=0.2) raises ProducerLost 0.2 s after its call.
/// After 2 seconds the logger 'uncopy' says what is waited for.
///
/// restart_timeout is how long a producer that has gone is waited for to come again, in seconds from its end on; None: as
/// long as a call lasts. Give it to learn soon of an end while the first producer may take long: with
/// restart_timeout=0.5, recv(timeout=30) raises ProducerLost or ProducerClosed 0.5 s after the end, for loops end then, and
/// poll() and uncopy.wait() tell it then; 0: at once. That is told once; calls after it wait for the next producer as
/// for a first one. 'timeout': as long as timeout, and in a receive that says how long for that time.
///
/// read is 'latest': always the newest frame, what was published in between shows as frame.missed; or 'every': each frame
/// in order, from the newest at the time of joining on. None of those is missed if the producer was opened with
/// when_full='block'; else frame.missed counts what was overwritten before it was received. spin is how long a wait for a
/// frame spins before it sleeps, in seconds: it costs a core and saves the time of a wake-up. A sleeper is awake when a
/// frame is due that comes as evenly as those before it; spin=0 turns that off.
///
/// Frames on a GPU are received there, or in the producer's mirror in host memory where this process can't use the GPU;
/// device='cpu' receives the mirror in any case, and never loads a driver. device='cuda:1' or its like receives frames of
/// any GPU on that one: where they lie if it reaches their memory, else by one copy of each, which is in frame.copies as
/// 'staged'. Frames in host memory stay there, and of a GPU that this process does not see the mirror is read, if there is
/// one. As many copies can be held at once as the link has slots.
///
/// With prefetch=True the copy to the host that frame.numpy() needs is begun when a frame is received, and that of the
/// next frame while the caller has this one: a caller that is slower than the producer then waits for no copy, and works
/// on frames that are older by its own time for one. It holds one slot more.
///
/// release says when a frame on a GPU goes back to the producer once its last view is gone. 'streams': after the work in the
/// streams that it was handed out for, or that used_on() names. 'context': after everything that this process has put into
/// any stream of the GPU by then, so that no stream needs to be named; that needs a driver of CUDA 12.5 or later, and makes
/// a capture into a CUDA graph that goes on meanwhile invalid, in whatever thread. readonly=True maps frames on a GPU so
/// that a kernel that writes into one costs this process its CUDA context, instead of changing the frame for everybody;
/// frames in host memory can't be written in any case.
///
/// Raises NotFound (also a FileNotFoundError) when nobody publishes under the name in time, Unsupported when there is no
/// such device, TooManyConsumers, VersionMismatch, CorruptLink, PermissionDenied.
#[pyfunction]
#[pyo3(
    signature = (
        name, *, timeout=Some(5.0), restart_timeout=RestartTimeout::LikeTimeout, read="latest", spin=20e-6, device=None,
        prefetch=false, release="streams", readonly=false
    ),
    text_signature = "(name, *, timeout=5.0, restart_timeout='timeout', read='latest', spin=2e-05, device=None, \
                      prefetch=False, release='streams', readonly=False)"
)]
#[expect(clippy::too_many_arguments, reason = "the keywords of the Python function")]
pub fn subscribe(
    py: Python<'_>,
    name: &str,
    timeout: Option<f64>,
    restart_timeout: RestartTimeout,
    read: &str,
    spin: f64,
    device: Option<&Bound<'_, PyAny>>,
    prefetch: bool,
    release: &str,
    readonly: bool,
) -> Result<PySubscriber, Failure> {
    let read = which(read)?;
    let place = place(device)?;
    let release = when(release)?;
    let timeout = duration_from_seconds("timeout", timeout)?;
    let spin = duration_from_seconds("spin", Some(spin))?
        .ok_or_else(|| Failure::argument("spin is a time in seconds, and spinning for ever is none"))?;
    let options = uncopy::subscribe(name).timeout(timeout).read(read).spin(spin).place(place);
    let options = restart_timeout.of(options).release(release).read_only(readonly);
    let mut attentive = Attentive::alone();
    let opened = py.detach(|| options.open_with(&mut attentive));
    let subscriber = finished(opened, attentive)?;
    Ok(PySubscriber::new(name, subscriber, prefetch))
}

/// A subscriber that takes its place when it is first polled; waits for nothing. What uncopy.aio.subscribe is made of.
#[pyfunction]
#[pyo3(
    signature = (
        name, *, timeout=Some(5.0), restart_timeout=RestartTimeout::LikeTimeout, read="latest", device=None,
        release="streams", readonly=false
    ),
    text_signature = "(name, *, timeout=5.0, restart_timeout='timeout', read='latest', device=None, \
                      release='streams', readonly=False)"
)]
pub fn _subscribe_later(
    name: &str,
    timeout: Option<f64>,
    restart_timeout: RestartTimeout,
    read: &str,
    device: Option<&Bound<'_, PyAny>>,
    release: &str,
    readonly: bool,
) -> Result<PySubscriber, Failure> {
    let timeout = duration_from_seconds("timeout", timeout)?;
    let options = uncopy::subscribe(name).timeout(timeout).read(which(read)?).place(place(device)?);
    let options = restart_timeout.of(options).release(when(release)?).read_only(readonly);
    Ok(PySubscriber::new(name, options.start()?, false))
}

fn place(device: Option<&Bound<'_, PyAny>>) -> Result<Where, Failure> {
    let Some(device) = device else { return Ok(Where::Nearest) };
    let device = device_from_argument(device)?;
    match device.kind {
        DeviceKind::CPU => Ok(Where::Host),
        DeviceKind::CUDA => Ok(Where::Device(device)),
        _ => Err(Failure::argument(format!(
            "device is 'cpu', for frames in host memory, 'cuda:1' or its like, for frames of any GPU on that one, or \
             None, for frames where they are, not '{device}'"
        ))),
    }
}

fn when(release: &str) -> Result<Release, Failure> {
    match release {
        "streams" => Ok(Release::Streams),
        "context" => Ok(Release::Context),
        other => Err(Failure::argument(format!("release is 'streams' or 'context', not '{other}'"))),
    }
}

fn which(read: &str) -> Result<Read, Failure> {
    match read {
        "latest" => Ok(Read::Latest),
        "every" => Ok(Read::Every),
        other => Err(Failure::argument(format!("read is 'latest' or 'every', not '{other}'"))),
    }
}

/// What a subscriber shows to other threads.
#[derive(Clone, Copy)]
pub struct Seen {
    stats: SubscriberStats,
    connected: bool,
    restarts: u64,
}

impl Inner for Subscriber {
    type Seen = Seen;

    fn waker(&self) -> Waker {
        self.waker()
    }

    fn look(&self) -> Seen {
        Seen { stats: self.stats(), connected: self.connected(), restarts: self.restarts() }
    }
}

/// The consuming end of a link; made by uncopy.subscribe(). Its own iterator: for frame in sub.
///
/// One thread at a time uses it; close() may come from any and ends a wait. Use it in a with block, or call close().
/// When the producer goes away, it looks for the next one of the same name by itself.
#[pyclass(frozen, module = "uncopy", name = "Subscriber", weakref)]
pub struct PySubscriber {
    end: Arc<End<Subscriber>>,
    /// The frame of the loop, released when the next one is asked for.
    last: Mutex<Weak<Cell>>,
    /// Host memory that frames on a device are copied to.
    staging: Staging,
    prefetch: bool,
    /// The next frame, whose copy to the host was begun; or what became of looking for it.
    ahead: Mutex<Option<Result<PyFrame, Failure>>>,
}

impl PySubscriber {
    pub fn end(&self) -> &Arc<End<Subscriber>> {
        &self.end
    }

    fn new(name: &str, subscriber: Subscriber, prefetch: bool) -> Self {
        PySubscriber {
            end: End::new("subscriber", name, subscriber),
            last: Mutex::default(),
            staging: Staging::new(),
            prefetch,
            ahead: Mutex::default(),
        }
    }

    /// Whether the next frame is here already.
    pub fn is_ahead(&self) -> bool {
        locked(&self.ahead).is_some()
    }

    fn wait(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        named: Option<&Bound<'_, PyAny>>,
    ) -> Result<PyFrame, Failure> {
        let stream = stream_from_argument(named)?;
        let received = self.wait_for(py, timeout, stream)?;
        if let (Some(stream), Some(object)) = (stream, named) {
            streams::note(&received.held()?, stream, owner_of_stream(object));
        }
        Ok(received)
    }

    fn wait_for(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        stream: Option<Stream>,
    ) -> Result<PyFrame, Failure> {
        let timeout = duration_from_seconds("timeout", timeout)?;
        if let Some(ahead) = self.take_ahead() {
            let frame = ahead?;
            if let Some(stream) = stream {
                frame.held()?.ready_on(stream)?;
            }
            self.look_ahead(py, &frame);
            return Ok(frame);
        }
        let mut attentive = Attentive::until(self.end.closing());
        let received = self.end.with_detached(py, |subscriber| {
            Ok::<_, Failure>(match stream {
                Some(stream) => subscriber.recv_on_with(stream, timeout, &mut attentive),
                None => subscriber.recv_with(timeout, &mut attentive),
            })
        })?;
        let frame = self.frame(finished(received, attentive)?, stream);
        self.begin_copy(&frame);
        self.look_ahead(py, &frame);
        Ok(frame)
    }

    fn frame(&self, frame: Frame, stream: Option<Stream>) -> PyFrame {
        PyFrame::new(Arc::clone(self.end.name()), frame, &self.staging, stream)
    }

    fn take_ahead(&self) -> Option<Result<PyFrame, Failure>> {
        // Before its lock: a closed end gives nothing, and says so.
        if self.end.is_closed() { None } else { locked(&self.ahead).take() }
    }

    /// Begins the copy to the host that a frame will be asked for.
    fn begin_copy(&self, frame: &PyFrame) {
        if self.prefetch && !frame.is_on_host() {
            // Whoever asks for the pixels begins it again, and meets the error.
            let _ = arrays::begin_copy(frame);
        }
    }

    /// Takes the frame after this one if it is there, and begins its copy.
    fn look_ahead(&self, py: Python<'_>, frame: &PyFrame) {
        if !self.prefetch || frame.is_on_host() {
            return;
        }
        let next = match self.end.with_detached(py, Subscriber::poll_recv) {
            Ok(None) => return,
            Ok(Some(next)) => Ok(self.frame(next, None)),
            Err(error) => Err(error),
        };
        if let Ok(next) = &next {
            self.begin_copy(next);
        }
        let before = locked(&self.ahead).replace(next);
        drop(before);
    }

    fn release_last(&self) {
        let last = std::mem::take(&mut *locked(&self.last));
        if let Some(cell) = last.upgrade() {
            cell.release();
        }
    }
}

#[pymethods]
impl PySubscriber {
    /// Waits up to timeout seconds for the next frame that was not received yet. None waits as long as there is a producer,
    /// and without one for the subscriber's own timeout. Ctrl-C works. Frames that were received before stay held.
    ///
    /// What a producer that is gone has left is received first, and another producer of the name while there is time. Raises
    /// at the end of the time TimedOut (also a TimeoutError) when the producer lives and published nothing new, ProducerLost
    /// when it died, ProducerClosed when it closed the link, NotFound when there never was one; Evicted when the producer took
    /// this place away, after which the next call takes a new one. ProducerLost and ProducerClosed come earlier if the
    /// subscriber's restart_timeout was given and is over.
    ///
    /// With stream, which is a handle or an object of torch, CuPy, cuda.core or numba, a frame on a GPU may still be written
    /// by its producer: work that is put into that stream finds it whole, and the frame goes back after that work. It is known
    /// no sooner so, and the card waits in place of the processor: use it only where the processor has nothing to do but to
    /// put work into the stream. An object is kept as long as the frame and its views need it; the stream of a handle has to
    /// live so long. Raises InvalidArgument while the stream is being captured into a graph.
    #[pyo3(signature = (timeout=None, *, stream=None))]
    fn recv(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        stream: Option<&Bound<'_, PyAny>>,
    ) -> Result<PyFrame, Failure> {
        match self.wait(py, timeout, stream) {
            // Interrupted without an exception: another thread closed this end in the midst of the wait.
            Err(Failure::Link(LinkError::Interrupted)) if self.end.is_closed() => Err(self.end.closed()),
            done => done,
        }
    }

    /// The descriptor that an event loop polls for reading: readable when there may be a frame, or another producer.
    /// The same one until close(). Call poll() once before the first poll, and after each event until it returns
    /// None.
    fn fileno(&self) -> Result<i32, Failure> {
        self.end.with(|subscriber| Ok::<_, Failure>(subscriber.events()?.as_fd().as_raw_fd()))
    }

    /// The next frame that was not received yet, or None when there is none now. Never waits; for event loops, see
    /// fileno() and uncopy.aio.
    ///
    /// Raises ProducerLost and ProducerClosed once there has been no producer for the subscriber's timeout, or its
    /// restart_timeout, NotFound when there never was one; Evicted.
    fn poll(&self, py: Python<'_>) -> Result<Option<PyFrame>, Failure> {
        if let Some(ahead) = self.take_ahead() {
            return ahead.map(Some);
        }
        let frame = self.end.with_detached(py, Subscriber::poll_recv)?;
        Ok(frame.map(|frame| self.frame(frame, None)))
    }

    /// poll() for a wait with a time of its own, in which only the end of restart_timeout is told. What recv(timeout=) of
    /// uncopy.aio is made of.
    fn _poll_timed(&self, py: Python<'_>) -> Result<Option<PyFrame>, Failure> {
        if let Some(ahead) = self.take_ahead() {
            return ahead.map(Some);
        }
        let frame = self.end.with_detached(py, Subscriber::poll_recv_timed)?;
        Ok(frame.map(|frame| self.frame(frame, None)))
    }

    /// The newest frame that there is, also one that was received before, or None. Never waits.
    ///
    /// Raises CorruptLink.
    fn newest(&self, py: Python<'_>) -> Result<Option<PyFrame>, Failure> {
        let frame = self.end.with_detached(py, Subscriber::newest)?;
        Ok(frame.map(|frame| self.frame(frame, None)))
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The next frame; the one before is released unless an array of it lives. Ends when the producer closes the link
    /// or this subscriber is closed meanwhile; raises ProducerLost when the producer died.
    fn __next__(&self, py: Python<'_>) -> Result<Option<PyFrame>, Failure> {
        self.release_last();
        match self.wait(py, None, None) {
            Ok(frame) => {
                *locked(&self.last) = Arc::downgrade(frame.cell());
                Ok(Some(frame))
            }
            Err(Failure::Link(LinkError::ProducerClosed { .. })) => Ok(None),
            // As in `recv`.
            Err(Failure::Link(LinkError::Interrupted)) if self.end.is_closed() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The name of the link.
    #[getter]
    fn name(&self) -> &str {
        self.end.name()
    }

    /// Counters: frames received, and frames that were published in between. Also from other threads, and after
    /// close().
    #[getter]
    fn stats(&self) -> PySubscriberStats {
        self.end.seen().stats.into()
    }

    /// Whether a producer is there; while another thread waits here, whether one was there when its wait began.
    #[getter]
    fn connected(&self) -> bool {
        !self.end.is_closed() && self.end.seen().connected
    }

    /// How often another producer took the place of one that was gone.
    #[getter]
    fn restarts(&self) -> u64 {
        self.end.seen().restarts
    }

    /// Whether close() was called.
    #[getter]
    fn closed(&self) -> bool {
        self.end.is_closed()
    }

    /// Leaves the link. Frames and arrays that are still held stay as they are. May be called twice, and from any
    /// thread: a wait in another thread ends with Closed, and a for loop ends.
    fn close(&self, py: Python<'_>) {
        self.release_last();
        let ahead = locked(&self.ahead).take();
        drop(ahead);
        py.detach(|| self.end.close());
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
    ) -> bool {
        let _ = (error, traceback);
        self.close(kind.py());
        false
    }

    fn __reduce_ex__(&self, protocol: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let _ = protocol;
        Err(Failure::argument(
            "a Subscriber can't be pickled or copied: it has a place at its producer; open one in the other process, \
             with uncopy.subscribe",
        ))
    }

    fn __repr__(&self) -> String {
        let state = if self.end.is_closed() { ", closed" } else { "" };
        format!("<uncopy.Subscriber '{}'{state}>", self.end.name())
    }
}

impl Drop for PySubscriber {
    fn drop(&mut self) {
        self.end.warn_if_forgotten();
    }
}
