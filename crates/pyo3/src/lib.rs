// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays for authors of Python extensions: take any framework's array, hand out arrays that every framework reads.
//!
//! | direction | use | copies |
//! |---|---|---|
//! | in, for a call | [`ArrayArg`], [`ArrayRef`], [`ArrayMut`] as arguments; [`arrays`] says what they must be | never |
//! | in, to be kept | [`Taken`] as an argument, [`taken_from_python`]: on any device, with the stream in which it may be read | never |
//! | in, to be kept | [`tensor_from_python`]: host memory only | never |
//! | out | [`Framework`]: NumPy's, torch's, CuPy's, jax's, or that of an argument | never |
//! | out | [`Array`], a Python class; [`exports`] for a class of your own | never, unless `copy=True` |
//! | errors | [`ArrayError`], which becomes the closest built-in exception | |
//!
//! It refuses arrays on devices other than CUDA's, and every array of which a number would be lost or misread: the message
//! says which, and what to pass instead. It imports no framework and needs none.
//!
//! ```ignore
#![doc = include_str!("../examples/luminance.rs")]
//! ```
//!
//! The example is `examples/luminance.rs`, compiled and loaded by the tests; `examples/blackout.rs` is a smaller one.
//!
//! # Owners and threads
//!
//! A tensor taken from Python keeps the Python object alive. Where it ends, on a thread without the GIL or after the
//! interpreter has gone, Python is not touched: PyO3 notes the reference and gives it back later, or never. A tensor
//! handed to Python keeps whatever owns its memory; the consumer's deleter runs on any thread, and touches Python as
//! little.
#![deny(unsafe_code)]

pub mod arg;
mod array;
mod error;
mod exception;
mod format;
pub mod give;
mod kept;
mod stream;
mod take;

pub use arg::{ArrayArg, ArrayMut, ArrayRef};
pub use array::Array;
pub use error::ArrayError;
pub use exception::builtins_from_kind;
pub use give::Framework;
pub use kept::Kept;
pub use stream::{StreamOwner, owner_of_stream, stream_from_python};
pub use take::{
    Protocol, Taken, cupy_current_stream, learn_torch, taken_from_python, tensor_from_address,
    tensor_from_python, torch_current_stream, torch_stream_of,
};
/// Says in one line each what arrays a function wants, and checks them before its body: see [`uncopy::want`] for the
/// grammar. Put it below `#[pyfunction]`, on a function whose arguments are [`ArrayArg`], [`ArrayRef`] or [`ArrayMut`], and
/// whose error an [`ArrayError`] becomes.
///
/// ```ignore
/// #[pyfunction]
/// #[uncopy_pyo3::arrays(image = "f32|f16[h, w, 3] cuda", out = "mut f32[h, w] same(image)")]
/// fn luminance(image: ArrayArg<'_, '_>, out: ArrayArg<'_, '_>) -> PyResult<()> {
///     // ...
/// # Ok(())
/// }
/// ```
///
/// A line that can't be read is an error of compilation. An `Option` of an array can't have a line. An argument that does not fit raises a `TypeError` that names it, what
/// it is, what was wanted, and each part that failed.
pub use uncopy_pyo3_macros::arrays;
/// Gives a `#[pyclass]` the protocols by which array libraries read it: DLPack, the array interface, the CUDA array interface
/// and the buffer protocol. Put it above `#[pymethods]`, with the name of a method that returns the array as a
/// [`Tensor`](uncopy::Tensor) or [`Taken`].
///
/// ```ignore
/// #[uncopy_pyo3::exports(pixels)]
/// #[pymethods]
/// impl Picture {}
///
/// impl Picture {
///     fn pixels(&self) -> Tensor {
///         self.pixels.clone()
///     }
/// }
/// ```
///
/// The consumers hold the tensor by themselves. A library that reads the array interface holds the object instead, so the object
/// must hold the same memory for as long as it lives.
pub use uncopy_pyo3_macros::exports;
