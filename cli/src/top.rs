// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy top`: all links of this user, live, on one screen.
//!
//! | module | is |
//! |---|---|
//! | `watch` | the links, looked at again and again |
//! | `view` | what was seen at one moment; what `--json` prints |
//! | `plain` | a view as a plain table |
//! | `choices` | what the user has chosen by keys: the selected link, the order, a pause |
//! | `screen`, `detail` | a view on the terminal |
//! | `terminal` | the terminal, given back as it was however the command ends |

use std::time::{Duration, Instant};

use uncopy::os::RuntimeDir;

use crate::error::CliError;
use crate::host::{SLICE, Session};
use crate::hz::positive_seconds;

mod choices;
mod detail;
mod plain;
mod screen;
mod terminal;
mod view;
mod watch;

use choices::{Choices, Order, Wish};
use terminal::Screen;
use watch::Watch;

const EXAMPLES: &str = "\
Examples:
  uncopy top
  uncopy top --sort dropped --every 0.5
  uncopy top --once                     one plain table
  uncopy top --json | jq -c '.links[] | {name, fps}'

Keys: q quits, arrows select a link, s changes the order, p pauses.

FPS is of the last seconds. HELD is how many slots consumers hold, of all. Looking takes no place in a link and holds no \
frame. A link whose producer has gone is shown for a while as it was last.";

/// Watch all links live
///
/// A table of the links, and below it the consumers, the errors and the recent past of the selected one.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Time between two looks
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds, default_value = "1")]
    every: Duration,
    /// What the table is ordered by at first
    #[arg(long, value_enum, value_name = "COLUMN", default_value = "name")]
    sort: Order,
    /// Print one plain table, and end
    #[arg(long)]
    once: bool,
    /// Stop after this many looks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print one JSON object a line for each look, and no table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let mut watch = Watch::new(RuntimeDir::open()?);
    watch.settle(session)?;
    let looks = if options.once { Some(1) } else { options.count };
    if options.json || options.once {
        return print(options, &mut watch, looks, session);
    }
    if !session.console.is_on_terminal() {
        let sentence =
            "top draws on a terminal, and standard output is none; --once prints a table, --json data";
        return Err(CliError::usage(sentence));
    }
    let screen = Screen::enter()?;
    show(options, &mut watch, screen, session)
}

/// Prints a view for each look.
fn print(
    options: &Options,
    watch: &mut Watch,
    looks: Option<u64>,
    session: &Session<'_>,
) -> Result<(), CliError> {
    let mut due = Instant::now();
    for look in 1.. {
        let mut view = watch.look()?;
        options.sort.apply(&mut view.links);
        match options.json {
            true => session.console.json_line(&view)?,
            false => plain::print(&view, session)?,
        }
        if looks.is_some_and(|looks| look >= looks) {
            break;
        }
        due += options.every;
        session.sleep_until(due)?;
    }
    Ok(())
}

/// Draws until the user has seen enough.
fn show(
    options: &Options,
    watch: &mut Watch,
    mut screen: Screen,
    session: &Session<'_>,
) -> Result<(), CliError> {
    let mut choices = Choices::new(options.sort, session.console.is_coloured());
    let (mut view, mut looks) = (watch.look()?, 1);
    let (mut due, mut is_stale) = (Instant::now() + options.every, true);
    loop {
        session.check()?;
        let now = Instant::now();
        if now >= due {
            due = (due + options.every).max(now);
            if options.count.is_some_and(|count| looks >= count) {
                return Ok(());
            }
            if !choices.is_paused() {
                (view, is_stale) = (watch.look()?, true);
                looks += 1;
            }
        }
        if is_stale {
            choices.take(&mut view);
            screen.draw(&view, &mut choices)?;
        }
        is_stale = match screen.key(SLICE.min(due.saturating_duration_since(Instant::now())))? {
            None => false,
            Some(key) => match choices.press(key, &view) {
                Wish::Draw => true,
                Wish::Nothing => false,
                Wish::Quit => return Ok(()),
                Wish::Interrupt => return Err(CliError::Interrupted),
            },
        };
    }
}
