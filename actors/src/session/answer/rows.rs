//! The rows a program can still change, and the lines they become when they leave the screen.

use std::collections::VecDeque;

use unicode_width::UnicodeWidthChar;

use crate::session::answer::kept::Kept;
use crate::session::screen::Size;
use crate::session::token::Csi;

const TAB_COLUMNS: usize = 8;
/// Combining marks of one row; more than a screen can show are no text.
const MARKS_MAX: usize = 1024;
/// The second half of a wide character.
const HALF: char = '\0';

#[derive(Clone, Debug, Default)]
struct Row {
    cells: Vec<char>,
    /// Combining marks, each with the column it belongs to.
    marks: Vec<(usize, char)>,
    /// The line goes on in the next row.
    wrapped: bool,
}

#[derive(Debug)]
pub(super) struct Rows {
    width: usize,
    height: usize,
    rows: VecDeque<Row>,
    row: usize,
    /// May be one past the last column: the next character begins a new row.
    column: usize,
    saved: (usize, usize),
    last: Option<char>,
}

impl Rows {
    pub(super) fn new(size: Size) -> Rows {
        Rows {
            width: usize::from(size.cols()),
            height: usize::from(size.rows()),
            rows: VecDeque::from([Row::default()]),
            row: 0,
            column: 0,
            saved: (0, 0),
            last: None,
        }
    }

    pub(super) fn resize(&mut self, size: Size, kept: &mut Kept) {
        (self.width, self.height) = (usize::from(size.cols()), usize::from(size.rows()));
        while self.rows.len() > self.height {
            self.leave(kept);
        }
        self.column = self.column.min(self.width);
    }

    pub(super) fn finish(&mut self, kept: &mut Kept) {
        while !self.rows.is_empty() {
            self.leave(kept);
        }
    }

    /// The upmost row leaves the screen and becomes text.
    fn leave(&mut self, kept: &mut Kept) {
        let Some(row) = self.rows.pop_front() else { return };
        self.row = self.row.saturating_sub(1);
        kept.push(&row.text());
    }

    fn current(&mut self) -> &mut Row {
        while self.rows.len() <= self.row {
            self.rows.push_back(Row::default());
        }
        &mut self.rows[self.row]
    }

    pub(super) fn print(&mut self, text: &str, kept: &mut Kept) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let plain = rest.bytes().take_while(|byte| matches!(byte, 0x20..=0x7e)).count();
            if plain > 0 {
                self.plain(&rest[..plain], kept);
                rest = &rest[plain..];
                continue;
            }
            self.character(first, kept);
            rest = &rest[first.len_utf8()..];
        }
    }

    /// Characters of one column each, as many at a time as fit into the row.
    fn plain(&mut self, mut text: &str, kept: &mut Kept) {
        self.last = text.chars().next_back();
        while !text.is_empty() {
            self.wrap(1, kept);
            let (column, room) = (self.column, self.width.saturating_sub(self.column).max(1));
            let (now, later) = text.split_at(room.min(text.len()));
            self.current().put(column, now.chars());
            self.column = column + now.len();
            text = later;
        }
    }

    fn character(&mut self, c: char, kept: &mut Kept) {
        match c {
            '\n' | '\u{b}' | '\u{c}' => self.line_feed(kept),
            '\r' => self.column = 0,
            '\u{8}' => self.column = self.column.min(self.width - 1).saturating_sub(1),
            '\t' => self.tab(),
            c => match c.width() {
                None => {}
                Some(0) => self.mark(c),
                Some(columns) => {
                    self.last = Some(c);
                    self.wrap(columns, kept);
                    let column = self.column;
                    self.current().put(column, [c, HALF].into_iter().take(columns));
                    self.column = column + columns;
                }
            },
        }
    }

    fn mark(&mut self, c: char) {
        let column = self.column.saturating_sub(1);
        let row = self.current();
        if row.marks.len() < MARKS_MAX && column < row.cells.len() {
            row.marks.push((column, c));
        }
    }

    /// Begins a new row if this one has no room for so many columns.
    fn wrap(&mut self, columns: usize, kept: &mut Kept) {
        if self.column + columns > self.width {
            self.current().wrapped = true;
            self.column = 0;
            self.line_feed(kept);
        }
    }

    fn line_feed(&mut self, kept: &mut Kept) {
        self.row += 1;
        self.current();
        while self.rows.len() > self.height {
            self.leave(kept);
        }
    }

    fn tab(&mut self) {
        let next = (self.column / TAB_COLUMNS + 1) * TAB_COLUMNS;
        self.column = next.min(self.width - 1).max(self.column);
    }

    pub(super) fn esc(&mut self, last: u8, kept: &mut Kept) {
        match last {
            b'7' => self.saved = (self.row, self.column),
            b'8' => self.go(self.saved.0, self.saved.1),
            b'D' => self.line_feed(kept),
            b'E' => {
                self.column = 0;
                self.line_feed(kept);
            }
            b'M' => self.row = self.row.saturating_sub(1),
            _ => {}
        }
    }

    fn go(&mut self, row: usize, column: usize) {
        self.row = row.min(self.height - 1);
        self.column = column.min(self.width - 1);
    }

    pub(super) fn csi(&mut self, csi: &Csi<'_>, kept: &mut Kept) {
        let mut numbers = csi.numbers();
        let first = numbers.next().flatten();
        let n = usize::from(first.unwrap_or(1).max(1));
        let second = usize::from(numbers.next().flatten().unwrap_or(1).max(1));
        match csi.last {
            b'A' | b'F' => self.row = self.row.saturating_sub(n),
            b'B' | b'E' | b'e' => self.row = (self.row + n).min(self.height - 1),
            b'C' | b'a' => self.column = (self.column + n).min(self.width - 1),
            b'D' => self.column = self.column.min(self.width - 1).saturating_sub(n),
            b'G' | b'`' => self.column = (n - 1).min(self.width - 1),
            b'd' => self.row = (n - 1).min(self.height - 1),
            b'H' | b'f' => self.go(n - 1, second - 1),
            b's' => self.saved = (self.row, self.column),
            b'u' => self.go(self.saved.0, self.saved.1),
            b'b' => self.repeat(n, kept),
            b'J' => self.erase_screen(first.unwrap_or(0)),
            b'S' => (0..n.min(self.rows.len())).for_each(|_| self.leave(kept)),
            _ => self.edit(csi.last, n, first.unwrap_or(0)),
        }
        if matches!(csi.last, b'E' | b'F') {
            self.column = 0;
        }
    }

    fn repeat(&mut self, count: usize, kept: &mut Kept) {
        if let Some(last) = self.last {
            (0..count.min(self.width)).for_each(|_| self.character(last, kept));
        }
    }

    fn erase_screen(&mut self, what: u16) {
        let row = self.row;
        match what {
            0 => {
                self.rows.truncate(row + 1);
                self.edit(b'K', 1, 0);
            }
            1 => {
                self.rows.iter_mut().take(row).for_each(|row| *row = Row::default());
                self.edit(b'K', 1, 1);
            }
            2 => self.rows.iter_mut().for_each(|row| *row = Row::default()),
            _ => {}
        }
    }

    /// What changes a row or the rows below.
    fn edit(&mut self, last: u8, n: usize, what: u16) {
        let (row, column, width) = (self.row, self.column, self.width);
        self.current();
        let cells = &mut self.rows[row].cells;
        match (last, what) {
            (b'K', 0) => {
                cells.truncate(column);
                self.rows[row].wrapped = false;
            }
            (b'K', 1) => cells.iter_mut().take(column + 1).for_each(|cell| *cell = ' '),
            (b'K', 2) => self.rows[row] = Row::default(),
            (b'X', _) => cells.iter_mut().skip(column).take(n).for_each(|cell| *cell = ' '),
            (b'P', _) if column < cells.len() => drop(cells.drain(column..(column + n).min(cells.len()))),
            (b'@', _) if column < cells.len() => {
                cells.splice(column..column, std::iter::repeat_n(' ', n.min(width)));
                cells.truncate(width);
            }
            (b'L', _) => {
                (0..n.min(self.height)).for_each(|_| self.rows.insert(row, Row::default()));
                self.rows.truncate(self.height);
            }
            (b'M', _) => drop(self.rows.drain(row..(row + n).min(self.rows.len()))),
            _ => {}
        }
    }
}

impl Row {
    fn put(&mut self, column: usize, characters: impl Iterator<Item = char>) {
        if column == self.cells.len() {
            return self.cells.extend(characters);
        }
        if column > self.cells.len() {
            self.cells.resize(column, ' ');
        }
        self.marks.retain(|(at, _)| *at < column);
        for (at, c) in (column..).zip(characters) {
            if let Some(cell) = self.cells.get_mut(at) {
                *cell = c;
            } else {
                self.cells.push(c);
            }
        }
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(self.cells.len() + 1);
        for (column, cell) in self.cells.iter().enumerate() {
            if *cell != HALF {
                text.push(*cell);
            }
            text.extend(self.marks.iter().filter(|(at, _)| *at == column).map(|(_, mark)| *mark));
        }
        if !self.wrapped {
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}
