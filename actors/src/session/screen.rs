//! The screen of a session, as a terminal would show it.
//!
//! A screen is a cache: the recording is the truth. It is built when somebody needs to know what is to be seen, from a
//! snapshot and the bytes after it, and dropped when nobody does. What reaches the parser is bounded first: sizes,
//! counts, strings and the work one byte may cause.

mod feed;
mod keyboard;
pub mod lazy;
mod paint;

use alacritty_terminal::event::VoidListener;
use alacritty_terminal::grid::{Dimensions, Grid};
use alacritty_terminal::index::{Column, Line, Point};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::term::{Config, Osc52, Term, TermMode};
use alacritty_terminal::vte::ansi::{Processor, Rgb};

use crate::session::screen::keyboard::Keyboard;
use crate::session::token::Tokens;

/// Lines above the screen that stay in memory; the recording has all of them.
pub const SCROLLBACK_LINES_MAX: usize = 1_000;
/// The widest terminal: a row of one is 12 KB.
pub const COLS_MAX: u16 = 500;
/// The highest terminal.
pub const ROWS_MAX: u16 = 300;
/// The narrowest terminal the model can show a wide character in.
pub const COLS_MIN: u16 = 2;
pub const ROWS_MIN: u16 = 1;
/// The longest title that is kept.
pub const TITLE_CHARS_MAX: usize = 256;
/// Combining marks one cell may gather; no script needs more, and memory would grow without end.
const MARKS_MAX: usize = 8;

/// The size of a terminal, always within the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    cols: u16,
    rows: u16,
}

impl Size {
    /// The nearest size there may be.
    pub fn clamped(cols: u16, rows: u16) -> Size {
        Size { cols: cols.clamp(COLS_MIN, COLS_MAX), rows: rows.clamp(ROWS_MIN, ROWS_MAX) }
    }

    pub fn cols(self) -> u16 {
        self.cols
    }

    pub fn rows(self) -> u16 {
        self.rows
    }
}

impl Dimensions for Size {
    fn total_lines(&self) -> usize {
        usize::from(self.rows)
    }
    fn screen_lines(&self) -> usize {
        usize::from(self.rows)
    }
    fn columns(&self) -> usize {
        usize::from(self.cols)
    }
}

/// What the program has switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    pub bracketed_paste: bool,
    pub alt_screen: bool,
    pub application_cursor: bool,
    pub application_keypad: bool,
    pub cursor_visible: bool,
    pub line_wrap: bool,
    pub focus_events: bool,
    /// 0, 1000, 1002 or 1003.
    pub mouse: u16,
    pub mouse_sgr: bool,
    pub mouse_utf8: bool,
    /// The kitty keyboard protocol's flags.
    pub keyboard: u8,
}

/// What a screen refused, so that nobody wonders why it looks other than elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Sequences and strings that were too long.
    pub overlong: u64,
    /// Sequences that would have cost more work than their bytes allow.
    pub costly: u64,
    /// Combining marks a cell had no room for.
    pub marks: u64,
}

/// A screen at one place of a recording, to go on from without what was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub size: Size,
    /// What draws it on an empty terminal of that size.
    pub bytes: Vec<u8>,
}

/// A terminal without a window.
pub struct Screen {
    size: Size,
    tokens: Tokens,
    term: Term<VoidListener>,
    parser: Processor,
    keyboard: Keyboard,
    title: String,
    /// The first and last row of the scrolling region as the program set it, beyond the screen perhaps.
    region: Option<(u16, u16)>,
    /// Line-drawing characters are shifted in (SO).
    shifted: bool,
    /// Bytes of a character that is not complete yet.
    partial: Vec<u8>,
    /// The work in cells that may still be caused; grows with each byte.
    work: u64,
    refused: Refused,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("size", &self.size).field("title", &self.title).finish_non_exhaustive()
    }
}

impl Screen {
    pub fn new(size: Size) -> Screen {
        let config = Config {
            scrolling_history: SCROLLBACK_LINES_MAX,
            osc52: Osc52::Disabled,
            kitty_keyboard: false,
            ..Config::default()
        };
        Screen {
            size,
            tokens: Tokens::default(),
            term: Term::new(config, &size, VoidListener),
            parser: Processor::new(),
            keyboard: Keyboard::default(),
            title: String::new(),
            region: None,
            shifted: false,
            partial: Vec::new(),
            work: feed::work_max(size),
            refused: Refused::default(),
        }
    }

    pub fn restore(snapshot: &Snapshot) -> Screen {
        let mut screen = Screen::new(snapshot.size);
        screen.feed(&snapshot.bytes);
        screen.work = feed::work_max(snapshot.size);
        screen.refused = Refused::default();
        screen
    }

    /// The screen as bytes; nothing within a sequence, where no screen can go on from.
    pub fn snapshot(&mut self) -> Option<Snapshot> {
        let whole = self.tokens.is_ground() && self.partial.is_empty();
        whole.then(|| Snapshot { size: self.size, bytes: paint::snapshot(self) })
    }

    /// The bytes that draw this screen, its colours and modes on a terminal of the same size.
    pub fn repaint(&mut self) -> Vec<u8> {
        paint::repaint(self)
    }

    pub fn resize(&mut self, size: Size) {
        if size != self.size {
            self.size = size;
            self.term.resize(size);
            self.region = None;
        }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    /// Row and column of the cursor, from 0.
    pub fn cursor(&self) -> (u16, u16) {
        let point = self.term.grid().cursor.point;
        (u16::try_from(point.line.0).unwrap_or(0), u16::try_from(point.column.0).unwrap_or(0))
    }

    pub fn refused(&self) -> Refused {
        Refused { overlong: self.tokens.dropped(), ..self.refused }
    }

    pub fn modes(&self) -> Modes {
        let mode = *self.term.mode();
        let mouse = [
            (TermMode::MOUSE_MOTION, 1003),
            (TermMode::MOUSE_DRAG, 1002),
            (TermMode::MOUSE_REPORT_CLICK, 1000),
        ];
        Modes {
            bracketed_paste: mode.contains(TermMode::BRACKETED_PASTE),
            alt_screen: mode.contains(TermMode::ALT_SCREEN),
            application_cursor: mode.contains(TermMode::APP_CURSOR),
            application_keypad: mode.contains(TermMode::APP_KEYPAD),
            cursor_visible: mode.contains(TermMode::SHOW_CURSOR),
            line_wrap: mode.contains(TermMode::LINE_WRAP),
            focus_events: mode.contains(TermMode::FOCUS_IN_OUT),
            mouse: mouse.iter().find(|(flag, _)| mode.contains(*flag)).map_or(0, |(_, number)| *number),
            mouse_sgr: mode.contains(TermMode::SGR_MOUSE),
            mouse_utf8: mode.contains(TermMode::UTF8_MOUSE),
            keyboard: self.keyboard.flags(),
        }
    }

    /// What is to be seen, a line for each row, blanks at the ends and empty rows at the bottom left out.
    pub fn text(&self) -> String {
        self.rows_text(0)
    }

    /// As `text`, with as many of the lines above as asked for and there are.
    pub fn text_with_history(&self, lines: usize) -> String {
        self.rows_text(lines.min(self.term.grid().history_size()))
    }

    fn rows_text(&self, above: usize) -> String {
        let first = -i32::try_from(above).unwrap_or(0);
        let mut text = String::new();
        for row in first..i32::from(self.size.rows) {
            self.row_text(Line(row), &mut text);
            text.push('\n');
        }
        text.truncate(text.trim_end_matches('\n').len());
        text
    }

    fn row_text(&self, line: Line, text: &mut String) {
        let (before, grid) = (text.len(), self.term.grid());
        for column in 0..usize::from(self.size.cols) {
            match shown(grid, line.0, column) {
                Shown::Nothing => {}
                Shown::Blank => text.push(' '),
                Shown::Character => {
                    let cell = &grid[line][Column(column)];
                    text.push(cell.c);
                    text.extend(cell.zerowidth().into_iter().flatten());
                }
            }
        }
        text.truncate(before + text[before..].trim_end_matches(' ').len());
    }

    /// A colour of the palette, where the program changed it. 256 is the foreground, 257 the background, 258 the cursor.
    pub fn colour(&self, index: usize) -> Option<(u8, u8, u8)> {
        let known = index < alacritty_terminal::term::color::COUNT;
        let colour: Option<Rgb> = known.then(|| self.term.colors()[index]).flatten();
        colour.map(|colour| (colour.r, colour.g, colour.b))
    }

    /// Whether the cell a combining mark would join has room for it.
    fn mark_has_room(&self) -> bool {
        let grid = self.term.grid();
        let mut point: Point = grid.cursor.point;
        if !grid.cursor.input_needs_wrap {
            point.column = Column(point.column.0.saturating_sub(1));
        }
        if grid[point].flags.contains(Flags::WIDE_CHAR_SPACER) {
            point.column = Column(point.column.0.saturating_sub(1));
        }
        grid[point].zerowidth().is_none_or(|marks| marks.len() < MARKS_MAX)
    }
}

/// What a cell shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// The wide character beside it.
    Nothing,
    /// A blank, or half of a wide character whose other half was overwritten.
    Blank,
    Character,
}

fn shown(grid: &Grid<Cell>, row: i32, column: usize) -> Shown {
    let cell = &grid[Line(row)][Column(column)];
    let wide = |row: i32, column: usize| {
        let both =
            column + 1 < grid.columns() && row < i32::try_from(grid.screen_lines()).unwrap_or(i32::MAX);
        both && grid[Line(row)][Column(column)].flags.contains(Flags::WIDE_CHAR)
            && grid[Line(row)][Column(column + 1)].flags.contains(Flags::WIDE_CHAR_SPACER)
    };
    let last = column + 1 == grid.columns();
    match cell.flags {
        flags if flags.contains(Flags::WIDE_CHAR) && !wide(row, column) => Shown::Blank,
        flags if flags.contains(Flags::WIDE_CHAR_SPACER) && column > 0 && wide(row, column - 1) => {
            Shown::Nothing
        }
        flags if flags.contains(Flags::WIDE_CHAR_SPACER) => Shown::Blank,
        flags
            if flags.contains(Flags::LEADING_WIDE_CHAR_SPACER | Flags::WRAPLINE)
                && last
                && wide(row + 1, 0) =>
        {
            Shown::Nothing
        }
        flags if flags.contains(Flags::LEADING_WIDE_CHAR_SPACER) || cell.c.is_control() => Shown::Blank,
        _ => Shown::Character,
    }
}

#[cfg(test)]
mod tests;
