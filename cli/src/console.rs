// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the command speaks: data on standard output, words on standard error, colours only where they are wanted.
//!
//! Colours follow `NO_COLOR` (<https://no-color.org>), `TERM=dumb` and whether the stream is a terminal. Progress is
//! drawn only on a terminal; elsewhere a long task says a line when it begins and one when it ends.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::CliError;
use crate::table::Table;

/// How a piece of text is shown where colours are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Style {
    #[default]
    Plain,
    Bold,
    Dim,
    Good,
    Doubtful,
    Bad,
}

impl Style {
    /// The escape sequence that begins the style (ECMA-48, SGR).
    const fn begin(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Doubtful => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
        }
    }

    /// `text` in this style, or as it is.
    pub fn paint(self, text: &str, coloured: bool) -> String {
        if coloured && self != Self::Plain {
            format!("{}{text}\x1b[0m", self.begin())
        } else {
            text.to_owned()
        }
    }
}

/// How many lines were drawn last, and are drawn over next.
#[derive(Default)]
pub(crate) struct Redrawn(usize);

/// The two streams of this run.
pub(crate) struct Console {
    output_on_terminal: bool,
    output_coloured: bool,
    words_coloured: bool,
    words_on_terminal: bool,
}

impl Console {
    pub fn new() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let words_on_terminal = std::io::stderr().is_terminal();
        let output_on_terminal = std::io::stdout().is_terminal();
        Self {
            output_on_terminal: output_on_terminal && !dumb,
            output_coloured: output_on_terminal && !refused && !dumb,
            words_coloured: words_on_terminal && !refused && !dumb,
            words_on_terminal: words_on_terminal && !dumb,
        }
    }

    /// A line of data.
    pub fn line(&self, text: impl Display) -> Result<(), CliError> {
        writeln!(std::io::stdout(), "{text}").map_err(CliError::output)
    }

    /// A styled piece of a line of data.
    pub fn painted(&self, style: Style, text: &str) -> String {
        style.paint(text, self.output_coloured)
    }

    /// Data as one JSON document.
    pub fn json(&self, data: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(data)
            .map_err(|e| CliError::io("write JSON", std::io::Error::other(e)))?;
        self.line(text)
    }

    /// Data as one JSON document on a line of its own, handed on at once: one of many.
    pub fn json_line(&self, data: &impl Serialize) -> Result<(), CliError> {
        let text =
            serde_json::to_string(data).map_err(|e| CliError::io("write JSON", std::io::Error::other(e)))?;
        self.line(text)?;
        self.flush()
    }

    /// Lines of data that replace the ones drawn before, on a terminal; elsewhere they follow those.
    pub fn redraw(&self, drawn: &mut Redrawn, lines: &[String]) -> Result<(), CliError> {
        if self.output_on_terminal {
            // Up to where the last ones began, and without wrapping: a wrapped line would be two.
            let up = if drawn.0 == 0 { String::new() } else { format!("\x1b[{}A", drawn.0) };
            self.line(format_args!("{up}\r\x1b[J\x1b[?7l{}\x1b[?7h", lines.join("\n")))?;
            drawn.0 = lines.len();
        } else {
            lines.iter().try_for_each(|line| self.line(line))?;
        }
        self.flush()
    }

    /// Whether standard output is a terminal that can be drawn on.
    pub fn is_on_terminal(&self) -> bool {
        self.output_on_terminal
    }

    /// Whether data is shown in colours.
    pub fn is_coloured(&self) -> bool {
        self.output_coloured
    }

    /// Data as a table.
    pub fn table(&self, table: &Table) -> Result<(), CliError> {
        table.lines(self.output_coloured).into_iter().try_for_each(|line| self.line(line))
    }

    /// Hands on what standard output still holds.
    pub fn flush(&self) -> Result<(), CliError> {
        std::io::stdout().flush().map_err(CliError::output)
    }

    /// Words for the user. Nobody can be told when nobody listens, so a failure is dropped.
    pub fn say(&self, text: impl Display) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Words about something unexpected that is no failure.
    pub fn note(&self, text: impl Display) {
        self.say(format_args!("{} {text}", Style::Doubtful.paint("note:", self.words_coloured)));
    }

    /// The last words of a run that failed.
    pub fn error(&self, error: &CliError) {
        self.say(format_args!("{} {error}", Style::Bad.paint("error:", self.words_coloured)));
    }

    /// Progress over `frames` frames, or over an unknown number; invisible where there is no terminal.
    pub fn progress(&self, what: &str, frames: Option<u64>) -> Progress {
        let target = match self.words_on_terminal {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(frames, target).with_prefix(what.to_owned());
        bar.set_style(style(frames.is_some(), self.words_coloured));
        Progress { bar }
    }
}

fn style(is_length_known: bool, coloured: bool) -> ProgressStyle {
    let template = match (is_length_known, coloured) {
        (true, true) => "{prefix} {bar:32.cyan/white.dim} {pos}/{len} frames  {wide_msg:.dim}",
        (true, false) => "{prefix} [{bar:32}] {pos}/{len} frames  {wide_msg}",
        (false, true) => "{prefix} {spinner:.cyan} {pos} frames  {wide_msg:.dim}",
        (false, false) => "{prefix} {spinner} {pos} frames  {wide_msg}",
    };
    // A template of ours that indicatif can't read would be a bug; its own style still shows the progress.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    if coloured { style.progress_chars("━╸━") } else { style.progress_chars("=> ") }
}

/// A line that shows how far a long task is. It is gone when the task has ended, however it ends.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `done` frames are done, and `text` is worth knowing.
    pub fn show(&self, done: u64, text: impl FnOnce() -> String) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_position(done);
        self.bar.set_message(text());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_painted_only_where_colours_are_wanted() {
        assert_eq!(Style::Good.paint("ok", false), "ok");
        assert_eq!(Style::Good.paint("ok", true), "\x1b[32mok\x1b[0m");
        assert_eq!(Style::Plain.paint("ok", true), "ok");
    }

    #[test]
    fn every_template_of_progress_is_understood() {
        for (known, coloured) in [(true, true), (true, false), (false, true), (false, false)] {
            style(known, coloured);
        }
        ProgressStyle::with_template("{prefix} {bar:32.cyan/white.dim} {pos}/{len}  {wide_msg:.dim}")
            .unwrap();
    }
}
