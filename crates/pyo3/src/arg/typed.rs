// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays of one dtype and number of axes, in host memory.
#![expect(unsafe_code, reason = "fence: makes views of memory that is lent for a call")]

use std::ops::{Deref, DerefMut};

use pyo3::Borrowed;
use pyo3::prelude::*;
use uncopy::{Element, Found, View, ViewMut, Wants};

use super::{Argument, Borrow};
use crate::error::{ArrayError, type_name_of};
use crate::take::lent::Lent;
use crate::take::{Lease, Use, lend, lend_as_it_is};

/// `N` axes of `T` that are lent to a function for the time of a call, for reading: a [`View`] of them. Any strides; in memory
/// that the processor can read.
///
/// **Duty of the Python program**: not to write to the array, or to give its memory another size, until the function has
/// returned, as with every library that works on an array.
pub struct ArrayRef<'a, T, const N: usize> {
    view: View<'a, T, N>,
    lease: Lease<N>,
}

/// The same for writing: a [`ViewMut`]. Refuses arrays that are read-only, and those in which two indices lead to one item.
///
/// **Duty of the Python program**: not to use the array until the function has returned, and not to pass the same memory as
/// another argument of it, which [`arrays`](crate::arrays) refuses.
pub struct ArrayMut<'a, T, const N: usize> {
    view: ViewMut<'a, T, N>,
    lease: Lease<N>,
}

impl<'a, 'py, T: Element, const N: usize> FromPyObject<'a, 'py> for ArrayRef<'a, T, N> {
    type Error = Box<ArrayError>;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Box<ArrayError>> {
        let lease = lent_typed::<T, N>(&object, Use::Read)?;
        let lent = &lease.lent;
        let Some((shape, strides)) = lent.axes() else { return Err(misfit::<T, N>(&object, Use::Read)) };
        // SAFETY: the array's owner says that its items stand there, which are of type `T` and aligned as was checked, in
        // one allocation that is held by the caller for `'a`, or by the lease; see the duty of the Python program. That the
        // size is possible was checked, too.
        let view = unsafe { View::from_raw_parts(lent.address.cast_const().cast(), shape, strides) };
        Ok(ArrayRef { view, lease })
    }
}

impl<'a, 'py, T: Element, const N: usize> FromPyObject<'a, 'py> for ArrayMut<'a, T, N> {
    type Error = Box<ArrayError>;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Box<ArrayError>> {
        let lease = lent_typed::<T, N>(&object, Use::Write)?;
        let lent = &lease.lent;
        let axes = lent.axes().filter(|_| !lent.is_read_only);
        let Some((shape, strides)) = axes else { return Err(misfit::<T, N>(&object, Use::Write)) };
        if !lent.is_c_contiguous() && lent.layout().map_err(ArrayError::from)?.has_overlap() {
            return Err(Box::new(ArrayError::Overlap { type_name: type_name_of(&object) }));
        }
        // SAFETY: as for `ArrayRef`; it may be written, and no two indices lead to the same item.
        let view = unsafe { ViewMut::from_raw_parts(lent.address.cast(), shape, strides) };
        Ok(ArrayMut { view, lease })
    }
}

/// What is lent of an array of `N` axes of `T`, aligned, where the processor can read it.
#[inline]
fn lent_typed<T: Element, const N: usize>(
    object: &Bound<'_, PyAny>,
    used: Use,
) -> Result<Lease<N>, Box<ArrayError>> {
    match lend_as_it_is::<N>(object, used) {
        Some(Ok(lease)) if fits::<T, N>(&lease.lent) => Ok(lease),
        Some(Err(error)) => Err(error),
        _ => lent_otherwise::<T, N>(object, used),
    }
}

/// Of a new type, by a share, or not at all.
#[cold]
fn lent_otherwise<T: Element, const N: usize>(
    object: &Bound<'_, PyAny>,
    used: Use,
) -> Result<Lease<N>, Box<ArrayError>> {
    let Lease { lent, held } = lend(object, used)?;
    let mut typed = Lent::new(lent.address, lent.dtype, lent.device, lent.shape().len());
    if let Some(typed) = &mut typed {
        typed.is_read_only = lent.is_read_only;
        for (axis, (len, stride)) in lent.shape().iter().zip(lent.strides_elems()).enumerate() {
            typed.set_axis(axis, *len, *stride);
        }
    }
    match typed.filter(fits::<T, N>) {
        Some(lent) => Ok(Lease { lent, held }),
        None => Err(misfit::<T, N>(object, used)),
    }
}

#[inline]
fn fits<T: Element, const N: usize>(lent: &Lent<N>) -> bool {
    lent.dtype == T::DTYPE
        && lent.shape().len() == N
        && lent.device.is_host_accessible()
        && (lent.address.cast::<T>().is_aligned() || lent.shape().contains(&0))
}

#[cold]
fn misfit<T: Element, const N: usize>(object: &Bound<'_, PyAny>, used: Use) -> Box<ArrayError> {
    let lent = match lend(object, used) {
        Ok(lease) => lease.lent,
        Err(error) => return error,
    };
    let axes = vec!["_"; N].join(", ");
    let mutable = if used == Use::Write { "mut " } else { "" };
    let text = format!("{mutable}{}[{axes}] host", T::DTYPE);
    let align = align_of::<T>();
    let with_alignment = format!("{text} aligned({align})");
    let type_name = type_name_of(object);
    // Alignment is spoken of only where it is what fails.
    for text in [&text, &with_alignment] {
        let wants = Wants::parse(&[("array", text)]);
        if let Some(Err(misfit)) = wants.ok().map(|wants| wants.check(&[lent.found()])) {
            return Box::new(ArrayError::Unfit { type_name, misfit });
        }
    }
    Box::new(ArrayError::BadBuffer { type_name, found: "a form that contradicts itself" })
}

macro_rules! argument {
    ($name:ident, $borrow:ident) => {
        impl<T, const N: usize> Argument for $name<'_, T, N> {
            fn found(&self) -> Found<'_> {
                self.lease.lent.found()
            }

            fn type_name(&self) -> Option<String> {
                None
            }

            fn check_writable(&self) -> Result<(), ArrayError> {
                // Asked when it was taken, if it writes.
                Ok(())
            }

            fn borrow(&self) -> Borrow {
                Borrow::$borrow
            }
        }
    };
}

argument!(ArrayRef, Shared);
argument!(ArrayMut, Exclusive);

impl<'a, T, const N: usize> Deref for ArrayRef<'a, T, N> {
    type Target = View<'a, T, N>;

    fn deref(&self) -> &Self::Target {
        &self.view
    }
}

impl<'a, T, const N: usize> Deref for ArrayMut<'a, T, N> {
    type Target = ViewMut<'a, T, N>;

    fn deref(&self) -> &Self::Target {
        &self.view
    }
}

impl<T, const N: usize> DerefMut for ArrayMut<'_, T, N> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.view
    }
}
