//! What is typed: lines, pastes, single keys. Read by a thread of its own, so that an interrupt is seen while a model
//! answers.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The longest line: as much as a prompt may have.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
const PASTE_BEGINS: &[u8] = b"\x1b[200~";
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Text(char),
    Enter,
    Erase,
    Clear,
    Interrupt,
    /// The end of input.
    End,
}

pub(super) struct Keys {
    bytes: Receiver<Vec<u8>>,
    waiting: VecDeque<u8>,
    /// Where the terminal was raw before.
    before: Option<Termios>,
    pasting: bool,
}

impl Keys {
    pub(super) fn open() -> io::Result<Keys> {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
            let mut out = io::stdout();
            out.write_all(b"\x1b[?2004h")?;
            out.flush()?;
        }
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = io::stdin().read(&mut buffer) {
                if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Keys { bytes, waiting: VecDeque::new(), before, pasting: false })
    }

    /// Whether Ctrl-C or Escape was pressed; what was typed besides waits for its turn.
    pub(super) fn interrupted(&mut self) -> bool {
        loop {
            match self.bytes.try_recv() {
                Ok(bytes) => {
                    if bytes == b"\x1b" || bytes.contains(&3) {
                        return true;
                    }
                    self.waiting.extend(bytes);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// A line, or a paste and what was typed around it, up to Enter. Nothing at the end of input.
    pub(super) fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        loop {
            let Some(key) = self.key()? else { return Ok(None) };
            match key {
                Key::Text('\n') if !self.pasting => return Ok(Some(line)),
                Key::Text(c) if line.len() < LINE_BYTES_MAX => {
                    line.push(c);
                    if !self.pasting {
                        echo(&c.to_string())?;
                    }
                }
                Key::Text(_) => {}
                Key::Enter if self.pasting => line.push('\n'),
                Key::Enter => return Ok(Some(line)),
                Key::Erase => {
                    if line.pop().is_some() {
                        echo("\x08 \x08")?;
                    }
                }
                Key::Clear | Key::Interrupt => {
                    line.clear();
                    echo("\r\n> ")?;
                }
                Key::End if line.is_empty() => return Ok(None),
                Key::End => {}
            }
        }
    }

    /// The next key; nothing at the end of input.
    pub(super) fn key(&mut self) -> io::Result<Option<Key>> {
        loop {
            if self.begins_with(PASTE_BEGINS) {
                self.waiting.drain(..PASTE_BEGINS.len());
                self.pasting = true;
            }
            if self.begins_with(PASTE_ENDS) {
                self.waiting.drain(..PASTE_ENDS.len());
                self.pasting = false;
            }
            if let Some(key) = self.whole_key() {
                return Ok(Some(key));
            }
            match self.bytes.recv() {
                Ok(bytes) => self.waiting.extend(bytes),
                Err(_) => return Ok(None),
            }
        }
    }

    fn begins_with(&self, text: &[u8]) -> bool {
        self.waiting.len() >= text.len() && self.waiting.iter().zip(text).all(|(one, other)| one == other)
    }

    /// A key whose bytes are all there.
    fn whole_key(&mut self) -> Option<Key> {
        let first = *self.waiting.front()?;
        if first == 0x1b {
            // The beginning of a paste may come in pieces.
            let told = self.waiting.iter().copied().collect::<Vec<u8>>();
            if told.len() < PASTE_BEGINS.len()
                && (PASTE_BEGINS.starts_with(&told) || PASTE_ENDS.starts_with(&told))
            {
                return None;
            }
            self.waiting.pop_front();
            return Some(if self.waiting.is_empty() { Key::Interrupt } else { Key::Clear });
        }
        let length = match first {
            0x00..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        if self.waiting.len() < length {
            return None;
        }
        let bytes: Vec<u8> = self.waiting.drain(..length).collect();
        Some(match first {
            b'\r' => Key::Enter,
            0x7f | 0x08 => Key::Erase,
            0x15 => Key::Clear,
            0x03 => Key::Interrupt,
            0x04 => Key::End,
            _ => String::from_utf8_lossy(&bytes).chars().next().map_or(Key::Clear, Key::Text),
        })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The terminal may be gone with whoever looked at it.
            drop(io::stdout().write_all(b"\x1b[?2004l"));
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

fn echo(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (sender, bytes) = channel();
        pieces.iter().for_each(|piece| sender.send(piece.to_vec()).unwrap());
        drop(sender);
        let mut keys = Keys { bytes, waiting: VecDeque::new(), before: None, pasting: false };
        std::iter::from_fn(|| keys.line().unwrap()).collect()
    }

    #[test]
    fn a_paste_is_one_text_whatever_is_in_it_and_enter_ends_it() {
        assert_eq!(lines(&[b"hello\r", b"two\r"]), ["hello", "two"]);
        assert_eq!(lines(&[b"\x1b[200~a\n!b\n/quit", b"\x1b[201~", b"\r"]), ["a\n!b\n/quit"]);
        assert_eq!(lines(&[b"\x1b[20", b"0~x\x1b[2", b"01~\r"]), ["x"]);
        assert_eq!(lines(&["grün".as_bytes(), b"\x7f\r"]), ["grü"]);
        assert_eq!(lines(&[b"gone\x15kept\r"]), ["kept"]);
        assert_eq!(lines(&[b"\x04"]), [] as [&str; 0]);
    }
}
