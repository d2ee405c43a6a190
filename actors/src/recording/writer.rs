//! The writer of a recording: the minder's side.
//!
//! It allocates next to nothing and knows nothing of what it writes. A write that fails leaves the writer as it was
//! before, at a byte's exactness, so that it can be tried again when there is space.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::{HEADER_BYTES, Header, INDEX_FILE, Mark, RECORD_BYTES, Record, Shape, log_file};

/// Output is marked with its time this often at most: 50 pictures a second are what an eye can follow.
const OUTPUT_MARK_EVERY_US: u64 = 20_000;
/// Each time the index has grown by so much the marks become half as frequent: 4 MiB are 100,000 marks, and a
/// session that blinks for months still has an index of some tens of MiB.
const INDEX_BYTES_A_PACE: u64 = 4 << 20;

#[derive(Debug)]
pub(crate) struct Writer {
    index: OwnedFd,
    index_end: u64,
    header: Header,
    segment: Option<(u64, OwnedFd)>,
    end: u64,
    began: Duration,
    marked_us: Option<u64>,
}

impl Writer {
    /// Begins a recording in the current folder. A folder that has one already is refused.
    pub fn create(header: Header) -> Result<Writer, Errno> {
        // Made beside and put in its place with its header: whoever finds it can tell whose it is.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let beside = format!("{INDEX_FILE}.{}", header.start.minder);
        let index = rustix::fs::open(&beside, flags, Mode::RUSR | Mode::WUSR)?;
        let began = now();
        let mut writer = Writer {
            index,
            index_end: HEADER_BYTES as u64,
            header,
            segment: None,
            end: 0,
            began,
            marked_us: None,
        };
        let placed = writer
            .write_header()
            .and_then(|()| rustix::fs::linkat(CWD, &beside, CWD, INDEX_FILE, AtFlags::empty()));
        // One that stays holds a header and nothing else.
        let _ = rustix::fs::unlinkat(CWD, &beside, AtFlags::empty());
        placed.map(|()| writer)
    }

    /// Writes down which process the program is.
    pub fn started(&mut self, pid: u32, pid_began: u64) -> Result<(), Errno> {
        self.header.start.pid = pid;
        self.header.start.pid_began = pid_began;
        self.write_header()
    }

    fn write_header(&mut self) -> Result<(), Errno> {
        write_all_at(&self.index, &self.header.encode(), 0)
    }

    /// Takes back a recording whose program was never started.
    pub fn withdraw(self) {
        // The folder may hold nothing of a session that never was; if even this fails the header says pid 0.
        let _ = rustix::fs::unlinkat(CWD, INDEX_FILE, AtFlags::empty());
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends what was printed, and says how many of the bytes are on disk; fewer than all only with the reason.
    pub fn append(&mut self, bytes: &[u8]) -> (usize, Result<(), Errno>) {
        let offset = self.end;
        let mut done = 0;
        while done < bytes.len() {
            match self.append_some(&bytes[done..]) {
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(errno) => return (done, Err(errno)),
            }
        }
        self.mark_output(offset);
        (done, Ok(()))
    }

    fn append_some(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let Shape { segment_bytes, .. } = self.header.shape;
        let wanted = self.end / segment_bytes;
        if self.segment.as_ref().is_none_or(|(number, _)| *number != wanted) {
            self.begin_segment(wanted)?;
        }
        let Some((_, file)) = &self.segment else { return Err(Errno::BADF) };
        let within = self.end % segment_bytes;
        let room = usize::try_from(segment_bytes - within).unwrap_or(usize::MAX);
        let count = rustix::io::pwrite(file, &bytes[..bytes.len().min(room)], within)?;
        if count == 0 {
            return Err(Errno::NOSPC);
        }
        self.end += count as u64;
        Ok(count)
    }

    fn begin_segment(&mut self, number: u64) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(log_file(number), flags, Mode::RUSR | Mode::WUSR)?;
        self.segment = Some((number, file));
        if let Some(dropped) = self.header.shape.dropped_by(number) {
            // One that is gone already is no trouble; one that cannot go is tried no more and costs its own bytes.
            let _ = rustix::fs::unlinkat(CWD, log_file(dropped), AtFlags::empty());
        }
        Ok(())
    }

    /// Notes when the output from `offset` on came, unless that was noted a moment ago. A picture of time is worth
    /// less than the bytes, so a disk that has no room for it is no error here.
    fn mark_output(&mut self, offset: u64) {
        let at = self.elapsed_us();
        let pace = OUTPUT_MARK_EVERY_US << (self.index_end / INDEX_BYTES_A_PACE).min(16);
        if self.marked_us.is_some_and(|marked| at.saturating_sub(marked) < pace) {
            return;
        }
        if self.push(&Record::output(at, offset)).is_ok() {
            self.marked_us = Some(at);
        }
    }

    pub fn resized(&mut self, cols: u16, rows: u16) -> Result<(), Errno> {
        self.push(&Record::resize(self.elapsed_us(), self.end, cols, rows))
    }

    pub fn mark(&mut self, mark: Mark) -> Result<(), Errno> {
        self.push(&Record::mark(self.elapsed_us(), self.end, mark))
    }

    /// Writes how the program ended, after all output has reached the disk: whoever finds an exit, even after a loss of
    /// power, finds every byte. The record itself is not waited for. It survives whatever kills processes; after a loss
    /// of power a session without one is lost as if it had still run, and that is what it was until its end was in the
    /// journal.
    pub fn exited(&mut self, exit: &super::Exit) -> Result<(), Errno> {
        if let Some((_, file)) = &self.segment {
            rustix::fs::fdatasync(file)?;
        }
        self.push(&exit.record(self.elapsed_us()))
    }

    /// Takes away the bytes of a session that was not to be recorded.
    pub fn forget(&mut self) {
        if self.header.shape.recorded {
            return;
        }
        let Some((newest, _)) = self.segment.take() else { return };
        let kept = self.header.shape.bytes_max / self.header.shape.segment_bytes;
        for number in newest.saturating_sub(kept)..=newest {
            let _ = rustix::fs::unlinkat(CWD, log_file(number), AtFlags::empty());
        }
    }

    /// A record that could be written only in part is written over by the next one.
    fn push(&mut self, record: &Record) -> Result<(), Errno> {
        write_all_at(&self.index, &record.encode(), self.index_end)?;
        self.index_end += RECORD_BYTES as u64;
        Ok(())
    }

    fn elapsed_us(&self) -> u64 {
        now().saturating_sub(self.began).as_micros() as u64
    }
}

/// Time that also passes while the machine sleeps and that nobody can set.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

fn write_all_at(file: &OwnedFd, mut bytes: &[u8], mut at: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(file, bytes, at) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(count) => {
                bytes = &bytes[count..];
                at += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
