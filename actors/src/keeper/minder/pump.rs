//! From the terminal to the recording.
//!
//! Bytes are read until there are none, then written; they wait in memory only while the disk has no room, and then
//! nothing more is read, so that the program waits too.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::termios::Winsize;

use super::super::{clamp_size, kernel};
use crate::recording::{Exit, Mark, Writer};

/// Large enough that writing is no cost beside reading, small enough for a thousand sessions at once.
const BUFFER_BYTES: usize = 64 << 10;
/// So much is read before anything else is looked at: signals and orders wait some milliseconds at most.
const ROUND_BYTES_MAX: usize = 1 << 20;
/// How often a full disk is asked again.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// How often a terminal that nobody has open is looked at while its program lives.
const HUNG_UP_LOOK_AFTER: Duration = Duration::from_millis(250);

/// Output that comes in pieces smaller than this, one within this time of the other, is let pile up for a moment. A key
/// and its echo never are: the first rounds are not waited for.
const TRICKLE_BYTES: usize = 1024;
const TRICKLE_WITHIN: Duration = Duration::from_micros(400);
const TRICKLE_ROUNDS: u32 = 8;
const TRICKLE_PAUSE: Duration = Duration::from_micros(60);

pub(super) struct Pump {
    master: OwnedFd,
    writer: Writer,
    /// Made when there is output and given back when there has been none for a while.
    buffer: Option<Box<[u8]>>,
    /// What of the buffer waits for the disk.
    held: std::ops::Range<usize>,
    stalled: Option<Errno>,
    /// Nobody has the terminal open: all that was printed has been read.
    hung_up: bool,
    look_at: Option<Instant>,
    /// Whether `stalled` has changed since it was last told.
    stall_news: bool,
    /// The exit is on disk: the recording is complete and nothing is read any more.
    closed: bool,
    /// How often in a row there was little to read, and soon again.
    trickle: u32,
    pumped_at: Option<Instant>,
}

impl Pump {
    pub fn new(master: OwnedFd, writer: Writer) -> Pump {
        Pump {
            master,
            writer,
            buffer: None,
            held: 0..0,
            stalled: None,
            hung_up: false,
            look_at: None,
            stall_news: false,
            closed: false,
            trickle: 0,
            pumped_at: None,
        }
    }

    /// The terminal, where there is a reason to wait for it.
    pub fn wanted(&self) -> Option<BorrowedFd<'_>> {
        (self.stalled.is_none() && !self.hung_up && !self.closed).then(|| self.master.as_fd())
    }

    pub fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    pub fn end(&self) -> u64 {
        self.writer.end()
    }

    pub fn due(&self) -> Option<Instant> {
        self.look_at
    }

    /// Whether everything that was printed is on disk.
    pub fn is_dry(&self) -> bool {
        self.hung_up && self.held.is_empty() && self.stalled.is_none()
    }

    pub fn stalled(&self) -> Option<Errno> {
        self.stalled
    }

    /// Why nothing is read at the moment, or that it is again, once each time this changes.
    pub fn take_stall_news(&mut self) -> Option<Option<Errno>> {
        std::mem::take(&mut self.stall_news).then_some(self.stalled)
    }

    /// What has to be done by itself: asking a full disk again, looking at a terminal that nobody had open.
    pub fn on_time(&mut self) {
        if self.look_at.is_none_or(|look_at| Instant::now() < look_at) {
            return;
        }
        self.look_at = None;
        if self.stalled.is_some() {
            self.note(None);
            self.write_held();
        }
        if self.stalled.is_none() {
            self.hung_up = false;
            self.pump();
        }
    }

    /// Takes what there is from the terminal to the disk.
    pub fn pump(&mut self) {
        self.await_more();
        let taken = self.read();
        self.write_held();
        let now = Instant::now();
        let is_soon = self.pumped_at.is_some_and(|before| now - before < TRICKLE_WITHIN);
        self.trickle = if is_soon && taken < TRICKLE_BYTES { self.trickle + 1 } else { 0 };
        self.pumped_at = Some(now);
    }

    /// A program that prints line by line is faster when it is not woken by the reader after each of them.
    fn await_more(&self) {
        if self.trickle >= TRICKLE_ROUNDS {
            std::thread::sleep(TRICKLE_PAUSE);
        }
    }

    fn read(&mut self) -> usize {
        let mut taken = 0;
        while self.stalled.is_none() && taken < ROUND_BYTES_MAX {
            let buffer = self.buffer.get_or_insert_with(|| vec![0; BUFFER_BYTES].into_boxed_slice());
            match rustix::io::read(&self.master, &mut buffer[self.held.end..]) {
                Ok(0) | Err(Errno::IO) => {
                    self.hung_up = true;
                    self.look_at = Some(Instant::now() + HUNG_UP_LOOK_AFTER);
                    break;
                }
                Ok(count) => {
                    taken += count;
                    self.held.end += count;
                    if self.held.end == BUFFER_BYTES {
                        self.write_held();
                    }
                }
                Err(Errno::INTR) => {}
                // There is no more for now. An error that is not known is a reason to look again, not to end.
                Err(_) => break,
            }
        }
        taken
    }

    fn write_held(&mut self) {
        let Some(buffer) = &self.buffer else { return };
        if self.held.is_empty() {
            return;
        }
        let (count, outcome) = self.writer.append(&buffer[self.held.clone()]);
        self.held.start += count;
        if self.held.is_empty() {
            self.held = 0..0;
        }
        self.note(outcome.err());
    }

    /// Notes that the disk takes nothing, or takes something again.
    fn note(&mut self, stalled: Option<Errno>) {
        self.stall_news |= stalled != self.stalled;
        self.stalled = stalled;
        if stalled.is_some() {
            self.look_at = Some(Instant::now() + RETRY_AFTER);
        }
    }

    /// Gives the buffer back.
    pub fn release(&mut self) {
        if self.held.is_empty() {
            self.buffer = None;
        }
    }

    pub fn resize(&mut self, cols: u16, rows: u16) -> Result<(), Errno> {
        let (cols, rows) = clamp_size(cols, rows);
        // What was printed for the old size comes first.
        self.pump();
        rustix::termios::tcsetwinsize(
            &self.master,
            Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 },
        )?;
        self.writer.resized(cols, rows)
    }

    pub fn mark(&mut self, mark: Mark) -> Result<(), Errno> {
        self.pump();
        self.writer.mark(mark)
    }

    pub fn interrupt(&self) -> Result<(), Errno> {
        kernel::interrupt_foreground(self.master())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// Writes down how the program ended; says whether that is on disk.
    pub fn exited(&mut self, exit: &Exit) -> bool {
        let outcome = self.writer.exited(exit);
        self.note(outcome.err());
        self.closed = outcome.is_ok();
        if self.closed {
            self.look_at = None;
            self.buffer = None;
        }
        self.closed
    }

    /// Forgets what was not to be recorded, once the node knows of the end.
    pub fn forget(&mut self) {
        self.writer.forget();
    }
}
