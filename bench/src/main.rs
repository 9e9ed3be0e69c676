// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measurements of uncopy against its references, one topic at a time, printed as JSON.
//!
//! `cargo xtask bench` builds this program, runs it and the scripts in `bench/python`, and keeps the results;
//! `goals.toml` says which of the figures have a goal. A measurement between processes starts this program a second
//! time as its other side.
//!
//! ```text
//! uncopy-bench measure latency --quick
//! ```
//!
//! Each figure is measured three times, ours and its reference in turns within each. No process is pinned to a core.

#![deny(unsafe_code)]

#[cfg(feature = "cuda")]
mod gpu;
mod topics;

use clap::{Parser, Subcommand};
use failure::Failure;
use run::Run;
use std::process::ExitCode;
use topics::{Role, Topic};
// The topics name these as their own.
use uncopy_bench::{bare, clock, failure, figure, paced as pace, run, side, trips};

/// Measures uncopy against its references.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure one topic and print its figures as JSON.
    Measure {
        /// What to measure.
        topic: Topic,
        #[command(flatten)]
        options: run::Options,
    },
    /// Measure frames on a GPU and print the rows as JSON.
    #[cfg(feature = "cuda")]
    Gpu(gpu::Options),
    /// Send many frames that kernels make and check, and print how many were not right as JSON.
    #[cfg(feature = "cuda")]
    GpuFrames(gpu::FramesOptions),
    /// The same for some minutes; fails where a frame was not right.
    #[cfg(feature = "cuda")]
    GpuSoak(gpu::SoakOptions),
    /// Kill processes with work on a GPU under way and print when who is left knew as JSON.
    #[cfg(feature = "cuda")]
    GpuDeaths(gpu::DeathsOptions),
    /// Time the parts of the producer's call on a GPU.
    #[cfg(feature = "cuda")]
    #[command(hide = true)]
    GpuParts,
    /// Be the other process of a measurement.
    #[command(hide = true)]
    Side {
        /// Which measurement, and which part in it.
        role: Role,
        /// What the measuring process tells it.
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Measure { topic, options } => measure(topic, options),
        #[cfg(feature = "cuda")]
        Command::Gpu(options) => gpu::measure(&options),
        #[cfg(feature = "cuda")]
        Command::GpuFrames(options) => gpu::measure_frames(&options),
        #[cfg(feature = "cuda")]
        Command::GpuSoak(options) => gpu::soak(&options),
        #[cfg(feature = "cuda")]
        Command::GpuDeaths(options) => gpu::measure_deaths(&options),
        #[cfg(feature = "cuda")]
        Command::GpuParts => gpu::measure_parts(),
        Command::Side { role, arguments } => role.play(&side::Arguments::new(arguments)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(topic: Topic, options: run::Options) -> Result<(), Failure> {
    let run = Run::new(options)?;
    let figures = topic.measure(&run)?;
    let text = serde_json::to_string(&figures).map_err(|error| Failure::Output(error.to_string()))?;
    println!("{text}");
    Ok(())
}
