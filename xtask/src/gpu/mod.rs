// SPDX-License-Identifier: MIT OR Apache-2.0
//! What needs a GPU, from a machine that has none: `cargo xtask gpu-bundle` packs tests and measurements for a machine
//! with a card and without Rust, and `cargo xtask gpu-results` takes what came back.
//!
//! The bundle lies in `target/gpu`; `run.sh` in there runs it. `bench/gpu/README.md` says what it holds and how its
//! programs speak.

mod build;
mod contents;
mod glibc;
mod kept_cases;
mod manifest;
mod pack;
pub mod pairs;
mod results;

pub use pack::{Options as BundleOptions, run as bundle};
pub use results::{Options as ResultsOptions, run as import};

/// The results that these tasks make, and the goals that are judged by them.
pub const TOPIC: &str = "gpu";
/// That of results of a machine with several, which has other rows.
const SEVERAL: &str = "gpus";
