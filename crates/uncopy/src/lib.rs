// SPDX-License-Identifier: MIT OR Apache-2.0
//! **One buffer, seen by every framework, process, graphics API and language. When a copy can't be avoided, it is
//! named.**
//!
//! This crate is the one to add. It has no logic of its own: it brings the parts of uncopy together under one name.
//!
//! ```
//! use std::time::Duration;
//! use uncopy::{Form, Meta, PixelFormat};
//! # let dir = std::env::temp_dir().join(format!("uncopy-doc-{}", std::process::id()));
//! # let pixels = vec![7u8; 1080 * 1920 * 4];
//!
//! let mut out = uncopy::publish("camera").slots(4)
//! #    .directory(&dir)
//!     .open()?; // the form comes with the frame
//! # let reader = uncopy::subscribe("camera").directory(&dir).open()?;
//! let mut slot = out.loan(&Form::image(1080, 1920, PixelFormat::Rgba8))?; // the borrow ends at publish
//! slot.bytes_mut().copy_from_slice(&pixels);
//! slot.publish(Meta::default())?;
//!
//! let mut sub = uncopy::subscribe("camera")
//! #    .directory(&dir)
//!     .open()?;
//! let frame = sub.recv(Duration::from_secs(1))?; // Send + Sync; a clone is the same lease
//! let pixels = frame.view::<u8, 3>()?; // borrows the frame
//! assert_eq!(pixels.shape(), [1080, 1920, 4]);
//! # drop((reader, sub, out)); std::fs::remove_dir_all(dir).ok();
//! # Ok::<(), uncopy::LinkError>(())
//! ```
//!
//! | to do this | use |
//! |---|---|
//! | publish frames | [`publish`], [`Publisher`], [`Loan`], [`Meta`] |
//! | receive frames | [`subscribe`], [`Subscriber`], [`Frame`] |
//! | look at links | [`list`], [`info`] |
//! | describe arrays | [`Form`], [`Layout`], [`DType`], [`Device`], [`PixelFormat`] |
//! | use NVIDIA GPUs (feature `cuda`) | `cuda` |
//! | hold arrays, exchange them with other libraries | [`Tensor`], [`Region`], [`HostBuffer`], [`dlpack`] |
#![forbid(unsafe_code)]

#[cfg(feature = "cuda")]
mod devices;

#[cfg(feature = "cuda")]
pub use devices::{device_of, order_streams, publish, subscribe};
pub use uncopy_core::*;
pub use uncopy_link::*;
pub use uncopy_tensor::{
    Accelerator, Access, DeviceMemory, DlpackError, Element, Export, HostBuffer, Import, Ready, Region,
    ShareHandle, SharedPages, Tensor, TensorError, Timeline, TimelinePoint, View, ViewMut, dlpack,
};

/// NVIDIA GPUs. Without a driver every call answers with the reason.
#[cfg(feature = "cuda")]
pub use uncopy_cuda as cuda;

/// Operating system services, for the bindings and tools of uncopy itself. Not covered by its promises of stability.
#[doc(hidden)]
pub use uncopy_os as os;

/// The Rust examples of the README and of the pages below `docs`, compiled and run with the documentation tests. A page
/// that is missing here is found by `cargo xtask layers`. Those with examples on a GPU need the feature `cuda`.
#[cfg(doctest)]
mod pages {
    #[cfg(feature = "cuda")]
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[cfg(feature = "cuda")]
    #[doc = include_str!("../../../docs/concepts/gpu.md")]
    struct Gpu;
    #[doc = include_str!("../../../docs/concepts/ownership.md")]
    struct Ownership;
    #[doc = include_str!("../../../docs/concepts/policies.md")]
    struct Policies;
}
