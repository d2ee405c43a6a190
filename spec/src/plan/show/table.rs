//! A table of text, its columns as wide as they must be.

/// The widest a column gets before its text is cut.
const COLUMN_CHARS_MAX: usize = 60;

pub(super) struct Table {
    rows: Vec<[String; 6]>,
}

impl Table {
    pub fn new(head: [&str; 6]) -> Table {
        Table { rows: vec![head.map(str::to_owned)] }
    }

    pub fn add(&mut self, row: [String; 6]) {
        self.rows.push(row.map(|cell| cut(&cell)));
    }

    /// The rows, indented; those that are too many are counted.
    pub fn lines(&self, rows_max: usize) -> String {
        let shown = &self.rows[..self.rows.len().min(rows_max)];
        let mut widths = [0_usize; 6];
        for row in shown {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut out = String::new();
        for row in shown {
            let mut line = String::from("  ");
            for (width, cell) in widths.iter().zip(row) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - cell.chars().count() + 2));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        if self.rows.len() > shown.len() {
            out.push_str(&format!("  … and {} more\n", self.rows.len() - shown.len()));
        }
        out
    }
}

fn cut(cell: &str) -> String {
    if cell.chars().count() <= COLUMN_CHARS_MAX {
        return cell.to_owned();
    }
    cell.chars().take(COLUMN_CHARS_MAX - 1).chain(['…']).collect()
}
