//! A table that is painted over itself.

use super::{Look, width};

/// Remembers what it painted last, so that the next frame lands on it.
#[derive(Debug, Default)]
pub struct Painter {
    /// The widths of the lines on the screen.
    painted: Vec<usize>,
}

impl Painter {
    /// The bytes that put these lines where the last ones were. More lines than the screen has are cut in the middle
    /// of the table, so that its head and its newest end are seen.
    pub fn frame(&mut self, lines: &[String], look: Look) -> String {
        let lines = shorten(lines, usize::from(look.rows).saturating_sub(1).max(1));
        // Synchronised output: a terminal that knows it shows the frame at once, others ignore the words.
        let mut bytes = String::from("\x1b[?2026h");
        bytes.push_str(&self.back(look));
        self.painted.clear();
        for line in &lines {
            bytes.push_str(line);
            bytes.push_str("\x1b[K\r\n");
            self.painted.push(visible_width(line));
        }
        bytes.push_str("\x1b[J\x1b[?2026l");
        bytes
    }

    /// The bytes that leave what is painted where it is, so that what follows stands below it.
    pub fn leave(&mut self) {
        self.painted.clear();
    }

    /// The bytes that go back to the first painted line. A terminal that was made narrower has wrapped the lines.
    fn back(&self, look: Look) -> String {
        let cols = usize::from(look.cols).max(1);
        let rows: usize = self.painted.iter().map(|wide| wide.div_ceil(cols).max(1)).sum();
        let rows = rows.min(usize::from(look.rows).saturating_sub(1));
        if rows == 0 { "\r".to_owned() } else { format!("\r\x1b[{rows}A") }
    }
}

/// The cells a line takes, its colours left out.
fn visible_width(line: &str) -> usize {
    let mut cells = 0;
    let mut pieces = line.split('\x1b');
    cells += pieces.next().map_or(0, width);
    for piece in pieces {
        cells += width(piece.split_once('m').map_or(piece, |(_, rest)| rest));
    }
    cells
}

fn shorten(lines: &[String], rows: usize) -> Vec<String> {
    if lines.len() <= rows {
        return lines.to_vec();
    }
    if rows < 4 {
        return lines[..rows].to_vec();
    }
    let tail = rows / 2;
    let head = rows - tail - 1;
    let left_out = lines.len() - head - tail;
    let mut short = lines[..head].to_vec();
    short.push(format!("  … {left_out} more"));
    short.extend_from_slice(&lines[lines.len() - tail..]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(cols: u16, rows: u16) -> Look {
        Look { cols, rows, coloured: false, live: true }
    }

    fn lines(count: usize) -> Vec<String> {
        (1..=count).map(|n| format!("line {n}")).collect()
    }

    #[test]
    fn each_frame_lands_on_the_one_before_it() {
        let mut painter = Painter::default();
        assert!(!painter.frame(&lines(3), look(80, 24)).contains('A'), "the first frame goes nowhere back");
        assert!(painter.frame(&lines(2), look(80, 24)).contains("\r\x1b[3A"));
        assert!(painter.frame(&lines(2), look(80, 24)).contains("\r\x1b[2A"));
    }

    #[test]
    fn a_terminal_made_narrower_is_painted_over_whole() {
        let mut painter = Painter::default();
        painter.frame(&["x".repeat(30)], look(80, 24));
        assert!(painter.frame(&["y".to_owned()], look(10, 24)).contains("\r\x1b[3A"));
        let mut painter = Painter::default();
        painter.frame(&["\x1b[31mred\x1b[0m".to_owned()], look(80, 24));
        assert!(painter.frame(&["y".to_owned()], look(4, 24)).contains("\r\x1b[1A"), "colours take no cells");
    }

    #[test]
    fn more_workers_than_rows_are_counted_and_never_scroll() {
        let mut painter = Painter::default();
        let frame = painter.frame(&lines(100), look(80, 11));
        assert_eq!(frame.matches("\r\n").count(), 10);
        assert!(frame.contains("line 1\x1b[K") && frame.contains("… 91 more") && frame.contains("line 100"));
    }
}
