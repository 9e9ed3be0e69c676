// SPDX-License-Identifier: MIT OR Apache-2.0
//! What crosses the border to the driver: handles, structures and numbers, as `cuda.h` has them.
//!
//! Names of handles are those of the header, so that a signature can be held against it. Structures and numbers carry
//! the C name in their first line. Every enumeration of C is an integer here: a newer driver may answer with a number
//! that no list of ours has, and a Rust enum that holds it would be undefined.
//!
//! Source of all of it: `cuda.h` of CUDA 13.2, for 64-bit systems.

mod handles;
pub mod numbers;
mod structs;

pub use handles::*;
pub use structs::*;
