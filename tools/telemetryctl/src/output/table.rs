//! Columns of text.

use unicode_width::UnicodeWidthStr;

use super::style::{Paint, Style};
use super::value::clean;

/// Space between two columns.
const GAP: usize = 2;

/// A text of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

/// A table with a heading.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Cell {
    /// A text with a meaning. Control characters in it are replaced.
    pub(crate) fn new(text: &str, style: Style) -> Self {
        Self { text: clean(text), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text.as_ref(), Style::Plain)
    }
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let heading = headings.into_iter().map(|heading| Cell::new(heading.as_ref(), Style::Heading)).collect();
        Self { rows: vec![heading] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as lines, each column as wide as its widest text.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let widths = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.width());
            widths.max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or_default();
            for (column, cell) in row.iter().enumerate().take(last + 1) {
                text.push_str(&paint.paint(&cell.text, cell.style));
                if column < last {
                    let space = widths[column] - cell.text.width() + GAP;
                    text.extend(std::iter::repeat_n(' ', space));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns_by_their_width_on_the_screen() {
        let mut table = Table::new(["NAME", "STATUS", "ERROR"]);
        table.row([Cell::from("主机"), Cell::new("ok", Style::Good), Cell::from("")]);
        table.row([Cell::from("x"), Cell::new("degraded", Style::Warning), Cell::from("no route")]);
        let expected = "NAME  STATUS    ERROR\n主机  ok\nx     degraded  no route\n";
        assert_eq!(table.render(Paint::new(false)), expected);
    }

    #[test]
    fn paints_the_text_and_not_the_space() {
        let mut table = Table::new(["A", "B"]);
        table.row([Cell::new("ok", Style::Good), Cell::from("1")]);
        let expected = "\x1b[1mA\x1b[0m   \x1b[1mB\x1b[0m\n\x1b[32mok\x1b[0m  1\n";
        assert_eq!(table.render(Paint::new(true)), expected);
    }

    #[test]
    fn lets_no_control_character_of_a_collector_reach_the_terminal() {
        let mut table = Table::new(["A"]);
        table.row([Cell::from("\x1b]0;owned\x07\nx")]);
        assert_eq!(table.render(Paint::new(false)), "A\n\u{fffd}]0;owned\u{fffd}\u{fffd}x\n");
    }
}
