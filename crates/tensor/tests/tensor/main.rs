// SPDX-License-Identifier: MIT OR Apache-2.0
//! Regions, tensors and views as their users see them.
#![expect(unsafe_code, reason = "fence: these tests make raw memory and DLPack structs by hand")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod exchange;
mod layouts;
mod ownership;
mod packing;
#[cfg(unix)]
mod share;
mod viewing;
