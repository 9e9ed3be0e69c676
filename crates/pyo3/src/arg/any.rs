// SPDX-License-Identifier: MIT OR Apache-2.0
//! An array of any dtype, shape and device.

use pyo3::Borrowed;
use pyo3::prelude::*;
use uncopy::{DType, Device, Found, Layout, Stream};

use super::{Argument, Borrow};
use crate::error::{ArrayError, type_name_of};
use crate::take::{Lease, Protocol, Taken, Use, lend, protocol_of, take_to_keep};

/// An array that is lent to a function for the time of a call: NumPy, torch, CuPy, jax, numba, anything with DLPack, the CUDA
/// array interface or the buffer protocol, in host memory or on a CUDA device. Up to 8 axes, any strides.
///
/// - **Copy or share**: shares. [`address`](Self::address) is the array's own.
/// - **Owner**: the caller; to keep the array longer, [`take`](Self::take) a share.
/// - **Read-only** is told, not enforced: ask [`is_read_only`](Self::is_read_only) before writing, or want `mut`.
/// - **Stream**: work on the array goes into [`stream`](Self::stream), where it comes after the work that makes it.
#[derive(Debug)]
pub struct ArrayArg<'a, 'py> {
    object: Borrowed<'a, 'py, PyAny>,
    lease: Lease,
}

impl<'a, 'py> FromPyObject<'a, 'py> for ArrayArg<'a, 'py> {
    type Error = Box<ArrayError>;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Box<ArrayError>> {
        Ok(ArrayArg { object, lease: lend(&object, Use::Read)? })
    }
}

impl<'a, 'py> ArrayArg<'a, 'py> {
    /// The Python object.
    #[must_use]
    pub fn object(&self) -> Borrowed<'a, 'py, PyAny> {
        self.object
    }

    /// What its items are.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.lease.lent.dtype
    }

    /// Where it lies, as this process counts devices.
    #[must_use]
    pub fn device(&self) -> Device {
        self.lease.lent.device
    }

    /// The length of each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.lease.lent.shape()
    }

    /// The distance of neighbours on each axis, in items; may be 0 or negative.
    #[must_use]
    pub fn strides_elems(&self) -> &[isize] {
        self.lease.lent.strides_elems()
    }

    /// Where item 0 stands in its device's memory. Of an array without items it means nothing.
    #[must_use]
    pub fn address(&self) -> usize {
        self.lease.lent.address.addr()
    }

    /// Its owner has said that it may not be written.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.lease.lent.is_read_only
    }

    /// Its layout, checked.
    ///
    /// # Errors
    /// It is larger than memory can be.
    pub fn layout(&self) -> Result<Layout, ArrayError> {
        Ok(self.lease.lent.layout()?)
    }

    /// The stream that work on the array is to be put into, where it finds the array made: that in which its framework works
    /// now, on this thread, or the legacy default stream for a framework that has told us nothing. `None` in host memory.
    /// Nothing has waited, so a capture goes on.
    ///
    /// # Errors
    /// The framework's.
    pub fn stream(&self) -> Result<Option<Stream>, ArrayError> {
        self.lease.held.stream(&self.object, self.device())
    }

    /// A share of the array, to be kept after the call: see [`Taken`].
    ///
    /// # Errors
    /// As for [`taken_from_python`](crate::taken_from_python), and for a tensor that requires a gradient, which whoever keeps it might write.
    pub fn take(&self) -> Result<Taken, ArrayError> {
        take_to_keep(&self.object)
    }

    /// The protocol by which it was read.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        protocol_of(&self.object, &self.lease.held)
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Taken {
    type Error = ArrayError;

    /// As [`ArrayArg::take`].
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, ArrayError> {
        take_to_keep(&object)
    }
}

impl Argument for ArrayArg<'_, '_> {
    fn found(&self) -> Found<'_> {
        self.lease.lent.found()
    }

    fn type_name(&self) -> Option<String> {
        Some(type_name_of(&self.object))
    }

    fn check_writable(&self) -> Result<(), ArrayError> {
        // Asked for writing, an array says more of itself: a gradient, for one.
        let lent = lend(&self.object, Use::Write).map_err(|error| *error)?.lent;
        match !lent.is_c_contiguous() && lent.layout()?.has_overlap() {
            true => Err(ArrayError::Overlap { type_name: type_name_of(&self.object) }),
            false => Ok(()),
        }
    }

    fn borrow(&self) -> Borrow {
        Borrow::Nothing
    }
}
