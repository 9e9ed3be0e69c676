// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for several links at once in Python.

use std::sync::Arc;

use pyo3::prelude::*;
use uncopy::{LinkError, Subscriber};

use crate::end::{self, End};
use crate::errors::Failure;
use crate::subscriber::PySubscriber;
use crate::waiting::{Attentive, duration_from_seconds, finished};

/// Waits up to timeout seconds (None: without limit) until some of these subscribers have something to receive; returns
/// them, in the order given. An empty list: the time is over. Nothing is received here, and Ctrl-C works.
///
///     for sub in uncopy.wait([color, depth], timeout=1.0):
///         frame = sub.poll()
///
/// A subscriber that is returned gives a frame with its next poll() or recv(), or raises what is to be seen: Evicted;
/// or, with poll(), ProducerLost, ProducerClosed or NotFound once its own timeout or restart_timeout is over. Subscribers
/// of links without a producer are waited for too. Sleeps on all links at once where the kernel can (Linux 5.16), else on
/// their descriptors.
///
/// Raises Closed when one of them is closed, before or meanwhile; InvalidArgument for an empty sequence, and for one
/// that has a subscriber twice.
#[pyfunction]
#[pyo3(signature = (subscribers, timeout=None), text_signature = "(subscribers, timeout=None)")]
pub fn wait<'py>(
    py: Python<'py>,
    subscribers: &Bound<'py, PyAny>,
    timeout: Option<f64>,
) -> Result<Vec<Bound<'py, PySubscriber>>, Failure> {
    let timeout = duration_from_seconds("timeout", timeout)?;
    // It is its own iterator, and would be waited on for a frame here.
    if let Ok(subscriber) = subscribers.cast::<PySubscriber>() {
        let name = subscriber.get().end().name();
        return Err(Failure::argument(format!(
            "wait: the subscriber of '{name}' is given alone, and not in a list; for one there is recv()"
        )));
    }
    let mut given: Vec<Bound<'py, PySubscriber>> = Vec::new();
    for subscriber in subscribers.try_iter()? {
        let subscriber = subscriber?.cast_into::<PySubscriber>().map_err(PyErr::from)?;
        if given.iter().any(|before| before.is(&subscriber)) {
            let name = subscriber.get().end().name();
            return Err(Failure::argument(format!("wait: the subscriber of '{name}' is given twice")));
        }
        given.push(subscriber);
    }
    if given.is_empty() {
        return Err(Failure::argument("wait: no subscriber is given, so that nothing could end the wait"));
    }
    let ahead: Vec<_> = given.iter().filter(|one| one.get().is_ahead()).cloned().collect();
    if !ahead.is_empty() {
        return Ok(ahead);
    }
    let ends: Vec<Arc<End<Subscriber>>> = given.iter().map(|one| Arc::clone(one.get().end())).collect();
    let mut attentive = Attentive::until_any(ends.iter().map(|end| end.closing()).collect());
    let waited = end::with_all_detached(py, &ends, |subscribers| {
        Ok::<_, Failure>(uncopy::wait_with(subscribers, timeout, &mut attentive))
    })?;
    match finished(waited, attentive) {
        // Interrupted without an exception: another thread closed one of them in the midst of the wait.
        Err(Failure::Link(LinkError::Interrupted)) => Err(ends
            .iter()
            .find(|end| end.is_closed())
            .map_or(LinkError::Interrupted.into(), |end| end.closed())),
        ready => Ok(ready?.into_iter().filter_map(|index| given.get(index).cloned()).collect()),
    }
}
