// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables of text: columns as wide as they need to be, two spaces apart, no lines around them.

use crate::console::Style;

/// Where the text of a column stands, and what is above it.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    is_right: bool,
}

impl Column {
    /// For words.
    pub const fn left(title: &'static str) -> Self {
        Self { title, is_right: false }
    }

    /// For numbers.
    pub const fn right(title: &'static str) -> Self {
        Self { title, is_right: true }
    }
}

/// One cell: text without control characters, and its style.
#[derive(Clone, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub fn styled(style: Style, text: impl Into<String>) -> Self {
        Self { style, ..Self::from(text.into()) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        // Names of processes come from outside, and a terminal obeys control characters.
        Self { text: text.replace(char::is_control, "?"), style: Style::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::from(number.to_string())
    }
}

/// A table that is written row by row.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the last column are left out.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// The title and the rows as lines, without spaces at their ends.
    pub fn lines(&self, coloured: bool) -> Vec<String> {
        let titles: Vec<Cell> =
            self.columns.iter().map(|column| Cell::styled(Style::Bold, column.title)).collect();
        let all = || std::iter::once(&titles).chain(&self.rows);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| all().filter_map(|row| row.get(at)).map(|cell| width(&cell.text)).max().unwrap_or(0))
            .collect();
        all().map(|row| self.written(row, &widths, coloured)).collect()
    }

    fn written(&self, row: &[Cell], widths: &[usize], coloured: bool) -> String {
        let mut line = String::new();
        for ((cell, column), wanted) in row.iter().zip(&self.columns).zip(widths) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let gap = " ".repeat(wanted.saturating_sub(width(&cell.text)));
            let painted = cell.style.paint(&cell.text, coloured);
            line.push_str(&if column.is_right { gap + &painted } else { painted + &gap });
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Columns on a terminal. Every character counts as one: right for everything that a link name, a number and a unit
/// consist of, and off by one for a wide character in the name of a process.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([Column::left("NAME"), Column::right("FRAMES"), Column::left("NOTE")]);
        table.row(["a".into(), 7.into(), "".into()]);
        table.row(["camera".into(), Cell::styled(Style::Bad, "1234567"), "latency 3 µs".into()]);
        table
    }

    #[test]
    fn columns_line_up_and_lines_end_with_text() {
        let expected = ["NAME     FRAMES  NOTE", "a             7", "camera  1234567  latency 3 µs"];
        assert_eq!(table().lines(false), expected);
    }

    #[test]
    fn colours_do_not_move_columns() {
        let plain: Vec<String> = table()
            .lines(true)
            .iter()
            .map(|line| line.replace("\x1b[0m", "").replace("\x1b[1;31m", ""))
            .collect();
        assert_eq!(plain[2], "camera  1234567  latency 3 µs");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_handed_on() {
        let mut table = Table::new([Column::left("COMMAND")]);
        table.row(["\x1b[2Jcleared\n".into()]);
        assert_eq!(table.lines(false)[1], "?[2Jcleared?");
    }
}
