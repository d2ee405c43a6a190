//! A recording told again in the order in which it happened.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::{Entry, Exit, Mark, Read, Recording, Start};

/// One step shows at most this much, so that replaying needs no more memory than this.
const STEP_BYTES_MAX: usize = 64 << 10;

/// Where a recording stood at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Everything before this offset had been printed.
    pub offset: u64,
    pub cols: u16,
    pub rows: u16,
}

/// One step of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Output {
        at: Duration,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// These bytes are not in the recording.
    Gap {
        at: Duration,
        from: u64,
        to: u64,
    },
    Resize {
        at: Duration,
        cols: u16,
        rows: u16,
    },
    Mark {
        at: Duration,
        mark: Mark,
    },
    Exit {
        at: Duration,
        exit: Exit,
    },
}

/// The steps of a recording from its beginning to what is its end when it gets there.
#[derive(Debug)]
pub struct Replay {
    recording: Recording,
    next_record: u64,
    waiting: VecDeque<Entry>,
    offset: u64,
    at: Duration,
    end: u64,
}

impl Replay {
    pub(super) fn new(recording: Recording) -> io::Result<Replay> {
        let end = recording.len()?;
        Ok(Replay { recording, next_record: 0, waiting: VecDeque::new(), offset: 0, at: Duration::ZERO, end })
    }

    pub fn start(&self) -> &Start {
        self.recording.start()
    }

    fn step(&mut self) -> io::Result<Option<Step>> {
        loop {
            self.look_ahead()?;
            let Some(entry) = self.waiting.front().copied() else {
                return if self.offset < self.end { self.output(self.end) } else { Ok(None) };
            };
            let until = match entry {
                Entry::Output { offset, .. } | Entry::Resize { offset, .. } | Entry::Mark { offset, .. } => {
                    offset
                }
                Entry::Exit { exit, .. } => exit.log_end,
            };
            if self.offset < until {
                return self.output(until);
            }
            self.waiting.pop_front();
            match entry {
                Entry::Output { at, .. } => self.at = at,
                Entry::Resize { at, cols, rows, .. } => return Ok(Some(Step::Resize { at, cols, rows })),
                Entry::Mark { at, mark, .. } => return Ok(Some(Step::Mark { at, mark })),
                Entry::Exit { at, exit } => return Ok(Some(Step::Exit { at, exit })),
            }
        }
    }

    fn look_ahead(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            let records = self.recording.records(self.next_record)?;
            self.next_record += records.len() as u64;
            self.waiting.extend(records.iter().map(super::Record::entry));
        }
        Ok(())
    }

    fn output(&mut self, until: u64) -> io::Result<Option<Step>> {
        let wanted = usize::try_from(until - self.offset).unwrap_or(usize::MAX).min(STEP_BYTES_MAX);
        let mut bytes = vec![0; wanted];
        let (at, offset) = (self.at, self.offset);
        match self.recording.read_at(offset, &mut bytes)? {
            // What the index promises and no file holds: a recording that lost its tail with the power.
            Read::Bytes(0) => {
                self.offset = until;
                Ok(Some(Step::Gap { at, from: offset, to: until }))
            }
            Read::Bytes(count) => {
                bytes.truncate(count);
                self.offset += count as u64;
                Ok(Some(Step::Output { at, offset, bytes }))
            }
            Read::Gap { from, to } => {
                self.offset = to;
                Ok(Some(Step::Gap { at, from, to }))
            }
        }
    }
}

impl Iterator for Replay {
    type Item = io::Result<Step>;

    fn next(&mut self) -> Option<io::Result<Step>> {
        self.step().transpose()
    }
}
