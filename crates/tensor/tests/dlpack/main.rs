// SPDX-License-Identifier: MIT OR Apache-2.0
//! DLPack against a producer that counts its deleter calls and a consumer that writes through bare pointers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod any_struct;
mod export;
mod import;
mod producer;
