// SPDX-License-Identifier: MIT OR Apache-2.0
//! How Python waits: without the GIL, looking up for Ctrl-C and for `close()` from another thread.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use pyo3::prelude::*;
use uncopy::{LinkError, SubscribeOptions, Waiting};

use crate::ending;
use crate::errors::Failure;

/// Looks up from a wait every now and then.
pub struct Attentive<'a> {
    closing: Vec<&'a AtomicBool>,
    raised: Option<PyErr>,
}

impl<'a> Attentive<'a> {
    /// For a wait that nobody else can end.
    pub fn alone() -> Self {
        Attentive::until_any(Vec::new())
    }

    /// For a wait that ends when this flag is set.
    pub fn until(closing: &'a AtomicBool) -> Self {
        Attentive::until_any(vec![closing])
    }

    /// For a wait that ends when one of these flags is set.
    pub fn until_any(closing: Vec<&'a AtomicBool>) -> Self {
        Attentive { closing, raised: None }
    }

    /// The exception that ended the wait: what a signal handler or a logging handler raised.
    pub fn raised(self) -> Option<PyErr> {
        self.raised
    }

    /// Runs Python code in the midst of a wait; false once it raised, or once the interpreter ends.
    fn attend(&mut self, f: impl FnOnce(Python<'_>) -> PyResult<()>) -> bool {
        if ending::leaves_this_thread_behind() {
            return false;
        }
        match Python::try_attach(f) {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                self.raised.get_or_insert(error);
                false
            }
            None => false,
        }
    }
}

impl Waiting for Attentive<'_> {
    fn keep_waiting(&mut self) -> bool {
        let closing = self.closing.iter().any(|closing| closing.load(SeqCst));
        self.raised.is_none() && !closing && self.attend(|py| py.check_signals())
    }

    fn notice(&mut self, text: &str) {
        self.attend(|py| {
            let logger = py.import("logging")?.call_method1("getLogger", ("uncopy",))?;
            logger.call_method1("warning", ("%s", text)).map(drop)
        });
    }
}

/// The result of a wait, or the exception that ended it.
pub fn finished<R>(result: Result<R, LinkError>, attentive: Attentive<'_>) -> Result<R, Failure> {
    match (result, attentive.raised()) {
        (Err(LinkError::Interrupted), Some(raised)) => Err(raised.into()),
        (result, _) => Ok(result?),
    }
}

/// A time in seconds from Python; `None` stays `None`, and infinity means it too.
pub fn duration_from_seconds(what: &str, seconds: Option<f64>) -> Result<Option<Duration>, Failure> {
    match seconds {
        None => Ok(None),
        Some(seconds) if seconds == f64::INFINITY => Ok(None),
        Some(seconds) => match Duration::try_from_secs_f64(seconds) {
            Ok(duration) => Ok(Some(duration)),
            Err(_) => {
                Err(Failure::argument(format!("{what} is a time in seconds, 0 or more, not {seconds}")))
            }
        },
    }
}

/// How long a producer that has gone is waited for to come again: the argument `restart_timeout`.
#[derive(Clone, Copy)]
pub enum RestartTimeout {
    /// 'timeout'
    LikeTimeout,
    Within(Option<Duration>),
}

impl RestartTimeout {
    pub fn of(self, options: SubscribeOptions) -> SubscribeOptions {
        match self {
            RestartTimeout::LikeTimeout => options,
            RestartTimeout::Within(limit) => options.restart_timeout(limit),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for RestartTimeout {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(word) = value.extract::<String>() {
            return match word.as_str() {
                "timeout" => Ok(RestartTimeout::LikeTimeout),
                other => Err(Failure::argument(format!(
                    "restart_timeout is a time in seconds, None, for as long as a call lasts, or 'timeout', for the \
                     same as timeout, not '{other}'"
                ))
                .into()),
            };
        }
        Ok(RestartTimeout::Within(duration_from_seconds("restart_timeout", value.extract()?)?))
    }
}
