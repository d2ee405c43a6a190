//! How bytes reach the screen's model: bounded, and without what the model has no use for.
//!
//! The model is given whole sequences only. Titles, the keyboard protocol and synchronised updates are dealt with
//! here: the first two because the model keeps them without a bound, the last because a screen must not depend on time.

use alacritty_terminal::term::TermMode;
use unicode_width::UnicodeWidthChar;

use crate::session::screen::{Screen, Size, TITLE_CHARS_MAX};
use crate::session::token::{Csi, Token, Tokens};

/// Cells a byte may cause to be worked on, on average. Drawing a whole screen of text costs one cell a byte; a
/// program that clears the screen needs three bytes for thousands of cells and may do so as often as it also prints.
const WORK_CELLS_PER_BYTE: u64 = 64;
/// Whole screens that may be cleared in one go without a byte of text between.
const WORK_SCREENS_MAX: u64 = 64;
/// The private mode of synchronised updates.
const SYNCHRONISED: u16 = 2026;

pub(super) fn work_max(size: Size) -> u64 {
    WORK_SCREENS_MAX * cells(size)
}

fn cells(size: Size) -> u64 {
    u64::from(size.cols) * u64::from(size.rows)
}

impl Screen {
    /// Takes what the program printed.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut tokens: Tokens = std::mem::take(&mut self.tokens);
        let mut before = 0;
        tokens.feed(bytes, |token, at| {
            let earned = (at - before) as u64 * WORK_CELLS_PER_BYTE;
            before = at;
            self.work = self.work.saturating_add(earned).min(work_max(self.size));
            self.token(token);
        });
        self.tokens = tokens;
    }

    fn token(&mut self, token: Token<'_>) {
        if !matches!(token, Token::Text(_)) {
            self.give_up_partial();
        }
        match token {
            Token::Text(bytes) => self.text_bytes(bytes),
            Token::Csi(csi) => self.csi(&csi),
            Token::Esc { between, last } => self.esc(between, last),
            Token::Osc { body, .. } => self.osc(body),
            Token::Dcs { .. } => {}
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.term, bytes);
    }

    /// A character that was cut off by a sequence will never be complete.
    fn give_up_partial(&mut self) {
        if !self.partial.is_empty() {
            self.partial.clear();
            self.pass("\u{fffd}".as_bytes());
        }
    }

    fn text_bytes(&mut self, bytes: &[u8]) {
        if let Some(shift) = bytes.iter().rev().find(|byte| matches!(byte, 0x0e | 0x0f)) {
            self.shifted = *shift == 0x0e;
        }
        if self.partial.is_empty() && bytes.is_ascii() {
            return self.pass(bytes);
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        let mut rest = &whole[..];
        loop {
            let (valid, error) = match std::str::from_utf8(rest) {
                Ok(valid) => (valid, None),
                Err(error) => (
                    std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default(),
                    Some(error.error_len()),
                ),
            };
            self.characters(valid);
            rest = &rest[valid.len()..];
            match error {
                None => return,
                Some(None) => {
                    self.partial = rest.to_vec();
                    return;
                }
                Some(Some(wrong)) => {
                    self.pass("\u{fffd}".as_bytes());
                    rest = &rest[wrong..];
                }
            }
        }
    }

    /// Passes characters on, but no more combining marks than a cell has room for.
    fn characters(&mut self, text: &str) {
        let mut from = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| !c.is_ascii() && c.width() == Some(0)) {
            self.pass(&text.as_bytes()[from..at]);
            from = at;
            if !self.mark_has_room() {
                self.refused.marks += 1;
                from += c.len_utf8();
            }
        }
        self.pass(&text.as_bytes()[from..]);
    }

    /// Pays for work, or refuses it.
    fn afford(&mut self, cells: u64) -> bool {
        let affordable = cells <= self.work;
        if affordable {
            self.work -= cells;
        } else {
            self.refused.costly += 1;
        }
        affordable
    }

    fn csi(&mut self, csi: &Csi<'_>) {
        match (csi.last, csi.marker, csi.between) {
            // Questions are answered elsewhere; window operations and titles on a stack have no place here.
            (b'c' | b'n' | b't', ..) | (b'p', _, [b'$']) | (b'q', b'>', _) => {}
            (b'u', b'<' | b'=' | b'>', []) => self.keyboard.take(csi),
            (b'u', b'?', _) => {}
            (b'h' | b'l', b'?', []) => self.private_modes(csi),
            (b'b' | b'I' | b'Z', 0, []) => self.repeat(csi),
            (b'J' | b'L' | b'M' | b'S' | b'T', 0, []) => {
                if self.afford(cells(self.size)) {
                    self.pass_csi(csi, csi.params);
                }
            }
            (b'@' | b'P' | b'X' | b'K', 0, []) => {
                if self.afford(u64::from(self.size.cols)) {
                    self.pass_csi(csi, csi.params);
                }
            }
            (b'r', 0, []) => self.set_region(csi),
            (b'p', 0, [b'!']) => self.soft_reset(),
            _ => self.pass_csi(csi, csi.params),
        }
    }

    fn pass_csi(&mut self, csi: &Csi<'_>, params: &[u8]) {
        let mut sequence = Vec::with_capacity(params.len() + csi.between.len() + 4);
        sequence.extend_from_slice(b"\x1b[");
        sequence.extend((csi.marker != 0).then_some(csi.marker));
        sequence.extend_from_slice(params);
        sequence.extend_from_slice(csi.between);
        sequence.push(csi.last);
        self.pass(&sequence);
    }

    /// Repetitions of a character or a tabulator: never more than fit into a row.
    fn repeat(&mut self, csi: &Csi<'_>) {
        let count = csi.first().unwrap_or(1).clamp(1, self.size.cols);
        let cells =
            if csi.last == b'b' { u64::from(count) } else { u64::from(count) * u64::from(self.size.cols) };
        if self.afford(cells) {
            self.pass_csi(csi, count.to_string().as_bytes());
        }
    }

    fn private_modes(&mut self, csi: &Csi<'_>) {
        for mode in csi.numbers().flatten().filter(|mode| *mode != SYNCHRONISED) {
            let clears = matches!(mode, 3 | 47 | 1047 | 1049);
            if clears && !self.afford(cells(self.size)) {
                continue;
            }
            // The model knows one of the three ways to the other screen.
            let mode = if matches!(mode, 47 | 1047) { 1049 } else { mode };
            self.pass_csi(csi, mode.to_string().as_bytes());
            if mode == 3 {
                self.region = None;
            }
        }
        self.keyboard.switch(self.term.mode().contains(TermMode::ALT_SCREEN));
    }

    fn set_region(&mut self, csi: &Csi<'_>) {
        let mut numbers = csi.numbers();
        let top = numbers.next().flatten().unwrap_or(1).max(1);
        let bottom = numbers.next().flatten().filter(|bottom| *bottom > 0).unwrap_or(self.size.rows);
        if top < bottom {
            self.region = (top > 1 || bottom < self.size.rows).then_some((top, bottom));
        }
        self.pass_csi(csi, csi.params);
    }

    /// The model does not know the soft reset, which programs send to leave a terminal as they found it.
    fn soft_reset(&mut self) {
        self.pass(b"\x1b[?1;6l\x1b[?7;25h\x1b[4l\x1b[0m\x1b(B\x0f\x1b7\x1b[r\x1b8");
        (self.region, self.shifted) = (None, false);
    }

    fn esc(&mut self, between: &[u8], last: u8) {
        match (between, last) {
            ([], b'c') => {
                if self.afford(2 * cells(self.size)) {
                    self.pass(b"\x1bc");
                    (self.region, self.shifted, self.title) = (None, false, String::new());
                    self.keyboard = Default::default();
                }
            }
            ([b'#'], b'8') => {
                if self.afford(cells(self.size)) {
                    self.pass(b"\x1b#8");
                }
            }
            ([], b'\\' | b'Z') => {}
            (between, last) => {
                let mut sequence = vec![0x1b];
                sequence.extend_from_slice(between);
                sequence.push(last);
                self.pass(&sequence);
            }
        }
    }

    /// Titles are kept here, colours by the model; everything else (links, clipboard, pictures) is not shown.
    fn osc(&mut self, body: &[u8]) {
        let cut = body.iter().position(|byte| *byte == b';').unwrap_or(body.len());
        let (number, rest) = (&body[..cut], body.get(cut + 1..).unwrap_or_default());
        match number {
            b"0" | b"2" => {
                let title = String::from_utf8_lossy(rest);
                self.title = title.chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect();
            }
            b"4" | b"10" | b"11" | b"12" | b"104" | b"110" | b"111" | b"112" if !rest.contains(&b'?') => {
                self.pass(&[b"\x1b]", body, b"\x1b\\"].concat());
            }
            _ => {}
        }
    }
}
