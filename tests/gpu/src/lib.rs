// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames on a GPU between processes. The same tests run on a card and on the stand-in driver, which runs the few
//! kernels that they use on the processor, each stream as late as the driver's rules permit.
//!
//! | module | for |
//! |---|---|
//! | [`card`] | a device, its streams, and kernels that fill and check frames |
//! | `left_out` | showing that each wait for a device is needed |
//! | [`roles`] | what the binary `gpu-peer` does in another process |
//! | [`scene`] | a stage with GPU peers, or the reason why there is no GPU |
#![deny(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test harness fails by panicking"
)]

pub mod card;
#[cfg(feature = "skip-waits")]
pub mod left_out;
pub mod roles;
pub mod scene;
