// SPDX-License-Identifier: MIT OR Apache-2.0
//! Python objects that a tensor keeps, wherever the tensor ends.
//!
//! *Why not `Py` alone.* Where a tensor ends by itself, PyO3 knows whether the thread has the GIL, and puts the reference aside
//! if not. But a consumer of DLPack calls our deleter wherever it likes, and torch gives up the GIL for it in the midst of what
//! the interpreter does, as in a call of ours, of which PyO3 believes that it has the GIL. So a reference that ends in a
//! deleter is always put aside; the interpreter is asked to call back when it comes to it, which it does on its main thread.
#![expect(unsafe_code, reason = "fence: asks the interpreter to call back")]

use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use uncopy::dlpack::is_in_deleter;

/// A reference to a Python object that may end on any thread, with or without the GIL, and after the interpreter.
#[derive(Debug)]
pub struct Kept(ManuallyDrop<Py<PyAny>>);

/// References that have ended in deleters.
static ENDED: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());

impl From<Py<PyAny>> for Kept {
    fn from(object: Py<PyAny>) -> Self {
        Kept(ManuallyDrop::new(object))
    }
}

impl<T> From<Bound<'_, T>> for Kept {
    fn from(object: Bound<'_, T>) -> Self {
        object.into_any().unbind().into()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: it is taken once, here, and not used after.
        let object = unsafe { ManuallyDrop::take(&mut self.0) };
        match is_in_deleter() {
            true => end_later(object),
            false => drop(object),
        }
    }
}

#[cold]
fn end_later(object: Py<PyAny>) {
    // SAFETY: it only reads a flag, and may be called at any time.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        // Nobody is left who would count it.
        std::mem::forget(object);
        return;
    }
    ENDED.lock().unwrap_or_else(PoisonError::into_inner).push(object);
    // SAFETY: the function is there for as long as the process; it may be called from any thread without the GIL.
    // Where too many wait already, one of those ends this one too.
    let _ = unsafe { ffi::Py_AddPendingCall(Some(end_all), ptr::null_mut()) };
}

extern "C" fn end_all(_: *mut c_void) -> c_int {
    // Dropping an object may run Python code, which may end others: not under the lock.
    let ended = std::mem::take(&mut *ENDED.lock().unwrap_or_else(PoisonError::into_inner));
    Python::attach(|_| drop(ended));
    0
}
