//! A recording as an asciicast of version 3, which players of terminal recordings read.
//!
//! The form is described at <https://docs.asciinema.org/manual/asciicast/v3/>: a line with the header as a JSON
//! object, then a line for each event, `[interval, code, data]`, the interval being the seconds since the event before.
//! Of its codes `o` (output), `r` (resize, `COLSxROWS`), `m` (marker) and `x` (exit status) are written. What was
//! typed is not exported: it may hold what nobody meant to show.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{Exit, ExitStatus, Recording, Start, Step};

#[derive(Debug, thiserror::Error)]
pub enum AsciicastError {
    #[error("could not read the recording")]
    Read(#[source] io::Error),
    #[error("could not write the asciicast")]
    Write(#[source] io::Error),
}

/// What the header says besides the size and the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cast {
    pub title: Option<String>,
    /// What `TERM` said in the session.
    pub term: Option<String>,
}

/// Writes a whole recording as an asciicast.
pub fn write_asciicast(
    recording: Recording,
    cast: &Cast,
    out: &mut impl Write,
) -> Result<(), AsciicastError> {
    let replay = recording.replay().map_err(AsciicastError::Read)?;
    writeln!(out, "{}", header(replay.start(), cast)).map_err(AsciicastError::Write)?;
    let mut writer = EventWriter { out, written_us: 0, split: Vec::new() };
    for step in replay {
        writer.step(step.map_err(AsciicastError::Read)?).map_err(AsciicastError::Write)?;
    }
    writer.finish().map_err(AsciicastError::Write)
}

fn header(start: &Start, cast: &Cast) -> Value {
    let since_epoch = start.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut header = json!({
        "version": 3,
        "term": { "cols": start.cols, "rows": start.rows },
        "timestamp": since_epoch.as_secs(),
    });
    if let Some(term) = &cast.term {
        header["term"]["type"] = json!(term);
    }
    if let Some(title) = &cast.title {
        header["title"] = json!(title);
    }
    header
}

struct EventWriter<'a, W> {
    out: &'a mut W,
    /// The time of the last event as written, so that rounding never adds up.
    written_us: u64,
    /// The beginning of a character whose end comes with the next output.
    split: Vec<u8>,
}

impl<W: Write> EventWriter<'_, W> {
    fn step(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Output { at, bytes, .. } => self.output(at, &bytes),
            Step::Gap { at, from, to } => {
                self.flush_split(at)?;
                self.event(at, "m", &format!("recording cut: bytes {from} to {to} are missing"))
            }
            Step::Resize { at, cols, rows } => self.event(at, "r", &format!("{cols}x{rows}")),
            Step::Exit { at, exit } => {
                self.flush_split(at)?;
                self.event(at, "x", &status(&exit).to_string())
            }
            Step::Mark { .. } => Ok(()),
        }
    }

    fn output(&mut self, at: Duration, bytes: &[u8]) -> io::Result<()> {
        let mut whole = std::mem::take(&mut self.split);
        whole.extend_from_slice(bytes);
        self.split = whole.split_off(whole.len() - split_character_bytes(&whole));
        if whole.is_empty() {
            return Ok(());
        }
        self.event(at, "o", &String::from_utf8_lossy(&whole))
    }

    fn flush_split(&mut self, at: Duration) -> io::Result<()> {
        let split = std::mem::take(&mut self.split);
        if split.is_empty() { Ok(()) } else { self.event(at, "o", &String::from_utf8_lossy(&split)) }
    }

    fn event(&mut self, at: Duration, code: &str, data: &str) -> io::Result<()> {
        let interval = (at.as_micros() as u64).saturating_sub(self.written_us);
        self.written_us += interval;
        let (seconds, micros) = (interval / 1_000_000, interval % 1_000_000);
        writeln!(self.out, "[{seconds}.{micros:06}, \"{code}\", {}]", Value::from(data))
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush_split(Duration::from_micros(self.written_us))?;
        self.out.flush()
    }
}

/// A status as a shell would give it: a signal counts from 128 on.
fn status(exit: &Exit) -> i32 {
    match exit.status {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal { number, .. } => 128 + number,
    }
}

/// How many bytes at the end are the beginning of a character that may still become whole.
fn split_character_bytes(bytes: &[u8]) -> usize {
    let is_beginning = |count: &usize| {
        let tail = &bytes[bytes.len() - count..];
        matches!(std::str::from_utf8(tail), Err(error) if error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=3.min(bytes.len())).find(is_beginning).unwrap_or(0)
}
