//! The terminal as far as anybody needs to see it.
//!
//! The recording is the truth. Every byte of it is looked through for questions to the terminal, which costs little; a
//! screen is built only when somebody looks, and let go of as soon as nobody does: cells of a thousand sessions would
//! be gigabytes, what draws them again is a few pages each.

use std::io;
use std::path::{Path, PathBuf};

use super::query::{Found, Known, Limit, Query, Scanner, answer};
use super::screen::lazy::LazyScreen;
use super::screen::{Screen, Size};
use crate::recording::{Entry, Mark, MarkKind, Read, Recording, RecordingError};
use niia_spec::detect::Statuses;

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;
/// A key's echo is read without asking for memory each time.
const BUFFER_BYTES_KEPT: usize = 1024;
/// After a restart questions are looked for in this much of the end: a program that waits for an answer prints little.
const RESCAN_BYTES_MAX: u64 = 1024 * 1024;

pub(super) struct Glass {
    folder: PathBuf,
    recording: Option<Recording>,
    scanner: Scanner,
    limit: Limit,
    screen: LazyScreen,
    size: Size,
    buffer: Vec<u8>,
    paste: bool,
    title: String,
    statuses: Statuses,
}

/// An answer to be typed, and the place of the question it answers.
#[derive(Debug)]
pub(super) struct Answered {
    pub bytes: Vec<u8>,
    pub at_offset: u64,
}

impl Glass {
    /// Before the first byte.
    pub(super) fn new(folder: &Path, size: (u16, u16), now_ms: u64) -> Glass {
        Glass {
            folder: folder.to_owned(),
            recording: None,
            scanner: Scanner::from(0),
            limit: Limit::new(now_ms),
            screen: LazyScreen::new(Size::clamped(size.0, size.1)),
            size: Size::clamped(size.0, size.1),
            buffer: Vec::new(),
            paste: false,
            title: String::new(),
            statuses: Statuses::default(),
        }
    }

    /// Takes a terminal up that was looked at before: what was answered is not answered again.
    pub(super) fn taken_up(folder: &Path, size: (u16, u16), now_ms: u64) -> Result<Glass, RecordingError> {
        let mut glass = Glass::new(folder, size, now_ms);
        let recording = Recording::open(folder)?;
        let mut from = recording.len().unwrap_or(0).saturating_sub(RESCAN_BYTES_MAX);
        for entry in recording.entries().flatten() {
            match entry {
                Entry::Resize { cols, rows, .. } => glass.size = Size::clamped(cols, rows),
                Entry::Mark { mark, .. } if mark.kind == MarkKind::Answer => from = from.max(mark.id),
                _ => {}
            }
        }
        glass.scanner = Scanner::from(from);
        glass.recording = Some(recording);
        Ok(glass)
    }

    /// Looks through what was printed since, up to `end`, and returns what is to be answered.
    pub(super) fn look(&mut self, end: u64, now_ms: u64) -> io::Result<Vec<Answered>> {
        let mut answers = Vec::new();
        while self.scanner.offset() < end {
            let from = self.scanner.offset();
            let found = match self.read(from, end)? {
                Some(count) => {
                    let buffer = std::mem::take(&mut self.buffer);
                    let found = self.scanner.feed(&buffer[..count]);
                    self.buffer = buffer;
                    found
                }
                None => break,
            };
            for found in found {
                answers.extend(self.found(found, now_ms)?);
            }
        }
        // A thousand sessions that are quiet again must not each hold a buffer.
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        Ok(answers)
    }

    fn found(&mut self, found: Found, now_ms: u64) -> io::Result<Option<Answered>> {
        match found {
            Found::Query(query) => return self.answer(&query, now_ms),
            // A report that is none says nothing about the program.
            Found::Status { body, .. } => drop(self.statuses.take(&body, now_ms)),
            Found::Title { title, .. } => self.title = title,
            Found::BracketedPaste { on, .. } => self.paste = on,
            Found::Bell { .. } => {}
        }
        Ok(None)
    }

    fn answer(&mut self, query: &Query, now_ms: u64) -> io::Result<Option<Answered>> {
        if !self.limit.allows(query, now_ms) {
            return Ok(None);
        }
        let size = self.size;
        let bytes = if query.needs_screen() {
            let screen = self.screen_at(query.at_offset)?;
            answer(query, &Known { size, screen: Some(screen) })
        } else {
            answer(query, &Known { size, screen: None })
        };
        Ok(bytes.map(|bytes| Answered { bytes, at_offset: query.at_offset }))
    }

    /// The screen as it is at a place of the recording, or further on where it has been looked at there.
    pub(super) fn screen_at(&mut self, offset: u64) -> io::Result<&mut Screen> {
        let resizes = self.resizes()?;
        self.screen.resizes(resizes);
        let mut missing = self.screen.missing(offset);
        while missing.start < missing.end {
            let Some(count) = self.read(missing.start, missing.end)? else { break };
            self.screen.feed(missing.start, &self.buffer[..count]);
            missing.start += count as u64;
        }
        let size = self.size;
        Ok(self.screen.live(size))
    }

    /// Nobody looks at the screen for now.
    pub(super) fn let_go(&mut self) {
        self.screen.let_go();
    }

    /// Where the terminal's size changed.
    fn resizes(&mut self) -> io::Result<Vec<(u64, Size)>> {
        let Some(recording) = self.recording()? else {
            return Ok(Vec::new());
        };
        let resizes = recording.entries().flatten().filter_map(|entry| match entry {
            Entry::Resize { offset, cols, rows, .. } => Some((offset, Size::clamped(cols, rows))),
            _ => None,
        });
        Ok(resizes.collect())
    }

    fn recording(&mut self) -> io::Result<Option<&mut Recording>> {
        if self.recording.is_none() {
            match Recording::open(&self.folder) {
                Ok(recording) => self.recording = Some(recording),
                Err(RecordingError::Absent { .. }) => return Ok(None),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(self.recording.as_mut())
    }

    /// Reads into the buffer; nothing when there is nothing more. What is gone from the recording is skipped.
    fn read(&mut self, from: u64, until: u64) -> io::Result<Option<usize>> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let want = usize::try_from(until.saturating_sub(from)).unwrap_or(READ_BYTES).min(READ_BYTES);
        buffer.resize(want, 0);
        let read = match self.recording()? {
            Some(recording) => recording.read_at(from, &mut buffer[..want])?,
            None => Read::Bytes(0),
        };
        let count = match read {
            Read::Bytes(0) => None,
            Read::Bytes(count) => Some(count),
            Read::Gap { to, .. } => {
                // A gap draws nothing and asks nothing.
                let gone = usize::try_from(to.min(until) - from).unwrap_or(want).min(want);
                buffer[..gone].fill(0);
                Some(gone)
            }
        };
        self.buffer = buffer;
        Ok(count)
    }

    /// What earlier nodes were about to do to this terminal; nothing where that cannot be read.
    pub(super) fn marks(&mut self) -> Vec<Mark> {
        let recording = self.recording().ok().flatten();
        recording.and_then(|recording| recording.marks().ok()).unwrap_or_default()
    }

    /// The same, each with how far the recording reached then.
    pub(super) fn marks_at(&mut self) -> Vec<(u64, Mark)> {
        let Ok(Some(recording)) = self.recording() else { return Vec::new() };
        let marks = recording.entries().flatten().filter_map(|entry| match entry {
            Entry::Mark { offset, mark, .. } => Some((offset, mark)),
            _ => None,
        });
        marks.collect()
    }

    pub(super) fn resized(&mut self, size: (u16, u16)) {
        self.size = Size::clamped(size.0, size.1);
    }

    pub(super) fn size(&self) -> (u16, u16) {
        (self.size.cols(), self.size.rows())
    }

    /// Whether the program wants pastes marked: it has an editor for a prompt.
    pub(super) fn takes_pastes(&self) -> bool {
        self.paste
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// What the program has said of itself.
    pub(super) fn statuses(&self) -> &Statuses {
        &self.statuses
    }
}
