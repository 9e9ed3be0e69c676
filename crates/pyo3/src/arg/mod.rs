// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments of functions: arrays that are lent for the time of a call.
//!
//! | argument | takes | then |
//! |---|---|---|
//! | [`ArrayArg`] | any array, anywhere | shape, dtype, device, address, stream; checked against [`Wants`](uncopy::Wants) |
//! | [`ArrayRef<T, N>`](ArrayRef) | `N` axes of `T` that the processor can read | a [`View`](uncopy::View) |
//! | [`ArrayMut<T, N>`](ArrayMut) | the same, to be written | a [`ViewMut`](uncopy::ViewMut) |
//! | [`Taken`](crate::Taken) | any array, to be kept | a [`Tensor`](uncopy::Tensor) and the stream in which it may be used |
//!
//! Nothing is copied or converted: what does not fit is refused with all that is wrong with it. Lent arrays keep nothing
//! alive by themselves: the caller holds the objects until the function returns, which the lifetime says.

mod any;
mod overlap;
mod typed;
mod wanted;

pub use any::ArrayArg;
pub use typed::{ArrayMut, ArrayRef};
pub use wanted::{Argument, Borrow, Wanted};
