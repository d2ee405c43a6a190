//! The form of the index: a header about the start, then records of one length.
//!
//! Everything is little-endian and carries a check value, so that a torn tail, as a crash leaves one, is seen and left
//! out. Version 1:
//!
//! | bytes | header | | bytes | record |
//! |---|---|---|---|---|
//! | 0–7 | `niia-rec` | | 0 | kind: 1 output, 2 resize, 3 mark, 4 exit |
//! | 8–11 | version | | 1 | kind of mark, kind of exit |
//! | 12–15 | columns, rows | | 2–3 | code or signal of an exit |
//! | 16–19 | flags: 1 recorded | | 4–7 | check value of the other bytes |
//! | 20–27 | segment length | | 8–15 | microseconds since the start |
//! | 28–35 | bound in bytes | | 16–23 | offset in the log |
//! | 36–43 | start, µs of the Unix epoch | | 24–31 | columns and rows, or the id of a mark |
//! | 44–83 | boot, pid and start of program and minder | | 32–39 | bytes of a mark |
//! | 84–91 | the mark in the program's environment | | | |
//! | 124–127 | check value of the rest | | | |

use std::time::{Duration, SystemTime};

/// The name of the index in a session's folder.
pub const INDEX_FILE: &str = "index";

pub(crate) const HEADER_BYTES: usize = 128;
pub(crate) const RECORD_BYTES: usize = 40;

const MAGIC: &[u8; 8] = b"niia-rec";
const VERSION: u32 = 1;
const FLAG_RECORDED: u32 = 1;

/// A segment of a recording with the default bound: rarely a new file, and 16 MiB is what is kept of the beginning.
const SEGMENT_BYTES: u64 = 16 << 20;
/// A small bound has small segments, but never so small that files become the work.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// The first segment, one that is being dropped and two of the newest: fewer would not be a recording.
const SEGMENTS_MIN: u64 = 4;
/// What a session that is not recorded keeps for those who follow it, in four segments.
const FOLLOW_BYTES: u64 = 4 << 20;

/// The name of one segment of the log in a session's folder.
pub fn log_file(segment: u64) -> String {
    format!("log-{segment:08}")
}

/// How a log is cut into segments and how much of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub segment_bytes: u64,
    pub bytes_max: u64,
    /// Whether the beginning is kept; a session that is not recorded keeps only the newest.
    pub recorded: bool,
}

impl Shape {
    pub fn new(recorded: bool, bytes_max: u64) -> Shape {
        let bytes_max = if recorded { bytes_max.max(SEGMENTS_MIN * SEGMENT_BYTES_MIN) } else { FOLLOW_BYTES };
        let segment_bytes = (bytes_max / SEGMENTS_MIN).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES);
        Shape { segment_bytes, bytes_max, recorded }
    }

    /// The segment that must go when `newest` is begun, if one must.
    pub fn dropped_by(&self, newest: u64) -> Option<u64> {
        let kept = (self.bytes_max / self.segment_bytes).max(2);
        let first_kept = u64::from(self.recorded);
        // With the first segment kept for good one place fewer is left for the newest.
        let dropped = newest.checked_sub(kept - first_kept)?;
        (dropped >= first_kept).then_some(dropped)
    }
}

/// What is known of the start of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub cols: u16,
    pub rows: u16,
    pub at: SystemTime,
    /// The program's process and session; 0 while it was about to be started.
    pub pid: u32,
    /// When that process began, in the kernel's ticks since the machine's start.
    pub pid_began: u64,
    pub minder: u32,
    pub minder_began: u64,
    /// Which start of the machine this was.
    pub boot: u64,
    /// What `NIIA_SESSION_MARK` says in the program's environment.
    pub mark: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub start: Start,
    pub shape: Shape,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let start = &self.start;
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &start.cols.to_le_bytes());
        put(14, &start.rows.to_le_bytes());
        put(16, &(if self.shape.recorded { FLAG_RECORDED } else { 0 }).to_le_bytes());
        put(20, &self.shape.segment_bytes.to_le_bytes());
        put(28, &self.shape.bytes_max.to_le_bytes());
        put(36, &micros_of_epoch(start.at).to_le_bytes());
        put(44, &start.boot.to_le_bytes());
        put(52, &start.pid.to_le_bytes());
        put(56, &start.pid_began.to_le_bytes());
        put(64, &start.minder.to_le_bytes());
        put(68, &start.minder_began.to_le_bytes());
        put(84, &start.mark.to_le_bytes());
        let check = check(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The header these bytes hold; nothing where they hold none, or one of a version not known here.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
        let sound = u32_at(bytes, HEADER_BYTES - 4) == check(&bytes[..HEADER_BYTES - 4]);
        if !sound || !bytes.starts_with(MAGIC) || u32_at(bytes, 8) != VERSION {
            return None;
        }
        let start = Start {
            cols: u16_at(bytes, 12),
            rows: u16_at(bytes, 14),
            at: SystemTime::UNIX_EPOCH + Duration::from_micros(u64_at(bytes, 36)),
            boot: u64_at(bytes, 44),
            pid: u32_at(bytes, 52),
            pid_began: u64_at(bytes, 56),
            minder: u32_at(bytes, 64),
            minder_began: u64_at(bytes, 68),
            mark: u64_at(bytes, 84),
        };
        let shape = Shape {
            segment_bytes: u64_at(bytes, 20).max(1),
            bytes_max: u64_at(bytes, 28),
            recorded: u32_at(bytes, 16) & FLAG_RECORDED != 0,
        };
        Some(Header { start, shape })
    }
}

/// One thing that happened, as a reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// From `offset` on the log was printed at `at` since the start, or a little later.
    Output {
        at: Duration,
        offset: u64,
    },
    Resize {
        at: Duration,
        offset: u64,
        cols: u16,
        rows: u16,
    },
    Mark {
        at: Duration,
        offset: u64,
        mark: Mark,
    },
    Exit {
        at: Duration,
        exit: super::Exit,
    },
}

/// What the node was about to do to a terminal; written before it does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    pub kind: MarkKind,
    /// Whatever the node knows it by.
    pub id: u64,
    /// How many bytes.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// The text of a prompt is about to be typed.
    Typing,
    /// The text has been typed in full.
    Typed,
    /// Enter is about to be pressed for it.
    Submitting,
    /// A person's keys.
    Keys,
    /// An answer to a question of the program's to its terminal.
    Answer,
    /// Anything else the node wants to find again.
    Note,
}

const MARK_KINDS: [MarkKind; 6] = [
    MarkKind::Typing,
    MarkKind::Typed,
    MarkKind::Submitting,
    MarkKind::Keys,
    MarkKind::Answer,
    MarkKind::Note,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Output = 1,
    Resize = 2,
    Mark = 3,
    Exit = 4,
}

/// One record as it lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub kind: Kind,
    pub sub: u8,
    pub small: u16,
    pub at_us: u64,
    pub offset: u64,
    pub first: u64,
    pub second: u64,
}

impl Record {
    pub fn output(at_us: u64, offset: u64) -> Record {
        Record { kind: Kind::Output, sub: 0, small: 0, at_us, offset, first: 0, second: 0 }
    }

    pub fn resize(at_us: u64, offset: u64, cols: u16, rows: u16) -> Record {
        let first = u64::from(cols) | u64::from(rows) << 16;
        Record { kind: Kind::Resize, sub: 0, small: 0, at_us, offset, first, second: 0 }
    }

    pub fn mark(at_us: u64, offset: u64, mark: Mark) -> Record {
        let sub = MARK_KINDS.iter().position(|kind| *kind == mark.kind).unwrap_or_default() as u8;
        Record { kind: Kind::Mark, sub, small: 0, at_us, offset, first: mark.id, second: mark.bytes }
    }

    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[0] = self.kind as u8;
        bytes[1] = self.sub;
        bytes[2..4].copy_from_slice(&self.small.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.at_us.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.second.to_le_bytes());
        let check = check(&bytes);
        bytes[4..8].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// The record these bytes hold; nothing where they are torn or of a kind not known here.
    pub fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
        let mut unchecked = *bytes;
        unchecked[4..8].fill(0);
        if u32_at(bytes, 4) != check(&unchecked) {
            return None;
        }
        let kind = match bytes[0] {
            1 => Kind::Output,
            2 => Kind::Resize,
            3 => Kind::Mark,
            4 => Kind::Exit,
            _ => return None,
        };
        Some(Record {
            kind,
            sub: bytes[1],
            small: u16_at(bytes, 2),
            at_us: u64_at(bytes, 8),
            offset: u64_at(bytes, 16),
            first: u64_at(bytes, 24),
            second: u64_at(bytes, 32),
        })
    }

    pub fn entry(&self) -> Entry {
        let (at, offset) = (Duration::from_micros(self.at_us), self.offset);
        match self.kind {
            Kind::Output => Entry::Output { at, offset },
            Kind::Resize => {
                Entry::Resize { at, offset, cols: self.first as u16, rows: (self.first >> 16) as u16 }
            }
            Kind::Mark => {
                let kind = MARK_KINDS.get(usize::from(self.sub)).copied().unwrap_or(MarkKind::Note);
                Entry::Mark { at, offset, mark: Mark { kind, id: self.first, bytes: self.second } }
            }
            Kind::Exit => Entry::Exit { at, exit: super::Exit::of_record(self) },
        }
    }
}

fn micros_of_epoch(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// FNV-1a: enough against a torn tail, and a few instructions for the minder, which must stay small.
fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
