//! The line a person (or niia) writes in: keys and pastes in, submissions out. Pure.

use std::time::{Duration, Instant};

const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// What the keys amounted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Submit(Vec<u8>),
    Interrupt,
    End,
}

#[derive(Debug, Default)]
pub(super) struct Composer {
    text: Vec<u8>,
    /// An escape sequence that has not ended yet.
    escape: Vec<u8>,
    pasting: bool,
    /// When text last arrived: an Enter right behind it may be swallowed.
    written: Option<Instant>,
    swallow: Duration,
}

impl Composer {
    pub(super) fn new(swallow: Duration) -> Composer {
        Composer { swallow, ..Composer::default() }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// From now on an Enter so soon after text is lost.
    pub(super) fn swallows(&mut self, swallow: Duration) {
        self.swallow = swallow;
    }

    /// This text stands there now.
    pub(super) fn put(&mut self, text: &[u8]) {
        self.text = text.to_owned();
        self.written = None;
    }

    /// Takes what arrived at `now`.
    pub(super) fn take(&mut self, bytes: &[u8], now: Instant) -> Vec<Input> {
        let mut inputs = Vec::new();
        for &byte in bytes {
            if self.pasting {
                self.paste(byte, now);
            } else if !self.escape.is_empty() || byte == 0x1b {
                self.escape(byte);
            } else if let Some(input) = self.key(byte, now) {
                inputs.push(input);
            }
        }
        inputs
    }

    fn paste(&mut self, byte: u8, now: Instant) {
        self.written = Some(now);
        self.text.push(byte);
        if self.text.ends_with(PASTE_ENDS) {
            self.text.truncate(self.text.len() - PASTE_ENDS.len());
            self.pasting = false;
        }
    }

    fn escape(&mut self, byte: u8) {
        self.escape.push(byte);
        if self.escape == PASTE_BEGINS {
            self.pasting = true;
            self.escape.clear();
        } else if ends_escape(&self.escape) {
            self.escape.clear();
        }
    }

    fn key(&mut self, byte: u8, now: Instant) -> Option<Input> {
        match byte {
            b'\r' => return self.enter(now),
            3 if self.text.is_empty() => return Some(Input::Interrupt),
            3 | 21 => self.text.clear(),
            4 if self.text.is_empty() => return Some(Input::End),
            8 | 0x7f => drop(self.text.pop()),
            b'\n' | b'\t' | 0x20.. => {
                self.text.push(byte);
                self.written = Some(now);
            }
            _ => {}
        }
        None
    }

    fn enter(&mut self, now: Instant) -> Option<Input> {
        if self.written.is_some_and(|then| now.duration_since(then) < self.swallow) {
            return None;
        }
        // An empty line asks for nothing.
        if self.text.is_empty() {
            return None;
        }
        let text = std::mem::take(&mut self.text);
        Some(Input::Submit(one_kind_of_newline(&text)))
    }
}

/// Terminals send a newline within a paste as a carriage return; what was meant is a newline.
fn one_kind_of_newline(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut after_return = false;
    for &byte in text {
        match byte {
            b'\r' => out.push(b'\n'),
            b'\n' if after_return => {}
            _ => out.push(byte),
        }
        after_return = byte == b'\r';
    }
    out
}

/// `ESC x`, `ESC [ … letter`, `ESC O x` and `ESC ] … BEL` are the sequences a terminal sends.
fn ends_escape(escape: &[u8]) -> bool {
    match escape {
        [_] | [_, b'[' | b'O' | b']' | b'P'] => false,
        [_, b'[', .., last] => (0x40..=0x7e).contains(last),
        [_, b']' | b'P', .., last] => *last == 7 || escape.ends_with(b"\x1b\\"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(swallow_ms: u64, steps: &[(u64, &[u8])]) -> Vec<Input> {
        let start = Instant::now();
        let mut composer = Composer::new(Duration::from_millis(swallow_ms));
        let take = |(ms, bytes): &(u64, &[u8])| composer.take(bytes, start + Duration::from_millis(*ms));
        steps.iter().flat_map(take).collect()
    }

    #[test]
    fn a_paste_is_text_and_enter_submits_it() {
        let inputs = typed(0, &[(0, b"\x1b[200~one\rtwo\r\nthree\x1b[20"), (1, b"1~"), (2, b"\r")]);
        assert_eq!(inputs, [Input::Submit(b"one\ntwo\nthree".to_vec())]);
    }

    #[test]
    fn an_enter_too_soon_after_text_is_swallowed_and_the_text_stays() {
        let inputs = typed(300, &[(0, b"\x1b[200~hello\x1b[201~"), (100, b"\r"), (400, b"\r")]);
        assert_eq!(inputs, [Input::Submit(b"hello".to_vec())]);
    }

    #[test]
    fn without_a_paste_every_return_submits() {
        let inputs = typed(0, &[(0, b"one\rtwo\r\r")]);
        assert_eq!(inputs, [Input::Submit(b"one".to_vec()), Input::Submit(b"two".to_vec())]);
    }

    #[test]
    fn keys_that_are_no_text_leave_none() {
        let inputs = typed(0, &[(0, b"\x1b[A\x1bOPa\x7fb\x1b[I\r\x03\x04")]);
        assert_eq!(inputs, [Input::Submit(b"b".to_vec()), Input::Interrupt, Input::End]);
    }
}
