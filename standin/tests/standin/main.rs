// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stand-in driver as programs see it: loaded by the loader, called through C.

#![expect(unsafe_code, reason = "calls a C library")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that can't go on has failed")]

mod calibrated;
mod captures;
mod destroyed;
mod driver;
mod faults;
mod handles;
mod scene;
mod threads;
mod unhelpful;
mod work;
