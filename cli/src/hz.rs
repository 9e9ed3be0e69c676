// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy hz`: how often links publish and how regularly, seen without taking part.

use std::time::{Duration, Instant};

use serde::Serialize;
use uncopy::ErrorKind;
use uncopy::os::{RuntimeDir, monotonic_nanos};

use crate::console::Redrawn;
use crate::error::CliError;
use crate::host::Session;
use crate::recv::seconds;
use crate::rhythm::IntervalReport;
use crate::units;

mod watched;

use watched::{Standing, Watched};

/// Waiting between two looks, at least and at most. The slower a link, the longer its frames can be seen.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));

const EXAMPLES: &str = "\
Examples:
  uncopy hz camera                          until Ctrl-C
  uncopy hz left right --every 5            two links, a report every five seconds
  uncopy hz camera --duration 10 --json     for a script: one JSON object a line, the last one sums up

FPS counts every frame by its number. Intervals are those between frames that were both seen: of a link that is faster \
than this command, some frames' times are overwritten before it looks. A producer that starts again is followed; when \
there has been none for long, the exit code is 3 (never one) or 7 (gone).";

/// Measure how often links publish
///
/// Frames each second and the time between frames, over a moving window. Looking takes no place in a link and holds no
/// frame, so it changes nothing of what it measures.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Names of links
    #[arg(required = true, value_name = "NAME", add = crate::completions::link_names())]
    names: Vec<String>,
    /// Time between two reports
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds, default_value = "1")]
    every: Duration,
    /// Measure over the last so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds, default_value = "2")]
    window: Duration,
    /// Stop after this many reports
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Stop after this long
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    duration: Option<Duration>,
    /// Give up after this long without a producer of any of the links
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    timeout: Duration,
    /// Print one JSON object a line for each report, and one that sums up
    #[arg(long)]
    json: bool,
}

/// Reads a number of seconds that is not zero.
pub(crate) fn positive_seconds(text: &str) -> Result<Duration, String> {
    let duration = seconds(text)?;
    if duration.is_zero() { Err("a number of seconds above 0".to_owned()) } else { Ok(duration) }
}

/// One line of `--json`.
#[derive(Serialize)]
struct Report<'n> {
    /// `report`, or `summary` for the last line.
    kind: &'static str,
    /// Since the command began to look.
    seconds: f64,
    links: Vec<LinkRate<'n>>,
}

#[derive(Serialize)]
struct LinkRate<'n> {
    name: &'n str,
    /// `answering`, `silent`, `refused`, `asked` or `absent`.
    state: &'static str,
    /// Of the window in a report, of the whole time in the summary.
    fps: Option<f64>,
    interval_nanos: Option<IntervalReport>,
    /// Since the command began to look.
    frames: u64,
    dropped: u64,
    restarts: u64,
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let dir = RuntimeDir::open()?;
    let mut links: Vec<Watched> = options
        .names
        .iter()
        .map(|name| Watched::new(&dir, name, options.window))
        .collect::<Result<_, _>>()?;
    let begun = Instant::now();
    let ended = watch(options, &mut links, begun, session);
    let told = match &ended {
        Err(CliError::OutputClosed) => Ok(()),
        _ if links.iter().all(|link| link.frames() == 0) && ended.is_err() && !options.json => Ok(()),
        _ => sum_up(options, &links, begun, session),
    };
    ended.and(told)
}

/// Looks and reports until the user, the clock or the count ends it.
fn watch(
    options: &Options,
    links: &mut [Watched],
    begun: Instant,
    session: &Session<'_>,
) -> Result<(), CliError> {
    let ends = options.duration.map(|duration| begun + duration);
    let mut present = begun;
    let (mut reports, mut due) = (0, begun + options.every);
    let mut drawn = Redrawn::default();
    loop {
        session.check()?;
        links.iter_mut().for_each(Watched::look);
        let now = Instant::now();
        if links.iter().any(|link| link.standing().is_there()) {
            present = now;
        } else if now.duration_since(present) >= options.timeout {
            return Err(nobody(links, options.timeout));
        }
        // The last report comes with the end, and not just before it.
        if now >= due || ends.is_some_and(|ends| now >= ends) {
            report(options, links, begun, &mut drawn, session)?;
            reports += 1;
            due = (due + options.every).max(now);
        }
        if options.count.is_some_and(|count| reports >= count) || ends.is_some_and(|ends| now >= ends) {
            return Ok(());
        }
        let pause = links.iter().map(Watched::patience).min().unwrap_or(LOOK_EVERY.1);
        let until = [Some(due), ends].into_iter().flatten().min().unwrap_or(due);
        std::thread::sleep(
            pause.clamp(LOOK_EVERY.0, LOOK_EVERY.1).min(until.saturating_duration_since(Instant::now())),
        );
    }
}

/// Why there is nothing to measure.
fn nobody(links: &[Watched], waited: Duration) -> CliError {
    let Some(link) = links.first() else { return CliError::usage("no link is named") };
    let name = link.name();
    match link.standing() {
        Standing::Silent => CliError::said(
            ErrorKind::TimedOut,
            format!("the producer of '{name}' does not answer; is it stopped, or very busy?"),
        ),
        Standing::Refused(why) => {
            CliError::said(ErrorKind::CorruptLink, format!("'{name}' can't be read: {why}"))
        }
        _ if link.was_seen() => CliError::said(
            ErrorKind::ProducerLost,
            format!(
                "the producer of '{name}' is gone for {} and no other has taken the name; start one, or wait longer",
                units::time(waited)
            ),
        ),
        _ => match uncopy::info(name) {
            Err(error) => error.into(),
            Ok(_) => CliError::said(ErrorKind::TimedOut, format!("'{name}' appeared only now; try again")),
        },
    }
}

fn report(
    options: &Options,
    links: &[Watched],
    begun: Instant,
    drawn: &mut Redrawn,
    session: &Session<'_>,
) -> Result<(), CliError> {
    let now = monotonic_nanos();
    if options.json {
        let rates = links.iter().map(|link| LinkRate {
            fps: link.fps(now),
            interval_nanos: link.intervals(),
            ..link.totals()
        });
        let seconds = begun.elapsed().as_secs_f64();
        return session.console.json_line(&Report { kind: "report", seconds, links: rates.collect() });
    }
    let width = links.iter().map(|link| link.name().len()).max().unwrap_or(0);
    let lines: Vec<String> = links
        .iter()
        .map(|link| {
            let rate = link.trouble().unwrap_or_else(|| in_words(link.fps(now), link.intervals()));
            let restarts = match link.restarts() {
                0 => String::new(),
                number => format!("  {}", units::count(number, "restart")),
            };
            format!("{:<width$}  {rate}{restarts}", link.name())
        })
        .collect();
    session.console.redraw(drawn, &lines)
}

fn sum_up(
    options: &Options,
    links: &[Watched],
    begun: Instant,
    session: &Session<'_>,
) -> Result<(), CliError> {
    let seconds = begun.elapsed().as_secs_f64();
    if options.json {
        let rates = links.iter().map(Watched::totals).collect();
        return session.console.json_line(&Report { kind: "summary", seconds, links: rates });
    }
    let elapsed = units::time(begun.elapsed());
    for link in links {
        let total = link.totals();
        session.console.line(format_args!(
            "{}: {} in {elapsed}, {}; dropped {}, {}",
            link.name(),
            units::count(total.frames, "frame"),
            in_words(total.fps, total.interval_nanos),
            total.dropped,
            units::count(total.restarts, "restart"),
        ))?;
    }
    Ok(())
}

/// `29.97 fps, every 33.37 ms (min 33.01 ms, max 33.80 ms, std 110 µs)`.
fn in_words(fps: Option<f64>, intervals: Option<IntervalReport>) -> String {
    let fps = fps.map_or_else(|| "no rate yet".to_owned(), |fps| format!("{} fps", units::rate(fps)));
    let Some(seen) = intervals else { return fps };
    let [mean, min, max, std] = [seen.mean, seen.min, seen.max, seen.std].map(units::fine_nanos);
    format!("{fps}, every {mean} (min {min}, max {max}, std {std})")
}
