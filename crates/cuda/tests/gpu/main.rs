// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices as links use them: on a card, or on the stand-in driver.
//!
//! Without a driver each test says so and passes, but for those of `absence`. With the stand-in's directory first in
//! `LD_LIBRARY_PATH` they run on it, and those that need faults of the driver's run too. Tests that need another process,
//! or lose their context, start this program again in a role: see `support`.
#![cfg(target_os = "linux")]
#![deny(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in its helper functions"
)]

mod absence;
mod capture;
mod copy;
mod devices;
mod loss;
mod memory;
mod peers;
mod raw;
mod support;
mod timeline;
mod two_devices;

/// What a child process can be started as.
const ROLES: &[&[support::Role]] = &[
    absence::ROLES,
    devices::ROLES,
    loss::ROLES,
    memory::ROLES,
    peers::ROLES,
    timeline::ROLES,
    two_devices::ROLES,
];

#[test]
#[ignore = "entered by the other tests as a child process"]
fn child_process_entry() {
    support::play_role(ROLES);
}
