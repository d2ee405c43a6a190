//! What is answered.

use crate::session::query::{Kind, Query};
use crate::session::screen::{Screen, Size};

/// The pixels of a cell, for programs that ask; there is no real one.
const CELL_WIDTH: u32 = 10;
const CELL_HEIGHT: u32 = 20;
/// Light grey on black, said to be dark.
const FOREGROUND: (u8, u8, u8) = (0xd0, 0xd0, 0xd0);
const BACKGROUND: (u8, u8, u8) = (0x10, 0x10, 0x10);
/// Where the model keeps the foreground, background and cursor colours.
const NAMED: usize = 256;
/// The first sixteen colours.
const BASIC: [u32; 16] = [
    0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5, 0x7f7f7f, 0xff0000,
    0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff,
];
/// The steps of the colour cube.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// What an answer may depend on.
#[derive(Debug)]
pub struct Known<'a> {
    pub size: Size,
    /// The screen at the place of the question; needed only where the question says so.
    pub screen: Option<&'a Screen>,
}

/// Whether a mode is on, as DECRQM tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Unknown = 0,
    On = 1,
    Off = 2,
}

/// The bytes to type for a question; nothing where it cannot be answered.
pub fn answer(query: &Query, known: &Known<'_>) -> Option<Vec<u8>> {
    let (cols, rows) = (u32::from(known.size.cols()), u32::from(known.size.rows()));
    let end = if query.bell { "\x07" } else { "\x1b\\" };
    let text = match &query.kind {
        // A VT220 with colours. No pictures and no clipboard, since neither is there.
        Kind::Attributes(1) => "\x1b[?62;22c".to_owned(),
        Kind::Attributes(2) => "\x1b[>0;100;0c".to_owned(),
        Kind::Attributes(_) => format!("\x1bP!|{}\x1b\\", hex("niia")),
        Kind::Health => "\x1b[0n".to_owned(),
        Kind::Cursor { dec } => {
            let (row, column) = known.screen?.cursor();
            format!("\x1b[{}{};{}R", if *dec { "?" } else { "" }, row + 1, column + 1)
        }
        Kind::ColourScheme => "\x1b[?997;1n".to_owned(),
        Kind::Version => format!("\x1bP>|niia({})\x1b\\", env!("CARGO_PKG_VERSION")),
        Kind::Mode { number, private } => {
            let mode = mode(*number, *private, known.screen?) as u8;
            format!("\x1b[{}{number};{mode}$y", if *private { "?" } else { "" })
        }
        Kind::Capabilities(names) => names.iter().map(|name| capability(name)).collect(),
        Kind::Setting => "\x1bP0$r\x1b\\".to_owned(),
        Kind::Keyboard => format!("\x1b[?{}u", known.screen?.modes().keyboard),
        Kind::NamedColour(number) => {
            let named = usize::from(number.saturating_sub(10));
            let default = if *number == 11 { BACKGROUND } else { FOREGROUND };
            format!("\x1b]{number};{}{end}", rgb(known.screen?.colour(NAMED + named).unwrap_or(default)))
        }
        Kind::Palette(colours) => {
            let screen = known.screen?;
            let one = |index: &u8| {
                let colour = screen.colour(usize::from(*index)).unwrap_or_else(|| palette(*index));
                format!("\x1b]4;{index};{}{end}", rgb(colour))
            };
            colours.iter().map(one).collect()
        }
        Kind::Status => format!("\x1b]7501;?{end}"),
        Kind::Window(11) => "\x1b[1t".to_owned(),
        Kind::Window(13) => "\x1b[3;0;0t".to_owned(),
        Kind::Window(14) => format!("\x1b[4;{};{}t", rows * CELL_HEIGHT, cols * CELL_WIDTH),
        Kind::Window(16) => format!("\x1b[6;{CELL_HEIGHT};{CELL_WIDTH}t"),
        Kind::Window(18) => format!("\x1b[8;{rows};{cols}t"),
        Kind::Window(19) => format!("\x1b[9;{rows};{cols}t"),
        Kind::Window(_) => return None,
    };
    Some(text.into_bytes())
}

fn mode(number: u16, private: bool, screen: &Screen) -> Mode {
    let modes = screen.modes();
    let on = match (number, private) {
        (1, true) => modes.application_cursor,
        (7, true) => modes.line_wrap,
        (25, true) => modes.cursor_visible,
        (47 | 1047 | 1049, true) => modes.alt_screen,
        (1000 | 1002 | 1003, true) => modes.mouse == number,
        (1004, true) => modes.focus_events,
        (1005, true) => modes.mouse_utf8,
        (1006, true) => modes.mouse_sgr,
        (2004, true) => modes.bracketed_paste,
        // Taken and harmless: nothing is shown half-drawn here.
        (2026, true) => false,
        _ => return Mode::Unknown,
    };
    if on { Mode::On } else { Mode::Off }
}

/// One capability of the terminal, by its name in hexadecimal.
fn capability(name: &str) -> String {
    let value = match unhex(name).as_deref() {
        Some("TN" | "name") => "xterm-256color",
        Some("Co" | "colors") => "256",
        Some("RGB") => "8/8/8",
        _ => return format!("\x1bP0+r{name}\x1b\\"),
    };
    format!("\x1bP1+r{name}={}\x1b\\", hex(value))
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

fn unhex(digits: &str) -> Option<String> {
    let pair = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(pair).collect();
    String::from_utf8(bytes?).ok()
}

fn rgb((r, g, b): (u8, u8, u8)) -> String {
    format!("rgb:{r:02x}{r:02x}/{g:02x}{g:02x}/{b:02x}{b:02x}")
}

/// The usual colours of a terminal with 256 of them.
fn palette(index: u8) -> (u8, u8, u8) {
    match index {
        0..=15 => {
            let [_, r, g, b] = BASIC[usize::from(index)].to_be_bytes();
            (r, g, b)
        }
        16..=231 => {
            let cube = usize::from(index - 16);
            (CUBE[cube / 36], CUBE[cube / 6 % 6], CUBE[cube % 6])
        }
        grey => {
            let level = 8 + 10 * (grey - 232);
            (level, level, level)
        }
    }
}
