// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of the interpreter: every link that is still open is named in a `ResourceWarning` and closed, in order,
//! while Python still works.
//!
//! *Why a thread may stay behind.* A daemon thread that waits for a frame would take the GIL again after the
//! interpreter has ended. Python then ends the thread by unwinding it, through frames of Rust that can't be unwound.
//! So the exit handler tells such threads to stop before it lets the interpreter go, and they never come back to
//! Python: they sleep until the process is gone, as Python 3.14 itself makes them do.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyResourceWarning;
use pyo3::prelude::*;
use uncopy::Publisher;

/// Something of ours that wants to be closed.
pub trait Closable: Send + Sync {
    /// What it is, for the warning; `None` once it is closed, or in a forked child, where it belongs to the parent.
    fn unclosed(&self) -> Option<String>;
    /// Waits for what devices still owe to others, at most so long.
    fn flush(&self, limit: Duration);
    /// Closes it, or tells the thread that uses it to.
    fn close(&self);
}

static OPEN: Mutex<Vec<Weak<dyn Closable>>> = Mutex::new(Vec::new());
static ENDED_BY: OnceLock<ThreadId> = OnceLock::new();
static DETACHED: AtomicUsize = AtomicUsize::new(0);

/// The exit handler waits at most this long for threads that are in a wait of ours; they look up every 80 to 320 ms.
const PATIENCE: Duration = Duration::from_millis(500);

/// Remembers something until it is dropped.
pub fn remember(object: &Arc<impl Closable + 'static>) {
    let object: Arc<dyn Closable> = Arc::clone(object) as Arc<dyn Closable>;
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|known| known.strong_count() > 0);
    open.push(Arc::downgrade(&object));
}

/// Says that something was forgotten. Called where Python can't take an exception, so none is left behind.
pub fn warn_unclosed(py: Python<'_>, what: &str) {
    let message = format!("unclosed {what}; use it in a with block, or call close()");
    let Ok(message) = std::ffi::CString::new(message) else { return };
    let under_way = PyErr::take(py);
    if let Err(error) = PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &message, 1) {
        // Warnings were made errors, and here nobody could catch one.
        error.write_unraisable(py, None);
    }
    if let Some(error) = under_way {
        error.restore(py);
    }
}

/// The interpreter is about to end: registered with `atexit`.
#[pyfunction]
pub fn _end(py: Python<'_>) {
    let _ = ENDED_BY.set(thread::current().id());
    let open = std::mem::take(&mut *OPEN.lock().unwrap_or_else(PoisonError::into_inner));
    let begun = Instant::now();
    for object in open.iter().filter_map(Weak::upgrade) {
        if let Some(what) = object.unclosed() {
            warn_unclosed(py, &what);
            // The process ends, and would take the work of its devices with it. All of them together get the time of one.
            py.detach(|| object.flush(Publisher::CLOSE_PATIENCE.saturating_sub(begun.elapsed())));
            object.close();
        }
    }
    py.detach(|| {
        let begun = Instant::now();
        while DETACHED.load(SeqCst) > 0 && begun.elapsed() < PATIENCE {
            thread::yield_now();
            thread::park_timeout(Duration::from_millis(1));
        }
        uncopy::keep_what_devices_use();
    });
}

/// Whether the interpreter is ending and this thread is not the one that ends it.
pub fn leaves_this_thread_behind() -> bool {
    ENDED_BY.get().is_some_and(|ender| *ender != thread::current().id())
}

/// Where a thread begins to use a link: a daemon thread that is still at work when the interpreter ends stays here,
/// since the link that it works on was closed under it, and nobody could read the exception.
pub fn stay_if_left_behind() {
    if leaves_this_thread_behind() {
        Python::try_attach(|py| py.detach(|| Detached::enter().stay()));
    }
}

/// Runs a wait without the GIL. A thread that is left behind meanwhile does not come back.
pub fn detached<R: Send>(py: Python<'_>, f: impl FnOnce() -> R + Send) -> R {
    stay_if_left_behind();
    py.detach(|| {
        let detached = Detached::enter();
        let result = f();
        if leaves_this_thread_behind() {
            drop(result);
            detached.stay();
        }
        result
    })
}

/// A thread that has given up the GIL for a call of ours; the exit handler waits for it.
pub struct Detached(());

impl Detached {
    pub fn enter() -> Self {
        DETACHED.fetch_add(1, SeqCst);
        Detached(())
    }

    /// Never goes back to Python.
    pub fn stay(self) -> ! {
        drop(self);
        loop {
            thread::park();
        }
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        DETACHED.fetch_sub(1, SeqCst);
    }
}
