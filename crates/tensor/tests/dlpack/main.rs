// SPDX-License-Identifier: MIT OR Apache-2.0
//! DLPack against a producer that counts its deleter calls and a consumer that writes through bare pointers.
#![expect(unsafe_code, reason = "fence: these tests make raw memory and DLPack structs by hand")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod any_struct;
mod export;
mod import;
mod producer;
