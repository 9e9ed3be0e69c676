// SPDX-License-Identifier: MIT OR Apache-2.0
//! libuncopy: the C interface. `include/uncopy/uncopy.h` is made of it, and says to its users what each function does.
//!
//! | module | holds |
//! |---|---|
//! | `c` | the functions and structs of the header, and every pointer that crosses the edge |
//! | `table` | handles: tickets that can't be followed astray |
//! | `end` | publishers and subscribers: one thread at a time, ended from any |
//! | `failure` | what a call can fail with |
//!
//! It has no logic of its own, as the facade has none: it checks arguments, translates, and lets nothing unwind out.
#![deny(unsafe_code)]

pub mod c;
mod end;
mod failure;
mod table;
