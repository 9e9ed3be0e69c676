// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy bench`: what links cost on this machine, in a few seconds and between two real processes.
//!
//! For users who want to know what to expect. The project's own measurements, with references, rounds and goals, are in
//! `bench/`; this one takes what can be measured without preparation and says so.
//!
//! | module | is |
//! |---|---|
//! | `handover` | a frame from one process to the other, which spins or sleeps |
//! | `copying` | `send` against a plain copy of the same bytes |
//! | `peer` | the other process |
//! | `plot` | how often a hand-over took how long, as text |

use serde::Serialize;

use crate::console::Style;
use crate::error::CliError;
use crate::host::Session;
use crate::table::{Cell, Column, Table};
use crate::tally::Latency;
use crate::units;

mod copying;
mod handover;
mod peer;
mod plot;

pub(crate) use peer::{PeerOptions, play as play_peer};

const EXAMPLES: &str = "\
Examples:
  uncopy bench
  uncopy bench --json | jq '.figures[] | {name, p50_nanos}'

A hand-over is from just before a frame is published until the other process holds it; spinning, it is half a round trip. \
A reader that sleeps has to be woken by the kernel, the more slowly the deeper the processor sleeps. Figures of a busy \
machine are worse than they could be.";

/// Measure what links cost on this machine
///
/// Takes a few seconds and starts a second process: how long a frame takes from one to the other, what publishing
/// costs, and how sending a picture compares with copying it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One measured distribution.
pub(super) struct Figure {
    pub name: &'static str,
    pub title: &'static str,
    pub times: Latency,
    /// What was moved each time, where that is the point.
    pub len_bytes: Option<u64>,
}

#[derive(Serialize)]
struct FigureReport {
    name: &'static str,
    title: &'static str,
    samples: u64,
    /// Absent, as the others, where there is no sample.
    p50_nanos: Option<u64>,
    p99_nanos: Option<u64>,
    max_nanos: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
}

impl Machine {
    fn of_this_process() -> Self {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
        Self {
            cpu: model.unwrap_or("unknown processor").trim().to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    }
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let machine = Machine::of_this_process();
    warn(&machine, session);
    let mut figures = handover::measure(session)?;
    figures.extend(copying::measure(session)?);
    let reports: Vec<FigureReport> = figures.iter().map(FigureReport::of).collect();
    if options.json {
        return session.console.json(&serde_json::json!({
            "uncopy": env!("CARGO_PKG_VERSION"), "machine": machine, "figures": reports,
            "send_to_copy": ratio(&reports),
        }));
    }
    let console = &session.console;
    let title = format!(
        "uncopy {} on {}, {} cores, Linux {}",
        env!("CARGO_PKG_VERSION"),
        machine.cpu,
        machine.cores,
        machine.kernel
    );
    console.line(console.painted(Style::Dim, &title.replace(char::is_control, "?")))?;
    console.line("")?;
    console.table(&table(&reports))?;
    if let Some(ratio) = ratio(&reports) {
        console.line(format_args!("\na send takes as long as {ratio:.2} plain copies of the same bytes"))?;
    }
    console.line("")?;
    console.line("hand-over, how often how long:")?;
    plot::lines(&figures).into_iter().try_for_each(|line| console.line(line))
}

/// What makes the figures worse than they could be.
fn warn(machine: &Machine, session: &Session<'_>) {
    if cfg!(debug_assertions) {
        session.console.note("this is a debug build of uncopy: the figures say nothing about it");
    }
    if machine.cores < 2 {
        session.console.note("two processes share one core: whoever waits keeps the other from working");
    }
}

impl FigureReport {
    fn of(figure: &Figure) -> Self {
        let times = figure.times.report();
        Self {
            name: figure.name,
            title: figure.title,
            samples: figure.times.count(),
            p50_nanos: times.as_ref().map(|times| times.p50),
            p99_nanos: times.as_ref().map(|times| times.p99),
            max_nanos: times.as_ref().map(|times| times.max),
            bytes: figure.len_bytes,
        }
    }
}

/// How long a send takes, in copies.
fn ratio(figures: &[FigureReport]) -> Option<f64> {
    let median = |name| Some(figures.iter().find(|figure| figure.name == name)?.p50_nanos? as f64);
    Some(median(copying::SEND)? / median(copying::COPY)?)
}

fn table(figures: &[FigureReport]) -> Table {
    let mut table = Table::new([
        Column::left("MEASURED"),
        Column::right("MEDIAN"),
        Column::right("p99"),
        Column::right("MAX"),
        Column::right("SAMPLES"),
        Column::right("GB/s"),
    ]);
    for figure in figures {
        let time = |nanos: Option<u64>| nanos.map_or_else(|| "-".to_owned(), units::nanos);
        let speed = |bytes: u64| Some(format!("{:.1}", bytes as f64 / figure.p50_nanos?.max(1) as f64));
        table.row([
            figure.title.into(),
            Cell::styled(Style::Bold, time(figure.p50_nanos)),
            time(figure.p99_nanos).into(),
            time(figure.max_nanos).into(),
            figure.samples.into(),
            figure.bytes.and_then(speed).unwrap_or_default().into(),
        ]);
    }
    table
}
