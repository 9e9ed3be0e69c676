// SPDX-License-Identifier: MIT OR Apache-2.0
//! The edge: functions and structs of the header, and the pointers that cross it.
//!
//! The doc comments below are the header's, written for C programmers. What every caller promises of pointers is said
//! once, at the top of the header: that is the safety contract of each function here.
#![expect(unsafe_code, reason = "fence: reads and writes what C programs point to")]
#![expect(clippy::missing_safety_doc, reason = "the contract is at the top of the header, once for all")]
#![expect(non_camel_case_types, reason = "the names of the header")]

mod call;
mod pointers;
mod sized;
mod stream;
mod waiting;

// In the order of the header.
pub mod version;

pub mod error;

pub mod values;

pub mod form;

pub mod array;

pub mod memory;

pub mod dlpack;

pub mod publisher;

pub mod meta;

pub mod loan;

pub mod send;

pub mod subscriber;

pub mod frame;

pub mod wait;

pub mod links;
