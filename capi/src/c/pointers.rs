// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments: null is told, the rest is taken at the caller's word.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use crate::failure::Failure;

/// A place of the caller's for one result.
pub struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// The place that `pointer` leads to, emptied: who looks at it after a failure finds `empty`.
    ///
    /// # Safety
    /// `pointer` is null, or may be written until the call returns.
    pub unsafe fn at(argument: &'static str, pointer: *mut T, empty: T) -> Result<Out<T>, Failure> {
        let place =
            NonNull::new(pointer).ok_or(Failure::Null { argument, wanted: "a variable for the result" })?;
        let out = Out(place);
        out.put(empty);
        Ok(out)
    }

    /// Writes the result.
    pub fn put(&self, value: T) {
        // SAFETY: by the contract of `at` the place may be written, and everything that is put there is plain data, so
        // that nothing is forgotten.
        unsafe { self.0.write(value) }
    }
}

/// A struct of the caller's, plain data without a size of its own; copied.
///
/// # Safety
/// `pointer` is null, or leads to such a struct.
pub unsafe fn read<T: Copy>(argument: &'static str, pointer: *const T) -> Result<T, Failure> {
    let place = NonNull::new(pointer.cast_mut())
        .ok_or(Failure::Null { argument, wanted: "a struct that is filled in" })?;
    // SAFETY: it is not null, and leads to a struct by the contract.
    Ok(unsafe { place.read() })
}

/// A text of the caller's.
///
/// # Safety
/// `pointer` is null, or leads to bytes that end with a 0 and stay as they are for `'a`.
pub unsafe fn text<'a>(argument: &'static str, pointer: *const c_char) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(Failure::Null { argument, wanted: "a text that ends with a 0" });
    }
    // SAFETY: it is not null, and leads to a text by the contract.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map_err(|_| Failure::Argument(format!("{argument} is not UTF-8: {bytes:?}")))
}

/// A text that need not be there.
///
/// # Safety
/// As for [`text`].
pub unsafe fn optional_text<'a>(
    argument: &'static str,
    pointer: *const c_char,
) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    unsafe { text(argument, pointer) }.map(Some)
}

/// `count` elements of the caller's. Null will do for none.
///
/// # Safety
/// `pointer` is null, or leads to `count` elements that stay as they are for `'a`.
pub unsafe fn slice<'a, T>(
    argument: &'static str,
    pointer: *const T,
    count: usize,
) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Failure::Null { argument, wanted: "as many elements as its length says" });
    }
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Failure::Argument(format!("{argument} has {count} elements, which no memory holds")));
    }
    // SAFETY: it is not null, leads to as many elements by the contract, and they fit in memory.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// Room of the caller's for `count` elements, to be written.
///
/// # Safety
/// `pointer` is null, or leads to room for `count` elements that nobody else uses for `'a`, and that hold some value.
pub unsafe fn slice_mut<'a, T>(
    argument: &'static str,
    pointer: *mut T,
    count: usize,
) -> Result<&'a mut [T], Failure> {
    if count == 0 {
        return Ok(&mut []);
    }
    if pointer.is_null() {
        return Err(Failure::Null { argument, wanted: "room for as many elements as its length says" });
    }
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Failure::Argument(format!("{argument} has {count} elements, which no memory holds")));
    }
    // SAFETY: it is not null, leads to as many elements by the contract, and they fit in memory.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, count) })
}
