// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the Python interpreters of this machine that the package supports.

use crate::{debian, error::Error, process::output_of, repo::Repo};
use serde::Deserialize;
use std::{
    cmp::Reverse,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest Python that the package supports (its stable ABI is that of 3.11).
const OLDEST_MINOR: u32 = 11;
/// The newest Python for which the frameworks are known to have wheels; a later one is used only if alone.
const NEWEST_PROVEN_MINOR: u32 = 14;

/// One interpreter, as it describes itself.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Python {
    pub path: PathBuf,
    major: u32,
    minor: u32,
    is_cpython: bool,
    is_free_threaded: bool,
    pub has_ensurepip: bool,
    pub has_pip: bool,
}

impl Python {
    pub fn version(&self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    /// Whether the package and the frameworks support it.
    pub fn is_suitable(&self) -> bool {
        self.is_cpython && !self.is_free_threaded && self.major == 3 && self.minor >= OLDEST_MINOR
    }

    /// The Debian package that gives this interpreter `ensurepip`.
    pub fn venv_package(&self) -> String {
        format!("python{}-venv", self.version())
    }
}

/// Every suitable interpreter on PATH, best first, one of each version; at least one.
/// Installs Debian's when there is none and we are root.
pub fn find_all(repo: &Repo) -> Result<Vec<Python>, Error> {
    let found = on_path(repo);
    let suitable = best_first(found.clone());
    if !suitable.is_empty() {
        return Ok(suitable);
    }
    debian::ensure(&["python3", "python3-venv"], "run Python")?;
    let suitable = best_first(on_path(repo));
    if !suitable.is_empty() {
        return Ok(suitable);
    }
    let seen: Vec<String> =
        found.iter().map(|python| format!("{} at {}", python.version(), python.path.display())).collect();
    let seen = if seen.is_empty() { "none at all".to_string() } else { seen.join(", ") };
    Err(Error::Missing(format!(
        "no CPython 3.{OLDEST_MINOR} or later on PATH (found {seen}); install one and run this again"
    )))
}

/// What the program at `path` is, if it is a Python that starts.
pub fn describe(repo: &Repo, path: &Path) -> Option<Python> {
    let mut command = Command::new(path);
    command.arg("-I").arg(repo.join("xtask/python/describe_interpreter.py"));
    serde_json::from_str(&output_of(command).ok()?).ok()
}

fn on_path(repo: &Repo) -> Vec<Python> {
    let names: Vec<String> = std::iter::once("python3".to_string())
        .chain((OLDEST_MINOR..=NEWEST_PROVEN_MINOR + 1).map(|minor| format!("python3.{minor}")))
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .filter(|program| program.is_file())
        .filter_map(|program| describe(repo, &program))
        .collect()
}

fn best_first(mut found: Vec<Python>) -> Vec<Python> {
    found.retain(Python::is_suitable);
    // The sort is stable: of one version, the first on PATH stays first.
    found.sort_by_key(|python| (python.minor > NEWEST_PROVEN_MINOR, Reverse(python.minor)));
    found.dedup_by_key(|python| python.minor);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(minor: u32, path: &str) -> Python {
        Python {
            path: path.into(),
            major: 3,
            minor,
            is_cpython: true,
            is_free_threaded: false,
            has_ensurepip: true,
            has_pip: true,
        }
    }

    #[test]
    fn the_newest_proven_python_comes_first_and_later_ones_last() {
        let found = vec![python(11, "a"), python(15, "b"), python(14, "c"), python(12, "d")];
        let order: Vec<u32> = best_first(found).iter().map(|p| p.minor).collect();
        assert_eq!(order, [14, 12, 11, 15]);
    }

    #[test]
    fn of_one_version_the_first_on_path_is_kept() {
        let found = best_first(vec![python(11, "first"), python(11, "second")]);
        assert_eq!(found, [python(11, "first")]);
    }

    #[test]
    fn old_free_threaded_and_foreign_interpreters_are_left_out() {
        let free = Python { is_free_threaded: true, ..python(13, "free") };
        let pypy = Python { is_cpython: false, ..python(11, "pypy") };
        assert_eq!(best_first(vec![python(10, "old"), free, pypy]), []);
    }

    #[test]
    fn a_program_that_is_not_python_is_no_interpreter() {
        assert_eq!(describe(&Repo::this(), Path::new("/bin/false")), None);
    }
}
