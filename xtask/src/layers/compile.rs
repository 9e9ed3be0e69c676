// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the workspace where a second compiler or target can be had: Windows, and our minimum Rust.

use super::{Check, metadata::Metadata};
use crate::{
    error::Error,
    process::output_of,
    repo::Repo,
    toolchain::{cargo, cargo_of, obtain_target, obtain_toolchain},
};

const WINDOWS: &str = "x86_64-pc-windows-gnu";
/// The libraries without Python; what is not there yet on Windows answers "unsupported" at run time.
const FOR_WINDOWS: &[&str] =
    &["uncopy-core", "uncopy-tensor", "uncopy-os", "uncopy-link", "uncopy-cuda", "uncopy", "uncopy-capi"];

pub fn check(repo: &Repo, metadata: &Metadata) -> Vec<Check> {
    vec![windows(repo, metadata), minimum_rust(repo, metadata)]
}

fn windows(repo: &Repo, metadata: &Metadata) -> Check {
    let name = "the libraries type-check for Windows";
    if let Err(reason) = obtain_target(WINDOWS) {
        return Check::skipped(name, &format!("the Rust target {WINDOWS} cannot be had: {reason}"));
    }
    let mut command = cargo(repo);
    command.args(["check", "--quiet", "--locked", "--target", WINDOWS]);
    for package in FOR_WINDOWS.iter().filter(|name| metadata.is_member(name)) {
        command.args(["--package", package]);
    }
    Check::of(name, complaint(output_of(command)))
}

fn minimum_rust(repo: &Repo, metadata: &Metadata) -> Check {
    let declared = metadata.members().find_map(|package| package.rust_version.clone()).unwrap_or_default();
    let name = format!("the workspace type-checks with Rust {declared}");
    let toolchain = match obtain_toolchain(&declared) {
        Ok(toolchain) => toolchain,
        Err(reason) => {
            return Check::skipped(
                &name,
                &format!(
                    "the toolchain {declared} cannot be had: {reason}; what the dependencies declare and clippy's \
                     incompatible_msrv stand in for it"
                ),
            );
        }
    };
    let mut command = cargo_of(&toolchain, repo);
    command
        .args(["check", "--quiet", "--locked", "--workspace", "--target-dir"])
        .arg(repo.target().join("msrv"));
    Check::of(&name, complaint(output_of(command)))
}

fn complaint(result: Result<String, Error>) -> Vec<String> {
    result.err().map(|error| error.to_string()).into_iter().collect()
}
