// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask standin`: builds the stand-in driver and puts it where a program finds it in place of NVIDIA's.

use crate::{error::Error, process::passed_through, repo::Repo, toolchain::cargo};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What cargo calls the library, and what programs ask for.
const BUILT: &str = "libuncopy_standin.so";
const DRIVER: &str = "libcuda.so.1";

/// Where the driver lies: what `LD_LIBRARY_PATH` must name.
pub fn directory(repo: &Repo) -> PathBuf {
    repo.target().join("standin")
}

/// Builds it; the directory in which it lies then.
pub fn build(repo: &Repo) -> Result<PathBuf, Error> {
    let mut command = cargo(repo);
    command.args(["build", "--quiet", "--package", "uncopy-standin", "--locked"]);
    passed_through(command)?;
    let directory = directory(repo);
    place(&repo.target().join("debug").join(BUILT), &directory.join(DRIVER))?;
    Ok(directory)
}

/// Puts a copy there. A program that has loaded the old one keeps it.
fn place(built: &Path, driver: &Path) -> Result<(), Error> {
    let doing = || format!("put {} at {}", built.display(), driver.display());
    let new = driver.with_extension("new");
    fs::create_dir_all(driver.parent().unwrap_or(driver)).map_err(|e| Error::io(doing(), e))?;
    fs::copy(built, &new).map_err(|e| Error::io(doing(), e))?;
    fs::rename(&new, driver).map_err(|e| Error::io(doing(), e))
}

/// Builds it, and says how a program comes to use it.
pub fn run(repo: &Repo) -> Result<bool, Error> {
    let directory = build(repo)?;
    println!("UNCOPY_STANDIN=1 LD_LIBRARY_PATH={}", directory.display());
    Ok(true)
}
