// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts that cargo runs.

use super::{case::Case, context::Context};
use crate::{
    debian,
    error::Error,
    process::output_of,
    toolchain::{cargo, cargo_of, obtain_component, obtain_toolchain},
};
use std::process::Command;

/// Debian packages that two-process tests use.
const FOR_PAIRS: &[&str] = &["libfaketime", "strace", "util-linux"];

/// These have parts of their own.
const NOT_UNIT: &[&str] = &[
    "--exclude",
    "uncopy-tests",
    "--exclude",
    "uncopy-cli",
    "--exclude",
    "uncopy-capi",
    "--exclude",
    "uncopy-fuzz",
    "--exclude",
    "uncopy-standin",
    // On the stand-in driver.
    "--exclude",
    "uncopy-cuda",
    "--exclude",
    "uncopy-gpu-tests",
];

pub fn fmt(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let name = "the code is formatted";
    if let Some(skipped) = without_tool(context, name, "fmt", "rustfmt") {
        return Ok(vec![skipped]);
    }
    context.check(name, with(cargo(context.repo), &["fmt", "--all", "--check"]), 0)
}

pub fn clippy(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let name = "clippy has no complaint";
    if let Some(skipped) = without_tool(context, name, "clippy", "clippy") {
        return Ok(vec![skipped]);
    }
    let common = ["clippy", "--workspace", "--all-targets", "--locked"];
    let strict = ["--", "-D", "warnings"];
    let plain = with(with(cargo(context.repo), &common), &strict);
    let mut cases = context.check(name, plain, 0)?;
    let features = [
        "--features",
        "uncopy-tests/kill-points,uncopy-tests/leases-off,uncopy-fuzz/doors,uncopy-cuda/skip-waits,uncopy-link/skip-waits",
    ];
    let testing = with(with(with(cargo(context.repo), &common), &features), &strict);
    cases.extend(context.check("clippy has no complaint about the features of tests", testing, 0)?);
    Ok(cases)
}

/// The tests of each crate alone: every target that says `test = true`, and that the examples build.
pub fn unit(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let command = with(with(cargo(context.repo), &["test", "--workspace", "--locked"]), NOT_UNIT);
    context.cargo_test(with(command, &["--tests", "--examples"]), &[])
}

/// The documentation builds without a warning, and its examples run; README.md is one of them.
pub fn doc(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let mut build = with(cargo(context.repo), &["doc", "--workspace", "--no-deps", "--locked"]);
    build.env("RUSTDOCFLAGS", "-D warnings");
    let mut cases = context.check("the documentation builds without a warning", build, 0)?;
    let mut examples = with(cargo(context.repo), &["test", "--workspace", "--locked", "--doc"]);
    // Examples take names that users take, too.
    examples.env("UNCOPY_RUNTIME_DIR", context.repo.target().join("links-of-examples"));
    cases.extend(context.cargo_test(examples, &[])?);
    Ok(cases)
}

/// Every interleaving of the slot machine and of devices' work on it, under loom's own atomics.
pub fn loom(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let mut command = with(cargo(context.repo), &["test", "--package", "uncopy-link", "--locked"]);
    command.args(["--release", "--tests", "--target-dir"]).arg(context.repo.target().join("loom"));
    // Models run for long and build once: optimised, but not linked as a whole.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command.env("RUSTFLAGS", flags_with("--cfg loom"));
    context.cargo_test(command, if context.quick { &["--skip", "big_"] } else { &[] })
}

/// The ownership of memory, under an interpreter that knows the aliasing rules.
pub fn miri(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let name = "cargo miri test --package uncopy-tensor";
    let toolchain = match miri_toolchain(context) {
        Ok(toolchain) => toolchain,
        Err(why) => return Ok(vec![Case::skipped(name, format!("Miri cannot be had: {why}"))]),
    };
    let mut command =
        with(cargo_of(&toolchain, context.repo), &["miri", "test", "--package", "uncopy-tensor"]);
    command.args(["--locked", "--tests", "--target-dir"]).arg(context.repo.target().join("miri"));
    // Property tests look for their regression files in the current directory.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    context.cargo_test(command, &[])
}

fn miri_toolchain(context: &Context<'_>) -> Result<String, String> {
    let toolchain = obtain_toolchain("nightly")?;
    obtain_component(&toolchain, "miri")?;
    obtain_component(&toolchain, "rust-src")?;
    let setup = with(cargo_of(&toolchain, context.repo), &["miri", "setup"]);
    match context.run(setup) {
        Ok(done) if done.code == Some(0) => Ok(toolchain),
        Ok(done) => Err(format!("cargo miri setup: {}", done.output.trim())),
        Err(error) => Err(error.to_string()),
    }
}

/// What no crate can test alone, with real processes that die where they are told to.
pub fn pairs(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    // What can't be had is skipped by the tests that need it, with the reason.
    if let Err(error) = debian::ensure(FOR_PAIRS, "make system calls fail and clocks jump") {
        context.say(&error.to_string());
    }
    let command = ["test", "--package", "uncopy-tests", "--locked", "--features", "kill-points"];
    context.cargo_test(with(cargo(context.repo), &command), &[])
}

/// The fuzz targets over their corpora and over mutations of them, on the toolchain that runs us.
pub fn fuzz(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let command = ["test", "--package", "uncopy-fuzz", "--locked", "--features", "doors", "--lib", "--tests"];
    context.cargo_test(with(cargo(context.repo), &command), &[])
}

pub fn cli(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    // Shells, readers of manual pages and a terminal: what can't be had, tests skip with its name.
    for package in ["fish", "mandoc", "tmux", "zsh"] {
        if let Err(why) = debian::ensure(&[package], "test the command as its users use it") {
            context.say(&why.to_string());
        }
    }
    let command = ["test", "--package", "uncopy-cli", "--locked", "--tests"];
    // What needs a GPU is run by the part `standin`.
    context.cargo_test(with(cargo(context.repo), &command), &["--skip", "on_a_gpu::"])
}

/// A skip when the cargo subcommand is not there and cannot be added.
fn without_tool(context: &Context<'_>, name: &str, subcommand: &str, component: &str) -> Option<Case> {
    let works = || output_of(with(cargo(context.repo), &[subcommand, "--version"])).is_ok();
    if works() {
        return None;
    }
    let toolchain = std::env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "stable".to_string());
    let added = obtain_component(&toolchain, component);
    let why = added.err().unwrap_or_else(|| format!("cargo {subcommand} does not run"));
    (!works()).then(|| Case::skipped(name, format!("{component} cannot be had: {why}")))
}

fn flags_with(ours: &str) -> String {
    let theirs = std::env::var("RUSTFLAGS").unwrap_or_default();
    format!("{theirs} {ours}").trim().to_string()
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}
