// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy.h`, as cbindgen makes it of the crate: its doc comments are the header's.

use crate::{
    repo::Repo,
    tools::{CBINDGEN, Tool},
};
use std::process::Command;

/// Where it is kept.
pub const PATH: &str = "capi/include/uncopy/uncopy.h";

/// The text that it should have; an error says why it can't be made.
pub fn generated(repo: &Repo) -> Result<String, String> {
    let tool: Tool = CBINDGEN;
    let program = tool.obtain(repo).map_err(|why| format!("{} cannot be had: {why}", tool.name))?;
    let mut command = Command::new(program);
    command.current_dir(repo.join("capi")).args(["--quiet", "--config", "cbindgen.toml", "src/lib.rs"]);
    let output = command.output().map_err(|error| format!("cbindgen did not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("cbindgen failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("cbindgen did not write UTF-8: {error}"))
}
