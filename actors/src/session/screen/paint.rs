//! A screen written down as the bytes that draw it.
//!
//! Custom tabulator stops and links are not part of it; everything else that changes what is seen or how later
//! output is shown is.

use alacritty_terminal::grid::{Cursor, Dimensions, Grid};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{CharsetIndex, CursorShape, StandardCharset};

use crate::session::screen::{Modes, Screen, Shown, shown};

mod pen;

/// Colours of the palette, then foreground, background and cursor.
const COLOURS: usize = 259;

/// What draws the screen on a terminal whose state nobody knows.
pub(super) fn repaint(screen: &mut Screen) -> Vec<u8> {
    // Keyboard flags of an earlier painting are taken off both screens first; they are put on a stack.
    let mut out = String::from("\x1b[!p\x1b[<16u\x1b[?1049l\x1b[<16u\x1b[?6;69l\x1b[4;20l\x1b[?7h");
    out += "\x1b[r\x1b[0m\x1b(B\x0f\x1b[H\x1b[2J";
    both(screen, &mut out, false);
    out.into_bytes()
}

/// What draws the screen with all above it on an empty terminal.
pub(super) fn snapshot(screen: &mut Screen) -> Vec<u8> {
    let mut out = String::new();
    both(screen, &mut out, true);
    out.into_bytes()
}

/// Draws the first screen and, where the program is on the other one, that on top of it.
fn both(screen: &mut Screen, out: &mut String, history: bool) {
    *out += &format!("\x1b]2;{}\x1b\\", screen.title);
    colours(screen, out);
    let modes = screen.modes();
    if modes.alt_screen {
        // The model shows one screen only, so it is switched for a moment and put back as it was.
        let alt = screen.term.grid().clone();
        screen.term.swap_alt();
        draw(screen.term.grid(), history, out);
        place(screen, None, out);
        screen.term.swap_alt();
        *screen.term.grid_mut() = alt;
        keyboard(out, screen.keyboard.main());
        *out += "\x1b[?1049h\x1b[0m\x1b(B\x0f\x1b[H\x1b[2J";
        draw(screen.term.grid(), false, out);
    } else {
        draw(screen.term.grid(), history, out);
    }
    place(screen, screen.region, out);
    keyboard(out, screen.keyboard.stack());
    switches(screen, &modes, out);
}

/// Writes the rows of a screen, from its upper left corner.
fn draw(grid: &Grid<Cell>, history: bool, out: &mut String) {
    let above = if history { grid.history_size() } else { 0 };
    let first = -i32::try_from(above).unwrap_or(0);
    let last = i32::try_from(grid.screen_lines()).unwrap_or(0) - 1;
    let mut drawing = Cell::default();
    let mut wrapped = false;
    for row in first..=last {
        let wraps = row < last && wraps(grid, row);
        let cells = if wraps { grid.columns() } else { used(grid, row).max(usize::from(wrapped)) };
        for column in 0..cells {
            let shown = shown(grid, row, column);
            if shown != Shown::Nothing {
                let cell = &grid[Line(row)][Column(column)];
                pen::change(&mut drawing, cell, out);
                character(cell, shown, out);
            }
        }
        if row < last && !wraps {
            pen::change(&mut drawing, &Cell::default(), out);
            *out += "\r\n";
        }
        wrapped = wraps;
    }
    pen::change(&mut drawing, &Cell::default(), out);
}

fn character(cell: &Cell, shown: Shown, out: &mut String) {
    if shown == Shown::Character {
        out.push(cell.c);
        out.extend(cell.zerowidth().into_iter().flatten());
    } else {
        out.push(' ');
    }
}

/// Whether the text of a row goes on in the next one.
fn wraps(grid: &Grid<Cell>, row: i32) -> bool {
    grid[Line(row)][Column(grid.columns() - 1)].flags.contains(Flags::WRAPLINE)
}

/// The cells of a row up to its last one that is not blank.
fn used(grid: &Grid<Cell>, row: i32) -> usize {
    let blank = Cell::default();
    (0..grid.columns())
        .rev()
        .find(|column| grid[Line(row)][Column(*column)] != blank)
        .map_or(0, |last| last + 1)
}

/// The scrolling region, the cursor's memory and the cursor.
fn place(screen: &Screen, region: Option<(u16, u16)>, out: &mut String) {
    let grid = screen.term.grid();
    if let Some((top, bottom)) = region {
        *out += &format!("\x1b[{top};{bottom}r");
    }
    put_cursor(grid, &grid.saved_cursor, 0, out);
    *out += "\x1b7";
    let origin = screen.term.mode().contains(TermMode::ORIGIN);
    let top = if origin { i32::from(region.map_or(1, |(top, _)| top)) - 1 } else { 0 };
    *out += if origin { "\x1b[?6h" } else { "" };
    put_cursor(grid, &grid.cursor, top, out);
    *out += if screen.shifted { "\x0e" } else { "\x0f" };
}

fn put_cursor(grid: &Grid<Cell>, cursor: &Cursor<Cell>, top: i32, out: &mut String) {
    let (row, mut column) = (cursor.point.line.0, cursor.point.column.0);
    let last = column + 1 == grid.columns();
    if cursor.input_needs_wrap && last && shown(grid, row, column) == Shown::Nothing {
        column -= 1;
    }
    *out += &format!("\x1b[{};{}H", row - top + 1, column + 1);
    if cursor.input_needs_wrap && last {
        // Only writing the last character again makes the terminal wait for one more before it wraps.
        let cell = &grid[Line(row)][Column(column)];
        *out += "\x1b(B\x0f";
        pen::set(cell, out);
        character(cell, shown(grid, row, column), out);
    }
    pen::set(&cursor.template, out);
    charsets(cursor, out);
}

fn charsets(cursor: &Cursor<Cell>, out: &mut String) {
    let all =
        [(CharsetIndex::G0, '('), (CharsetIndex::G1, ')'), (CharsetIndex::G2, '*'), (CharsetIndex::G3, '+')];
    for (index, letter) in all {
        let drawing = cursor.charsets[index] == StandardCharset::SpecialCharacterAndLineDrawing;
        *out += &format!("\x1b{letter}{}", if drawing { '0' } else { 'B' });
    }
}

fn keyboard(out: &mut String, stack: &[u8]) {
    for flags in stack {
        *out += &format!("\x1b[>{flags}u");
    }
}

fn colours(screen: &Screen, out: &mut String) {
    for index in 0..COLOURS {
        let Some((r, g, b)) = screen.colour(index) else { continue };
        let name = match index {
            256 => "10".to_owned(),
            257 => "11".to_owned(),
            258 => "12".to_owned(),
            index => format!("4;{index}"),
        };
        *out += &format!("\x1b]{name};rgb:{r:02x}/{g:02x}/{b:02x}\x1b\\");
    }
}

/// Every mode, said in so many words, since nobody knows what the terminal was in.
fn switches(screen: &Screen, modes: &Modes, out: &mut String) {
    let mode = *screen.term.mode();
    let mut private =
        |number: u16, on: bool| *out += &format!("\x1b[?{number}{}", if on { 'h' } else { 'l' });
    private(1, modes.application_cursor);
    for mouse in [1000, 1002, 1003] {
        private(mouse, false);
    }
    if modes.mouse != 0 {
        private(modes.mouse, true);
    }
    private(1004, modes.focus_events);
    private(1005, modes.mouse_utf8);
    private(1006, modes.mouse_sgr);
    private(1007, mode.contains(TermMode::ALTERNATE_SCROLL));
    private(2004, modes.bracketed_paste);
    private(7, modes.line_wrap);
    private(25, modes.cursor_visible);
    *out += if modes.application_keypad { "\x1b=" } else { "\x1b>" };
    *out += if mode.contains(TermMode::INSERT) { "\x1b[4h" } else { "\x1b[4l" };
    *out += if mode.contains(TermMode::LINE_FEED_NEW_LINE) { "\x1b[20h" } else { "\x1b[20l" };
    let style = screen.term.cursor_style();
    let shape = match style.shape {
        CursorShape::Underline => 4,
        CursorShape::Beam => 6,
        _ => 2,
    };
    *out += &format!("\x1b[{} q", shape - u8::from(style.blinking));
}
