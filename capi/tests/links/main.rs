// SPDX-License-Identifier: MIT OR Apache-2.0
//! libuncopy as C and C++ programs meet it: built against the installed library, and run.
//!
//! `cargo xtask test capi` installs it and says where (`UNCOPY_CAPI_PREFIX`, `UNCOPY_CAPI_PANICKING`,
//! `UNCOPY_CAPI_DRIVER`). What can't be had is skipped with its name.

#![deny(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that can't go on ends")]

mod abi;
mod docs;
mod examples;
mod headers;
mod package;
mod programs;
mod setup;
