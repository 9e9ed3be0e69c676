// SPDX-License-Identifier: MIT OR Apache-2.0
//! A view as a plain table, for a pipe, a log or a reader of screens.

use super::view::{LinkView, State, View};
use crate::console::Style;
use crate::error::CliError;
use crate::host::Session;
use crate::table::{Cell, Column, Table};
use crate::units;
use crate::whereabouts::WhereReport;

pub(super) fn print(view: &View, session: &Session<'_>) -> Result<(), CliError> {
    let mut table = Table::new([
        Column::left("NAME"),
        Column::left("STATE"),
        Column::left("FORM"),
        Column::left("MEMORY"),
        Column::right("FPS"),
        Column::right("PUBLISHED"),
        Column::right("DROPPED"),
        Column::right("CONSUMERS"),
        Column::right("HELD"),
        Column::right("LATENCY"),
        Column::right("AGE"),
        Column::left("PRODUCER"),
    ]);
    for link in &view.links {
        let state = Cell::styled(style(link.state), link.state.word());
        let dropped = Cell::styled(
            if link.dropped > 0 { Style::Doubtful } else { Style::Plain },
            number(link, link.dropped),
        );
        table.row([
            Cell::styled(Style::Bold, link.name.clone()),
            state,
            dash_if_empty(link.form_words.clone()).into(),
            link.memory.as_ref().map_or_else(|| "-".to_owned(), WhereReport::short).into(),
            fps(link).into(),
            number(link, link.published).into(),
            dropped,
            number(link, link.consumers.len() as u64).into(),
            held(link).into(),
            latency(link).into(),
            age(link).into(),
            producer(link).into(),
        ]);
    }
    if view.links.is_empty() {
        return session.console.line(format_args!("No link is live in {}.", view.directory));
    }
    session.console.table(&table)
}

pub(super) fn style(state: State) -> Style {
    match state {
        State::Live => Style::Good,
        State::Idle | State::Waiting => Style::Plain,
        State::Silent => Style::Doubtful,
        State::Refused => Style::Bad,
        State::Gone => Style::Dim,
    }
}

pub(super) fn fps(link: &LinkView) -> String {
    link.fps.map_or_else(|| "-".to_owned(), |fps| format!("{fps:.1}"))
}

/// A number, where the link could be read.
pub(super) fn number(link: &LinkView, number: u64) -> String {
    if link.is_known() { number.to_string() } else { "-".to_owned() }
}

/// `3/4`: slots that consumers hold, of all.
pub(super) fn held(link: &LinkView) -> String {
    if link.is_known() { format!("{}/{}", link.held, link.slots) } else { "-".to_owned() }
}

/// The median, which is what a user feels.
pub(super) fn latency(link: &LinkView) -> String {
    link.latency_nanos.map_or_else(|| "-".to_owned(), |latency| units::nanos(latency.p50))
}

pub(super) fn age(link: &LinkView) -> String {
    link.last_frame_age_seconds.map_or_else(|| "-".to_owned(), units::seconds)
}

pub(super) fn producer(link: &LinkView) -> String {
    match link.pid {
        Some(pid) => format!("{pid} {}", link.command),
        None => dash_if_empty(link.command.clone()),
    }
}

fn dash_if_empty(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
