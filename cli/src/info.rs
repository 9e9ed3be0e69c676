// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy info`: everything that can be seen of one link without taking part.

use uncopy::{Answer, ErrorKind, LinkInfo};

use crate::console::Style;
use crate::error::CliError;
use crate::host::Session;
use crate::report::{LinkReport, UNKNOWN, command_line, mean_fps};
use crate::table::{Cell, Column, Table};
use crate::units;

/// Show all that can be seen of one link
///
/// Who publishes, what its frames look like, who reads them, and who holds how many slots. Looking takes no place in
/// the link and holds no frame.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  uncopy info camera\n  uncopy info camera --json | jq .form.shape")]
pub(crate) struct Options {
    /// Name of the link
    #[arg(add = crate::completions::link_names())]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let link = uncopy::info(&options.name)?;
    if options.json {
        session.console.json(&LinkReport::of(&link))?;
    } else {
        print(&link, session)?;
    }
    match &link.answer {
        Answer::Answering => Ok(()),
        Answer::Silent => Err(CliError::said(
            ErrorKind::TimedOut,
            format!("the producer of '{}' does not answer; is it stopped, or very busy?", link.name),
        )),
        Answer::Refused(detail) => {
            Err(CliError::said(ErrorKind::CorruptLink, format!("'{}' can't be read: {detail}", link.name)))
        }
    }
}

fn print(link: &LinkInfo, session: &Session<'_>) -> Result<(), CliError> {
    let console = &session.console;
    for (what, value) in properties(link) {
        console.line(format_args!("{} {value}", console.painted(Style::Dim, &format!("{what:<11}"))))?;
    }
    if link.consumers.is_empty() {
        return Ok(());
    }
    console.line("")?;
    let mut table = Table::new([
        Column::right("PLACE"),
        Column::right("PID"),
        Column::right("RECEIVED"),
        Column::right("MISSED"),
        Column::right("HOLDS"),
        Column::left("READS"),
        Column::left("COMMAND"),
    ]);
    for consumer in &link.consumers {
        let command = command_line(consumer.pid, &consumer.command);
        let doubt = match (consumer.quarantined, consumer.evicted) {
            (true, _) => Some("hung up; not known to be dead"),
            (false, true) => Some("evicted: it kept slots from the producer"),
            (false, false) => None,
        };
        let command = match doubt {
            Some(doubt) => Cell::styled(Style::Doubtful, format!("{command} ({doubt})")),
            None => command.into(),
        };
        table.row([
            u64::from(consumer.place).into(),
            consumer.pid.to_string().into(),
            consumer.received.into(),
            consumer.missed.into(),
            u64::from(consumer.holds).into(),
            if consumer.every { "every" } else { "latest" }.into(),
            command,
        ]);
    }
    console.table(&table)
}

fn properties(link: &LinkInfo) -> Vec<(&'static str, String)> {
    let mut properties = vec![("name", link.name.clone())];
    if let Some(process) = link.producer {
        let who = match link.command.as_str() {
            UNKNOWN => {
                format!("process {}, which can't be seen from here (another pid namespace?)", process.pid)
            }
            name => format!("process {}: {}", process.pid, command_line(process.pid, name)),
        };
        properties.push(("producer", who));
    }
    if link.answer != Answer::Answering {
        return properties;
    }
    let form = link.form.map_or_else(
        || "no frame yet".to_owned(),
        |form| format!("{form}, {}", units::size(form.len_bytes() as u64)),
    );
    let held: u32 = link.consumers.iter().map(|consumer| consumer.holds).sum();
    let memory = format!(
        "{} shared, allocated {}",
        units::size(link.memory_bytes),
        units::times(u64::from(link.epoch))
    );
    properties.extend([
        ("open for", units::time(link.uptime)),
        ("form", form),
        ("published", format!("{} ({} fps mean)", link.published, units::rate(mean_fps(link)))),
        ("dropped", format!("{} for want of a free slot", link.dropped)),
        ("newest", link.last_frame_age.map_or_else(|| "-".to_owned(), |age| units::time(age) + " ago")),
        ("slots", format!("{}, of which consumers hold {held}", link.slots)),
        ("memory", memory),
        ("consumers", link.consumers.len().to_string()),
    ]);
    properties
}
