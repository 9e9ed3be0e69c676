// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays that are lent for the time of a call: by the cheapest way that their type has.
//!
//! | type | by | costs |
//! |---|---|---|
//! | NumPy | the fields of its object | a few loads |
//! | torch, from 2.10 | the borrowed struct of its exchange table | a call of C |
//! | others | as for arrays that are kept | what the producer takes |
//!
//! Nothing is counted, and nothing is to be given back, for the first two: the caller of the function holds the object.

use pyo3::prelude::*;
use uncopy::{Device, LayoutError, MAX_NDIM, Stream, Tensor};

use super::exchange::Exchange;
use super::lent::Lent;
use super::numpy::{Fields, lent_from_fields};
use super::route::{Producer, Route, route_of};
use super::{Taken, ordered, torch, types};
use crate::error::ArrayError;

/// What an array is lent for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    Read,
    Write,
}

/// An array that is lent, and what has to be held meanwhile.
#[derive(Debug)]
pub(crate) struct Lease<const M: usize = MAX_NDIM> {
    pub(crate) lent: Lent<M>,
    pub(crate) held: Held,
}

#[derive(Debug)]
pub(crate) enum Held {
    /// The object is enough.
    Object,
    /// The object too; its framework knows the stream.
    Table(Exchange),
    /// A share of the memory.
    Share(Box<Share>),
}

/// A share of an array's memory, and the stream in which it may be used.
#[derive(Debug)]
pub(crate) struct Share {
    _tensor: Tensor,
    stream: Option<Stream>,
}

/// Asks an array to lend itself. It is read, or it is written, too. `None` for one with more axes than there is room for, or
/// where only [`lend_share`] can.
#[inline]
pub(crate) fn lend_as_it_is<const M: usize>(
    array: &Bound<'_, PyAny>,
    used: Use,
) -> Option<Result<Lease<M>, Box<ArrayError>>> {
    match types::known(array)? {
        Route::NumPy(Fields::AsKnown) => {
            Some(Ok(Lease { lent: lent_from_fields(array)?, held: Held::Object }))
        }
        Route::Dlpack(producer) => by_table(array, producer, used),
        _ => None,
    }
}

/// The same of any array.
#[inline]
pub(crate) fn lend(array: &Bound<'_, PyAny>, used: Use) -> Result<Lease, Box<ArrayError>> {
    match lend_as_it_is(array, used) {
        Some(lease) => lease,
        None => lend_again(array, used),
    }
}

/// For types that are new, too.
#[cold]
fn lend_again(array: &Bound<'_, PyAny>, used: Use) -> Result<Lease, Box<ArrayError>> {
    route_of(array)?;
    lend_as_it_is(array, used).unwrap_or_else(|| lend_share(array, used))
}

#[inline]
fn by_table<const M: usize>(
    array: &Bound<'_, PyAny>,
    producer: &Producer,
    used: Use,
) -> Option<Result<Lease<M>, Box<ArrayError>>> {
    let exchange = producer.exchange?;
    // Others say in what they share whether it may be written.
    if !producer.lends {
        return None;
    }
    match exchange.lent(array)? {
        // `__dlpack__` refuses too, in words for users.
        Err(error) if matches!(*error, ArrayError::Refused { .. }) => None,
        Err(error) => Some(Err(error)),
        Ok(lent) => Some(checked(array, used, &lent).map(|()| Lease { lent, held: Held::Table(exchange) })),
    }
}

/// What torch's table does not check.
#[inline]
fn checked<const M: usize>(
    array: &Bound<'_, PyAny>,
    used: Use,
    lent: &Lent<M>,
) -> Result<(), Box<ArrayError>> {
    torch::check_lent(array, lent)?;
    if used == Use::Write {
        torch::check_gradient(array)?;
    }
    Ok(())
}

/// A share of any array, for somebody who keeps it and may write to it.
pub(crate) fn take_to_keep(array: &Bound<'_, PyAny>) -> Result<Taken, ArrayError> {
    let taken = ordered::taken_from_python(array, None, &mut |_| Ok(Stream::LEGACY_DEFAULT))?;
    if let Route::Dlpack(Producer { torch: true, .. }) = route_of(array)?
        // Nobody writes to what is read-only, and torch's class for that answers no other question.
        && !taken.tensor.is_read_only()
    {
        torch::check_gradient(array)?;
    }
    Ok(taken)
}

/// By a share of the memory, as for arrays that are kept.
fn lend_share(array: &Bound<'_, PyAny>, used: Use) -> Result<Lease, Box<ArrayError>> {
    let taken = match used {
        Use::Read => ordered::taken_from_python(array, None, &mut |_| Ok(Stream::LEGACY_DEFAULT))?,
        Use::Write => take_to_keep(array)?,
    };
    let Taken { tensor, stream, .. } = taken;
    let layout = tensor.layout();
    let too_many = LayoutError::TooManyAxes { ndim: layout.ndim() };
    let lent = Lent::of(&tensor).ok_or(too_many).map_err(ArrayError::from)?;
    Ok(Lease { lent, held: Held::Share(Box::new(Share { _tensor: tensor, stream })) })
}

/// The protocol by which an array was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// The fields of NumPy's own object.
    NumPy,
    /// The exchange table of the type: DLPack without a Python call.
    DlpackTable,
    /// `__dlpack__`.
    Dlpack,
    /// `__cuda_array_interface__`.
    CudaArrayInterface,
    /// The buffer protocol.
    Buffer,
}

impl Protocol {
    /// As Python programs see it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NumPy => "numpy",
            Self::DlpackTable => "dlpack_table",
            Self::Dlpack => "dlpack",
            Self::CudaArrayInterface => "cuda_array_interface",
            Self::Buffer => "buffer",
        }
    }
}

/// The protocol that an array which was lent has been read by.
pub(crate) fn protocol_of(array: &Bound<'_, PyAny>, held: &Held) -> Protocol {
    match (held, types::known(array)) {
        (Held::Object, _) => Protocol::NumPy,
        (Held::Table(_), _) => Protocol::DlpackTable,
        (Held::Share(_), Some(Route::Dlpack(Producer { exchange: Some(_), .. }))) => Protocol::DlpackTable,
        (Held::Share(_), Some(Route::Dlpack(_))) => Protocol::Dlpack,
        (Held::Share(_), Some(Route::Cuda(_))) => Protocol::CudaArrayInterface,
        (Held::Share(_), _) => Protocol::Buffer,
    }
}

impl Held {
    /// The stream that work on the array is to be put into; `None` in host memory.
    pub(crate) fn stream(
        &self,
        array: &Bound<'_, PyAny>,
        device: Device,
    ) -> Result<Option<Stream>, ArrayError> {
        match self {
            Held::Object => Ok(None),
            Held::Table(_) if device.is_host_accessible() => Ok(None),
            Held::Table(exchange) => exchange.current_stream(array, device).map(Some),
            Held::Share(share) => Ok(share.stream),
        }
    }
}
