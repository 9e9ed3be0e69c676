// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plain values that calls return: counters, copies, and links as an observer sees them.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use uncopy::{
    Ages, Answer, ConsumerInfo, CopyRecord, ErrorRecord, HeldFrame, LinkInfo, PixelFormat, PublisherStats,
    SubscriberStats, Whereabouts,
};

use crate::errors::Failure;

/// Counters of a Publisher: frames published, frames dropped because every slot was held, consumers attached now.
#[pyclass(frozen, get_all, module = "uncopy", name = "PublisherStats")]
pub struct PyPublisherStats {
    published: u64,
    dropped: u64,
    consumers: usize,
}

impl From<PublisherStats> for PyPublisherStats {
    fn from(stats: PublisherStats) -> Self {
        let PublisherStats { published, dropped, consumers } = stats;
        PyPublisherStats { published, dropped, consumers }
    }
}

#[pymethods]
impl PyPublisherStats {
    fn __repr__(&self) -> String {
        let Self { published, dropped, consumers } = self;
        format!("PublisherStats(published={published}, dropped={dropped}, consumers={consumers})")
    }
}

/// Counters of a Subscriber: frames received, and frames that were published in between.
#[pyclass(frozen, get_all, module = "uncopy", name = "SubscriberStats")]
pub struct PySubscriberStats {
    received: u64,
    missed: u64,
}

impl From<SubscriberStats> for PySubscriberStats {
    fn from(stats: SubscriberStats) -> Self {
        PySubscriberStats { received: stats.received, missed: stats.missed }
    }
}

#[pymethods]
impl PySubscriberStats {
    fn __repr__(&self) -> String {
        format!("SubscriberStats(received={}, missed={})", self.received, self.missed)
    }
}

/// A copy that the pixels of a frame went through: its reason, the devices, and its size in bytes.
#[pyclass(frozen, module = "uncopy", name = "CopyRecord")]
pub struct PyCopyRecord {
    /// 'send', 'gather', 'asked', ...; a number in words for reasons of later versions.
    #[pyo3(get)]
    reason: String,
    /// Device that it was copied from, such as 'cpu'.
    #[pyo3(get)]
    source: String,
    /// Device that it was copied to.
    #[pyo3(get)]
    target: String,
    #[pyo3(get)]
    len_bytes: u64,
    text: String,
}

impl From<&CopyRecord> for PyCopyRecord {
    fn from(record: &CopyRecord) -> Self {
        let reason =
            record.reason.name().map_or_else(|| format!("reason {}", record.reason.0), str::to_owned);
        let (source, target) = (record.from.to_string(), record.to.to_string());
        PyCopyRecord { reason, source, target, len_bytes: record.len_bytes, text: record.to_string() }
    }
}

#[pymethods]
impl PyCopyRecord {
    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        let Self { reason, source, target, len_bytes, .. } = self;
        format!("CopyRecord(reason='{reason}', source='{source}', target='{target}', len_bytes={len_bytes})")
    }
}

/// A consumer of a link, as an observer sees it.
#[pyclass(frozen, module = "uncopy", name = "ConsumerInfo")]
pub struct PyConsumerInfo {
    #[pyo3(get)]
    place: u32,
    #[pyo3(get)]
    pid: i32,
    #[pyo3(get)]
    command: String,
    #[pyo3(get)]
    received: u64,
    #[pyo3(get)]
    missed: u64,
    #[pyo3(get)]
    holds: u32,
    #[pyo3(get)]
    read: &'static str,
    #[pyo3(get)]
    evicted: bool,
    holding: Vec<HeldFrame>,
    ages: Ages,
}

impl From<ConsumerInfo> for PyConsumerInfo {
    fn from(info: ConsumerInfo) -> Self {
        let ConsumerInfo {
            place, pid, command, received, missed, holds, every, evicted, holding, ages, ..
        } = info;
        let read = if every { "every" } else { "latest" };
        PyConsumerInfo { place, pid, command, received, missed, holds, read, evicted, holding, ages }
    }
}

#[pymethods]
impl PyConsumerInfo {
    /// The frames that it holds, the oldest first: pairs of a frame's number and the seconds since it was published,
    /// which is the longest that it can have been held.
    #[getter]
    fn held(&self) -> Vec<(u64, f64)> {
        self.holding.iter().map(|held| (held.seq, held.age.as_secs_f64())).collect()
    }

    /// The age in seconds that a share of the frames did not exceed when they were received (0.5: the median), up to
    /// 25 % above the true one; None before the first. Counted since it took its place.
    #[pyo3(signature = (share=0.5))]
    fn age(&self, share: f64) -> Option<f64> {
        self.ages.quantile(share).as_ref().map(Duration::as_secs_f64)
    }

    fn __repr__(&self) -> String {
        let Self { place, pid, received, missed, holds, .. } = self;
        format!(
            "<uncopy.ConsumerInfo {place}: process {pid}, received {received}, missed {missed}, holds {holds}>"
        )
    }
}

/// A link, as an observer sees it. Times are in seconds.
#[pyclass(frozen, module = "uncopy", name = "LinkInfo")]
pub struct PyLinkInfo {
    info: LinkInfo,
    consumers: Py<PyTuple>,
}

impl PyLinkInfo {
    fn new(py: Python<'_>, mut info: LinkInfo) -> PyResult<Self> {
        let consumers: Vec<_> =
            std::mem::take(&mut info.consumers).into_iter().map(PyConsumerInfo::from).collect();
        Ok(PyLinkInfo { consumers: PyTuple::new(py, consumers)?.unbind(), info })
    }
}

#[pymethods]
impl PyLinkInfo {
    /// The name of the link.
    #[getter]
    fn name(&self) -> &str {
        &self.info.name
    }

    /// 'answering', 'silent' (the producer is stopped or very busy), or why it could not be read.
    #[getter]
    fn answer(&self) -> &str {
        match &self.info.answer {
            Answer::Answering => "answering",
            Answer::Silent => "silent",
            Answer::Refused(why) => why,
        }
    }

    /// Process id of the producer, or None where it can't be told.
    #[getter]
    fn pid(&self) -> Option<i32> {
        self.info.producer.map(|producer| producer.pid)
    }

    /// Where its frames lie: 'host', 'cuda', 'other' (a kind of memory that this version does not know), or None before the
    /// first.
    #[getter]
    fn memory(&self) -> Option<&'static str> {
        self.info.whereabouts.map(|whereabouts| match whereabouts {
            Whereabouts::Host => "host",
            Whereabouts::Cuda { .. } => "cuda",
            _ => "other",
        })
    }

    /// UUID of the GPU that its frames are on, as every process calls it ('GPU-5a0c231b-...'); else None.
    #[getter]
    fn gpu(&self) -> Option<String> {
        match self.info.whereabouts {
            Some(Whereabouts::Cuda { uuid, .. }) => Some(uuid.to_string()),
            _ => None,
        }
    }

    /// 'host' where frames on a GPU are in host memory as well; else None.
    #[getter]
    fn mirror(&self) -> Option<&'static str> {
        match self.info.whereabouts {
            Some(Whereabouts::Cuda { is_mirrored: true, .. }) => Some("host"),
            _ => None,
        }
    }

    /// Command line of the producer.
    #[getter]
    fn command(&self) -> &str {
        &self.info.command
    }

    /// Seconds since the link was opened.
    #[getter]
    fn uptime(&self) -> f64 {
        self.info.uptime.as_secs_f64()
    }

    /// Number of slots.
    #[getter]
    fn slots(&self) -> usize {
        self.info.slots
    }

    /// Frames published, which is also the number of the newest.
    #[getter]
    fn published(&self) -> u64 {
        self.info.published
    }

    /// Frames dropped because every slot was held.
    #[getter]
    fn dropped(&self) -> u64 {
        self.info.dropped
    }

    /// What the producer does when every slot is held: 'drop' or 'block'.
    #[getter]
    fn when_full(&self) -> &'static str {
        if self.info.blocks { "block" } else { "drop" }
    }

    /// Seconds for which the producer has waited for room.
    #[getter]
    fn blocked(&self) -> f64 {
        self.info.blocked.as_secs_f64()
    }

    /// Consumers whose places were taken away.
    #[getter]
    fn evicted(&self) -> u64 {
        self.info.evicted
    }

    /// Allocations of frame memory so far.
    #[getter]
    fn epoch(&self) -> u32 {
        self.info.epoch
    }

    /// Shape of the newest frame, or None before the first.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.info.form.as_ref().map(|form| PyTuple::new(py, form.shape())).transpose()
    }

    /// Name of the dtype of the newest frame, or None before the first.
    #[getter]
    fn dtype(&self) -> Option<String> {
        self.info.form.as_ref().map(|form| form.dtype().to_string())
    }

    /// Name of the pixel format of the newest frame, or None.
    #[getter]
    fn pixel(&self) -> Option<String> {
        let pixel = self.info.form.as_ref()?.pixel();
        (pixel != PixelFormat::UNSPECIFIED).then(|| pixel.to_string())
    }

    /// Seconds since the newest frame was published, or None before the first.
    #[getter]
    fn last_frame_age(&self) -> Option<f64> {
        self.info.last_frame_age.as_ref().map(Duration::as_secs_f64)
    }

    /// Shared memory of the link in bytes.
    #[getter]
    fn memory_bytes(&self) -> u64 {
        self.info.memory_bytes
    }

    /// Its consumers.
    #[getter]
    fn consumers<'py>(&self, py: Python<'py>) -> Bound<'py, PyTuple> {
        self.consumers.bind(py).clone()
    }

    fn __repr__(&self) -> String {
        let form = self.info.form.as_ref().map_or_else(|| "no frame yet".to_owned(), ToString::to_string);
        format!(
            "<uncopy.LinkInfo '{}': {form}, {} frames, {}>",
            self.info.name,
            self.info.published,
            self.answer()
        )
    }
}

/// The links of this user, by name, as LinkInfos. Takes part in none of them.
///
/// Raises PermissionDenied or System when the runtime directory can't be read.
#[pyfunction]
pub fn list(py: Python<'_>) -> Result<Vec<PyLinkInfo>, Failure> {
    let found = py.detach(uncopy::list)?;
    Ok(found.into_iter().map(|info| PyLinkInfo::new(py, info)).collect::<PyResult<_>>()?)
}

/// One link as a LinkInfo. Takes no part in it.
///
/// Raises NotFound where nobody publishes under the name.
#[pyfunction]
pub fn info(py: Python<'_>, name: &str) -> Result<PyLinkInfo, Failure> {
    let found = py.detach(|| uncopy::info(name))?;
    Ok(PyLinkInfo::new(py, found)?)
}

/// A distinct error that a process met with a link, kept also after the process has ended. Times are in seconds since
/// 1970 UTC.
#[pyclass(frozen, get_all, module = "uncopy", name = "ErrorRecord")]
pub struct PyErrorRecord {
    /// When it was met first.
    first: f64,
    /// When it was met last.
    last: f64,
    /// How often.
    count: u64,
    /// 'producer' or 'consumer'.
    side: &'static str,
    /// Process id of who met it.
    pid: i32,
    /// Whether that process lives.
    alive: bool,
    /// The kind, as in Error.kind.
    kind: &'static str,
    /// The message, the last time.
    text: String,
}

impl From<ErrorRecord> for PyErrorRecord {
    fn from(record: ErrorRecord) -> Self {
        let seconds = |nanos: i64| nanos as f64 / 1e9;
        let ErrorRecord { first_nanos, last_nanos, count, side, process, kind, text, .. } = record;
        PyErrorRecord {
            first: seconds(first_nanos),
            last: seconds(last_nanos),
            count,
            side: side.name(),
            pid: process.pid,
            alive: process.is_alive(),
            kind: kind.name(),
            text,
        }
    }
}

#[pymethods]
impl PyErrorRecord {
    fn __repr__(&self) -> String {
        let Self { count, side, pid, kind, text, .. } = self;
        format!("<uncopy.ErrorRecord {kind} x{count} of {side} {pid}: {text}>")
    }
}

/// The errors that processes met with the link of this name, each distinct one once, the latest first. Also of
/// processes that have died, and where there is no producer. Ordinary timeouts are none.
///
/// Raises InvalidName; System when they can't be read.
#[pyfunction]
pub fn errors(py: Python<'_>, name: &str) -> Result<Vec<PyErrorRecord>, Failure> {
    let found = py.detach(|| uncopy::errors(name))?;
    Ok(found.into_iter().map(PyErrorRecord::from).collect())
}
