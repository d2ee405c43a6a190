//! The file a tool writes down its conversation in, read as it grows.
//!
//! It is either lines of JSON, each a record of its own, or text for people, whose lines are told apart by patterns:
//! there, lines of one kind that follow each other are one record, `{"kind": …, "text": …, "block": …}`, and what no
//! pattern matches is of the kind `text`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Pattern;

/// The longest record: an answer is at most half of it.
pub const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The kind of a line that no pattern matches.
const TEXT: &str = "text";

/// How a tool's transcript is found and read.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// Where it lies, with placeholders; nothing where a word of the tool's tells it.
    pub file: Option<String>,
    /// Kinds of lines, the first that matches counts; of lines of JSON there are none.
    pub lines: Vec<LineKind>,
    pub answer: AnswerIs,
}

/// Lines of a transcript that are no plain text.
#[derive(Clone, Debug, PartialEq)]
pub struct LineKind {
    pub kind: String,
    /// Its first group is the line's own text.
    pub pattern: Pattern,
}

/// Which of the texts of one turn is its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerIs {
    #[default]
    Last,
    /// They stand in pieces, between notes of the tool's own.
    All,
}

/// Reads a transcript piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The beginning of a line that is not written to its end yet.
    rest: Vec<u8>,
    /// A line is longer than any record: it is passed over to its end.
    skips: bool,
    block: Option<Block>,
    blocks: u64,
}

#[derive(Clone, Debug)]
struct Block {
    kind: String,
    text: String,
    number: u64,
}

impl Reading {
    /// The records of what was written since. A record of lines may grow: it is then told again, with the same `block`.
    pub fn feed(&mut self, transcript: &Transcript, bytes: &[u8]) -> Vec<Value> {
        let mut records = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.skips {
                self.rest.extend(piece);
            }
            if self.rest.len() > RECORD_BYTES_MAX {
                (self.rest, self.skips) = (Vec::new(), true);
            }
            if !piece.ends_with(b"\n") {
                continue;
            }
            let line = std::mem::take(&mut self.rest);
            if !std::mem::take(&mut self.skips) {
                self.line(transcript, &line, &mut records);
            }
        }
        records.extend(self.block.as_ref().and_then(Block::record));
        records
    }

    fn line(&mut self, transcript: &Transcript, line: &[u8], records: &mut Vec<Value>) {
        if transcript.lines.is_empty() {
            // A line that is no JSON says nothing.
            records.extend(serde_json::from_slice::<Value>(line).ok());
            return;
        }
        let line = String::from_utf8_lossy(line);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        let found = transcript.lines.iter().find_map(|kind| Some((&*kind.kind, kind.pattern.group(line)?)));
        let (kind, text) = found.unwrap_or((TEXT, line));
        match &mut self.block {
            Some(block) if block.kind == kind => {
                block.text.push('\n');
                block.text.push_str(text);
                if block.text.len() > RECORD_BYTES_MAX {
                    block.text = String::new();
                }
            }
            _ => {
                records.extend(self.block.as_ref().and_then(Block::record));
                self.blocks += 1;
                let number = self.blocks;
                self.block = Some(Block { kind: kind.to_owned(), text: text.to_owned(), number });
            }
        }
    }
}

impl Block {
    /// Blank lines around a text are no part of it; of blank lines alone nothing is told.
    fn record(&self) -> Option<Value> {
        let text = self.text.trim_matches('\n');
        let text = if self.kind == TEXT { text.trim() } else { text };
        (!text.is_empty()).then(|| json!({ "kind": self.kind, "text": text, "block": self.number }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> Transcript {
        let kind =
            |kind: &str, pattern: &str| LineKind { kind: kind.to_owned(), pattern: Pattern::new(pattern) };
        let lines = vec![kind("prompt", "^#### (.*)  $"), kind("note", "^> ?(.*)  $")];
        Transcript { file: None, lines, answer: AnswerIs::All }
    }

    fn told(records: &[Value]) -> Vec<String> {
        let one = |record: &Value| {
            format!("{} {} {}", record["block"], record["kind"].as_str().unwrap(), record["text"])
        };
        records.iter().map(one).collect()
    }

    #[test]
    fn lines_of_one_kind_are_one_record_that_may_grow() {
        let transcript = kinds();
        let mut reading = Reading::default();
        let records = reading.feed(&transcript, b"\n#### [niia]  \n####   two  \n");
        assert_eq!(told(&records), [r#"2 prompt "[niia]\n  two""#]);
        let records = reading.feed(&transcript, b"\nthe answer\n#### head\n> quoted\n");
        assert_eq!(told(&records).last().unwrap(), r##"3 text "the answer\n#### head\n> quoted""##);
        let records = reading.feed(&transcript, b"\nmore\n\n> Tokens: 7  \n");
        assert_eq!(
            told(&records),
            [r##"3 text "the answer\n#### head\n> quoted\n\nmore""##, r#"4 note "Tokens: 7""#]
        );
    }

    #[test]
    fn a_line_of_json_is_read_once_it_is_whole() {
        let transcript = Transcript { lines: Vec::new(), ..kinds() };
        let mut reading = Reading::default();
        assert!(reading.feed(&transcript, b"{\"a\":").is_empty());
        assert_eq!(reading.feed(&transcript, b"1}\nno json\n{\"b\":2}\n{"), [json!({"a":1}), json!({"b":2})]);
    }

    #[test]
    fn a_line_longer_than_any_record_is_passed_over() {
        let transcript = Transcript { lines: Vec::new(), ..kinds() };
        let mut reading = Reading::default();
        let long = vec![b'x'; RECORD_BYTES_MAX];
        assert!(reading.feed(&transcript, &long).is_empty());
        assert!(reading.feed(&transcript, b"xx").is_empty());
        assert_eq!(reading.feed(&transcript, b"x\n{\"b\":2}\n"), [json!({"b":2})]);
    }
}
