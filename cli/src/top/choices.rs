// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user has chosen: the selected link, the order, a pause.

use std::cmp::Reverse;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::view::{LinkView, View};

/// What the table is ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Order {
    Name,
    State,
    Fps,
    Published,
    Dropped,
    Consumers,
    Latency,
}

impl Order {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Fps => "fps",
            Self::Published => "published",
            Self::Dropped => "dropped",
            Self::Consumers => "consumers",
            Self::Latency => "latency",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Name => Self::State,
            Self::State => Self::Fps,
            Self::Fps => Self::Published,
            Self::Published => Self::Dropped,
            Self::Dropped => Self::Consumers,
            Self::Consumers => Self::Latency,
            Self::Latency => Self::Name,
        }
    }

    /// Names and states go up, numbers down: what one looks for stands on top.
    pub fn apply(self, links: &mut [LinkView]) {
        links.sort_by(|one, other| one.name.cmp(&other.name));
        match self {
            Self::Name => {}
            Self::State => links.sort_by_key(|link| Reverse(link.state)),
            Self::Fps => {
                links.sort_by(|one, other| other.fps.unwrap_or(-1.0).total_cmp(&one.fps.unwrap_or(-1.0)))
            }
            Self::Published => links.sort_by_key(|link| Reverse(link.published)),
            Self::Dropped => links.sort_by_key(|link| Reverse(link.dropped)),
            Self::Consumers => links.sort_by_key(|link| Reverse(link.consumers.len())),
            Self::Latency => links.sort_by_key(|link| Reverse(link.latency_nanos.map(|latency| latency.p50))),
        }
    }
}

/// What a key asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    Nothing,
    Draw,
    Quit,
    Interrupt,
}

pub(super) struct Choices {
    order: Order,
    is_paused: bool,
    /// By name, so that it stays selected when the order changes.
    selected: Option<String>,
    /// Its row.
    row: usize,
    pub is_coloured: bool,
}

impl Choices {
    pub fn new(order: Order, is_coloured: bool) -> Self {
        Self { order, is_paused: false, selected: None, row: 0, is_coloured }
    }

    pub fn order(&self) -> Order {
        self.order
    }

    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// The row of the selected link in the view that was taken last.
    pub fn row(&self) -> usize {
        self.row
    }

    /// Orders a view, and finds the selected link in it. If that is gone, the one in its row is selected.
    pub fn take(&mut self, view: &mut View) {
        self.order.apply(&mut view.links);
        let found = view.links.iter().position(|link| Some(&link.name) == self.selected.as_ref());
        self.select(found.unwrap_or(self.row), view);
    }

    fn select(&mut self, row: usize, view: &View) {
        self.row = row.min(view.links.len().saturating_sub(1));
        self.selected = view.links.get(self.row).map(|link| link.name.clone());
    }

    pub fn press(&mut self, key: KeyEvent, view: &View) -> Wish {
        let last = view.links.len().saturating_sub(1);
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Wish::Interrupt,
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Up | KeyCode::Char('k') => self.select(self.row.saturating_sub(1), view),
            KeyCode::Down | KeyCode::Char('j') => self.select(self.row + 1, view),
            KeyCode::Home => self.select(0, view),
            KeyCode::End => self.select(last, view),
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('p') | KeyCode::Char(' ') => self.is_paused = !self.is_paused,
            // What stands for a change of the terminal's size.
            KeyCode::Null => {}
            _ => return Wish::Nothing,
        }
        Wish::Draw
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::samples;
    use super::*;
    use clap::ValueEnum;

    fn names(view: &View) -> Vec<&str> {
        view.links.iter().map(|link| link.name.as_str()).collect()
    }

    fn press(choices: &mut Choices, code: KeyCode, view: &mut View) -> Wish {
        let wish = choices.press(code.into(), view);
        choices.take(view);
        wish
    }

    #[test]
    fn the_selected_link_stays_selected_when_the_order_changes() {
        let (mut choices, mut view) = (Choices::new(Order::Name, false), samples::view());
        choices.take(&mut view);
        assert_eq!((names(&view), choices.row()), (vec!["camera", "screen", "stopped"], 0));
        press(&mut choices, KeyCode::Char('s'), &mut view);
        assert_eq!((names(&view), choices.row()), (vec!["stopped", "camera", "screen"], 1));
        for _ in 1..Order::value_variants().len() {
            press(&mut choices, KeyCode::Char('s'), &mut view);
        }
        assert_eq!((choices.order(), choices.row()), (Order::Name, 0));
    }

    #[test]
    fn selecting_ends_at_both_ends_and_survives_what_goes() {
        let (mut choices, mut view) = (Choices::new(Order::Name, false), samples::view());
        choices.take(&mut view);
        press(&mut choices, KeyCode::Up, &mut view);
        assert_eq!(choices.row(), 0);
        press(&mut choices, KeyCode::End, &mut view);
        press(&mut choices, KeyCode::Down, &mut view);
        assert_eq!(choices.row(), 2);
        view.links.truncate(2);
        choices.take(&mut view);
        assert_eq!((choices.row(), choices.selected.as_deref()), (1, Some("screen")));
        view.links.clear();
        choices.take(&mut view);
        assert_eq!((choices.row(), choices.selected.as_deref()), (0, None));
    }

    #[test]
    fn numbers_are_ordered_from_the_largest() {
        let mut view = samples::view();
        Order::Fps.apply(&mut view.links);
        assert_eq!(names(&view), ["camera", "screen", "stopped"]);
        view.links.iter_mut().for_each(|link| link.dropped = if link.name == "screen" { 90 } else { 0 });
        Order::Dropped.apply(&mut view.links);
        assert_eq!(names(&view), ["screen", "camera", "stopped"]);
        Order::Latency.apply(&mut view.links);
        assert_eq!(names(&view)[0], "camera");
    }

    #[test]
    fn keys_pause_quit_and_interrupt() {
        let (mut choices, mut view) = (Choices::new(Order::Name, false), samples::view());
        assert_eq!(press(&mut choices, KeyCode::Char('p'), &mut view), Wish::Draw);
        assert!(choices.is_paused());
        assert_eq!(press(&mut choices, KeyCode::Char('q'), &mut view), Wish::Quit);
        assert_eq!(press(&mut choices, KeyCode::Char('x'), &mut view), Wish::Nothing);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(choices.press(interrupt, &view), Wish::Interrupt);
    }
}
