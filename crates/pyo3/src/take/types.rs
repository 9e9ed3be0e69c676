// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found out about each type, so that it is found out once.
//!
//! A type is remembered together with a strong reference, since the address of a type that went away is used again. What
//! is remembered is never freed, so that it is read without a lock, by any thread; a program that makes types all the time
//! fills the table, and those for which there is no room are looked at anew each time.
#![expect(unsafe_code, reason = "fence: reads entries that are never freed")]

use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::route::Route;

struct Known {
    ty: Py<PyType>,
    route: Route,
}

/// A power of two; more types than any program has arrays of.
const PLACES: usize = 512;
/// A type stands in one of so many places in a row.
const PROBES: usize = 8;

static TABLE: [AtomicPtr<Known>; PLACES] = [const { AtomicPtr::new(ptr::null_mut()) }; PLACES];
/// Held by who writes.
static WRITING: Mutex<()> = Mutex::new(());

/// The places where a type may stand.
#[inline]
fn places(ty: *mut ffi::PyTypeObject) -> impl Iterator<Item = &'static AtomicPtr<Known>> {
    // Types are some hundred bytes long and allocated at multiples of 16: the product spreads what differs to the top.
    let first =
        (ty.addr() >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (usize::BITS - PLACES.trailing_zeros());
    (first..first + PROBES).filter_map(|place| TABLE.get(place % PLACES))
}

/// The route of an object's type, if it is known.
#[inline]
pub(super) fn known(object: &Bound<'_, PyAny>) -> Option<&'static Route> {
    // SAFETY: the object is alive, as `Bound` says.
    let ty = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    for place in places(ty) {
        // pairs with: remember. What is published here is whole, and never freed.
        let entry = place.load(Acquire);
        // SAFETY: null, or an entry that was leaked.
        let entry = unsafe { entry.as_ref() }?;
        if entry.ty.as_ptr() == ty.cast() {
            return Some(&entry.route);
        }
    }
    None
}

/// Keeps what was found out about a type, in the place of what was known before.
pub(super) fn remember(ty: &Bound<'_, PyType>, route: Route) {
    // No Python code runs while the lock is held, so it can't be asked for twice by one thread.
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    for place in places(ty.as_type_ptr()) {
        let entry = place.load(Acquire);
        // SAFETY: as in `known`.
        let is_free = unsafe { entry.as_ref() }.is_none_or(|entry| entry.ty.as_ptr() == ty.as_ptr());
        if is_free {
            let entry = Known { ty: ty.clone().unbind(), route };
            // What stood here before is not freed, either: somebody may be reading it. It is replaced once in a type's
            // life, when a keyword turns out to be refused.
            place.store(Box::into_raw(Box::new(entry)), Release);
            return;
        }
    }
}
