// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that cargo builds from the registry and that tasks run: kept in `target/tools`, one directory for each
//! version.

use crate::{process::tried_for, repo::Repo, toolchain::cargo};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Fetching and building one may take this long before it counts as "cannot be had".
const BUILD: Duration = Duration::from_secs(900);

/// A program of the registry, in the one version that we use.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    pub name: &'static str,
    pub version: &'static str,
}

/// Checks licences, sources and duplicates of dependencies, and advisories about them.
pub const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// Compares Cargo.lock with advisories.
pub const CARGO_AUDIT: Tool = Tool { name: "cargo-audit", version: "0.22.2" };
/// Builds fuzz targets and runs them.
pub const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

/// Makes the header of the C interface.
pub const CBINDGEN: Tool = Tool { name: "cbindgen", version: "0.29.4" };

impl Tool {
    /// The program, built when it is not there yet; an error is the reason why it is not.
    pub fn obtain(self, repo: &Repo) -> Result<PathBuf, String> {
        self.obtain_below(&repo.target().join("tools"), repo)
    }

    /// Whether it was built before.
    pub fn is_there(self, repo: &Repo) -> bool {
        self.program_below(&self.root_below(&repo.target().join("tools"))).is_file()
    }

    fn root_below(self, tools: &Path) -> PathBuf {
        tools.join(format!("{}-{}", self.name, self.version))
    }

    fn program_below(self, root: &Path) -> PathBuf {
        root.join("bin").join(self.name)
    }

    fn obtain_below(self, tools: &Path, repo: &Repo) -> Result<PathBuf, String> {
        let root = self.root_below(tools);
        let program = self.program_below(&root);
        if program.is_file() {
            return Ok(program);
        }
        println!(
            "       building {} {} from the registry into {}",
            self.name,
            self.version,
            repo.shown(&root)
        );
        let mut install = cargo(repo);
        // Without optimisation and debug information: they build for longer than they ever run.
        install
            .args(["install", self.name, "--version", self.version, "--locked", "--debug", "--root"])
            .arg(&root)
            .arg("--target-dir")
            .arg(root.join("build"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        tried_for(BUILD, install)?;
        // What could not be removed only takes room.
        let _ = std::fs::remove_dir_all(root.join("build"));
        if program.is_file() { Ok(program) } else { Err(format!("{} was not installed", program.display())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_is_not_built_again() {
        let tools = std::env::temp_dir().join(format!("uncopy-xtask-tools-{}", std::process::id()));
        let bin = tools.join(format!("cargo-fuzz-{}", CARGO_FUZZ.version)).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("cargo-fuzz"), "").unwrap();
        let found = CARGO_FUZZ.obtain_below(&tools, &Repo::this());
        std::fs::remove_dir_all(&tools).unwrap();
        assert_eq!(found, Ok(bin.join("cargo-fuzz")));
    }
}
