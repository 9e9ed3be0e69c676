// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays for authors of Python extensions: take any framework's array, hand out arrays that every framework reads.
//!
//! | direction | use | copies |
//! |---|---|---|
//! | in | [`tensor_from_python`]: NumPy, torch, jax, anything with `__dlpack__` or the buffer protocol | never |
//! | in | [`taken_from_python`]: the same on any device, with the stream in which it may be read | never |
//! | out | [`Array`], a Python class; or the functions of [`give`] for a class of your own | never, unless `copy=True` |
//! | errors | [`ArrayError`], which becomes the closest built-in exception | |
//!
//! It refuses arrays on devices other than CUDA's, and every array of which a number would be lost or misread: the message
//! says which, and what to pass instead. It imports no framework and needs none.
//!
//! ```ignore
#![doc = include_str!("../examples/blackout.rs")]
//! ```
//!
//! The example is `examples/blackout.rs`, compiled and loaded by the tests.
//!
//! # Owners and threads
//!
//! A tensor taken from Python keeps the Python object alive. Where it ends, on a thread without the GIL or after the
//! interpreter has gone, Python is not touched: PyO3 notes the reference and gives it back later, or never. A tensor
//! handed to Python keeps whatever owns its memory; the consumer's deleter runs on any thread, and touches Python as
//! little.
#![deny(unsafe_code)]

mod array;
mod error;
mod exception;
mod format;
pub mod give;
mod stream;
mod take;

pub use array::Array;
pub use error::ArrayError;
pub use exception::builtins_from_kind;
pub use stream::{StreamOwner, owner_of_stream, stream_from_python};
pub use take::{
    Taken, cupy_current_stream, learn_torch, taken_from_python, tensor_from_address, tensor_from_python,
    torch_current_stream, torch_stream_of,
};
