// SPDX-License-Identifier: MIT OR Apache-2.0
//! Structs that grow: their first fields say how large the caller's header has them, and which meaning it knows.
//!
//! | the caller's struct is | going in | coming out |
//! |---|---|---|
//! | smaller than ours, of an older header | what is missing is 0, and 0 means "as before" | its part is filled |
//! | larger, of a newer header | refused, unless what we don't know is 0 | our part is filled, `size_bytes` says how much |
//! | of another version | refused | refused |

use std::ptr::NonNull;

use crate::failure::Failure;

/// The first two fields of each.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Head {
    size_bytes: u32,
    version: u32,
}

/// A struct that begins with `size_bytes` and `version`.
///
/// # Safety
/// It is `repr(C)`, begins with two `u32`, is plain data, and all zeros are a value of it.
pub unsafe trait SizedStruct: Copy {
    /// Its name in the header.
    const NAME: &'static str;
    /// The macro that fills it.
    const INIT: &'static str;
    /// The size of its first version, which is the smallest.
    const LEAST_BYTES: u32;
    /// The version that we know.
    const VERSION: u32 = 1;
}

/// Declares that a struct is one, with its size at first.
macro_rules! sized_struct {
    ($type:ident, $init:literal, $least:literal) => {
        // SAFETY: it is declared `repr(C)` with plain fields, numbers, pointers and optional functions, of which zeros
        // are values; the assertions hold the rest.
        unsafe impl $crate::c::sized::SizedStruct for $type {
            const NAME: &'static str = stringify!($type);
            const INIT: &'static str = $init;
            const LEAST_BYTES: u32 = $least;
        }
        const _: () = {
            assert!(std::mem::offset_of!($type, size_bytes) == 0);
            assert!(std::mem::offset_of!($type, version) == 4);
            assert!(size_of::<$type>() >= $least);
            assert!(align_of::<$type>() == 8);
        };
    };
}
pub(super) use sized_struct;

/// Reads the head, and checks it as far as it does not depend on the direction.
///
/// # Safety
/// `pointer` is null, or leads to a struct that begins with its head.
unsafe fn checked_head<T: SizedStruct>(
    argument: &'static str,
    pointer: *const T,
) -> Result<(NonNull<T>, usize), Failure> {
    let place = NonNull::new(pointer.cast_mut())
        .ok_or(Failure::Null { argument, wanted: "a struct that is filled in" })?;
    // SAFETY: it is not null, and by the contract leads to a struct that begins so.
    let Head { size_bytes, version } = unsafe { place.cast::<Head>().read() };
    if size_bytes < T::LEAST_BYTES {
        let (name, least_bytes, init) = (T::NAME, T::LEAST_BYTES, T::INIT);
        return Err(Failure::StructSize { name, size_bytes, least_bytes, init });
    }
    if version != T::VERSION {
        return Err(Failure::StructVersion { name: T::NAME, found: version, known: T::VERSION });
    }
    // Lossless on the 64-bit targets that we support.
    Ok((place, size_bytes as usize))
}

/// A struct of the caller's, copied.
///
/// # Safety
/// `pointer` is null, or leads to a struct with its head and at least as many bytes as its first field says.
pub unsafe fn read_sized<T: SizedStruct>(argument: &'static str, pointer: *const T) -> Result<T, Failure> {
    // SAFETY: passed on.
    let (place, len) = unsafe { checked_head(argument, pointer) }?;
    let bytes = place.cast::<u8>().as_ptr();
    for beyond in size_of::<T>()..len {
        // SAFETY: by the contract the struct has `len` bytes.
        let byte = unsafe { bytes.wrapping_add(beyond).read() };
        if byte != 0 {
            // Lossless: structs of ours are small.
            return Err(Failure::StructNewer { name: T::NAME, known_bytes: size_of::<T>() as u32 });
        }
    }
    // SAFETY: zeros are a value of it (contract of the trait).
    let mut value: T = unsafe { std::mem::zeroed() };
    let to = (&raw mut value).cast::<u8>();
    // SAFETY: both have as many bytes, and one of them is a variable of ours.
    unsafe { bytes.copy_to_nonoverlapping(to, len.min(size_of::<T>())) };
    Ok(value)
}

/// A struct of the caller's that need not be there.
///
/// # Safety
/// As for [`read_sized`].
pub unsafe fn read_optional<T: SizedStruct>(
    argument: &'static str,
    pointer: *const T,
) -> Result<Option<T>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    unsafe { read_sized(argument, pointer) }.map(Some)
}

/// A place for a struct that we fill.
pub struct SizedOut<T> {
    place: NonNull<T>,
    len: usize,
}

impl<T: SizedStruct> SizedOut<T> {
    /// The place that `pointer` leads to.
    ///
    /// # Safety
    /// `pointer` is null, or leads to a struct with its head and at least as many bytes as its first field says, which
    /// may be written until the call returns.
    pub unsafe fn at(argument: &'static str, pointer: *mut T) -> Result<SizedOut<T>, Failure> {
        // SAFETY: passed on.
        let (place, len) = unsafe { checked_head(argument, pointer) }?;
        Ok(SizedOut { place, len })
    }

    /// Fills it. The head of `value` is not looked at.
    pub fn put(&self, value: T) {
        let len = self.len.min(size_of::<T>());
        let to = self.place.cast::<u8>().as_ptr();
        // SAFETY: the place has at least `len` bytes (contract of `at`), and so has `value`, a variable of ours.
        unsafe { (&raw const value).cast::<u8>().copy_to_nonoverlapping(to, len) };
        // Lossless: structs of ours are small.
        let head = Head { size_bytes: len as u32, version: T::VERSION };
        // SAFETY: the place begins with its head (contract of `at`).
        unsafe { self.place.cast::<Head>().write(head) };
    }
}
