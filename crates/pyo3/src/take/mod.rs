// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking any array that Python knows as a [`Tensor`], without a copy.
//!
//! Two doors: [`tensor_from_python`] for host memory, [`taken_from_python`] for any device. Which protocol is used is
//! learned once per type and remembered.

mod buffer;
mod cuda;
mod dlpack;
mod exchange;
mod lending;
pub(crate) mod lent;
mod numpy;
mod ordered;
mod route;
mod torch;
mod types;

pub use cuda::tensor_from_address;
pub(crate) use exchange::torch_from_tensor;
pub use exchange::{learn_torch, torch_current_stream, torch_stream_of};
pub use lending::Protocol;
pub(crate) use lending::{Lease, Use, lend, lend_as_it_is, protocol_of, take_to_keep};
pub(crate) use numpy::numpy_number_of;
pub use ordered::{Taken, cupy_current_stream, taken_from_python};

use pyo3::prelude::*;
use uncopy::Tensor;

use crate::error::{ArrayError, type_name_of};
use route::Route;

/// Any array as a tensor: NumPy, torch, jax, anything with `__dlpack__` or the buffer protocol. Host memory only.
///
/// - **Shapes and dtypes**: up to 8 axes, zero-size and 0-d included; any strides that are whole elements (reversed,
///   broadcast, Fortran order). bool, integers, floats, complex, bfloat16 and fp8 in the machine's byte order.
/// - **Copy or share**: shares, always. The tensor has the array's own address and strides.
/// - **Owner**: the tensor keeps the array's memory alive until its last clone is dropped. That may happen on any
///   thread, without the GIL and after the interpreter has ended: Python is not touched then.
/// - **Read-only** is kept: a NumPy array that may not be written, a DLPack producer that says so, any jax array.
/// - **Duty of the Python program**: not to write to the array while the tensor's elements are being read, as with
///   every library that works on an array with the GIL released.
///
/// | object | route |
/// |---|---|
/// | NumPy array | its own fields; of other dtypes the buffer protocol, ml_dtypes (bfloat16, fp8) through a view as unsigned integers |
/// | of a type with an exchange table (torch from 2.10) | the table |
/// | has `__dlpack__` | `__dlpack_device__` first, then `__dlpack__(max_version=(1, 3))`, without the keyword where the type refused it before; never with a stream |
/// | has the buffer protocol | buffer protocol |
///
/// # Errors
///
/// [`ArrayError`], for everything that would lose a meaning: masked arrays, NumPy scalars, objects, text, records,
/// datetimes, big-endian numbers, `long double`, torch tensors with a pending conjugation, negation or gradient, arrays
/// on another device; and what the producer itself refuses.
pub fn tensor_from_python(array: &Bound<'_, PyAny>) -> Result<Tensor, ArrayError> {
    match route::route_of(array)? {
        Route::NumPy(fields) => numpy::tensor_from_numpy(array, fields),
        Route::Dlpack(producer) => match exchange::tensor_on_host(array, producer) {
            // `__dlpack__` refuses too, in words for users.
            None | Some(Err(ArrayError::Refused { .. })) => dlpack::tensor_from_producer(array, producer),
            Some(taken) => taken,
        },
        Route::Buffer => buffer::tensor_from_buffer(array, None),
        Route::Cuda(_) => {
            let (tensor, _) = cuda::tensor_from_interface(array)?;
            Err(ArrayError::NotOnHost { type_name: type_name_of(array), device: tensor.device() })
        }
        Route::Refused(advice) => Err(ArrayError::NotAnArray { type_name: type_name_of(array), advice }),
    }
}
