// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tasks of the repository, each called as `cargo xtask TASK`.
//!
//! A task returns whether all was well; the exit code is 0 when it was, else 1. A new task is one variant
//! of `Task` and one line in `run`.

#![forbid(unsafe_code)]

mod bench;
mod capi;
mod chaos;
mod coverage;
mod debian;
mod demo;
mod env;
mod error;
mod figures;
mod fuzz;
mod git;
mod gpu;
mod layers;
mod process;
mod repo;
mod standin;
mod test;
mod toolchain;
mod tools;
mod wheel;

use clap::{Parser, Subcommand};
use error::Error;
use repo::Repo;
use std::process::ExitCode;

/// Tasks of the uncopy repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run everything that can be tested without a GPU.
    Test(test::Options),
    /// Run all that a change must pass: formatting, lints, layers and every test.
    Ci,
    /// Check the rules between the crates that a machine can check.
    Layers,
    /// Send a real video to three processes and check every frame.
    Demo(demo::Options),
    /// Kill, stop and restart real producers and consumers at random, while every frame is checked.
    Chaos(chaos::Options),
    /// Build the stand-in for NVIDIA's driver into target/standin/.
    Standin,
    /// Build libuncopy, for C and C++, and install it with its headers and its CMake package.
    Capi(capi::Options),
    /// Build the Python wheel into dist/.
    Wheel,
    /// Make the Python environment .venv with these groups of packages (all when none is named).
    Env { groups: Vec<env::Group> },
    /// Feed what reads strangers' bytes with libFuzzer, on a nightly toolchain.
    Fuzz(fuzz::Options),
    /// Count which lines and error variants of core, tensor, os and link some test runs.
    Coverage(coverage::Options),
    /// Measure ours beside the references and keep the results in bench/results.
    Bench(bench::Options),
    /// Compare the results with the goals, and draw them.
    Figures(figures::Options),
    /// Pack GPU tests and measurements into target/gpu, for a machine with a GPU and without Rust.
    GpuBundle(gpu::BundleOptions),
    /// Keep in bench/results what the bundle's run.sh measured.
    GpuResults(gpu::ResultsOptions),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<bool, Error> {
    let repo = Repo::this();
    match task {
        Task::Test(options) => test::run(&repo, &options),
        // Formatting, lints and layers are parts of the tests.
        Task::Ci => test::run(&repo, &test::Options::default()),
        Task::Layers => layers::run(&repo),
        Task::Demo(options) => demo::run(&repo, &options),
        Task::Chaos(options) => chaos::run(&repo, &options),
        Task::Standin => standin::run(&repo),
        Task::Capi(options) => capi::run(&repo, &options),
        Task::Wheel => wheel::run(&repo),
        Task::Env { groups } => env::run(&repo, &groups),
        Task::Fuzz(options) => fuzz::run(&repo, &options),
        Task::Coverage(options) => coverage::run(&repo, &options),
        Task::Bench(options) => bench::run(&repo, &options),
        Task::Figures(options) => figures::run(&repo, &options),
        Task::GpuBundle(options) => gpu::bundle(&repo, &options),
        Task::GpuResults(options) => gpu::import(&repo, &options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
