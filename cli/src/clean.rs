// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy clean`: what dead producers left in the runtime directory, removed by name and with reasons.

use serde::Serialize;
use uncopy::os::RuntimeDir;
use uncopy::{Cleaning, Fate, RuntimeFiles};

use crate::console::Style;
use crate::error::CliError;
use crate::host::Session;
use crate::units;

const EXAMPLES: &str = "\
Examples:
  uncopy clean --dry-run      what would be removed
  uncopy clean
  uncopy clean --json | jq '.left[] | select(.why != \"in_use\")'

It is never needed: whoever lists or subscribes removes what it finds, and so does the next producer of the name. Files \
of a name are removed only while its lock is held, so that a producer that is just starting is never disturbed.";

/// Remove what dead producers left behind
///
/// Removes the sockets and locks of producers that are dead, and says for every other file in the directory why it
/// stays.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Also remove the errors that are kept of links that nobody publishes
    #[arg(long)]
    errors: bool,
    /// Remove nothing, only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Files that stay, as `--json` prints them.
#[derive(Serialize)]
struct Left<'f> {
    /// `null` for files of no link.
    name: Option<&'f str>,
    files: &'f [String],
    /// `in_use`, `listening`, `errors`, `foreign` or `failed`.
    why: &'static str,
    pid: Option<i32>,
    detail: String,
}

#[derive(Serialize)]
struct Removed<'f> {
    name: Option<&'f str>,
    files: &'f [String],
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let dir = RuntimeDir::open()?;
    let found = uncopy::clean_in(&dir, Cleaning { dry_run: options.dry_run, errors: options.errors })?;
    let removed: Vec<Removed<'_>> = found.iter().filter_map(removed).collect();
    let left: Vec<Left<'_>> = found.iter().filter_map(left).collect();
    if options.json {
        session.console.json(&serde_json::json!({
            "directory": dir.path(), "dry_run": options.dry_run, "removed": removed, "left": left,
        }))?;
    } else {
        tell(options, &removed, &left, session)?;
        session.console.line(format_args!(
            "{} in {}",
            in_words(options, &removed, &left),
            dir.path().display()
        ))?;
    }
    // The first failure is the run's; the others are told above.
    let failure = found.into_iter().find_map(|files| match files.fate {
        Fate::Failed(error) => Some(error),
        _ => None,
    });
    failure.map_or(Ok(()), |error| Err(error.into()))
}

fn removed(files: &RuntimeFiles) -> Option<Removed<'_>> {
    matches!(files.fate, Fate::Removed).then(|| Removed { name: files.name.as_deref(), files: &files.files })
}

fn left(files: &RuntimeFiles) -> Option<Left<'_>> {
    let (why, pid, detail) = match &files.fate {
        Fate::Removed => return None,
        Fate::InUse { pid: 0, .. } => ("in_use", None, "a live producer has the name".to_owned()),
        Fate::InUse { pid, command } => {
            ("in_use", Some(*pid), format!("its producer lives: process {pid} ({command})"))
        }
        Fate::Listening { pid } => {
            let who = if *pid == 0 { "somebody".to_owned() } else { format!("process {pid}") };
            let detail =
                format!("{who} listens, though nobody has the lock: the lock file was removed meanwhile");
            ("listening", Some(*pid).filter(|pid| *pid != 0), detail)
        }
        Fate::Errors => (
            "errors",
            None,
            "errors that are kept to be read (uncopy info); --errors removes those of dead links".to_owned(),
        ),
        Fate::Foreign => ("foreign", None, "no file of a link".to_owned()),
        Fate::Failed(error) => ("failed", None, error.to_string()),
    };
    Some(Left { name: files.name.as_deref(), files: &files.files, why, pid, detail })
}

fn tell(
    options: &Options,
    removed: &[Removed<'_>],
    left: &[Left<'_>],
    session: &Session<'_>,
) -> Result<(), CliError> {
    let console = &session.console;
    let word = if options.dry_run { "would remove" } else { "removed" };
    for Removed { files, .. } in removed {
        let word = console.painted(Style::Good, &format!("{word:<12}"));
        console.line(format_args!("{word}  {}", shown(files)))?;
    }
    for Left { files, why, detail, .. } in left {
        let style = if *why == "failed" { Style::Bad } else { Style::Dim };
        let word = console.painted(style, &format!("{:<12}", "left"));
        console.line(format_args!("{word}  {}: {}", shown(files), detail.replace(char::is_control, "?")))?;
    }
    Ok(())
}

fn shown(files: &[String]) -> String {
    files.join(", ").replace(char::is_control, "?")
}

fn in_words(options: &Options, removed: &[Removed<'_>], left: &[Left<'_>]) -> String {
    let files = |counts: &mut dyn Iterator<Item = usize>| units::count(counts.sum::<usize>() as u64, "file");
    let removed = files(&mut removed.iter().map(|group| group.files.len()));
    let left = files(&mut left.iter().map(|group| group.files.len()));
    let word = if options.dry_run { "would be removed" } else { "removed" };
    format!("{removed} {word}, {left} left")
}
