//! Tables whose columns stand below each other, cut to the width of the terminal.

use super::{Look, Tone, fit, neutral, toned, width};

/// Cells between two columns.
const GAP: usize = 2;

/// One word of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// A cell of any text; it is neutralised here, so no row can be forgotten.
pub fn cell(text: impl AsRef<str>) -> Cell {
    Cell { text: neutral(text.as_ref()), tone: Tone::Plain }
}

pub fn toned_cell(text: impl AsRef<str>, tone: Tone) -> Cell {
    Cell { tone, ..cell(text) }
}

/// Rows under a head.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    pub fn new(head: &[&str]) -> Table {
        let head = head.iter().map(|word| toned_cell(word, Tone::Faint)).collect();
        Table { rows: vec![head], indent: 0 }
    }

    /// A table whose rows speak for themselves.
    pub fn headless() -> Table {
        Table::default()
    }

    #[must_use]
    pub fn indented(mut self, cells: usize) -> Table {
        self.indent = cells;
        self
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Its lines: every column as wide as its widest cell, the last one cut where the line ends.
    pub fn lines(&self, look: Look) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |n: usize| self.rows.iter().filter_map(|row| row.get(n)).map(|c| width(&c.text)).max();
        let widths: Vec<usize> = (0..columns).map(|n| widest(n).unwrap_or(0)).collect();
        self.rows.iter().map(|row| self.line(row, &widths, look)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], look: Look) -> String {
        let mut line = " ".repeat(self.indent);
        let mut left = usize::from(look.cols).saturating_sub(self.indent);
        let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
        for (cell, wide) in row.iter().zip(widths).take(last + 1) {
            let text = fit(&cell.text, left);
            let used = width(&text);
            line.push_str(&toned(&text, cell.tone, look.coloured));
            let pad = (wide + GAP).saturating_sub(used).min(left.saturating_sub(used));
            line.push_str(&" ".repeat(pad));
            left = left.saturating_sub(used + pad);
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }

    pub fn text(&self, look: Look) -> String {
        self.lines(look).into_iter().map(|line| line + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "STATE", "LINE"]);
        table.row(vec![
            cell("日本"),
            toned_cell("working", Tone::Busy),
            cell("a long last line of a worker"),
        ]);
        table.row(vec![cell("b"), cell("done"), cell("")]);
        table
    }

    #[test]
    fn columns_stand_below_each_other_however_wide_a_character_is() {
        let look = Look { cols: 30, ..Look::plain() };
        assert_eq!(
            table().lines(look),
            ["NAME  STATE    LINE", "日本  working  a long last li…", "b     done"]
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_and_never_wraps() {
        for cols in 0..40 {
            let look = Look { cols, ..Look::plain() };
            assert!(table().lines(look).iter().all(|line| width(line) <= usize::from(cols)), "{cols}");
        }
    }
}
