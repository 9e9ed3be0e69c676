// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask capi`: libuncopy with its headers and its CMake package, as a prefix that C and C++ projects build
//! against; and the header `uncopy.h`, made of the crate's source.

pub mod header;
pub mod prefix;

use crate::{error::Error, process::passed_through, repo::Repo, toolchain::cargo};
use clap::Args;
use prefix::Profile;
use std::path::PathBuf;

/// What is built, and where it goes.
#[derive(Args, Debug, Default)]
pub struct Options {
    /// Install here, a directory with include/, lib/ and lib/cmake/ below it (target/capi/prefix unless told).
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// Build without optimisation, which is quicker.
    #[arg(long)]
    debug: bool,
    /// Make capi/include/uncopy/uncopy.h anew, and nothing else.
    #[arg(long, conflicts_with_all = ["prefix", "debug"])]
    header: bool,
}

pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    if options.header {
        let text = header::generated(repo).map_err(Error::Missing)?;
        crate::error::write_text(&repo.join(header::PATH), &text)?;
        println!("{}", header::PATH);
        return Ok(true);
    }
    let profile = if options.debug { Profile::Debug } else { Profile::Release };
    build(repo, profile, &[])?;
    let directory = options.prefix.clone().unwrap_or_else(|| prefix::of_this(repo));
    prefix::install(repo, profile, &directory)?;
    println!("installed into {}", directory.display());
    println!("cmake -DCMAKE_PREFIX_PATH={} ... finds the package uncopy", directory.display());
    Ok(true)
}

/// Builds the library, with these features besides its own.
pub fn build(repo: &Repo, profile: Profile, features: &[&str]) -> Result<(), Error> {
    let mut command = cargo(repo);
    command.args(["build", "--quiet", "--package", "uncopy-capi", "--locked"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    passed_through(command)
}
