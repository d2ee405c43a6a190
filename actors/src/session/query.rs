//! Questions a program puts to its terminal, found in what it prints, and their answers.
//!
//! Somebody must answer, attached or not: a program that waits for its terminal hangs at its start. They are found
//! without a screen; only a few answers need one. Each is answered once, by whoever owns the session, never by those
//! who watch. Nothing a program has set itself is ever typed back to it (titles, the clipboard): it could be a command.

mod answers;
mod limit;

pub use answers::{Known, Mode, answer};
pub use limit::Limit;

use crate::session::token::{Csi, Token, Tokens};

/// The longest report of the program status protocol.
pub const STATUS_BYTES_MAX: usize = 4096;
/// Colours or capabilities one question may name; more are not answered.
const NAMES_MAX: usize = 32;
/// The longest name of a capability, in its hexadecimal form.
const NAME_BYTES_MAX: usize = 64;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the terminal is: DA1, DA2, DA3.
    Attributes(u8),
    /// DSR 5: is it well?
    Health,
    /// DSR 6: where is the cursor? The DEC form is answered in the DEC form.
    Cursor { dec: bool },
    /// DSR 996: dark or light?
    ColourScheme,
    /// XTVERSION.
    Version,
    /// DECRQM: is this mode on?
    Mode { number: u16, private: bool },
    /// XTGETTCAP: names as asked, in hexadecimal.
    Capabilities(Vec<String>),
    /// DECRQSS: settings nobody here keeps.
    Setting,
    /// The kitty keyboard protocol's flags.
    Keyboard,
    /// Foreground (10), background (11) or cursor (12).
    NamedColour(u8),
    /// Colours of the palette.
    Palette(Vec<u8>),
    /// OSC 7501: does the terminal take status reports?
    Status,
    /// XTWINOPS: sizes and the window's state.
    Window(u8),
}

/// A question in a program's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub kind: Kind,
    /// Where in the output the question ends: an answer about the screen is about the screen at this place.
    pub at_offset: u64,
    /// It ended in BEL, so its answer does too.
    pub bell: bool,
}

impl Query {
    /// Whether the answer depends on what is to be seen.
    pub fn needs_screen(&self) -> bool {
        matches!(
            self.kind,
            Kind::Cursor { .. }
                | Kind::Mode { .. }
                | Kind::Keyboard
                | Kind::NamedColour(_)
                | Kind::Palette(_)
        )
    }
}

/// What the scanner finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Query(Query),
    /// A report of the program status protocol, from after `7501;` on.
    Status {
        body: String,
        at_offset: u64,
    },
    Title {
        title: String,
        at_offset: u64,
    },
    /// The program wants pastes marked, or no longer: it has an editor for a prompt.
    BracketedPaste {
        on: bool,
        at_offset: u64,
    },
    Bell {
        at_offset: u64,
    },
}

/// Looks through a program's output.
#[derive(Debug, Default)]
pub struct Scanner {
    tokens: Tokens,
    offset: u64,
}

impl Scanner {
    /// A scanner that begins at this place of the output.
    pub fn from(offset: u64) -> Scanner {
        Scanner { tokens: Tokens::default(), offset }
    }

    /// How far it has looked.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Found> {
        let (mut found, start) = (Vec::new(), self.offset);
        self.tokens.feed(bytes, |token, at| {
            found.extend(find(&token, start + at as u64));
        });
        self.offset += bytes.len() as u64;
        found
    }
}

/// What one token is, if it is anything that is looked for.
pub fn find(token: &Token<'_>, at_offset: u64) -> Option<Found> {
    match token {
        Token::Text(text) => memchr::memchr(0x07, text).map(|_| Found::Bell { at_offset }),
        Token::Csi(csi) => of_csi(csi, at_offset),
        Token::Osc { body, bell } => of_osc(body, *bell, at_offset),
        Token::Dcs { body } => of_dcs(body).map(|kind| query(kind, at_offset, false)),
        Token::Esc { between: [], last: b'Z' } => Some(query(Kind::Attributes(1), at_offset, false)),
        Token::Esc { .. } => None,
    }
}

fn query(kind: Kind, at_offset: u64, bell: bool) -> Found {
    Found::Query(Query { kind, at_offset, bell })
}

fn of_csi(csi: &Csi<'_>, at_offset: u64) -> Option<Found> {
    let first = csi.first().unwrap_or(0);
    // With more numbers it is an answer, not a question.
    let bare = matches!(csi.params, b"" | b"0");
    let kind = match (csi.marker, csi.between, csi.last) {
        (0, [], b'c') if bare => Kind::Attributes(1),
        (b'>', [], b'c') if bare => Kind::Attributes(2),
        (b'=', [], b'c') if bare => Kind::Attributes(3),
        (0, [], b'n') if first == 5 => Kind::Health,
        (0, [], b'n') if first == 6 => Kind::Cursor { dec: false },
        (b'?', [], b'n') if first == 6 => Kind::Cursor { dec: true },
        (b'?', [], b'n') if first == 996 => Kind::ColourScheme,
        (b'>', [], b'q') if bare => Kind::Version,
        (0, [b'$'], b'p') => Kind::Mode { number: first, private: false },
        (b'?', [b'$'], b'p') => Kind::Mode { number: first, private: true },
        (b'?', [], b'u') if csi.params.is_empty() => Kind::Keyboard,
        (0, [], b't') if matches!(first, 11 | 13 | 14 | 16 | 18 | 19) => {
            Kind::Window(u8::try_from(first).ok()?)
        }
        (b'?', [], b'h' | b'l') if csi.numbers().any(|mode| mode == Some(2004)) => {
            return Some(Found::BracketedPaste { on: csi.last == b'h', at_offset });
        }
        _ => return None,
    };
    Some(query(kind, at_offset, false))
}

fn of_osc(body: &[u8], bell: bool, at_offset: u64) -> Option<Found> {
    let cut = body.iter().position(|byte| *byte == b';')?;
    let (number, rest) = (&body[..cut], &body[cut + 1..]);
    match number {
        b"0" | b"2" => {
            let title = String::from_utf8_lossy(rest);
            let title =
                title.chars().filter(|c| !c.is_control()).take(crate::session::screen::TITLE_CHARS_MAX);
            Some(Found::Title { title: title.collect(), at_offset })
        }
        b"10" | b"11" | b"12" if rest == b"?" => {
            let number = std::str::from_utf8(number).ok()?.parse().ok()?;
            Some(query(Kind::NamedColour(number), at_offset, bell))
        }
        b"4" => palette(rest).map(|colours| query(Kind::Palette(colours), at_offset, bell)),
        b"7501" if rest == b"?" => Some(query(Kind::Status, at_offset, bell)),
        b"7501" if rest.len() <= STATUS_BYTES_MAX => {
            Some(Found::Status { body: std::str::from_utf8(rest).ok()?.to_owned(), at_offset })
        }
        _ => None,
    }
}

/// The colours asked for in `n;?;n;?…`.
fn palette(rest: &[u8]) -> Option<Vec<u8>> {
    let words: Vec<&[u8]> = rest.split(|byte| *byte == b';').take(2 * NAMES_MAX).collect();
    let asked = words.chunks_exact(2).filter(|pair| pair[1] == b"?");
    let colours: Vec<u8> = asked
        .filter_map(|pair| std::str::from_utf8(pair[0]).ok().and_then(|number| number.parse().ok()))
        .collect();
    (!colours.is_empty()).then_some(colours)
}

fn of_dcs(body: &[u8]) -> Option<Kind> {
    if body.starts_with(b"$q") {
        return Some(Kind::Setting);
    }
    let names = std::str::from_utf8(body.strip_prefix(b"+q")?).ok()?;
    let legal = |name: &&str| {
        !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let names: Vec<String> = names.split(';').filter(legal).take(NAMES_MAX).map(str::to_owned).collect();
    (!names.is_empty()).then_some(Kind::Capabilities(names))
}

#[cfg(test)]
mod tests;
