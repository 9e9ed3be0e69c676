// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays in C++: the headers, and modules made of them with pybind11 and with nanobind, on the stand-in driver.

use super::{case::Case, context::Context, python::run_pytest};
use crate::{
    debian,
    env::{self, Environment, Group},
    error::Error,
    process::output_of,
    repo::Repo,
    standin,
    toolchain::cargo,
};
use std::{fs, path::Path, process::Command};

/// How late the streams of a process are, in microseconds, by order of creation: the first ones, so that a forgotten wait
/// shows.
const LAG_US: &str = "20000,20000,20000,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0";

pub fn run(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let mut groups = vec![Group::Test, Group::Bindings];
    if !context.quick {
        groups.push(Group::Frameworks);
    }
    let environment = env::ensure(context.repo, &groups)?;
    debian::ensure(&["g++"], "build C++ modules that take arrays")?;
    python_headers(&environment)?;
    let driver = standin::build(context.repo)?;
    let built = context.repo.target().join("casters");
    let mut build = environment.command("python");
    build.arg(context.repo.join("capi/tests/arrays/build.py")).arg(&built);
    let mut cases = context.check("the C++ modules that take arrays build", build, 0)?;
    if cases.iter().any(Case::is_failed) {
        return Ok(cases);
    }
    cases.extend(context.check("pycai by PyO3 builds", in_rust(context.repo), 0)?);
    if cases.iter().any(Case::is_failed) {
        return Ok(cases);
    }
    put_in_rust(context.repo, &built)?;
    let mut python = environment.command("python");
    python.env("UNCOPY_CASTERS", &built).env("UNCOPY_STANDIN", "1").env("LD_LIBRARY_PATH", driver);
    python.env("UNCOPY_STANDIN_LAG_US", LAG_US);
    cases.extend(run_pytest(context, python, &["capi/tests/arrays"])?);
    Ok(cases)
}

/// The module of the drop-in header once more, by PyO3.
fn in_rust(repo: &Repo) -> Command {
    let mut build = cargo(repo);
    build.args(["build", "--locked", "--quiet", "--package", "uncopy-pycai"]);
    build
}

/// Where Python finds it under its name, apart from the one in C++.
fn put_in_rust(repo: &Repo, built: &Path) -> Result<(), Error> {
    let directory = built.join("rust");
    fs::create_dir_all(&directory).map_err(|e| Error::io(format!("make {}", directory.display()), e))?;
    let library = repo.target().join("debug/libpycai.so");
    let copied = fs::copy(&library, directory.join("pycai.abi3.so"));
    copied.map(|_| ()).map_err(|e| Error::io(format!("copy {}", library.display()), e))
}

/// Debian has them in a package of their own; other interpreters come with them.
fn python_headers(environment: &Environment) -> Result<(), Error> {
    let mut ask = environment.command("python");
    ask.args(["-c", "import sysconfig; print(sysconfig.get_path('include'))"]);
    if Path::new(output_of(ask)?.trim()).join("Python.h").is_file() {
        return Ok(());
    }
    debian::ensure(&["python3-dev"], "build Python modules in C++")
}
