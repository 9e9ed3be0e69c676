// SPDX-License-Identifier: MIT OR Apache-2.0
//! The demo as a test: it ends well by itself, and it notices a byte that was changed.

use super::{case::Case, context::Context};
use crate::{error::Error, toolchain::cargo};

pub fn run(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let demo = |options: &[&str]| {
        let mut command = cargo(context.repo);
        command.args(["xtask", "demo", "--short"]).args(options);
        command
    };
    let mut cases = context.check("the demo holds every check", demo(&[]), 0)?;
    cases.extend(context.check("the demo notices a flipped byte", demo(&["--break"]), 1)?);
    Ok(cases)
}
