// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames on a GPU, between two processes in lockstep: the rows that are held against the floors of `bench/gpu`.
//!
//! `uncopy-bench gpu` prints them as JSON, as `bench/gpu/README.md` describes. The consumer is this program again; both
//! play the same steps, one after the other. What is timed begins before the producer's call and ends when the consumer
//! can use the frame, as in the floors.

mod card;
mod consumer;
mod deaths;
mod frames;
mod parts;
mod places;
mod producer;
mod report;
mod steps;

use clap::Args;

use crate::failure::Failure;
pub use consumer::play as play_side;
pub use deaths::{Options as DeathsOptions, holder, measure as measure_deaths, mortal, waiter};
pub use frames::{
    Options as FramesOptions, Soak as SoakOptions, measure as measure_frames, play as play_frames, soak,
};
pub use parts::measure as measure_parts;

/// How much to measure.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Only these sizes, such as `1080p_f32`, separated by commas.
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<String>,
    /// Only these rows, such as `send_known`, separated by commas.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Frames of each row.
    #[arg(long, default_value_t = 400)]
    frames: usize,
    /// Frames of each row that comes sixty times a second.
    #[arg(long, default_value_t = 720)]
    paced_frames: usize,
}

/// Measures, and prints the rows.
///
/// # Errors
/// There is no GPU, or one of the processes failed.
pub fn measure(options: &Options) -> Result<(), Failure> {
    let steps = steps::chosen(&options.rows, &options.sizes)?;
    let mut report = report::Report::default();
    producer::measure(&steps, options, &mut report)?;
    report.print()
}
