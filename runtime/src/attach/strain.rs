//! What of a session's output reaches the person's own terminal, and what it leaves changed there.
//!
//! Questions to the terminal are taken out: they are answered where the session runs, and a second answer would be
//! typed into it. Writes to the clipboard are taken out too. All else passes, and whatever it switches on is
//! remembered, so that it can be switched off again at the end.

use std::collections::{BTreeMap, BTreeSet};

use niia_actors::session::query::{Found, find};
use niia_actors::session::token::{Csi, Token, Tokens};

/// Modes that are remembered; a stream that invents more is no program's.
const MODES_MAX: usize = 256;
/// Modes that are on in a terminal nobody has touched: wrapping, the cursor, scrolling with the wheel.
const ON_BY_DEFAULT: [u16; 3] = [7, 25, 1007];
/// Entries on the keyboard's stack; terminals keep fewer.
const KEYBOARDS_MAX: u16 = 64;

/// Strains output and remembers what it changed.
#[derive(Debug, Default)]
pub struct Strain {
    tokens: Tokens,
    /// Private modes that are not as they were.
    modes: BTreeMap<u16, bool>,
    /// What else is to be undone.
    others: BTreeSet<Other>,
    /// Entries the session has put on the keyboard's stack, on the first and on the other screen.
    keyboards: [u16; 2],
    /// What was shown last ends within a character.
    cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Other {
    Region,
    Insert,
    NewLine,
    Keypad,
    CursorStyle,
    Charset,
    Palette,
    Foreground,
    Background,
    CursorColour,
    ModifiedKeys,
    Pointer,
}

impl Strain {
    /// The part of the output that may be shown.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut tokens = std::mem::take(&mut self.tokens);
        let mut shown = Vec::with_capacity(bytes.len());
        tokens.feed(bytes, |token, _| {
            if let Token::Csi(csi) = token
                && csi.last == b'u'
                && matches!(csi.marker, b'<' | b'=' | b'>')
            {
                self.keyboard(&csi, &mut shown);
            } else if !is_kept_from(&token) {
                self.remember(&token);
                self.cut = matches!(token, Token::Text(text) if ends_within_character(text));
                put(&token, &mut shown);
            }
        });
        self.tokens = tokens;
        shown
    }

    fn remember(&mut self, token: &Token<'_>) {
        match token {
            Token::Csi(csi) => self.csi(csi),
            Token::Esc { between: [], last: b'=' } => self.note(Other::Keypad, true),
            Token::Esc { between: [], last: b'>' } => self.note(Other::Keypad, false),
            Token::Esc { between: [b'(' | b')' | b'*' | b'+'], last } if *last != b'B' => {
                self.note(Other::Charset, true)
            }
            // A full reset takes back everything but the shell's own, which is nobody's fault here.
            Token::Esc { between: [], last: b'c' } => *self = Strain::default(),
            Token::Text(text) if text.contains(&0x0e) => self.note(Other::Charset, true),
            Token::Osc { body, .. } => self.osc(body),
            _ => {}
        }
    }

    fn note(&mut self, other: Other, on: bool) {
        if on {
            self.others.insert(other);
        } else {
            self.others.remove(&other);
        }
    }

    fn csi(&mut self, csi: &Csi<'_>) {
        match (csi.marker, csi.between, csi.last) {
            (b'?', [], last @ (b'h' | b'l')) => {
                for mode in csi.numbers().flatten() {
                    self.mode(mode, last == b'h');
                }
            }
            (0, [], last @ (b'h' | b'l')) => {
                for mode in csi.numbers().flatten() {
                    match mode {
                        4 => self.note(Other::Insert, last == b'h'),
                        20 => self.note(Other::NewLine, last == b'h'),
                        _ => {}
                    }
                }
            }
            (0, [], b'r') => self.note(Other::Region, !csi.params.is_empty()),
            (0, [b' '], b'q') => self.note(Other::CursorStyle, csi.first().unwrap_or(0) != 0),
            (b'>', [], b'm') => self.note(Other::ModifiedKeys, true),
            _ => {}
        }
    }

    fn is_elsewhere(&self) -> bool {
        [47, 1047, 1049].iter().any(|mode| self.modes.contains_key(mode))
    }

    /// The keyboard's stack may hold entries of the person's shell. The session changes only its own.
    fn keyboard(&mut self, csi: &Csi<'_>, shown: &mut Vec<u8>) {
        let own = &mut self.keyboards[usize::from(self.is_elsewhere())];
        match csi.marker {
            b'<' => {
                let popped = csi.first().unwrap_or(1).clamp(1, KEYBOARDS_MAX).min(*own);
                *own -= popped;
                if popped > 0 {
                    shown.extend_from_slice(format!("\x1b[<{popped}u").as_bytes());
                }
            }
            b'>' if *own < KEYBOARDS_MAX => {
                *own += 1;
                put(&Token::Csi(*csi), shown);
            }
            b'=' => {
                if *own == 0 {
                    *own = 1;
                    shown.extend_from_slice(b"\x1b[>0u");
                }
                put(&Token::Csi(*csi), shown);
            }
            _ => {}
        }
    }

    fn mode(&mut self, mode: u16, on: bool) {
        if on == ON_BY_DEFAULT.contains(&mode) {
            self.modes.remove(&mode);
        } else if self.modes.len() < MODES_MAX {
            self.modes.insert(mode, on);
        }
    }

    fn osc(&mut self, body: &[u8]) {
        match body.split(|byte| *byte == b';').next().unwrap_or_default() {
            b"4" => self.note(Other::Palette, true),
            b"10" => self.note(Other::Foreground, true),
            b"11" => self.note(Other::Background, true),
            b"12" => self.note(Other::CursorColour, true),
            b"22" => self.note(Other::Pointer, true),
            _ => {}
        }
    }

    /// Sequences are shown whole, so that only a character may be cut where the output so far ends.
    pub fn is_between_characters(&self) -> bool {
        !self.cut
    }

    /// What puts the terminal back as it was, whatever was shown so far.
    pub fn undo(&self) -> Vec<u8> {
        // First an end to whatever sequence is half shown, and to a link.
        let mut undo = String::from("\x18\x1b\\\x1b[0m\x1b]8;;\x1b\\");
        let (screens, modes): (Vec<_>, Vec<_>) =
            self.modes.iter().partition(|(mode, _)| matches!(mode, 47 | 1047 | 1049));
        let [first, other] =
            self.keyboards.map(|own| if own > 0 { format!("\x1b[<{own}u") } else { String::new() });
        if !screens.is_empty() {
            undo += &other;
        }
        // Leaving the other screen comes last, since it restores the cursor.
        for (mode, on) in modes.into_iter().chain(screens) {
            undo += &format!("\x1b[?{mode}{}", if *on { 'l' } else { 'h' });
        }
        undo += &first;
        for other in &self.others {
            undo += match other {
                Other::Region => "\x1b7\x1b[r\x1b8",
                Other::Insert => "\x1b[4l",
                Other::NewLine => "\x1b[20l",
                Other::Keypad => "\x1b>",
                Other::CursorStyle => "\x1b[0 q",
                Other::Charset => "\x1b(B\x1b)B\x0f",
                Other::Palette => "\x1b]104\x1b\\",
                Other::Foreground => "\x1b]110\x1b\\",
                Other::Background => "\x1b]111\x1b\\",
                Other::CursorColour => "\x1b]112\x1b\\",
                Other::ModifiedKeys => "\x1b[>4m",
                Other::Pointer => "\x1b]22;default\x1b\\",
            };
        }
        undo.into_bytes()
    }
}

/// Whether a text ends within a character. One that ends in bytes of a character whose beginning is further back does
/// too.
fn ends_within_character(text: &[u8]) -> bool {
    let tail = &text[text.len().saturating_sub(3)..];
    let lead = tail.iter().rposition(|byte| *byte >= 0xc0);
    let bytes = |lead: u8| usize::from(lead.leading_ones() as u8);
    match lead {
        Some(at) => tail.len() - at < bytes(tail[at]),
        None => text.len() < 3 && tail.iter().all(|byte| *byte >= 0x80) && !tail.is_empty(),
    }
}

/// Whether a piece of output is not for the person's terminal.
fn is_kept_from(token: &Token<'_>) -> bool {
    if matches!(find(token, 0), Some(Found::Query(_) | Found::Status { .. })) {
        return true;
    }
    match token {
        Token::Osc { body, .. } => body.starts_with(b"52;") || body.ends_with(b";?"),
        // Titles on a stack are the client's own, and a title asked for would be typed into the session.
        Token::Csi(csi) => csi.last == b't' && csi.between.is_empty(),
        _ => false,
    }
}

fn put(token: &Token<'_>, out: &mut Vec<u8>) {
    match token {
        Token::Text(text) => out.extend_from_slice(text),
        Token::Csi(csi) => {
            out.extend_from_slice(b"\x1b[");
            out.extend((csi.marker != 0).then_some(csi.marker));
            out.extend_from_slice(csi.params);
            out.extend_from_slice(csi.between);
            out.push(csi.last);
        }
        // The end of a string, which is put with the string.
        Token::Esc { between: [], last: b'\\' } => {}
        Token::Esc { between, last } => {
            out.push(0x1b);
            out.extend_from_slice(between);
            out.push(*last);
        }
        Token::Osc { body, bell } => {
            out.extend_from_slice(b"\x1b]");
            out.extend_from_slice(body);
            out.extend_from_slice(if *bell { b"\x07" } else { b"\x1b\\" });
        }
        Token::Dcs { body } => {
            out.extend_from_slice(b"\x1bP");
            out.extend_from_slice(body);
            out.extend_from_slice(b"\x1b\\");
        }
    }
}
