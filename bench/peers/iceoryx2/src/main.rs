// SPDX-License-Identifier: MIT OR Apache-2.0
//! uncopy and iceoryx2, measured in turns by the same two processes. `cargo xtask bench iceoryx2` builds and runs it;
//! README.md says what is compared and how.
//!
//! ```text
//! uncopy-bench-iceoryx2 measure iceoryx2 --quick
//! ```

#![deny(unsafe_code)]

mod asleep;
mod busy;
mod cost;
mod ends;
mod ours;
mod theirs;

use clap::{Parser, Subcommand, ValueEnum};
use std::process::ExitCode;
use uncopy_bench::{
    failure::Failure,
    run::{self, Run},
    side::Arguments,
};

/// Measures uncopy against iceoryx2.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure and print the figures as JSON.
    Measure {
        /// What to measure.
        topic: Topic,
        #[command(flatten)]
        options: run::Options,
    },
    /// Be the other process of a measurement.
    #[command(hide = true)]
    Side {
        /// Which measurement.
        role: Role,
        /// What the measuring process tells it.
        arguments: Vec<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Topic {
    /// All of it.
    Iceoryx2,
}

/// The part of an other process.
#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Answers each ping with a pong.
    Pong,
    /// Sleeps until each signal, and says how late it woke.
    Sleeper,
    /// Subscribes and receives nothing.
    Bystander,
}

fn main() -> ExitCode {
    iceoryx2::prelude::set_log_level(iceoryx2::prelude::LogLevel::Error);
    let done = match Cli::parse().command {
        Command::Measure { topic: Topic::Iceoryx2, options } => measure(options),
        Command::Side { role, arguments } => {
            let arguments = Arguments::new(arguments);
            match role {
                Role::Pong => busy::pong(&arguments),
                Role::Sleeper => asleep::sleeper(&arguments),
                Role::Bystander => cost::bystander(&arguments),
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: run::Options) -> Result<(), Failure> {
    let run = Run::new(options)?;
    let mut figures = busy::measure(&run)?;
    figures.extend(asleep::measure(&run)?);
    figures.extend(cost::measure(&run)?);
    let text = serde_json::to_string(&figures).map_err(|error| Failure::Output(error.to_string()))?;
    println!("{text}");
    Ok(())
}
