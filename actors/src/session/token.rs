//! What a terminal stream is made of: text and control sequences, cut apart with bounded memory.
//!
//! This goes through every byte a program prints, so between sequences it looks for nothing but the escape character.
//! A sequence or string longer than its bound is dropped whole and counted, which no parser behind this one has to
//! survive then. Cutting the stream into chunks at other places never changes what comes out.

use memchr::memchr;

/// The longest operating system command, device control or application string that is understood.
pub const STRING_BYTES_MAX: usize = 64 * 1024;
/// The longest control sequence that is understood; real ones stay below a hundred bytes.
pub const SEQUENCE_BYTES_MAX: usize = 1024;
/// What a buffer may keep after a long string; the rest is given back.
const IDLE_BYTES_MAX: usize = 1024;

const ESC: u8 = 0x1b;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const BEL: u8 = 0x07;

/// One piece of a terminal stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Characters and single control characters, none of them escape.
    Text(&'a [u8]),
    /// `ESC [ … final`
    Csi(Csi<'a>),
    /// `ESC … final`
    Esc { between: &'a [u8], last: u8 },
    /// An operating system command; `bell` says how it ended, so that an answer can end likewise.
    Osc { body: &'a [u8], bell: bool },
    /// A device control string, from after `ESC P` on.
    Dcs { body: &'a [u8] },
}

/// A control sequence, cut into its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Csi<'a> {
    /// One of `< = > ?`, or 0.
    pub marker: u8,
    /// Digits, `;` and `:`.
    pub params: &'a [u8],
    pub between: &'a [u8],
    pub last: u8,
}

impl<'a> Csi<'a> {
    /// The numbers of the sequence; an empty one is nothing, a huge one is the largest there is.
    pub fn numbers(&self) -> impl Iterator<Item = Option<u16>> + 'a {
        let params = if self.params.is_empty() { None } else { Some(self.params) };
        params.into_iter().flat_map(|params| params.split(|byte| *byte == b';')).map(|number| {
            let digits = number.split(|byte| *byte == b':').next().unwrap_or_default();
            let add = |sum: u16, digit: &u8| {
                sum.saturating_mul(10).saturating_add(u16::from(digit.wrapping_sub(b'0').min(9)))
            };
            (!digits.is_empty()).then(|| digits.iter().fold(0, add))
        })
    }

    /// The first number, or nothing where it is left out.
    pub fn first(&self) -> Option<u16> {
        self.numbers().next().flatten()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
    Osc,
    Dcs,
    /// An application, privacy or start-of-string: swallowed.
    Other,
}

/// Cuts a terminal stream into tokens.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    state: State,
    /// The sequence so far, without its introducer.
    held: Vec<u8>,
    overlong: bool,
    dropped: u64,
}

impl Tokens {
    /// How many sequences and strings were too long and are gone.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Between two sequences: what comes next does not depend on what was before.
    pub fn is_ground(&self) -> bool {
        self.state == State::Ground
    }

    /// Cuts the next bytes. `take` gets each token with the number of bytes of `bytes` up to its end.
    pub fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Token<'_>, usize)) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if self.state == State::Ground {
                let text = memchr(ESC, rest).unwrap_or(rest.len());
                if text > 0 {
                    take(Token::Text(&rest[..text]), at + text);
                }
                at += text;
                if at < bytes.len() {
                    self.begin(State::Escape);
                    at += 1;
                }
                continue;
            }
            if matches!(self.state, State::Osc | State::Dcs | State::Other) {
                let inside =
                    rest.iter().position(|b| matches!(*b, ESC | CAN | SUB | BEL)).unwrap_or(rest.len());
                self.hold(&rest[..inside], STRING_BYTES_MAX);
                at += inside;
                if at == bytes.len() {
                    break;
                }
            }
            at += 1;
            self.step(bytes[at - 1], at, &mut take);
        }
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.overlong = false;
        self.held.clear();
        self.held.shrink_to(IDLE_BYTES_MAX);
    }

    /// Keeps part of a sequence. What is too long is forgotten at once, memory included.
    fn hold(&mut self, bytes: &[u8], bytes_max: usize) {
        if self.overlong || self.state == State::Other {
            return;
        }
        if self.held.len() + bytes.len() > bytes_max {
            self.overlong = true;
            self.dropped += 1;
            self.held = Vec::new();
            return;
        }
        self.held.extend_from_slice(bytes);
    }

    fn step(&mut self, byte: u8, at: usize, take: &mut impl FnMut(Token<'_>, usize)) {
        match self.state {
            State::Ground => {}
            State::Escape => self.escape(byte, at, take),
            State::Csi => self.csi(byte, at, take),
            State::Osc | State::Dcs | State::Other => self.string(byte, at, take),
        }
    }

    /// What counts within any sequence. True if the byte is done with.
    fn anywhere(&mut self, byte: u8, at: usize, take: &mut impl FnMut(Token<'_>, usize)) -> bool {
        match byte {
            ESC => self.begin(State::Escape),
            CAN | SUB => {
                self.begin(State::Ground);
                take(Token::Text(&[byte]), at);
            }
            0x00..=0x1f => take(Token::Text(&[byte]), at),
            0x7f..=0xff => {}
            _ => return false,
        }
        true
    }

    fn escape(&mut self, byte: u8, at: usize, take: &mut impl FnMut(Token<'_>, usize)) {
        if self.anywhere(byte, at, take) {
            return;
        }
        match byte {
            0x20..=0x2f => return self.hold(&[byte], SEQUENCE_BYTES_MAX),
            _ if !self.held.is_empty() || self.overlong => {}
            b'[' => return self.begin(State::Csi),
            b']' => return self.begin(State::Osc),
            b'P' => return self.begin(State::Dcs),
            b'X' | b'^' | b'_' => return self.begin(State::Other),
            _ => {}
        }
        if !self.overlong {
            take(Token::Esc { between: &self.held, last: byte }, at);
        }
        self.begin(State::Ground);
    }

    fn csi(&mut self, byte: u8, at: usize, take: &mut impl FnMut(Token<'_>, usize)) {
        if self.anywhere(byte, at, take) {
            return;
        }
        if byte < 0x40 {
            return self.hold(&[byte], SEQUENCE_BYTES_MAX);
        }
        if let Some(csi) = (!self.overlong).then(|| csi_of(&self.held, byte)).flatten() {
            take(Token::Csi(csi), at);
        }
        self.begin(State::Ground);
    }

    /// A string ends at BEL (an operating system command only), at any escape, or is cancelled.
    fn string(&mut self, byte: u8, at: usize, take: &mut impl FnMut(Token<'_>, usize)) {
        if byte == BEL && self.state != State::Osc {
            return self.hold(&[byte], STRING_BYTES_MAX);
        }
        if !self.overlong && matches!(byte, BEL | ESC) {
            match self.state {
                State::Osc => take(Token::Osc { body: &self.held, bell: byte == BEL }, at),
                State::Dcs => take(Token::Dcs { body: &self.held }, at),
                _ => {}
            }
        }
        self.begin(if byte == ESC { State::Escape } else { State::Ground });
    }
}

/// Cuts a control sequence; nothing where its parts are in no legal order.
fn csi_of(held: &[u8], last: u8) -> Option<Csi<'_>> {
    let (marker, rest) = match held.first() {
        Some(marker @ 0x3c..=0x3f) => (*marker, &held[1..]),
        _ => (0, held),
    };
    let params = rest.iter().take_while(|byte| matches!(byte, 0x30..=0x3b)).count();
    let (params, between) = rest.split_at(params);
    between.iter().all(|byte| matches!(byte, 0x20..=0x2f)).then_some(Csi { marker, params, between, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens of a stream, written down, with neighbouring texts joined.
    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let mut tokens = Tokens::default();
        let (mut written, mut text) = (Vec::new(), Vec::new());
        for chunk in chunks {
            tokens.feed(chunk, |token, _| match token {
                Token::Text(bytes) => text.extend_from_slice(bytes),
                token => {
                    if !text.is_empty() {
                        written.push(format!("{:?}", String::from_utf8_lossy(&std::mem::take(&mut text))));
                    }
                    written.push(match token {
                        Token::Csi(csi) => format!("csi {:?}", csi),
                        other => format!("{other:?}"),
                    });
                }
            });
        }
        if !text.is_empty() {
            written.push(format!("{:?}", String::from_utf8_lossy(&text)));
        }
        written
    }

    #[test]
    fn the_places_where_a_stream_is_cut_change_nothing() {
        let mut random = fastrand::Rng::with_seed(4);
        let parts: [&[u8]; 12] = [
            b"text",
            b"\x1b[1;31mred",
            b"\x1b]0;title\x07",
            b"\x1b]11;?\x1b\\",
            b"\x1bP+q544e\x1b\\",
            b"\x1b_apc\x1b\\",
            b"\x1b",
            b"[",
            b"\x18",
            "é東🦀".as_bytes(),
            b"\x1b[?25\x0ah",
            b"\x9b\xff\x00",
        ];
        for _ in 0..300 {
            let stream: Vec<u8> = (0..20).flat_map(|_| parts[random.usize(..parts.len())].to_vec()).collect();
            let whole = cut(&[&stream]);
            let mut chunks: Vec<&[u8]> = Vec::new();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(random.usize(1..=rest.len()));
                chunks.push(head);
                rest = tail;
            }
            assert_eq!(cut(&chunks), whole);
        }
    }

    #[test]
    fn a_string_without_end_costs_no_memory_and_is_counted() {
        let mut tokens = Tokens::default();
        tokens.feed(b"\x1b]0;", |_, _| {});
        for _ in 0..1_000 {
            tokens.feed(&[b'x'; 4096], |token, _| panic!("{token:?}"));
            assert!(tokens.held.capacity() <= 2 * STRING_BYTES_MAX);
        }
        assert_eq!(tokens.dropped(), 1);
        let mut seen = Vec::new();
        tokens.feed(b"\x07after", |token, _| seen.push(format!("{token:?}")));
        assert_eq!(seen.len(), 1);
    }

    #[test]
    fn a_sequence_of_a_million_numbers_is_dropped_whole() {
        let bomb = format!("\x1b[{}mrest", "1;".repeat(1_000_000));
        assert_eq!(cut(&[bomb.as_bytes()]), ["\"rest\""]);
    }

    #[test]
    fn huge_numbers_are_the_largest_there_is() {
        let mut tokens = Tokens::default();
        tokens.feed(b"\x1b[2147483647;;7:3b", |token, _| {
            let Token::Csi(csi) = token else { panic!("{token:?}") };
            assert_eq!(csi.numbers().collect::<Vec<_>>(), [Some(u16::MAX), None, Some(7)]);
        });
    }
}
