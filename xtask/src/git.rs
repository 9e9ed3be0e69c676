// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which version of the sources a result is of.

use crate::{error::Error, process::output_of, repo::Repo};
use std::process::Command;

/// The commit that is checked out.
pub fn commit(repo: &Repo) -> Result<String, Error> {
    git(repo, &["rev-parse", "HEAD"])
}

/// Whether a file differs from that commit. Results of measurements do not count: they are what changes.
pub fn has_uncommitted_changes(repo: &Repo) -> Result<bool, Error> {
    Ok(!git(repo, &["status", "--porcelain", "--", ":!bench/results"])?.is_empty())
}

fn git(repo: &Repo, arguments: &[&str]) -> Result<String, Error> {
    let mut command = Command::new("git");
    command.current_dir(repo.root()).args(arguments);
    Ok(output_of(command)?.trim().to_string())
}
