// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operating system services, tested with the real operating system and real processes.
//!
//! Tests that need another process start this program again in a role: see `support`.
#![cfg(target_os = "linux")]
#![deny(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helper functions"
)]

mod copy;
mod dir;
mod fork;
mod guard;
mod inherit;
#[cfg(feature = "kill-points")]
mod killpoint;
mod limits;
mod mapping;
mod memory;
mod pass;
mod peers;
mod process;
mod raw;
mod slots;
mod support;
mod wake;

/// What a child process can be started as.
const ROLES: &[&[support::Role]] = &[
    copy::ROLES,
    dir::ROLES,
    fork::ROLES,
    guard::ROLES,
    inherit::ROLES,
    limits::ROLES,
    memory::ROLES,
    peers::ROLES,
    process::ROLES,
    wake::ROLES,
    #[cfg(feature = "kill-points")]
    killpoint::ROLES,
];

#[test]
#[ignore = "entered by the other tests as a child process"]
fn child_process_entry() {
    support::play_role(ROLES);
}
