// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handing out a [`Tensor`](uncopy::Tensor) by the protocols that Python's array libraries ask for.
//!
//! | protocol | function | says read-only | who keeps the memory |
//! |---|---|---|---|
//! | DLPack 1.x | [`capsule_from_tensor`] | yes | the consumer's struct, until it calls the deleter on any thread |
//! | DLPack legacy | [`capsule_from_tensor`] | no: refused for read-only arrays | the same |
//! | buffer protocol | [`fill_buffer`] and [`release_buffer`] | yes | the `Py_buffer`, until it is released |
//! | `__array_interface__` | [`array_interface_from_tensor`] | yes | **nobody**: the object that was asked has to |
//! | `__cuda_array_interface__` | [`cuda_array_interface_from_tensor`] | yes | **nobody**, likewise |

mod buffer;
mod dlpack;
mod framework;
mod given;
mod interface;
mod numpy;

use uncopy::{Layout, MAX_NDIM};

pub use buffer::{fill_buffer, release_buffer};
pub use dlpack::{capsule_from_tensor, device_from_tensor, legacy_capsule_without_read_only, reader_stream};
pub use framework::Framework;
pub use given::Given;
pub use interface::{array_interface_from_tensor, cuda_array_interface_from_tensor, no_cuda_array_interface};

/// Strides in bytes, as two of the protocols want them; `None` for items that are not whole bytes.
fn strides_bytes(layout: &Layout) -> Option<[isize; MAX_NDIM]> {
    let item_bytes = isize::try_from(layout.dtype().item_bytes()?).ok()?;
    let mut strides = [0; MAX_NDIM];
    for (to, stride) in strides.iter_mut().zip(layout.strides_elems()) {
        // Only an axis that is never stepped along can have a stride that overflows, and then it doesn't count.
        *to = stride.saturating_mul(item_bytes);
    }
    Some(strides)
}
