// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ownership in uncopy: live memory, arrays in it, and how they change hands without a copy.
//!
//! | type | what it is | what it owns |
//! |---|---|---|
//! | [`HostBuffer`] | host memory being filled | its bytes, alone; `&mut` works |
//! | [`Region`] | a live piece of memory on some device | a share of whatever keeps the memory alive |
//! | [`Tensor`] | an array in a region: dtype, shape, strides | a share of the region |
//! | [`View`] | typed reading of a host tensor | nothing: it borrows the tensor |
//! | [`ViewMut`] | typed writing of host memory that is lent | nothing |
//! | [`ShareHandle`] | a handle to memory for another process | the handle, not the memory |
//!
//! # Who owns what, until when
//!
//! Every arrow in uncopy moves a `Tensor`: a producer's array becomes one, a link carries one, a consumer's array is
//! made of one. None of these steps copies.
//!
//! | memory came from | its owner is | it ends when |
//! |---|---|---|
//! | [`HostBuffer::into_region`], [`Region::from_vec`] | the buffer | the last clone of the region drops |
//! | [`Region::from_bytes`] | a share of the `Arc` | the last holder drops, ours or the caller's |
//! | [`Region::part`] | the whole region, and a `hold` (a lease) | the last clone of the part drops: hold first, then region |
//! | a DLPack import | the producer's struct | its deleter is called, once, with the last clone |
//! | a link's frame | the mapping and the lease | the last of frame, views and exports is gone |
//! | a DLPack export of ours | the tensor inside the struct | the consumer calls the deleter |
//!
//! Owners are dropped on whichever thread is last. They must not panic and must not wait without bound.
//!
//! # Who may write
//!
//! A region never lends `&mut`. Its bytes can be written in two ways, and only in those:
//!
//! 1. before it exists, through the `&mut` of the [`HostBuffer`] that it is made of;
//! 2. through a pointer ([`Region::as_ptr`], an exported array, another process's mapping, a device), by someone who knows
//!    that no slice or [`View`] of those bytes is alive just then. Making a region ([`Region::from_raw`]) promises it.
//!
//! [`Access::ReadOnly`] goes along with every export, so that the other library refuses to write. [`Tensor::read_only`]
//! takes the right to write from one tensor without taking it from the region's other tensors.
//!
//! [`Tensor::copy_packed_into`] is the one place that copies elements ([`Tensor::to_packed`] calls it); everything else
//! shares, and addresses stay what they were.
//!
//! # What it refuses
//!
//! No arithmetic, no transfers between devices, no knowledge of Python, CUDA or transports. Devices' memory is held and
//! described here, never touched.
//!
//! ```
//! use uncopy_core::{DType, Layout};
//! use uncopy_tensor::{HostBuffer, Tensor};
//!
//! let mut pixels = HostBuffer::zeroed(2 * 3 * 4)?;
//! pixels[4..8].copy_from_slice(&[255, 128, 0, 255]);
//! let image = Tensor::new(pixels.into_region(), Layout::contiguous(DType::U8, &[2, 3, 4])?, 0)?;
//!
//! let same = image.clone(); // shares the memory
//! assert_eq!(same.address(), image.address());
//! assert_eq!(image.view::<u8, 3>()?.get([0, 1, 0]), Some(255));
//! # Ok::<(), uncopy_tensor::TensorError>(())
//! ```
#![deny(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("uncopy-tensor supports 64-bit targets only: DLPack extents are 64 bits wide");

pub mod accelerator;
pub mod dlpack;
mod element;
mod error;
mod host;
mod pack;
mod pages;
mod region;
mod share;
mod tensor;
mod view;
mod view_mut;

pub use accelerator::{Accelerator, Capture, DeviceMemory, Timeline, TimelinePoint};
pub use dlpack::DlpackError;
pub use element::Element;
pub use error::TensorError;
pub use host::HostBuffer;
pub use pack::{Axis as PackAxis, Plan as PackPlan};
pub use pages::SharedPages;
pub use region::{Access, Region, has_addresses};
pub use share::{Export, Import, Ready, ShareHandle};
pub use tensor::Tensor;
pub use view::{Iter, View};
pub use view_mut::ViewMut;
