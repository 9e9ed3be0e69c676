// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stand-in driver: that it answers as a card did, and what runs on it.

use super::{case::Case, context::Context};
use crate::{error::Error, standin, toolchain::cargo};

/// The packages whose tests need a driver, by directory, with features. Waits can be left out there, to show that each
/// is missed, and processes be killed at named points.
const ON_IT: &[(&str, &str, &str)] = &[
    ("crates/cuda", "uncopy-cuda", "skip-waits"),
    ("tests/gpu", "uncopy-gpu-tests", "skip-waits,kill-points"),
    ("bench", "uncopy-bench", "cuda"),
];

pub fn run(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let mut command = cargo(context.repo);
    command.args(["test", "--package", "uncopy-standin", "--locked", "--lib", "--tests"]);
    let mut cases = context.cargo_test(command, &[])?;
    context.say("cargo xtask standin");
    let directory = standin::build(context.repo)?;
    for (_, package, features) in ON_IT.iter().filter(|(path, ..)| context.repo.join(path).is_dir()) {
        let mut command = cargo(context.repo);
        command.args(["test", "--package", package, "--locked", "--tests", "--features", features]);
        command.env("UNCOPY_STANDIN", "1").env("LD_LIBRARY_PATH", &directory);
        if !context.quick {
            // Each call of the driver fails in turn, and not a sample of them.
            command.env("UNCOPY_TEST_ALL_CALLS", "1");
        }
        cases.extend(context.cargo_test(command, &[])?);
    }
    let mut command = cargo(context.repo);
    command.args(["test", "--package", "uncopy-cli", "--locked", "--test", "command"]);
    command.env("UNCOPY_STANDIN", "1").env("LD_LIBRARY_PATH", &directory);
    cases.extend(context.cargo_test(command, &["on_a_gpu::"])?);
    // Without a driver the examples of pages end at their first line.
    let mut command = cargo(context.repo);
    command.args(["test", "--package", "uncopy", "--locked", "--doc", "--features", "cuda"]);
    command.env("UNCOPY_STANDIN", "1").env("LD_LIBRARY_PATH", &directory);
    command.env("UNCOPY_RUNTIME_DIR", context.repo.target().join("links-of-examples"));
    cases.extend(context.cargo_test(command, &["pages"])?);
    Ok(cases)
}
