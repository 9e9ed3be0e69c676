// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy recv`: receive frames; keep them, hand them on, or only look at how they come.

use std::path::PathBuf;
use std::time::Duration;

use uncopy::Where;

use crate::console::Style;
use crate::error::CliError;
use crate::gpu::{OnHost, Seen};
use crate::host::Session;
use crate::report::CopyReport;
use crate::tally::Tally;
use crate::units;

mod png_files;
mod raw;
mod reception;

use png_files::PngFiles;
use raw::RawOutput;
pub(crate) use reception::Reception;

const EXAMPLES: &str = "\
Examples:
  uncopy recv camera                              statistics until Ctrl-C
  uncopy recv camera --frames 100 --json          the same over 100 frames, for a script
  uncopy recv camera --png frame.png              one frame
  uncopy recv camera --png frames/ --frames 10    ten frames, named by their numbers
  uncopy recv camera --raw | ffplay -f rawvideo -pixel_format rgb24 -video_size 1280x720 -

Frames that come with a checksum (send --crc) are checked. Missed frames are those that were published between two \
that were received: reading the newest frame skips what the reader had no time for. When the producer goes away, the \
next one of the name is waited for; if none comes in time, the exit code is 7 (0 with --until-closed).";

/// Receive frames: statistics, PNG files or raw bytes
///
/// Without --png or --raw it only looks: how many frames, how fast, how late, copied how often, and whole or torn.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Name of the link
    #[arg(add = crate::completions::link_names())]
    name: String,
    /// Write PNG: one frame into a file that ends in .png, or each frame into a directory
    #[arg(long, value_name = "FILE|DIR", conflicts_with = "raw")]
    png: Option<PathBuf>,
    /// Write the bytes of the frames to standard output, packed, one after the other
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// With --png: write floating point samples from 0 to 1 as 8-bit tones, linearly
    #[arg(long, requires = "png")]
    tone: bool,
    /// Stop after this many frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    frames: Option<u64>,
    /// Give up after this long without a producer (5 seconds unless told) or without a new frame (never unless told)
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    timeout: Option<Duration>,
    /// Which frames: the newest, or each one in order
    #[arg(long, value_enum, default_value = "latest")]
    read: Which,
    /// Where to receive frames that lie on a GPU and have a mirror in host memory
    #[arg(long, value_enum, default_value = "nearest")]
    on: Side,
    /// Stop, and count it as success, as soon as the producer closes the link
    #[arg(long)]
    until_closed: bool,
    /// Print the statistics as JSON
    #[arg(long)]
    json: bool,
}

/// Which frames to receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Which {
    Latest,
    Every,
}

/// Where frames on a GPU are received.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Side {
    /// On the GPU where this process can use it, else in the mirror
    Nearest,
    /// In the mirror
    Host,
}

impl Side {
    fn place(self) -> Where {
        match self {
            Self::Nearest => Where::Nearest,
            Self::Host => Where::Host,
        }
    }
}

/// Reads a number of seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "a number of seconds, such as 2.5".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|_| "a number of seconds from 0 up".to_owned())
}

/// What becomes of the frames.
enum Sink {
    Nothing,
    Png(PngFiles),
    Raw(RawOutput),
}

impl Sink {
    fn of(options: &Options) -> Result<Self, CliError> {
        Ok(match &options.png {
            Some(path) => Self::Png(PngFiles::new(path, &options.name, options.frames, options.tone)?),
            None if options.raw => Self::Raw(RawOutput::default()),
            None => Self::Nothing,
        })
    }

    /// How many frames it takes at most.
    fn limit(&self, asked: Option<u64>) -> u64 {
        match self {
            Self::Png(files) if files.is_one() => 1,
            _ => asked.unwrap_or(u64::MAX),
        }
    }

    fn take(&mut self, seen: &mut Seen<'_>, session: &Session<'_>) -> Result<(), CliError> {
        match self {
            Self::Nothing => Ok(()),
            Self::Png(files) => files.take(seen),
            Self::Raw(output) => output.take(seen, session),
        }
    }
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let mut sink = Sink::of(options)?;
    let mut tally = Tally::default();
    let received = receive(options, &mut sink, &mut tally, session);
    // What was received until something ended it is worth knowing, whatever ended it; the ending itself comes after.
    let told = match &received {
        Err(CliError::OutputClosed) => Ok(()),
        _ if tally.frames == 0 && received.is_err() && !options.json => Ok(()),
        _ => tell(options, &sink, &tally, session),
    };
    received.and(told).and_then(|()| judge(&options.name, &tally))
}

fn receive(
    options: &Options,
    sink: &mut Sink,
    tally: &mut Tally,
    session: &Session<'_>,
) -> Result<(), CliError> {
    let mut reception = Reception::open(
        &options.name,
        options.read,
        options.on.place(),
        options.timeout,
        options.until_closed,
        session,
    )?;
    let mut on_host = OnHost::new(session);
    let limit = sink.limit(options.frames);
    let known = (limit != u64::MAX).then_some(limit);
    let progress = session.console.progress(&format!("receiving {}", options.name), known);
    while tally.frames < limit {
        let Some(frame) = reception.next()? else { return Ok(()) };
        let mut seen = on_host.see(&frame);
        tally.take(&mut seen)?;
        sink.take(&mut seen, session)?;
        tally.let_go(&seen);
        progress.show(tally.frames, || {
            let p50 = tally.latency.quantile(0.5).unwrap_or_default();
            let fps = tally.fps().unwrap_or_default();
            format!("{} fps, {} missed, latency {}", units::rate(fps), tally.missed, units::nanos(p50))
        });
    }
    Ok(())
}

fn tell(options: &Options, sink: &Sink, tally: &Tally, session: &Session<'_>) -> Result<(), CliError> {
    let console = &session.console;
    if options.json {
        return console.json(&tally.report());
    }
    if let Sink::Raw(_) = sink {
        lines(tally).into_iter().for_each(|(what, text)| console.say(format_args!("{what:<10} {text}")));
        return Ok(());
    }
    for (what, text) in lines(tally) {
        console.line(format_args!("{} {text}", console.painted(Style::Dim, &format!("{what:<10}"))))?;
    }
    match sink {
        Sink::Png(files) => console.line(format_args!("{:<10} {}", "written", files.written())),
        _ => Ok(()),
    }
}

fn lines(tally: &Tally) -> Vec<(&'static str, String)> {
    let rate = tally.fps().map(|fps| format!(" in {} ({} fps)", units::time(tally.span()), units::rate(fps)));
    let frames = units::count(tally.frames, "frame");
    let mut lines =
        vec![("received", format!("{frames}{}, missed {}", rate.unwrap_or_default(), tally.missed))];
    if let Some(form) = tally.form {
        let on = tally.device.filter(|device| !device.is_host_accessible());
        lines.push(("form", format!("{form}{}", on.map_or_else(String::new, |on| format!(" on {on}")))));
    }
    if let Some(latency) = tally.latency.report() {
        let (p50, p99) = (units::nanos(latency.p50), units::nanos(latency.p99));
        lines.push(("latency", format!("p50 {p50}, p99 {p99} from published to received")));
    }
    if tally.frames > 0 {
        lines.push(("copies", copies_in_words(&tally.copies())));
        let own = tally.own_copies();
        if !own.is_empty() {
            lines.push(("copied", format!("{}, to look at them here", brought_in_words(&own))));
        }
        lines.push(("checksums", checksums_in_words(tally)));
    }
    lines
}

/// `none`, or each reason with how often and how much.
pub(crate) fn copies_in_words(copies: &[CopyReport]) -> String {
    if copies.is_empty() {
        return "none".to_owned();
    }
    let each = |copy: &CopyReport| {
        format!("{} in {} ({})", copy.why, units::count(copy.frames, "frame"), units::size(copy.bytes))
    };
    copies.iter().map(each).collect::<Vec<_>>().join("; ")
}

/// `3 frames (11 MB) from cuda:0 to cpu`.
pub(crate) fn brought_in_words(copies: &[CopyReport]) -> String {
    let each = |copy: &CopyReport| {
        let (frames, size) = (units::count(copy.frames, "frame"), units::size(copy.bytes));
        format!("{frames} ({size}) from {} to {}", copy.from, copy.to)
    };
    copies.iter().map(each).collect::<Vec<_>>().join("; ")
}

fn checksums_in_words(tally: &Tally) -> String {
    match tally.checked {
        0 => "the frames came with none (send --crc adds them)".to_owned(),
        checked => format!("{checked} checked, {} torn", tally.torn),
    }
}

/// An error if a frame was torn.
fn judge(name: &str, tally: &Tally) -> Result<(), CliError> {
    if tally.torn == 0 {
        return Ok(());
    }
    let numbers: Vec<String> = tally.torn_frames.iter().map(u64::to_string).collect();
    let more = if tally.torn > tally.torn_frames.len() as u64 { " and more" } else { "" };
    Err(CliError::ChecksFailed(format!(
        "{} of '{name}' torn (number {}{more}): the bytes received are not those whose checksum was sent",
        if tally.torn == 1 { "1 frame is".to_owned() } else { format!("{} frames are", tally.torn) },
        numbers.join(", ")
    )))
}
