// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask coverage`: which lines of the crates below the facade, and which of their error variants, some test
//! runs.
//!
//! The unit tests of these crates and the two-process tests are run with counters (cargo-llvm-cov). The counters are
//! mapped files, so that a process counts that is killed, forked or ended by a signal, as tests do to it. Lines of
//! tests are not counted, nor examples of documentation.

mod lcov;
mod variants;

use crate::{
    error::{Error, read_text},
    process::{last_lines, output_of, watched},
    repo::Repo,
    toolchain::{cargo, obtain_component},
};
use lcov::Lines;
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf, process::Command};

/// The crates that are judged, by directory.
const CRATES: &[&str] = &["core", "tensor", "os", "link"];
/// What cargo ends with when a test fails, and also when nothing can be built.
const TESTS_FAILED: i32 = 101;
/// The share of lines that some test must run, in per cent.
const GOAL_PERCENT: f64 = 95.0;

#[derive(clap::Args)]
pub struct Options {
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
    /// Judge what the last run counted.
    #[arg(long)]
    no_run: bool,
    /// Name the lines of each file that no test runs.
    #[arg(long)]
    missing: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Report {
    crates: BTreeMap<String, Share>,
    total: Share,
    /// Error variants that no test produces.
    unproduced: Vec<String>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Share {
    covered: usize,
    lines: usize,
    percent: f64,
}

impl Share {
    fn add(&mut self, other: Share) {
        self.covered += other.covered;
        self.lines += other.lines;
        self.percent = 100.0 * self.covered as f64 / self.lines.max(1) as f64;
    }
}

/// Counts and judges; true when the goal is met and every error variant is produced by some test.
pub fn run(repo: &Repo, options: &Options) -> Result<bool, Error> {
    let table = repo.target().join("xtask/coverage.lcov");
    if !options.no_run {
        count(repo, &table)?;
    }
    let files = lcov::product_lines(repo, &read_text(&table)?)?;
    let report = Report {
        crates: CRATES.iter().map(|name| ((*name).to_owned(), share(of_crate(&files, name)))).collect(),
        total: share(files.iter().filter(|(path, _)| CRATES.iter().any(|name| is_of(path, name)))),
        unproduced: variants::unproduced(repo, &files, CRATES)?,
    };
    if options.json {
        let text = serde_json::to_string_pretty(&report).map_err(|e| Error::form("the figures", e))?;
        println!("{text}");
    } else {
        print(&report);
    }
    if options.missing {
        for (path, lines) in &files {
            let missing: Vec<String> = lines.missing().map(|line| line.to_string()).collect();
            if !missing.is_empty() {
                println!("{path}: {}", missing.join(" "));
            }
        }
    }
    Ok(report.total.percent >= GOAL_PERCENT && report.unproduced.is_empty())
}

fn print(report: &Report) {
    let rows = report.crates.iter().map(|(name, share)| (name.as_str(), share));
    for (name, share) in rows.chain([("total", &report.total)]) {
        println!("{name:<8} {:>6} of {:>6} lines  {:>6.2} %", share.covered, share.lines, share.percent);
    }
    match report.unproduced.as_slice() {
        [] => println!("every error variant is produced by some test"),
        missing => println!("no test produces {}", missing.join(", ")),
    }
}

fn is_of(path: &str, name: &str) -> bool {
    path.strip_prefix("crates/")
        .and_then(|rest| rest.strip_prefix(name))
        .is_some_and(|rest| rest.starts_with("/src/"))
}

fn of_crate<'a>(
    files: &'a BTreeMap<String, Lines>,
    name: &'a str,
) -> impl Iterator<Item = (&'a String, &'a Lines)> {
    files.iter().filter(move |(path, _)| is_of(path, name))
}

fn share<'a>(files: impl Iterator<Item = (&'a String, &'a Lines)>) -> Share {
    let mut sum = Share::default();
    for (_, lines) in files {
        sum.add(Share { covered: lines.covered(), lines: lines.len(), percent: 0.0 });
    }
    sum
}

/// Runs the tests with counters and leaves the table of lines.
fn count(repo: &Repo, table: &std::path::Path) -> Result<(), Error> {
    let tool = Tool::obtain(repo)?;
    let log = repo.target().join("xtask/coverage.log");
    crate::error::write_text(&log, "")?;
    let units = CRATES.iter().flat_map(|name| ["--package".to_owned(), format!("uncopy-{name}")]);
    let units: Vec<String> = ["--no-report", "test", "--locked", "--no-fail-fast", "--tests"]
        .map(str::to_owned)
        .into_iter()
        .chain(units)
        .collect();
    let pairs = [
        "--no-report",
        "test",
        "--locked",
        "--no-fail-fast",
        "--package",
        "uncopy-tests",
        "--features",
        "kill-points",
    ];
    let report = ["report", "--lcov", "--output-path"].map(str::to_owned).into_iter();
    let steps: [(&str, Vec<String>); 4] = [
        ("forgetting the last run", vec!["clean".to_owned(), "--workspace".to_owned()]),
        ("running the tests of the crates", units),
        ("running the two-process tests", pairs.map(str::to_owned).into()),
        ("reading the counters", report.chain([table.to_string_lossy().into_owned()]).collect()),
    ];
    for (what, arguments) in steps {
        eprintln!("{what}");
        let mut command = tool.command(repo);
        command.args(arguments);
        let done = watched(command, &log, &mut |elapsed, last| eprintln!("{} s: {last}", elapsed.as_secs()))?;
        match done.code {
            Some(0) => {}
            // What a test ran before it failed was run all the same. That it fails is for `cargo xtask test` to judge.
            Some(TESTS_FAILED) if done.output.contains("test result:") => {
                eprintln!("some tests failed while their lines were counted; see {}", log.display());
            }
            code => {
                let tail = last_lines(&done.output, 40);
                return Err(Error::Command { shown: what.to_owned(), code, tail });
            }
        }
    }
    Ok(())
}

/// cargo-llvm-cov, ours or one that is there.
struct Tool {
    /// Where ours is; searched first.
    programs: PathBuf,
}

impl Tool {
    fn obtain(repo: &Repo) -> Result<Self, Error> {
        let root = repo.join(".cache/cargo-llvm-cov");
        let tool = Self { programs: root.join("bin") };
        let toolchain = std::env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "stable".to_owned());
        let missing =
            |why: String| Error::Missing(format!("llvm-tools cannot be had, needed to read counters: {why}"));
        obtain_component(&toolchain, "llvm-tools").map_err(missing)?;
        let mut version = tool.command(repo);
        version.arg("--version");
        if output_of(version).is_ok() {
            return Ok(tool);
        }
        eprintln!("installing cargo-llvm-cov, needed to count lines");
        let mut install = cargo(repo);
        install.args(["install", "cargo-llvm-cov", "--locked", "--root"]).arg(&root);
        output_of(install)?;
        Ok(tool)
    }

    fn command(&self, repo: &Repo) -> Command {
        let mut command = cargo(repo);
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.programs.clone()).chain(std::env::split_paths(&inherited));
        if let Ok(path) = std::env::join_paths(all) {
            command.env("PATH", path);
        }
        command.arg("llvm-cov");
        command.env("CARGO_TARGET_DIR", repo.target().join("coverage"));
        // Counters in files that are mapped: %c. Eight files are shared by all processes of a program: %8m.
        command.env("RUSTFLAGS", "-Cllvm-args=-runtime-counter-relocation");
        command.env("LLVM_PROFILE_FILE_NAME", "uncopy-%8m%c.profraw");
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_one_crate_and_its_tests_to_none() {
        assert!(is_of("crates/os/src/map/mod.rs", "os"));
        assert!(!is_of("crates/os/tests/system/main.rs", "os"));
        assert!(!is_of("crates/core/src/lib.rs", "co"));
    }

    #[test]
    fn shares_are_of_the_sum_of_lines_and_not_of_files() {
        let mut sum = Share::default();
        sum.add(Share { covered: 1, lines: 1, percent: 0.0 });
        sum.add(Share { covered: 1, lines: 3, percent: 0.0 });
        assert_eq!((sum.covered, sum.lines, sum.percent), (2, 4, 50.0));
    }
}
