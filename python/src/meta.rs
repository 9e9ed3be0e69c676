// SPDX-License-Identifier: MIT OR Apache-2.0
//! What travels beside the pixels: user metadata as JSON or bytes, and capture times. Never pickle.

use pyo3::exceptions::{PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyMemoryView, PyString, PyTuple};
use uncopy::{CaptureClock, Captured, ErrorKind, Meta, MetaKind};

use crate::errors::Failure;

/// What the caller says of a frame.
pub fn meta_from_python(
    meta: Option<&Bound<'_, PyAny>>,
    captured: Option<&Bound<'_, PyAny>>,
) -> Result<Meta, Failure> {
    let mut made = Meta::default();
    if let Some(captured) = captured {
        made = made.captured(captured_from_python(captured)?);
    }
    let Some(meta) = meta else { return Ok(made) };
    if let Ok(bytes) = meta.cast::<PyBytes>() {
        return Ok(made.raw(bytes.as_bytes()));
    }
    if meta.is_instance_of::<PyByteArray>() || meta.is_instance_of::<PyMemoryView>() {
        let bytes = meta.py().get_type::<PyBytes>().call1((meta,))?;
        let bytes = bytes.cast_into::<PyBytes>().map_err(PyErr::from)?;
        return Ok(made.raw(bytes.as_bytes()));
    }
    Ok(made.json(json_from_python(meta)?))
}

/// Compact JSON, without the NaN and Infinity that Python would write and nobody else reads.
fn json_from_python(meta: &Bound<'_, PyAny>) -> Result<String, Failure> {
    static DUMPS: PyOnceLock<(Py<PyAny>, Py<PyDict>)> = PyOnceLock::new();
    let py = meta.py();
    let (dumps, options) = DUMPS.get_or_try_init(py, || {
        let options = PyDict::new(py);
        options.set_item("ensure_ascii", false)?;
        options.set_item("allow_nan", false)?;
        options.set_item("separators", (",", ":"))?;
        PyResult::Ok((py.import("json")?.getattr("dumps")?.unbind(), options.unbind()))
    })?;
    match dumps.bind(py).call((meta,), Some(options.bind(py))) {
        Ok(text) => Ok(text.extract::<String>()?),
        Err(error) if is_about_the_value(py, &error) => {
            let said = error.value(py).str()?.to_string_lossy().into_owned();
            Err(Failure::argument(format!("meta is bytes or what JSON can say (no NaN): {said}")))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_about_the_value(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyTypeError>(py)
        || error.is_instance_of::<PyValueError>(py)
        || error.is_instance_of::<PyRecursionError>(py)
}

/// The metadata of a received frame: what JSON says, the bytes themselves, or `None`.
pub fn meta_to_python(
    py: Python<'_>,
    kind: MetaKind,
    bytes: &[u8],
    frame: &str,
) -> Result<Py<PyAny>, Failure> {
    match kind {
        MetaKind::NONE => Ok(py.None()),
        MetaKind::JSON => {
            let loads = loads(py)?;
            loads.call1((PyBytes::new(py, bytes),)).map(Bound::unbind).map_err(|error| {
                let message = format!("the metadata of {frame} is said to be JSON and is not ({error})");
                Failure::Said(ErrorKind::CorruptLink, message)
            })
        }
        _ => Ok(PyBytes::new(py, bytes).into_any().unbind()),
    }
}

fn loads(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOADS.import(py, "json", "loads")
}

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Seconds, or a pair of seconds and the name of the clock.
fn captured_from_python(captured: &Bound<'_, PyAny>) -> Result<Captured, Failure> {
    let (seconds, clock) = match captured.cast::<PyTuple>() {
        Ok(pair) if pair.len() == 2 => (pair.get_item(0)?, clock_from_python(&pair.get_item(1)?)?),
        Ok(_) => {
            return Err(Failure::argument("captured is seconds, or a pair of seconds and the clock's name"));
        }
        Err(_) => (captured.clone(), CaptureClock::OTHER),
    };
    let seconds: f64 = seconds.extract().map_err(|error: PyErr| {
        Failure::argument(format!("captured is a time in seconds, as time.time() gives it ({error})"))
    })?;
    let nanos = nanos_from_seconds(seconds).ok_or_else(|| {
        Failure::argument(format!("captured is a time in seconds, not {seconds}; divide nanoseconds by 1e9"))
    })?;
    Ok(Captured { nanos, clock })
}

fn clock_from_python(clock: &Bound<'_, PyAny>) -> Result<CaptureClock, Failure> {
    let name = clock.cast::<PyString>().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match name.as_str() {
        "monotonic" => Ok(CaptureClock::MONOTONIC),
        "realtime" => Ok(CaptureClock::REALTIME),
        "other" => Ok(CaptureClock::OTHER),
        _ => Err(Failure::argument(format!("a clock is 'monotonic', 'realtime' or 'other', not {clock}"))),
    }
}

/// The name of a clock; numbers of later versions are clocks that we do not know.
pub fn clock_name(clock: CaptureClock) -> &'static str {
    match clock {
        CaptureClock::MONOTONIC => "monotonic",
        CaptureClock::REALTIME => "realtime",
        _ => "other",
    }
}

/// Whole seconds and the rest are taken apart first: times since 1970 in nanoseconds are beyond what a float holds.
fn nanos_from_seconds(seconds: f64) -> Option<i64> {
    let whole = seconds.trunc();
    // Some 290 years either way. NaN and infinity are outside too.
    let limit = i64::MAX as f64 / NANOS_PER_SECOND as f64;
    if !(-limit..limit).contains(&whole) {
        return None;
    }
    let rest = ((seconds - whole) * NANOS_PER_SECOND as f64).round();
    // Lossless: both are whole numbers within the range that was checked.
    (whole as i64).checked_mul(NANOS_PER_SECOND)?.checked_add(rest as i64)
}

/// The float that is nearest to this many nanoseconds; gives back the very float that [`nanos_from_seconds`] took, for
/// times that are more than a few months.
pub fn seconds_from_nanos(nanos: i64) -> f64 {
    (nanos / NANOS_PER_SECOND) as f64 + (nanos % NANOS_PER_SECOND) as f64 / NANOS_PER_SECOND as f64
}
