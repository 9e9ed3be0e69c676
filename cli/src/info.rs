// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy info`: everything that can be seen of one link without taking part.

use serde::Serialize;
use uncopy::os::realtime_nanos;
use uncopy::{Answer, ErrorKind, ErrorRecord, LinkInfo};

use crate::console::Style;
use crate::error::CliError;
use crate::host::Session;
use crate::report::{ErrorReport, LinkReport, UNKNOWN, command_line, mean_fps};
use crate::table::{Cell, Column, Table};
use crate::units;
use crate::whereabouts::WhereReport;

/// Show all that can be seen of one link
///
/// Who publishes, what its frames look like, who reads them and how late, who holds how many slots for how long, and
/// the errors that the link's processes met, also of those that have died. Looking takes no place in the link and
/// holds no frame.
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

/// What `--json` prints.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    link: LinkReport,
    /// The latest first.
    errors: Vec<ErrorReport>,
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    let link = match uncopy::info(&options.name) {
        Ok(link) => link,
        Err(error) => {
            // What is known of a link that is gone; a bad name has nothing.
            let errors = uncopy::errors(&options.name).unwrap_or_default();
            if !options.json && !errors.is_empty() {
                print_errors(&errors, session)?;
            }
            return Err(error.into());
        }
    };
    let errors = uncopy::errors(&options.name)?;
    if options.json {
        let errors = errors.iter().map(ErrorReport::of).collect();
        session.console.json(&Shown { link: LinkReport::of(&link), errors })?;
    } else {
        print(&link, session)?;
        print_errors(&errors, session)?;
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
        Column::right("FOR"),
        Column::right("LATENCY"),
        Column::right("P99"),
        Column::left("READS"),
        Column::left("COMMAND"),
    ]);
    for consumer in &link.consumers {
        let command = command_line(consumer.pid, &consumer.command);
        let latency = |share| consumer.ages.quantile(share).map_or_else(|| "-".to_owned(), units::time);
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
            // It can't have held a frame for longer than the frame exists.
            consumer.holding.first().map_or_else(|| "-".to_owned(), |held| units::time(held.age)).into(),
            latency(0.5).into(),
            latency(0.99).into(),
            if consumer.every { "every" } else { "latest" }.into(),
            command,
        ]);
    }
    console.table(&table)
}

/// The errors that are kept of the link, the latest first.
fn print_errors(errors: &[ErrorRecord], session: &Session<'_>) -> Result<(), CliError> {
    let console = &session.console;
    if errors.is_empty() {
        return Ok(());
    }
    console.line("")?;
    let mut table = Table::new([
        Column::right("TIMES"),
        Column::right("LAST"),
        Column::right("FIRST"),
        Column::left("SIDE"),
        Column::right("PID"),
        Column::left("ERROR"),
    ]);
    let now = realtime_nanos();
    for error in errors {
        let ago = |nanos: i64| {
            let nanos = u64::try_from(now.saturating_sub(nanos)).unwrap_or(0);
            units::time(std::time::Duration::from_nanos(nanos)) + " ago"
        };
        let pid = error.process.pid;
        let who = if error.process.is_alive() { pid.to_string() } else { format!("{pid} (ended)") };
        table.row([
            error.count.into(),
            ago(error.last_nanos).into(),
            ago(error.first_nanos).into(),
            error.side.name().into(),
            who.into(),
            Cell::styled(Style::Doubtful, error.text.replace(char::is_control, "?")),
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
        "{} shared{}, allocated {}",
        units::size(link.memory_bytes),
        link.whereabouts.map_or_else(String::new, |lie| format!(" {}", WhereReport::of(lie).in_words())),
        units::times(u64::from(link.epoch))
    );
    properties.extend([
        ("open for", units::time(link.uptime)),
        ("form", form),
        ("published", format!("{} ({} fps mean)", link.published, units::rate(mean_fps(link)))),
        ("dropped", format!("{} for want of a free slot", link.dropped)),
        (
            "when full",
            if link.blocks {
                format!("waits, {} so far", units::time(link.blocked))
            } else {
                "drops".to_owned()
            },
        ),
        ("newest", link.last_frame_age.map_or_else(|| "-".to_owned(), |age| units::time(age) + " ago")),
        ("slots", format!("{}, of which consumers hold {held}", link.slots)),
        ("memory", memory),
        ("consumers", link.consumers.len().to_string()),
    ]);
    properties
}
