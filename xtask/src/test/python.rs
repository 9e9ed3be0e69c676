// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts that Python runs: the wheel where nothing else is, and the package's own tests.

use super::{
    case::Case,
    context::{Context, leftover},
    pytest as log,
};
use crate::{
    env::{self, Environment, Group, Python, Uv},
    error::{Error, read_text},
    process::last_lines,
    standin,
    wheel::{self, Wheel},
};
use std::{path::Path, process::Command};

/// Builds the wheel and imports it where there is nothing else, with the oldest and the newest Python here.
pub fn wheel(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let environment = env::ensure(context.repo, &[Group::Build])?;
    let built = build(context, &environment)?;
    let mut cases =
        vec![Case::of(format!("the wheel is under {} bytes", wheel::LIMIT_BYTES), built.within_limit())];
    if context.quick {
        return Ok(cases);
    }
    let (uv, pythons) = env::tools(context.repo)?;
    let mut chosen: Vec<&Python> = pythons.first().into_iter().chain(pythons.last()).collect();
    chosen.dedup();
    for python in chosen {
        cases.extend(clean_install(context, &uv, python, &built)?);
    }
    Ok(cases)
}

fn clean_install(context: &Context<'_>, uv: &Uv, python: &Python, wheel: &Wheel) -> Result<Vec<Case>, Error> {
    let dir = context.repo.target().join("clean-environment");
    context.say(&format!("a clean environment with Python {} and the wheel", python.version()));
    uv.make_environment(&dir, python)?;
    let clean = Environment::at(dir.clone());
    install(uv, &clean, &wheel.path)?;
    let mut command = clean.command("python");
    command.arg("-I").arg(context.repo.join("xtask/python/check_clean_install.py"));
    let name = format!("the wheel works alone on Python {}", python.version());
    let cases = context.check(&name, command, 0)?;
    env::remove(&dir)?;
    Ok(cases)
}

/// The package's tests and its stubs, against the wheel as it is shipped.
pub fn pytest(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    let mut groups = vec![Group::Build, Group::Test];
    if !context.quick {
        groups.push(Group::Frameworks);
    }
    let environment = env::ensure(context.repo, &groups)?;
    let built = build(context, &environment)?;
    let (uv, _) = env::tools(context.repo)?;
    install(&uv, &environment, &built.path)?;
    // What tests of frames on a device run on.
    standin::build(context.repo)?;
    let mut cases = tests(context, &environment)?;
    cases.extend(stubs(context, &environment)?);
    Ok(cases)
}

fn tests(context: &Context<'_>, environment: &Environment) -> Result<Vec<Case>, Error> {
    // With the runner of the GPU bundle, as far as it can be tested without a GPU.
    run_pytest(context, environment.command("python"), &["python/tests", "bench/gpu/tests"])
}

/// Runs tests under pytest, by a command that is the interpreter with its environment.
pub fn run_pytest(
    context: &Context<'_>,
    mut python: Command,
    directories: &[&str],
) -> Result<Vec<Case>, Error> {
    let case_log = context.log().with_extension("jsonl");
    python.current_dir(context.repo.root()).env("PYTHONPATH", context.repo.join("xtask/python"));
    python.args(["-m", "pytest", "-q", "--continue-on-collection-errors", "-p", "case_log"]);
    python.args(directories).arg("--case-log").arg(&case_log);
    let done = context.run(python)?;
    let mut cases = log::cases(&read_text(&case_log).unwrap_or_default(), done.code);
    if cases.iter().any(Case::is_failed) {
        println!("{}", last_lines(&done.output, 120));
    }
    cases.extend(leftover(&done));
    Ok(cases)
}

/// The stubs say what the module is at run time.
fn stubs(context: &Context<'_>, environment: &Environment) -> Result<Vec<Case>, Error> {
    let mut command = environment.command("python");
    // From here no source directory can be taken for the installed package.
    command.current_dir(context.repo.target()).args(["-m", "mypy.stubtest", "uncopy"]);
    let exceptions = context.repo.join("python/stubtest-allowlist.txt");
    if exceptions.is_file() {
        command.arg("--allowlist").arg(exceptions);
    }
    context.check("the stubs agree with the module", command, 0)
}

fn build(context: &Context<'_>, environment: &Environment) -> Result<Wheel, Error> {
    wheel::clear(context.repo)?;
    let done = context.run(wheel::command(context.repo, environment))?;
    if done.code != Some(0) {
        let tail = last_lines(&done.output, 40);
        return Err(Error::Command { shown: "maturin build".to_string(), code: done.code, tail });
    }
    wheel::collect(context.repo)
}

fn install(uv: &Uv, environment: &Environment, wheel: &Path) -> Result<(), Error> {
    let wheel = wheel.to_string_lossy();
    uv.install(&environment.python(), &["--quiet", "--offline", "--no-deps", "--reinstall", wheel.as_ref()])
}
