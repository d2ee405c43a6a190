//! What a person types while attached, cut into what is for the session and what is for the client.
//!
//! A prefix key (Ctrl-\ unless told otherwise) and a letter are for the client: `d` detaches, `t` takes the writing
//! lease; the prefix twice is the prefix itself, and before anything else both are passed on. Within a paste nothing
//! is for the client. Programs that ask for richer keyboards get the prefix as a sequence, which is known too.

use niia_actors::session::token::{Csi, Token, Tokens};

/// Ctrl-\: few programs use it, and none of the shells, editors and multiplexers people live in needs it.
pub const PREFIX: u8 = 0x1c;

/// The key that makes the next one a word to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(u8);

/// Why a text names no prefix key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no prefix key: write ctrl-x, with a letter or one of [ \\ ] ^ _ in place of x")]
pub struct PrefixError(pub String);

impl Default for Prefix {
    fn default() -> Prefix {
        Prefix(PREFIX)
    }
}

impl std::str::FromStr for Prefix {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let lower = text.to_ascii_lowercase();
        let key = lower.strip_prefix("ctrl-").or_else(|| lower.strip_prefix('^'));
        match key.map(str::as_bytes) {
            // Enter, tab and escape are keys of their own; a prefix that is one of them would leave no keyboard.
            Some([b'i' | b'j' | b'm' | b'[']) => Err(PrefixError(text.to_owned())),
            Some([key @ (b'a'..=b'z' | b'\\' | b']' | b'^' | b'_')]) => Ok(Prefix(key & 0x1f)),
            _ => Err(PrefixError(text.to_owned())),
        }
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ctrl-{}", char::from(self.0 | 0x40))
    }
}

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// For the session.
    Keys(Vec<u8>),
    Detach,
    Take,
}

/// Cuts what is typed.
#[derive(Debug, Default)]
pub struct Keys {
    prefix: Prefix,
    /// The prefix as it was typed, while the next key is awaited.
    armed: Option<Vec<u8>>,
    paste: bool,
}

/// One key or what stands between keys.
enum Piece {
    Byte(u8),
    /// A sequence as it was typed, with the character it stands for, if any.
    Sequence(Vec<u8>, Option<u8>),
}

impl Keys {
    pub fn new(prefix: Prefix) -> Keys {
        Keys { prefix, ..Keys::default() }
    }

    /// Cuts one piece of input. `writing` says whether the keys reach the session already; while they do not, reports
    /// of the mouse and the window's focus are no keys, since nobody takes the lease by looking.
    pub fn feed(&mut self, bytes: &[u8], writing: bool) -> Vec<Typed> {
        let mut typed = Vec::new();
        for piece in pieces(bytes) {
            self.piece(piece, writing, &mut typed);
        }
        typed
    }

    fn piece(&mut self, piece: Piece, writing: bool, typed: &mut Vec<Typed>) {
        let (raw, key) = match piece {
            Piece::Byte(byte) => (vec![byte], Some(byte)),
            Piece::Sequence(raw, key) => (raw, key),
        };
        match &raw[..] {
            b"\x1b[200~" => self.paste = true,
            b"\x1b[201~" => self.paste = false,
            _ => {}
        }
        if self.paste {
            return keys(raw, typed);
        }
        if let Some(prefix) = self.armed.take() {
            match key {
                Some(b'd' | b'D') => return typed.push(Typed::Detach),
                Some(b't' | b'T') => return typed.push(Typed::Take),
                Some(key) if key == self.prefix.0 => return keys(raw, typed),
                // The release of the prefix key itself, where a program asked for releases.
                None if raw.ends_with(b"u") && raw.contains(&b':') => {
                    self.armed = Some(prefix);
                    return;
                }
                _ => keys(prefix, typed),
            }
        }
        if key == Some(self.prefix.0) {
            self.armed = Some(raw);
        } else if writing || !is_report(&raw) {
            keys(raw, typed);
        }
    }
}

/// Adds to the keys before, so that what was read at once is sent at once.
fn keys(raw: Vec<u8>, typed: &mut Vec<Typed>) {
    match typed.last_mut() {
        Some(Typed::Keys(before)) => before.extend(raw),
        _ => typed.push(Typed::Keys(raw)),
    }
}

/// Cuts input into bytes and whole sequences. A sequence that is not whole (or an escape key of its own) stays bytes:
/// nothing a person types is held back.
fn pieces(bytes: &[u8]) -> Vec<Piece> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    Tokens::default().feed(bytes, |token, until| {
        let raw = &bytes[from..until];
        match token {
            Token::Csi(csi) => pieces.push(Piece::Sequence(raw.to_vec(), key_of(&csi))),
            _ => pieces.extend(raw.iter().map(|byte| Piece::Byte(*byte))),
        }
        from = until;
    });
    pieces.extend(bytes[from..].iter().map(|byte| Piece::Byte(*byte)));
    pieces
}

/// The byte a key would have sent on a plain keyboard: `CSI code ; modifiers u`, or `CSI 27 ; modifiers ; code ~`.
fn key_of(csi: &Csi<'_>) -> Option<u8> {
    let numbers: Vec<u16> = csi.numbers().map(Option::unwrap_or_default).collect();
    let (code, modifiers) = match (csi.last, &numbers[..]) {
        (b'u', [code]) => (*code, 1),
        (b'u', [code, modifiers, ..]) => (*code, *modifiers),
        (b'~', [27, modifiers, code]) => (*code, *modifiers),
        _ => return None,
    };
    // `:3` after the modifiers is the release of a key.
    let released = csi.params.split(|byte| *byte == b';').nth(1).is_some_and(|field| field.ends_with(b":3"));
    let code = u8::try_from(code).ok().filter(|_| csi.marker == 0 && !released)?;
    let control = modifiers.saturating_sub(1) & 4 != 0;
    Some(if control { code & 0x1f } else { code })
}

/// Whether this is no key but a report of the terminal: mouse or focus.
fn is_report(raw: &[u8]) -> bool {
    matches!(raw, b"\x1b[I" | b"\x1b[O") || raw.starts_with(b"\x1b[<") && raw.ends_with(b"M") || {
        raw.starts_with(b"\x1b[<") && raw.ends_with(b"m")
    }
}
