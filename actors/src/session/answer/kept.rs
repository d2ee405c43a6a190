//! A text with a bound: its beginning, its end, and how much is missing between.

use crate::session::answer::AnswerText;

/// A quarter of the bound is for the beginning.
const HEAD_PART: usize = 4;

#[derive(Debug)]
pub(super) struct Kept {
    head: String,
    tail: String,
    head_bytes_max: usize,
    tail_bytes_max: usize,
    left_out: u64,
    head_is_full: bool,
}

impl Kept {
    pub(super) fn new(bytes_max: usize) -> Kept {
        let head_bytes_max = bytes_max / HEAD_PART;
        Kept {
            head: String::new(),
            tail: String::new(),
            head_bytes_max,
            tail_bytes_max: bytes_max - head_bytes_max,
            left_out: 0,
            head_is_full: false,
        }
    }

    pub(super) fn left_out(&mut self, bytes: u64) {
        if bytes > 0 {
            self.left_out += bytes;
            self.head_is_full = true;
        }
    }

    pub(super) fn push(&mut self, text: &str) {
        if !self.head_is_full {
            if self.head.len() + text.len() <= self.head_bytes_max {
                return self.head.push_str(text);
            }
            self.head_is_full = true;
        }
        self.tail.push_str(text);
        // Cutting costs a copy, so it is done when the tail is twice as long as it may be.
        if self.tail.len() > 2 * self.tail_bytes_max {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let mut over = self.tail.len().saturating_sub(self.tail_bytes_max);
        while !self.tail.is_char_boundary(over) {
            over += 1;
        }
        self.tail.drain(..over);
        self.left_out += over as u64;
    }

    /// The whole text without blank lines around it.
    pub(super) fn finish(mut self) -> AnswerText {
        if self.tail.len() > self.tail_bytes_max {
            self.cut();
        }
        let mut text = self.head;
        if self.left_out > 0 {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&format!("[{} bytes left out]\n", self.left_out));
        }
        text.push_str(&self.tail);
        text.truncate(text.trim_end().len());
        let blank = text.len() - text.trim_start_matches('\n').len();
        text.drain(..blank);
        AnswerText { text, left_out: self.left_out }
    }
}
