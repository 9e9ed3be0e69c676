// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plain values that calls return: counters, copies, and links as an observer sees them.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use uncopy::{Answer, ConsumerInfo, CopyRecord, LinkInfo, PixelFormat, PublisherStats, SubscriberStats};

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
#[pyclass(frozen, get_all, module = "uncopy", name = "ConsumerInfo")]
pub struct PyConsumerInfo {
    place: u32,
    pid: i32,
    command: String,
    received: u64,
    missed: u64,
    holds: u32,
    read: &'static str,
    evicted: bool,
}

impl From<ConsumerInfo> for PyConsumerInfo {
    fn from(info: ConsumerInfo) -> Self {
        let ConsumerInfo { place, pid, command, received, missed, holds, every, evicted, .. } = info;
        let read = if every { "every" } else { "latest" };
        PyConsumerInfo { place, pid, command, received, missed, holds, read, evicted }
    }
}

#[pymethods]
impl PyConsumerInfo {
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
