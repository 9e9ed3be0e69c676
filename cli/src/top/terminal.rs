// SPDX-License-Identifier: MIT OR Apache-2.0
//! The terminal while `top` has it: its other screen, and every key.
//!
//! It is given back as it was when the value is dropped, also by a panic. While keys are read, crossterm watches for a
//! change of the terminal's size (SIGWINCH) in this process.

use std::io::{self, Stdout};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::choices::Choices;
use super::screen;
use super::view::View;
use crate::error::CliError;

pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    _taken: Taken,
}

/// The terminal's own state, changed for the time of this value.
struct Taken;

impl Taken {
    fn take() -> io::Result<Self> {
        enable_raw_mode()?;
        let taken = Self;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

impl Screen {
    pub fn enter() -> Result<Self, CliError> {
        let failed = |e| CliError::io("draw on the terminal", e);
        let taken = Taken::take().map_err(failed)?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).map_err(failed)?;
        Ok(Self { terminal, _taken: taken })
    }

    pub fn draw(&mut self, view: &View, choices: &mut Choices) -> Result<(), CliError> {
        self.terminal.draw(|frame| screen::draw(frame, view, choices)).map_err(CliError::output)?;
        Ok(())
    }

    /// The next key within `patience`. A change of the terminal's size counts as a key that only asks to draw.
    pub fn key(&mut self, patience: Duration) -> Result<Option<KeyEvent>, CliError> {
        let failed = |e| CliError::io("read keys from the terminal", e);
        if !event::poll(patience).map_err(failed)? {
            return Ok(None);
        }
        match event::read().map_err(failed)? {
            Event::Key(key) if key.kind != KeyEventKind::Release => Ok(Some(key)),
            Event::Resize(..) => Ok(Some(KeyCode::Null.into())),
            _ => Ok(None),
        }
    }
}
