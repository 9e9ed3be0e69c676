// SPDX-License-Identifier: MIT OR Apache-2.0
//! The built command, run as its users run it. Each test has a runtime directory of its own and leaves it empty.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, and says where"
)]

mod cleaning;
mod completions;
mod demo;
mod doctor;
mod endings;
mod json;
mod looking;
mod manual;
mod measuring;
mod names;
#[cfg(feature = "cuda")]
mod on_a_gpu;
mod pictures;
mod place;
mod rates;
mod streams;
mod top;
mod trouble;
mod videos;
