// SPDX-License-Identifier: MIT OR Apache-2.0
//! The selected link: who publishes what, its recent past, who reads it and holds what, and what went wrong.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, SparklineBar, Table};

use super::choices::Choices;
use super::screen::{coloured, shown};
use super::view::{ConsumerView, ErrorView, LatencyView, LinkView, State};
use crate::units;

/// Rows of the picture of the past.
const PAST_ROWS: u16 = 3;
/// Errors that are shown, those that happened last first.
const SHOWN_ERRORS: usize = 4;

/// Rows that the detail of a link takes.
pub(super) fn height(link: &LinkView) -> u16 {
    let frame_and_facts = 1 + facts(link).len() as u16;
    let consumers = if link.consumers.is_empty() { 1 } else { 1 + link.consumers.len() as u16 };
    let errors = match link.errors.as_deref() {
        None | Some([]) => 0,
        Some(errors) => 1 + errors.len().min(SHOWN_ERRORS) as u16,
    };
    frame_and_facts + PAST_ROWS + consumers + errors
}

pub(super) fn draw(frame: &mut Frame<'_>, link: &LinkView, choices: &Choices, area: Rect) {
    let title = Line::styled(format!(" {} ", link.name), Style::new().add_modifier(Modifier::BOLD));
    let block = Block::new().borders(Borders::TOP).title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let facts = facts(link);
    let errors = link.errors.as_deref().unwrap_or_default();
    let error_rows = if errors.is_empty() { 0 } else { 1 + errors.len().min(SHOWN_ERRORS) as u16 };
    let [top, past, consumers, below] = Layout::vertical([
        Constraint::Length(facts.len() as u16),
        Constraint::Length(PAST_ROWS),
        Constraint::Min(1),
        Constraint::Length(error_rows),
    ])
    .areas(inside);
    frame.render_widget(Paragraph::new(facts.into_iter().map(Line::raw).collect::<Vec<_>>()), top);
    draw_past(frame, link, choices, past);
    draw_consumers(frame, &link.consumers, choices, consumers);
    if !errors.is_empty() {
        draw_errors(frame, errors, choices, below);
    }
}

/// Lines of what does not change with every frame.
fn facts(link: &LinkView) -> Vec<String> {
    let who = match link.pid {
        Some(pid) => format!("process {pid}: {}", link.command),
        None => "an unknown process".to_owned(),
    };
    let open = match link.state {
        State::Gone => "it is gone; this is what was seen last".to_owned(),
        State::Silent => "it does not answer; is it stopped, or very busy?".to_owned(),
        State::Refused => {
            format!("can't be read: {}", link.detail.as_deref().unwrap_or("for an unknown reason"))
        }
        _ => format!("open for {}", units::seconds(link.uptime_seconds)),
    };
    let mut facts = vec![shown(&format!("{who}, {open}"))];
    if link.slots > 0 && !link.form_words.is_empty() {
        facts.push(format!(
            "{}; {}, {} held; {} shared, allocated {}",
            link.form_words,
            units::count(link.slots as u64, "slot"),
            link.held,
            units::size(link.memory_bytes),
            units::times(u64::from(link.epoch)),
        ));
    }
    if let Some(memory) = link.memory.as_ref().filter(|memory| !memory.is_host()) {
        facts.push(shown(&format!("frames lie {}", memory.in_words())));
    }
    if link.when_full == "block" || link.evicted > 0 {
        let waited = units::seconds(link.blocked_seconds);
        let evicted = units::count(link.evicted, "reader");
        facts.push(match link.when_full {
            "block" => format!("waits for room, in all for {waited}; has evicted {evicted}"),
            _ => format!("has evicted {evicted}"),
        });
    }
    if let Some(latency) = link.latency_nanos {
        facts.push(format!("latency {}", latency_in_words(latency)));
    }
    facts
}

fn latency_in_words(latency: LatencyView) -> String {
    let [p50, p99, max] = [latency.p50, latency.p99, latency.max].map(units::nanos);
    format!("p50 {p50}, p99 {p99}, max {max} from published to received")
}

/// Frames each second at each look, the newest at the right.
fn draw_past(frame: &mut Frame<'_>, link: &LinkView, choices: &Choices, area: Rect) {
    let [label, bars] = Layout::horizontal([Constraint::Length(12), Constraint::Min(1)]).areas(area);
    let kept = link.history.len().min(usize::from(bars.width));
    let newest = link.history.get(link.history.len() - kept..).unwrap_or_default();
    let most = newest.iter().copied().fold(0.0, f64::max);
    let text = vec![Line::raw("fps"), Line::raw(format!("{most:.0} at most"))];
    frame.render_widget(Paragraph::new(text), label);
    // In hundredths: bars are whole numbers.
    let of = |fps: &f64| SparklineBar::from(Some((fps * 100.0) as u64));
    let padding = usize::from(bars.width) - kept;
    let shown = std::iter::repeat_n(SparklineBar::from(None), padding).chain(newest.iter().map(of));
    let sparkline = Sparkline::default()
        .data(shown.collect::<Vec<_>>())
        .max(((most * 100.0) as u64).max(1))
        .absent_value_symbol(" ")
        .style(coloured(choices, Color::Cyan));
    frame.render_widget(sparkline, bars);
}

fn draw_consumers(frame: &mut Frame<'_>, consumers: &[ConsumerView], choices: &Choices, area: Rect) {
    if consumers.is_empty() {
        frame.render_widget(Paragraph::new("nobody reads it"), area);
        return;
    }
    let widths = [7, 8, 6, 10, 8, 5, 9, 8].map(Constraint::Length);
    let titles = ["READER", "PID", "READS", "RECEIVED", "MISSED", "HOLDS", "FOR", "LATENCY", "COMMAND"];
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let header =
        Row::new(titles.into_iter().enumerate().map(|(at, title)| cell(at, title.to_owned()))).style(bold);
    let rows = consumers.iter().map(|consumer| {
        let row = Row::new(texts(consumer).into_iter().enumerate().map(|(at, text)| cell(at, text)));
        match consumer.trouble() {
            Some(_) => row.style(coloured(choices, Color::Yellow)),
            None => row,
        }
    });
    let table = Table::new(rows, widths.into_iter().chain([Constraint::Min(10)])).header(header);
    frame.render_widget(table.column_spacing(1), area);
}

/// The cells of a consumer's row.
fn texts(consumer: &ConsumerView) -> [String; 9] {
    let dash = || "-".to_owned();
    let trouble = consumer.trouble().map_or_else(String::new, |trouble| format!(" ({trouble})"));
    [
        consumer.place.to_string(),
        consumer.pid.to_string(),
        consumer.read.to_owned(),
        consumer.received.to_string(),
        consumer.missed.to_string(),
        consumer.holds.to_string(),
        consumer.holds_since_seconds.map_or_else(dash, units::seconds),
        consumer.latency_nanos.map_or_else(dash, |latency| units::nanos(latency.p50)),
        shown(&format!("{}{trouble}", consumer.command)),
    ]
}

/// Words stand left, numbers right.
fn cell(at: usize, text: String) -> Cell<'static> {
    let line = Line::raw(text);
    Cell::from(if matches!(at, 2 | 8) { line } else { line.right_aligned() })
}

fn draw_errors(frame: &mut Frame<'_>, errors: &[ErrorView], choices: &Choices, area: Rect) {
    let mut latest: Vec<&ErrorView> = errors.iter().collect();
    latest.sort_by(|one, other| one.last_age_seconds.total_cmp(&other.last_age_seconds));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines = vec![Line::styled(units::count(errors.len() as u64, "distinct error"), bold)];
    lines.extend(latest.into_iter().take(SHOWN_ERRORS).map(|error| {
        let when = match error.count {
            1 => format!("{} ago", units::seconds(error.last_age_seconds)),
            count => format!(
                "{count} times, first {} ago, last {} ago",
                units::seconds(error.first_age_seconds),
                units::seconds(error.last_age_seconds)
            ),
        };
        let text = format!("{} {}: {} ({when})", error.side, error.pid, error.text);
        Line::styled(shown(&text), coloured(choices, Color::Red))
    }));
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::view::samples;
    use crate::whereabouts::WhereReport;
    use uncopy::{DeviceUuid, Whereabouts};

    #[test]
    fn where_frames_lie_is_told_of_links_on_a_gpu() {
        let on = |lie| LinkView { memory: Some(WhereReport::of(lie)), ..samples::link("camera", 60.0) };
        let told =
            |link: &LinkView| facts(link).iter().any(|fact| fact.starts_with("frames lie on GPU-5a5a"));
        let gpu = on(Whereabouts::Cuda { uuid: DeviceUuid([0x5a; 16]), is_mirrored: true });
        assert!(told(&gpu) && !told(&on(Whereabouts::Host)));
        assert_eq!(height(&gpu), height(&on(Whereabouts::Host)) + 1, "there is room for it");
    }
}
