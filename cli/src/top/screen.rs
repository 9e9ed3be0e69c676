// SPDX-License-Identifier: MIT OR Apache-2.0
//! A view on the terminal: the table of the links, the detail of the selected one, and the keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState};

use super::choices::{Choices, Order};
use super::view::{LinkView, State, View};
use super::{detail, plain};
use crate::units;

/// One column of the table.
struct Column {
    title: &'static str,
    width: Constraint,
    is_right: bool,
    /// Shown on terminals of at least so many columns.
    from_width: u16,
    /// What orders the table by it.
    order: Option<Order>,
    text: fn(&LinkView) -> String,
}

const fn column(
    title: &'static str,
    width: u16,
    from_width: u16,
    order: Option<Order>,
    text: fn(&LinkView) -> String,
) -> Column {
    Column { title, width: Constraint::Length(width), is_right: true, from_width, order, text }
}

const fn words(column: Column) -> Column {
    Column { is_right: false, ..column }
}

const COLUMNS: [Column; 11] = [
    Column {
        width: Constraint::Min(10),
        ..words(column("NAME", 0, 0, Some(Order::Name), |link| link.name.clone()))
    },
    words(column("STATE", 8, 0, Some(Order::State), |link| link.state.word().to_owned())),
    words(column("FORM", 30, 108, None, |link| link.form_words.clone())),
    column("FPS", 7, 0, Some(Order::Fps), plain::fps),
    column("PUBLISHED", 10, 0, Some(Order::Published), |link| plain::number(link, link.published)),
    column("DROPPED", 8, 0, Some(Order::Dropped), |link| plain::number(link, link.dropped)),
    column("READERS", 7, 0, Some(Order::Consumers), |link| plain::number(link, link.consumers.len() as u64)),
    column("HELD", 5, 0, None, plain::held),
    column("LATENCY", 8, 0, Some(Order::Latency), plain::latency),
    column("AGE", 9, 88, None, plain::age),
    words(column("PRODUCER", 30, 140, None, plain::producer)),
];

/// Where there is room for no more, the detail is left out.
const LEAST_HEIGHT_WITH_DETAIL: u16 = 16;

/// A style that shows only where colours are wanted.
pub(super) fn coloured(choices: &Choices, colour: Color) -> Style {
    if choices.is_coloured { Style::new().fg(colour) } else { Style::new() }
}

pub(super) fn draw(frame: &mut Frame<'_>, view: &View, choices: &mut Choices) {
    let area = frame.area();
    let selected = view.links.get(choices.row()).filter(|_| area.height >= LEAST_HEIGHT_WITH_DETAIL);
    let detail_height = selected.map_or(0, |link| detail::height(link).min(area.height * 2 / 3));
    // The detail follows the table, which is as long as its rows as far as there is room.
    let rows = view.links.len().clamp(2, usize::from(u16::MAX) - 2) as u16 + 2;
    let [header, table, below, _, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Max(rows),
        Constraint::Length(detail_height),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(heading(view, choices), header);
    draw_table(frame, view, choices, table);
    if let Some(link) = selected {
        detail::draw(frame, link, choices, below);
    }
    frame.render_widget(keys(choices), footer);
}

fn heading(view: &View, choices: &Choices) -> Line<'static> {
    let links = units::count(view.links.len() as u64, "link");
    let mut spans = vec![
        Span::styled("uncopy top", Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {links} in {}  by {}", shown(&view.directory), choices.order().word())),
    ];
    if choices.is_paused() {
        let style = coloured(choices, Color::Yellow).add_modifier(Modifier::BOLD);
        spans.push(Span::styled("  PAUSED", style));
    }
    Line::from(spans)
}

fn keys(choices: &Choices) -> Line<'static> {
    let keys = [
        ("q", "quit"),
        ("↑↓", "select"),
        ("s", "sort"),
        ("p", if choices.is_paused() { "go on" } else { "pause" }),
    ];
    let spans = keys.into_iter().flat_map(|(key, does)| {
        [Span::styled(key, Style::new().add_modifier(Modifier::BOLD)), Span::raw(format!(" {does}   "))]
    });
    Line::from(spans.collect::<Vec<_>>())
}

fn draw_table(frame: &mut Frame<'_>, view: &View, choices: &Choices, area: Rect) {
    if view.links.is_empty() {
        let hint = "No link is live. Start one: uncopy send camera --pattern";
        frame.render_widget(Paragraph::new(vec![Line::default(), Line::raw(hint)]), area);
        return;
    }
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| area.width >= column.from_width).collect();
    let title = |column: &&Column| {
        let is_order = column.order == Some(choices.order());
        let style =
            Style::new().add_modifier(if is_order { Modifier::UNDERLINED } else { Modifier::empty() });
        Cell::from(aligned(Line::styled(column.title, style), column))
    };
    let header = Row::new(columns.iter().map(title)).style(Style::new().add_modifier(Modifier::BOLD));
    let rows = view.links.iter().map(|link| {
        let cell = |column: &&Column| {
            let line = Line::styled(shown(&(column.text)(link)), cell_style(column, link, choices));
            Cell::from(aligned(line, column))
        };
        Row::new(columns.iter().map(cell))
    });
    let table = Table::new(rows, columns.iter().map(|column| column.width))
        .header(header)
        .column_spacing(1)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(choices.row()));
}

fn aligned<'l>(line: Line<'l>, column: &Column) -> Line<'l> {
    if column.is_right { line.right_aligned() } else { line }
}

fn cell_style(column: &Column, link: &LinkView, choices: &Choices) -> Style {
    match column.order {
        Some(Order::State) => coloured(choices, state_colour(link.state)),
        Some(Order::Dropped) if link.dropped > 0 => coloured(choices, Color::Yellow),
        _ if link.state == State::Gone => Style::new().add_modifier(Modifier::DIM),
        _ => Style::new(),
    }
}

fn state_colour(state: State) -> Color {
    match state {
        State::Live => Color::Green,
        State::Idle | State::Waiting | State::Gone => Color::Reset,
        State::Silent => Color::Yellow,
        State::Refused => Color::Red,
    }
}

/// Text from other processes, without what a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::super::view::samples;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;

    fn drawn(width: u16, height: u16, view: &mut View, choices: &mut Choices) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        choices.take(view);
        terminal.draw(|frame| draw(frame, view, choices)).unwrap();
        terminal.backend().buffer().clone()
    }

    fn text(buffer: &Buffer) -> String {
        let rows = buffer.content().chunks(usize::from(buffer.area.width));
        let line = |row: &[ratatui::buffer::Cell]| {
            let line: String = row.iter().map(|cell| cell.symbol()).collect();
            line.trim_end().to_owned() + "\n"
        };
        rows.map(line).collect()
    }

    fn choices() -> Choices {
        Choices::new(Order::Name, false)
    }

    /// What the screen shows, against what was looked at and kept.
    #[track_caller]
    fn is_as_kept(buffer: &Buffer, kept: &str) {
        let shown = text(buffer);
        assert_eq!(shown, kept, "the screen is now:\n{shown}");
    }

    #[test]
    fn a_wide_terminal_shows_everything_that_is_known() {
        let buffer = drawn(150, 30, &mut samples::view(), &mut choices());
        is_as_kept(&buffer, include_str!("screens/wide.txt"));
    }

    #[test]
    fn a_terminal_of_eighty_columns_shows_the_numbers() {
        let mut view = samples::view();
        let mut choices = choices();
        choices.take(&mut view);
        choices.press(ratatui::crossterm::event::KeyCode::Down.into(), &view);
        let buffer = drawn(80, 24, &mut view, &mut choices);
        is_as_kept(&buffer, include_str!("screens/narrow.txt"));
    }

    #[test]
    fn without_a_link_there_is_a_hint() {
        let buffer = drawn(80, 8, &mut View { links: Vec::new(), ..samples::view() }, &mut choices());
        is_as_kept(&buffer, include_str!("screens/empty.txt"));
    }

    #[test]
    fn no_size_is_too_small_to_draw() {
        for (width, height) in [(1, 1), (5, 3), (20, 16), (300, 5), (40, 40)] {
            drawn(width, height, &mut samples::view(), &mut choices());
        }
    }

    #[test]
    fn a_view_of_many_links_scrolls_to_the_selected_one() {
        let mut view = samples::view();
        view.links = (0..50).map(|number| samples::link(&format!("link-{number:02}"), 1.0)).collect();
        let mut choices = choices();
        choices.take(&mut view);
        choices.press(ratatui::crossterm::event::KeyCode::End.into(), &view);
        assert!(text(&drawn(80, 24, &mut view, &mut choices)).contains("link-49"));
    }

    #[test]
    fn a_name_of_a_process_is_no_command_to_the_terminal() {
        let mut view = samples::view();
        view.links[0].consumers[0].command = "\x1b[2Jcleared".to_owned();
        view.links[0].command = "evil\x07".to_owned();
        assert!(!text(&drawn(150, 30, &mut view, &mut choices())).contains(['\x1b', '\x07']));
    }

    #[test]
    fn colours_are_there_only_where_they_are_wanted() {
        let is_coloured = |buffer: Buffer| buffer.content().iter().any(|cell| cell.fg != Color::Reset);
        assert!(!is_coloured(drawn(150, 30, &mut samples::view(), &mut choices())));
        let mut wanted = Choices::new(Order::Name, true);
        assert!(is_coloured(drawn(150, 30, &mut samples::view(), &mut wanted)));
    }
}
