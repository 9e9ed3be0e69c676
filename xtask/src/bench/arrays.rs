// SPDX-License-Identifier: MIT OR Apache-2.0
//! The extension modules of the topic `arrays`: ours, and the same functions by nanobind and pybind11.

use crate::{
    debian,
    env::{self, Group},
    error::Error,
    process::{output_of, passed_through},
    repo::Repo,
    toolchain::cargo,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the modules are, built with optimisation.
pub fn build(repo: &Repo) -> Result<PathBuf, Error> {
    let environment = env::ensure(repo, &[Group::Test, Group::Frameworks, Group::Bindings])?;
    debian::ensure(&["g++"], "build the references in C++")?;
    println!("building bench_arrays, bench_nanobind and bench_pybind11");
    let out = repo.target().join("bench-arrays");
    fs::create_dir_all(&out).map_err(|e| Error::io(format!("make {}", out.display()), e))?;
    let mut ours = cargo(repo);
    ours.args(["build", "--release", "--locked", "--quiet", "--package", "uncopy-bench-arrays"]);
    passed_through(ours)?;
    let built = repo.target().join("release/libbench_arrays.so");
    fs::copy(&built, out.join("bench_arrays.so"))
        .map_err(|e| Error::io(format!("copy {}", built.display()), e))?;
    let mut asked = environment.command("python");
    asked.args(["-c", PATHS]);
    let paths = output_of(asked)?;
    let paths: Vec<&str> = paths.lines().collect();
    let [python, pybind11, nanobind, source, robin_map] = paths[..] else {
        return Err(Error::Missing(format!("python named other directories than were asked for: {paths:?}")));
    };
    let peers = repo.join("bench/arrays/peers");
    let own = Path::new(source).join("nb_combined.cpp");
    compile(
        &out.join("bench_nanobind.so"),
        &[&peers.join("bench_nanobind.cpp"), &own],
        &[python, nanobind, robin_map],
    )?;
    compile(&out.join("bench_pybind11.so"), &[&peers.join("bench_pybind11.cpp")], &[python, pybind11])?;
    Ok(out)
}

const PATHS: &str = "
import sysconfig, pathlib, pybind11, nanobind
include = nanobind.include_dir()
print(sysconfig.get_path('include'), pybind11.get_include(), include, nanobind.source_dir(), sep='\\n')
print(pathlib.Path(include).parent / 'ext' / 'robin_map' / 'include')";

fn compile(out: &Path, sources: &[&Path], includes: &[&str]) -> Result<(), Error> {
    let mut compiler = Command::new("g++");
    compiler.args([
        "-std=c++17",
        "-O3",
        "-DNDEBUG",
        "-shared",
        "-fPIC",
        "-fvisibility=hidden",
        "-fno-strict-aliasing",
    ]);
    compiler.args(includes.iter().map(|include| format!("-I{include}"))).args(sources).arg("-o").arg(out);
    passed_through(compiler)
}
