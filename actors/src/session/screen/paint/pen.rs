//! The colours and attributes characters are written with.

use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{Color, NamedColor};

/// The attributes a pen can have, with the number that switches each on.
const ATTRIBUTES: [(Flags, &str); 11] = [
    (Flags::BOLD, "1"),
    (Flags::DIM, "2"),
    (Flags::ITALIC, "3"),
    (Flags::UNDERLINE, "4"),
    (Flags::DOUBLE_UNDERLINE, "4:2"),
    (Flags::UNDERCURL, "4:3"),
    (Flags::DOTTED_UNDERLINE, "4:4"),
    (Flags::DASHED_UNDERLINE, "4:5"),
    (Flags::INVERSE, "7"),
    (Flags::HIDDEN, "8"),
    (Flags::STRIKEOUT, "9"),
];

/// Changes the pen to that of a cell, if it is another one.
pub(super) fn change(pen: &mut Cell, cell: &Cell, out: &mut String) {
    let same = pen.fg == cell.fg
        && pen.bg == cell.bg
        && attributes(pen) == attributes(cell)
        && pen.underline_color() == cell.underline_color();
    if !same {
        set(cell, out);
        *pen = cell.clone();
    }
}

/// Sets the pen to that of a cell, whatever it was.
pub(super) fn set(cell: &Cell, out: &mut String) {
    *out += "\x1b[0";
    for (_, number) in ATTRIBUTES.iter().filter(|(flag, _)| cell.flags.contains(*flag)) {
        *out += ";";
        *out += number;
    }
    colour(cell.fg, 30, out);
    colour(cell.bg, 40, out);
    if let Some(underline) = cell.underline_color() {
        underline_colour(underline, out);
    }
    out.push('m');
}

fn attributes(cell: &Cell) -> Flags {
    let known = ATTRIBUTES.iter().fold(Flags::empty(), |all, (flag, _)| all | *flag);
    cell.flags & known
}

/// A colour of the text (base 30) or of what is behind it (base 40).
fn colour(colour: Color, base: usize, out: &mut String) {
    match colour {
        Color::Named(NamedColor::Foreground | NamedColor::Background) => {}
        Color::Named(named) => match named as usize {
            normal @ 0..=7 => *out += &format!(";{}", base + normal),
            bright @ 8..=15 => *out += &format!(";{}", base + 60 + bright - 8),
            _ => {}
        },
        Color::Indexed(index) => *out += &format!(";{};5;{index}", base + 8),
        Color::Spec(rgb) => *out += &format!(";{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
    }
}

fn underline_colour(colour: Color, out: &mut String) {
    match colour {
        Color::Indexed(index) => *out += &format!(";58:5:{index}"),
        Color::Spec(rgb) => *out += &format!(";58:2::{}:{}:{}", rgb.r, rgb.g, rgb.b),
        Color::Named(_) => {}
    }
}
