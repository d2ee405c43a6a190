//! A screen that is there when somebody looks.
//!
//! While nobody does, only a snapshot is kept, or nothing at all. Whoever looks asks which bytes of the recording are
//! missing, feeds them, and has the screen.

use std::ops::Range;

use crate::session::screen::{Screen, Size, Snapshot};

/// What is read again at most to build a screen. Older output no longer shows on one, unless a program has drawn once
/// and then printed megabytes elsewhere.
pub const REBUILD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Changes of size that are kept for a screen nobody looks at; of more, the newest count.
const RESIZES_MAX: usize = 64;

/// The screen of one recording.
#[derive(Debug)]
pub struct LazyScreen {
    first_size: Size,
    base: Option<(u64, Snapshot)>,
    live: Option<Screen>,
    /// How far the live screen, or the one that will be built, has got.
    at: u64,
    /// Sizes with the offset each counts from.
    resizes: Vec<(u64, Size)>,
    /// The next bytes begin anywhere: what comes before the first line's end is part of something unknown.
    adrift: bool,
}

impl LazyScreen {
    pub fn new(size: Size) -> LazyScreen {
        LazyScreen { first_size: size, base: None, live: None, at: 0, resizes: Vec::new(), adrift: false }
    }

    /// All changes of size there were, oldest first, each with the offset from which it counts.
    pub fn resizes(&mut self, mut all: Vec<(u64, Size)>) {
        all.drain(..all.len().saturating_sub(RESIZES_MAX));
        self.resizes = all;
    }

    /// Builds the screen if there is none; the bytes of the recording to be fed so that it stands at `end`.
    pub fn missing(&mut self, end: u64) -> Range<u64> {
        let start = match (&self.live, &self.base) {
            (Some(_), _) => self.at,
            (None, Some((offset, _))) => *offset,
            (None, None) => 0,
        };
        if end.saturating_sub(start) > REBUILD_BYTES_MAX {
            self.at = end - REBUILD_BYTES_MAX;
            self.live = Some(Screen::new(self.size_at(self.at)));
            self.adrift = true;
        } else if self.live.is_none() {
            self.at = start;
            self.live = Some(match &self.base {
                Some((_, snapshot)) => Screen::restore(snapshot),
                None => Screen::new(self.first_size),
            });
        }
        self.at..end.max(self.at)
    }

    fn size_at(&self, offset: u64) -> Size {
        self.resizes.iter().rfind(|(from, _)| *from <= offset).map_or(self.first_size, |(_, size)| *size)
    }

    /// Takes the next bytes; those before the place the screen has got to are known already.
    pub fn feed(&mut self, from: u64, bytes: &[u8]) {
        let known = usize::try_from(self.at.saturating_sub(from)).unwrap_or(usize::MAX).min(bytes.len());
        let (mut bytes, Some(screen)) = (&bytes[known..], &mut self.live) else { return };
        if self.adrift {
            let Some(line) = memchr::memchr(b'\n', bytes) else {
                self.at += bytes.len() as u64;
                return;
            };
            self.adrift = false;
            self.at += line as u64 + 1;
            bytes = &bytes[line + 1..];
        }
        while !bytes.is_empty() {
            let due = self.resizes.iter().rfind(|(from, _)| *from <= self.at);
            due.inspect(|(_, size)| screen.resize(*size));
            let next = self.resizes.iter().map(|(from, _)| *from).filter(|from| *from > self.at).min();
            let until = next.map_or(u64::MAX, |next| next - self.at);
            let (now, later) = bytes.split_at(usize::try_from(until).unwrap_or(usize::MAX).min(bytes.len()));
            screen.feed(now);
            self.at += now.len() as u64;
            bytes = later;
        }
        if let Some((_, size)) = self.resizes.iter().rfind(|(from, _)| *from <= self.at) {
            screen.resize(*size);
        }
    }

    /// The screen as far as it was fed, in the size the terminal has now.
    pub fn live(&mut self, size: Size) -> &mut Screen {
        let screen = self.live.get_or_insert_with(|| Screen::new(size));
        screen.resize(size);
        screen
    }

    /// Nobody looks any more: the screen becomes a snapshot. Within a sequence there is none, and the one before stays.
    pub fn let_go(&mut self) {
        if let Some(mut screen) = self.live.take()
            && let Some(snapshot) = screen.snapshot().filter(|_| !self.adrift)
        {
            self.base = Some((self.at, snapshot));
            self.resizes = Vec::new();
        }
    }
}
