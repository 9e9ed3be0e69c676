// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every function of the header does around its own work: stops panics, keeps the error, gives the status.

use std::cell::RefCell;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::{UNCOPY_OK, uncopy_status};
use crate::failure::Failure;

/// The last failure of a thread.
#[derive(Default)]
pub struct Last {
    pub status: uncopy_status,
    pub message: CString,
}

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
    #[cfg(feature = "test-panics")]
    static PANIC_NEXT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs the work of `function`.
pub fn call(function: &'static str, work: impl FnOnce() -> Result<(), Failure>) -> uncopy_status {
    let worked = catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "test-panics")]
        assert!(!PANIC_NEXT.replace(false), "a test wants {function} to panic");
        work()
    }));
    match worked {
        Ok(Ok(())) => UNCOPY_OK,
        Ok(Err(failure)) => keep(&failure),
        Err(payload) => {
            let said = payload.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
            let status = keep(&Failure::Panicked { function, message: said.to_owned() });
            drop_quietly(payload);
            status
        }
    }
}

/// The same for a function that has no status: what fails there is kept all the same.
pub fn call_silently(function: &'static str, work: impl FnOnce() -> Result<(), Failure>) {
    let _ = call(function, work);
}

/// Remembers the failure for this thread.
fn keep(failure: &Failure) -> uncopy_status {
    let status = failure.kind().code();
    let text: Vec<u8> = failure.to_string().into_bytes().into_iter().filter(|byte| *byte != 0).collect();
    let message = CString::new(text).unwrap_or_default();
    // Of a thread that is ending there is nobody to ask later.
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = Last { status, message };
        }
    });
    status
}

/// Reads what was kept for this thread; `None` while the thread ends.
pub fn with_last<R>(read: impl FnOnce(&Last) -> R) -> Option<R> {
    LAST.try_with(|last| last.try_borrow().ok().map(|last| read(&last))).ok().flatten()
}

/// Dropping what was thrown may throw again; that is leaked, so that this ends.
fn drop_quietly(payload: Box<dyn std::any::Any + Send>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
}

/// Test builds only: the next call of this thread that can fail panics inside.
#[cfg(feature = "test-panics")]
#[unsafe(no_mangle)]
pub extern "C" fn uncopy_test_panic() {
    PANIC_NEXT.set(true);
}
