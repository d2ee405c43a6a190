//! The text a program printed, read from its recording.
//!
//! What a person would have read, from the first line to the last: progress bars as they stood at the end, no colours,
//! lines that the terminal's width broke whole again, nothing of full-screen pictures (the alternate screen), U+FFFD
//! for bytes that are no UTF-8. What was erased from the screen is not part of it.

mod kept;
mod rows;

use crate::session::answer::kept::Kept;
use crate::session::answer::rows::Rows;
use crate::session::screen::Size;
use crate::session::token::{Csi, Token, Tokens};

/// The longest answer. What is longer loses its middle: beginnings say what is done, ends what came of it.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// As much of a recording's end as is worth reading for an answer; what is printed before it is no answer but a log.
pub const ANSWER_RAW_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An answer as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerText {
    pub text: String,
    /// Bytes missing from the middle; a line in the text says so too.
    pub left_out: u64,
}

/// Reads the answer out of recorded bytes, as they come.
#[derive(Debug)]
pub struct Answer {
    tokens: Tokens,
    rows: Rows,
    kept: Kept,
    /// On the alternate screen, nothing counts.
    elsewhere: bool,
    partial: Vec<u8>,
}

/// The answer in a recording, of which only the end is read if it is long.
pub fn answer_of(recorded: &[u8], size: Size) -> AnswerText {
    let mut answer = Answer::new(size);
    let from = recorded.len().saturating_sub(ANSWER_RAW_BYTES_MAX);
    let line = if from == 0 { 0 } else { memchr::memchr(b'\n', &recorded[from..]).map_or(0, |at| at + 1) };
    answer.left_out((from + line) as u64);
    answer.feed(&recorded[from + line..]);
    answer.finish()
}

impl Answer {
    pub fn new(size: Size) -> Answer {
        Answer {
            tokens: Tokens::default(),
            rows: Rows::new(size),
            kept: Kept::new(ANSWER_BYTES_MAX),
            elsewhere: false,
            partial: Vec::new(),
        }
    }

    /// Says that bytes before the next ones were not read.
    pub fn left_out(&mut self, bytes: u64) {
        self.kept.left_out(bytes);
    }

    pub fn resize(&mut self, size: Size) {
        self.rows.resize(size, &mut self.kept);
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.feed(bytes, |token, _| self.token(token));
        self.tokens = tokens;
    }

    pub fn finish(mut self) -> AnswerText {
        self.give_up_partial();
        self.rows.finish(&mut self.kept);
        self.kept.finish()
    }

    fn token(&mut self, token: Token<'_>) {
        if !matches!(token, Token::Text(_)) {
            self.give_up_partial();
        }
        match token {
            Token::Csi(Csi { marker: b'?', last: last @ (b'h' | b'l'), params, .. }) => {
                let switches = |mode: &[u8]| matches!(mode, b"47" | b"1047" | b"1049");
                if params.split(|byte| *byte == b';').any(switches) {
                    self.elsewhere = last == b'h';
                }
            }
            _ if self.elsewhere => {}
            Token::Text(bytes) => self.text(bytes),
            Token::Csi(csi) if csi.marker == 0 && csi.between.is_empty() => {
                self.rows.csi(&csi, &mut self.kept)
            }
            Token::Esc { between: [], last } => self.rows.esc(last, &mut self.kept),
            Token::Csi(_) | Token::Esc { .. } | Token::Osc { .. } | Token::Dcs { .. } => {}
        }
    }

    fn give_up_partial(&mut self) {
        if !std::mem::take(&mut self.partial).is_empty() && !self.elsewhere {
            self.rows.print("\u{fffd}", &mut self.kept);
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        let mut whole = std::mem::take(&mut self.partial);
        let mut rest = if whole.is_empty() {
            bytes
        } else {
            whole.extend_from_slice(bytes);
            &whole[..]
        };
        while !rest.is_empty() {
            let (valid, wrong) = match std::str::from_utf8(rest) {
                Ok(valid) => (valid, None),
                Err(error) => {
                    let valid = std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default();
                    (valid, Some(error.error_len()))
                }
            };
            self.rows.print(valid, &mut self.kept);
            rest = &rest[valid.len()..];
            match wrong {
                None => {}
                Some(None) => {
                    self.partial = rest.to_vec();
                    return;
                }
                Some(Some(wrong)) => {
                    self.rows.print("\u{fffd}", &mut self.kept);
                    rest = &rest[wrong..];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
