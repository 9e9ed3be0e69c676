// SPDX-License-Identifier: MIT OR Apache-2.0
//! The built command, run as its users run it. Each test has a runtime directory of its own and leaves it empty.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, and says where"
)]

mod demo;
mod doctor;
mod endings;
mod looking;
mod names;
mod pictures;
mod place;
mod streams;
mod trouble;
mod videos;
