// SPDX-License-Identifier: MIT OR Apache-2.0
//! GPUs in a build without them: not looked at, which is said.

use serde::Serialize;

use super::{Finding, Heading};

/// What `--json` says of GPUs.
#[derive(Serialize)]
pub(super) struct Gpus {
    absent: &'static str,
}

pub(super) fn look() -> (Vec<Finding>, Gpus) {
    let absent = "this build of the command has no support for GPUs (its feature 'cuda')";
    (vec![Finding::ok("cuda", Heading::Driver, absent)], Gpus { absent })
}
