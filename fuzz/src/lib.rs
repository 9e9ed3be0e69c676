// SPDX-License-Identifier: MIT OR Apache-2.0
//! What reads bytes of strangers, fed with bytes of strangers.
//!
//! | target | what is fed | held against |
//! |---|---|---|
//! | `header` | the header of a control memory | the tables of `link-v1.md`, written down again |
//! | `message` | one message of a socket | the same |
//! | `from_client` | what clients say to a live producer, handles included | a consumer that goes on receiving |
//! | `from_producer` | what a producer says to a live consumer, handles and memory included | nothing out of bounds, no descriptor left |
//! | `description` | the description of a frame, its metadata and copies | the tables of `link-v1.md`, with wide numbers |
//! | `control_page` | words scribbled over a live link while all sides use it | everyone survives, frames stay inside their slot |
//! | `errors_file` | the file of errors that all processes write | its lines read by hand; an error of ours finds its place |
//! | `dtype_text` | names of dtypes, typestrs | a list and three rules |
//! | `link_name` | names of links | the rule, character by character |
//! | `layout` | shapes and strides | wide numbers, and a visit to every item of small ones |
//! | `dlpack` | DLPack structs of both forms | wide numbers; elements read one by one where they lie in memory of ours |
//!
//! A target is a plain function, so that two callers can share it: libFuzzer (`cargo xtask fuzz`, on nightly) and the
//! test `replay` (on any toolchain), which runs it over `corpus/TARGET/*` and over mutations of it. A target fails by
//! panicking; what a fuzzer has found is fixed, and its input stays in the corpus as `found-WHAT`.
//!
//! A program of a target replays files: `cargo run -p uncopy-fuzz --features doors --bin header FILE`.
//!
//! Without the feature `doors` there is nothing here.
#![deny(unsafe_code)]
#![cfg(feature = "doors")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a fuzz target fails by panicking"
)]

pub mod control_page;
pub mod description;
pub mod dlpack;
pub mod dtype_text;
pub mod errors_file;
pub mod from_client;
pub mod from_producer;
pub mod header;
pub mod layout;
pub mod link_name;
pub mod message;

mod handles;
mod input;
mod panics;
mod place;
mod target;

pub use input::Input;
pub use target::{Body, Seed, Target};

#[doc(hidden)]
pub use target::{replay_files, run_one};

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys;

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    control_page::TARGET,
    description::TARGET,
    dlpack::TARGET,
    dtype_text::TARGET,
    errors_file::TARGET,
    from_client::TARGET,
    from_producer::TARGET,
    header::TARGET,
    layout::TARGET,
    link_name::TARGET,
    message::TARGET,
];
