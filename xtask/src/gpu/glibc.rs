// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which glibc a program needs: one that is built here starts only where glibc is at least as new as its symbols.

use crate::{error::Error, process::output_of};
use std::{fmt, path::Path, process::Command, str::FromStr};

/// A version of glibc.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// That of Ubuntu 22.04: what GPU machines have at least.
    pub const USUAL: Self = Self { major: 2, minor: 35 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = String;

    /// `2.35`; a third number is not looked at.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self { major, minor }),
            _ => Err(format!("'{text}' is no version of glibc, such as 2.35")),
        }
    }
}

/// The newest version whose symbols a program asks for; `None` for a program without any.
pub fn needed_by(program: &Path) -> Result<Option<Version>, Error> {
    let mut command = Command::new("objdump");
    command.arg("-T").arg(program);
    Ok(newest_in(&output_of(command)?))
}

/// `0000000000000000      DF *UND*  0000000000000000 (GLIBC_2.34) pthread_create`
fn newest_in(symbols: &str) -> Option<Version> {
    let named = symbols.split("GLIBC_").skip(1);
    named.filter_map(|rest| rest.split(|c: char| c != '.' && !c.is_ascii_digit()).next()?.parse().ok()).max()
}

/// What a wheel's name says that it needs; `None` where it says nothing that can be compared.
pub fn needed_by_wheel(name: &str) -> Option<Version> {
    let (_, rest) = name.split_once("manylinux")?;
    match rest.strip_prefix('_') {
        Some(rest) => {
            let mut numbers = rest.split('_').map(str::parse);
            Some(Version { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
        }
        None => rest.starts_with("2014").then_some(Version { major: 2, minor: 17 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("2.4") < version("2.35") && version("2.35") < version("2.36"));
        assert_eq!(version("2.2.5"), version("2.2"));
        assert!("trixie".parse::<Version>().unwrap_err().contains("trixie"));
    }

    #[test]
    fn the_newest_symbol_counts() {
        let symbols = "0000 DF *UND* 0000 (GLIBC_2.2.5) read\n\
            0000 DF *UND* 0000 (GLIBC_2.34) dlsym\n0000 w D *UND* 0000  GLIBC_2.9 x\n";
        assert_eq!(newest_in(symbols), Some(version("2.34")));
        assert_eq!(newest_in("0000 g DF .text 0000 Base main\n"), None);
    }

    #[test]
    fn this_very_program_needs_a_glibc_that_is_here() {
        let needed = needed_by(&std::env::current_exe().unwrap()).unwrap().unwrap();
        assert!(needed >= version("2.2"));
    }

    #[test]
    fn a_wheel_says_in_its_name_what_it_needs() {
        assert_eq!(
            needed_by_wheel("uncopy-0.1.0-cp311-abi3-manylinux_2_34_x86_64.whl"),
            Some(version("2.34"))
        );
        assert_eq!(needed_by_wheel("x-1-py3-none-manylinux2014_x86_64.whl"), Some(version("2.17")));
        assert_eq!(needed_by_wheel("x-1-cp311-abi3-linux_x86_64.whl"), None);
    }
}
