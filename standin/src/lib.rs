// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stand-in for NVIDIA's driver, `libcuda.so.1`, over shared memory of the host. README.md says what it models and
//! what it can't tell.
//!
//! It exists to be unhelpful: work is done as late as the API permits, addresses of the device crash whoever takes
//! them for his own, and what was freed is gone. Nothing of uncopy links it; tests find it through `LD_LIBRARY_PATH`.
//!
//! Every call comes through `entry`; the modules named after groups of functions hold the entries, the others what
//! they share.

#![deny(unsafe_code)]

mod abi;
mod capture;
mod code;
mod contexts;
mod copies;
mod devices;
mod entry;
mod events;
mod external;
mod faults;
mod fills;
mod graphs;
mod hide;
mod host;
mod ipc;
mod kernels;
mod lock;
mod log;
mod memory;
mod physical;
mod place;
mod pointers;
mod poll;
mod pools;
mod queue;

mod random;
mod saxpy;
mod seal;
mod settings;
mod shared_events;
mod space;
mod streams;
mod symbols;
mod sys;
mod usage;
mod vmm;
mod words;
