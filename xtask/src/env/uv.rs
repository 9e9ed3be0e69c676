// SPDX-License-Identifier: MIT OR Apache-2.0
//! uv, which makes environments and fills them: fetched once with pip into `.cache/uv-bootstrap`.

use super::python::{self, Python};
use crate::{
    debian,
    error::Error,
    process::{output_of, passed_through},
    repo::Repo,
};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

/// A uv that runs.
pub struct Uv {
    program: PathBuf,
}

impl Uv {
    /// Takes the uv that was fetched before, else fetches it with one of `pythons`.
    pub fn obtain(repo: &Repo, pythons: &[Python]) -> Result<Self, Error> {
        let uv = Self { program: repo.join(".cache/uv-bootstrap/bin/uv") };
        if !uv.runs() {
            println!("fetching uv (about 25 MB) into .cache/uv-bootstrap");
            fetch(repo, pythons)?;
        }
        if uv.runs() {
            return Ok(uv);
        }
        Err(Error::Missing(format!("{} was installed but does not run", uv.program.display())))
    }

    fn runs(&self) -> bool {
        self.program.is_file() && output_of(self.command(&["--version"])).is_ok()
    }

    /// Makes an empty environment at `dir`, in place of whatever is there.
    pub fn make_environment(&self, dir: &Path, python: &Python) -> Result<(), Error> {
        let mut command = self.command(&["venv", "--quiet", "--clear", "--python"]);
        command.arg(&python.path).arg(dir);
        passed_through(command)
    }

    /// Installs into the environment of the interpreter `python`; arguments as of `uv pip install`.
    pub fn install<A: AsRef<OsStr>>(&self, python: &Path, arguments: &[A]) -> Result<(), Error> {
        let mut command = self.command(&["pip", "install", "--python"]);
        command.arg(python).args(arguments);
        passed_through(command)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // An environment that happens to be active must not attract anything.
        command.args(arguments).env_remove("VIRTUAL_ENV").env_remove("CONDA_PREFIX");
        command
    }
}

/// Which way leads to uv on this machine.
enum Way<'a> {
    /// `python -m venv`, then the pip in there.
    Environment(&'a Python),
    /// The interpreter's own pip, told where to put it.
    OwnPip(&'a Python),
}

fn way(pythons: &[Python]) -> Option<Way<'_>> {
    let with_ensurepip = pythons.iter().find(|python| python.has_ensurepip).map(Way::Environment);
    with_ensurepip.or_else(|| pythons.iter().find(|python| python.has_pip).map(Way::OwnPip))
}

fn fetch(repo: &Repo, pythons: &[Python]) -> Result<(), Error> {
    if let Some(way) = way(pythons) {
        return fetch_by(repo, &way);
    }
    let Some(first) = pythons.first() else {
        return Err(Error::Missing("there is no Python to fetch uv with".to_string()));
    };
    debian::ensure(&[&first.venv_package()], "make a Python environment")?;
    let again: Vec<Python> = python::describe(repo, &first.path).into_iter().collect();
    match way(&again) {
        Some(way) => fetch_by(repo, &way),
        None => Err(Error::Missing(format!(
            "{} has neither ensurepip nor pip; install one of them and run this again",
            first.path.display()
        ))),
    }
}

fn fetch_by(repo: &Repo, way: &Way<'_>) -> Result<(), Error> {
    let dir = repo.join(".cache/uv-bootstrap");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let mut install = match way {
        Way::Environment(python) => {
            let mut make = Command::new(&python.path);
            make.args(["-m", "venv", "--clear"]).arg(&dir);
            passed_through(make)?;
            let mut install = Command::new(dir.join("bin/python"));
            install.args(pip);
            install
        }
        Way::OwnPip(python) => {
            let mut install = Command::new(&python.path);
            install.args(pip).arg("--upgrade").arg("--target").arg(&dir);
            install
        }
    };
    install.arg("uv");
    passed_through(install).map_err(|e| {
        Error::Missing(format!("uv could not be fetched: {e}; a network is needed the first time"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(path: &str, has_ensurepip: bool, has_pip: bool) -> Python {
        let text = format!(
            r#"{{"path": "{path}", "major": 3, "minor": 12, "is_cpython": true, "is_free_threaded": false,
                "has_ensurepip": {has_ensurepip}, "has_pip": {has_pip}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn an_environment_is_preferred_to_an_interpreters_own_pip() {
        let pythons = [python("a", false, true), python("b", true, false)];
        assert!(matches!(way(&pythons), Some(Way::Environment(p)) if p.path == Path::new("b")));
    }

    #[test]
    fn without_ensurepip_the_own_pip_is_used() {
        let pythons = [python("a", false, false), python("b", false, true)];
        assert!(matches!(way(&pythons), Some(Way::OwnPip(p)) if p.path == Path::new("b")));
    }

    #[test]
    fn a_bare_debian_python_has_no_way_of_its_own() {
        assert!(way(&[python("a", false, false)]).is_none());
    }
}
