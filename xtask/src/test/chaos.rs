// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ten seconds of chaos as a test: it finds what is wrong with leases off, and nothing with them.

use super::{case::Case, context::Context};
use crate::{error::Error, toolchain::cargo};

pub fn run(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let mut command = cargo(context.repo);
    command.args(["xtask", "chaos", "--seconds", "10", "--unoptimised"]);
    context.check("chaos finds what is wrong with leases off, and nothing with them", command, 0)
}
