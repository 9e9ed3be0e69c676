// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy list`: every live link of this user, one line each.

use uncopy::os::RuntimeDir;
use uncopy::{Answer, LinkInfo};

use crate::console::Style;
use crate::error::CliError;
use crate::host::Session;
use crate::report::{LinkReport, command_line, mean_fps};
use crate::table::{Cell, Column, Table};
use crate::units;
use crate::whereabouts::WhereReport;

/// The most of a command line that a row shows.
const SHOWN_COMMAND_CHARS: usize = 40;

/// List the live links of this user
///
/// Looking takes no place in a link and holds no frame. FPS is the mean since the link was opened; AGE is the time
/// since its newest frame.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  uncopy list\n  uncopy list --json | jq -r '.links[].name'")]
pub(crate) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let dir = RuntimeDir::open()?;
    let links = uncopy::list_in(&dir)?;
    let console = &session.console;
    if options.json {
        let links: Vec<LinkReport> = links.iter().map(LinkReport::of).collect();
        return console.json(&serde_json::json!({ "directory": dir.path(), "links": links }));
    }
    if links.is_empty() {
        console.line(format_args!("No link is live in {}.", dir.path().display()))?;
        return console.line(console.painted(Style::Dim, "Start one: uncopy send camera --pattern"));
    }
    let mut table = Table::new([
        Column::left("NAME"),
        Column::right("PID"),
        Column::left("FORM"),
        Column::left("MEMORY"),
        Column::right("PUBLISHED"),
        Column::right("FPS"),
        Column::right("CONSUMERS"),
        Column::right("AGE"),
        Column::left("COMMAND"),
    ]);
    for link in &links {
        table.row(row(link));
    }
    console.table(&table)?;
    for link in &links {
        if let Answer::Refused(detail) = &link.answer {
            console.note(format_args!("'{}' can't be read: {detail}", link.name));
        }
    }
    Ok(())
}

fn row(link: &LinkInfo) -> Vec<Cell> {
    let name = Cell::styled(Style::Bold, link.name.clone());
    let pid = link.producer.map_or_else(|| "?".to_owned(), |process| process.pid.to_string());
    let command = shortened(&command_line(link.producer.map_or(-1, |process| process.pid), &link.command));
    let trouble = match &link.answer {
        Answer::Answering => None,
        Answer::Silent => Some("does not answer"),
        Answer::Refused(_) => Some("can't be read"),
    };
    if let Some(trouble) = trouble {
        let dash = || Cell::from("-");
        let trouble = Cell::styled(Style::Doubtful, trouble);
        return vec![name, pid.into(), trouble, dash(), dash(), dash(), dash(), dash(), command.into()];
    }
    vec![
        name,
        pid.into(),
        link.form.map_or_else(|| "no frame yet".to_owned(), |form| form.to_string()).into(),
        link.whereabouts.map_or_else(|| "-".to_owned(), |lie| WhereReport::of(lie).short()).into(),
        link.published.into(),
        units::rate(mean_fps(link)).into(),
        (link.consumers.len() as u64).into(),
        link.last_frame_age.map_or_else(|| "-".to_owned(), units::time).into(),
        command.into(),
    ]
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN_COMMAND_CHARS {
        return text.to_owned();
    }
    let kept: String = text.chars().take(SHOWN_COMMAND_CHARS - 1).collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_cut_with_a_sign() {
        assert_eq!(shortened("uncopy send a"), "uncopy send a");
        let cut = shortened(&"é".repeat(80));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (SHOWN_COMMAND_CHARS, true));
    }
}
