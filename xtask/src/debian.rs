// SPDX-License-Identifier: MIT OR Apache-2.0
//! System packages on Debian and Ubuntu: installed when we are root, named otherwise.

use crate::{
    error::Error,
    process::{output_of, passed_through},
};
use std::{process::Command, sync::OnceLock};

/// Makes sure that the packages are there. `purpose` completes "needed to ...".
pub fn ensure(packages: &[&str], purpose: &str) -> Result<(), Error> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() || output_of(apt_get(&["--version"])).is_err() {
        return Err(Error::Missing(advice(&missing, purpose)));
    }
    println!("installing {} with apt-get, needed to {purpose}", missing.join(" "));
    refresh_once()?;
    passed_through(apt_get(
        &[&["install", "-y", "-qq", "--no-install-recommends"], missing.as_slice()].concat(),
    ))
    .map_err(|e| Error::Missing(format!("{}; installing it failed: {e}", advice(&missing, purpose))))
}

fn advice(missing: &[&str], purpose: &str) -> String {
    let names = missing.join(" ");
    format!("{names} is missing, needed to {purpose}; as root: apt-get update && apt-get install {names}")
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    output_of(query).is_ok_and(|status| status == "installed")
}

fn is_root() -> bool {
    let mut id = Command::new("id");
    id.arg("-u");
    output_of(id).is_ok_and(|text| text.trim() == "0")
}

/// The package lists are fetched once per run; a failure matters only if the install fails too.
fn refresh_once() -> Result<(), Error> {
    static DONE: OnceLock<()> = OnceLock::new();
    if DONE.set(()).is_err() {
        return Ok(());
    }
    match passed_through(apt_get(&["update", "-qq"])) {
        Ok(()) => Ok(()),
        Err(error @ Error::Io { .. }) => Err(error),
        Err(error) => {
            println!("{error}; trying with the package lists that are here");
            Ok(())
        }
    }
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_for_packages_that_are_there() {
        ensure(&[], "test this").unwrap();
    }

    #[test]
    fn the_advice_names_packages_purpose_and_command() {
        let text = advice(&["python3-venv"], "make a Python environment");
        assert!(text.contains("needed to make a Python environment"), "{text}");
        assert!(text.ends_with("apt-get install python3-venv"), "{text}");
    }

    #[test]
    fn a_package_that_does_not_exist_is_not_installed() {
        assert!(!is_installed("no-such-package-of-this-name"));
    }
}
