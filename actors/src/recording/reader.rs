//! The reader of a recording, at rest or while it grows.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Entry, Exit, HEADER_BYTES, Header, INDEX_FILE, Kind, Mark, Moment, RECORD_BYTES, Record, Replay, Start,
    log_file,
};

/// How much of an index is read at a time.
const INDEX_CHUNK_RECORDS: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("`{}` holds no recording", folder.display())]
    Absent { folder: PathBuf },
    #[error("the index of the recording in `{}` begins with what this version cannot read", folder.display())]
    Foreign { folder: PathBuf },
    #[error("could not read the recording in `{}`", folder.display())]
    Unreadable { folder: PathBuf, source: io::Error },
}

/// What lies at an offset of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes were read; 0 at the end of what there is.
    Bytes(usize),
    /// These bytes are no longer there, or never reached the disk.
    Gap { from: u64, to: u64 },
}

/// The recording of one session.
#[derive(Debug)]
pub struct Recording {
    folder: PathBuf,
    index: File,
    header: Header,
    /// The segment read last, still readable when it is taken away meanwhile.
    segment: Option<(u64, File)>,
}

impl Recording {
    pub fn open(folder: &Path) -> Result<Recording, RecordingError> {
        let here = || folder.to_path_buf();
        let index = match open_file(&folder.join(INDEX_FILE)) {
            Ok(index) => index,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RecordingError::Absent { folder: here() });
            }
            Err(source) => return Err(RecordingError::Unreadable { folder: here(), source }),
        };
        let mut bytes = [0; HEADER_BYTES];
        match index.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            // The minder died before it had written anything.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(RecordingError::Absent { folder: here() });
            }
            Err(source) => return Err(RecordingError::Unreadable { folder: here(), source }),
        }
        let header = Header::decode(&bytes).ok_or_else(|| RecordingError::Foreign { folder: here() })?;
        Ok(Recording { folder: here(), index, header, segment: None })
    }

    pub fn start(&self) -> &Start {
        &self.header.start
    }

    /// How the program ended, if it has.
    pub fn exit(&self) -> io::Result<Option<Exit>> {
        let records = self.records_len()?;
        for number in (0..records).rev() {
            // Only the last record can be torn, and only what was whole before it counts.
            if let Some(record) = self.record(number)? {
                return Ok((record.kind == Kind::Exit).then(|| Exit::of_record(&record)));
            }
        }
        Ok(None)
    }

    /// How many bytes were printed so far, those of gaps included.
    pub fn len(&self) -> io::Result<u64> {
        if let Some(exit) = self.exit()? {
            return Ok(exit.log_end);
        }
        // The newest segment can be taken away between the two looks only when newer ones have come.
        loop {
            let Some(newest) = self.segments()?.last().copied() else { return Ok(0) };
            match std::fs::metadata(self.folder.join(log_file(newest))) {
                Ok(metadata) => return Ok(newest * self.header.shape.segment_bytes + metadata.len()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the bytes were taken away because they were not to be recorded.
    pub fn is_forgotten(&self) -> io::Result<bool> {
        Ok(self.segments()?.is_empty() && self.len()? > 0)
    }

    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads what was printed at `offset`. Each call ends at the end of a segment at the latest.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<Read> {
        if buffer.is_empty() {
            return Ok(Read::Bytes(0));
        }
        match self.read_segment(offset, buffer)? {
            Some(count) if count > 0 => return Ok(Read::Bytes(count)),
            _ => {}
        }
        let Some(to) = self.next_after(offset)? else { return Ok(Read::Bytes(0)) };
        // The segment may have been filled between the two looks.
        match self.read_segment(offset, buffer)? {
            Some(count) if count > 0 => Ok(Read::Bytes(count)),
            _ => Ok(Read::Gap { from: offset, to }),
        }
    }

    /// Where the log goes on behind `offset`, where nothing can be read.
    fn next_after(&self, offset: u64) -> io::Result<Option<u64>> {
        let segment = offset / self.header.shape.segment_bytes;
        let next = self.segments()?.into_iter().find(|number| *number > segment);
        if let Some(next) = next {
            return Ok(Some(next * self.header.shape.segment_bytes));
        }
        let ended = self.exit()?.map(|exit| exit.log_end);
        Ok(ended.filter(|end| *end > offset))
    }

    fn read_segment(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let number = offset / self.header.shape.segment_bytes;
        if self.segment.as_ref().is_none_or(|(open, _)| *open != number) {
            match open_file(&self.folder.join(log_file(number))) {
                Ok(file) => self.segment = Some((number, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let Some((_, file)) = &self.segment else { return Ok(None) };
        file.read_at(buffer, offset % self.header.shape.segment_bytes).map(Some)
    }

    /// The bytes that are no longer there because the recording reached its bound: `recording: cut`.
    pub fn cut(&self) -> io::Result<Option<Range<u64>>> {
        let segments = self.segments()?;
        let size = self.header.shape.segment_bytes;
        let mut expected = 0;
        for number in segments {
            if number > expected {
                return Ok(Some(expected * size..number * size));
            }
            expected = number + 1;
        }
        Ok(None)
    }

    /// The segments that are there, in order.
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number =
                name.to_str().and_then(|name| name.strip_prefix("log-")).and_then(|n| n.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Everything the index says, in the order in which it happened.
    pub fn entries(&self) -> Entries<'_> {
        Entries { recording: self, next: 0, chunk: Vec::new() }
    }

    /// What was about to be typed, in order.
    pub fn marks(&self) -> io::Result<Vec<Mark>> {
        let mut marks = Vec::new();
        for entry in self.entries() {
            if let Entry::Mark { mark, .. } = entry? {
                marks.push(mark);
            }
        }
        Ok(marks)
    }

    /// Where the log and the terminal's size stood at a time since the start.
    pub fn moment(&self, at: Duration) -> io::Result<Moment> {
        let (mut cols, mut rows) = (self.header.start.cols, self.header.start.rows);
        for entry in self.entries() {
            match entry? {
                Entry::Output { at: then, offset } if then > at => return Ok(Moment { offset, cols, rows }),
                Entry::Resize { at: then, cols: new_cols, rows: new_rows, .. } if then <= at => {
                    (cols, rows) = (new_cols, new_rows);
                }
                _ => {}
            }
        }
        Ok(Moment { offset: self.len()?, cols, rows })
    }

    /// Everything that was printed, with its time.
    pub fn replay(self) -> io::Result<Replay> {
        Replay::new(self)
    }

    fn records_len(&self) -> io::Result<u64> {
        let bytes = self.index.metadata()?.len();
        Ok(bytes.saturating_sub(HEADER_BYTES as u64) / RECORD_BYTES as u64)
    }

    fn record(&self, number: u64) -> io::Result<Option<Record>> {
        let mut bytes = [0; RECORD_BYTES];
        match self.index.read_exact_at(&mut bytes, HEADER_BYTES as u64 + number * RECORD_BYTES as u64) {
            Ok(()) => Ok(Record::decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As many whole records from `number` on as there are and as one read brings.
    pub(super) fn records(&self, number: u64) -> io::Result<Vec<Record>> {
        let mut bytes = vec![0; INDEX_CHUNK_RECORDS * RECORD_BYTES];
        let count = self.index.read_at(&mut bytes, HEADER_BYTES as u64 + number * RECORD_BYTES as u64)?;
        let (whole, _torn) = bytes[..count].as_chunks::<RECORD_BYTES>();
        Ok(whole.iter().map_while(Record::decode).collect())
    }
}

/// What the index of a recording says, one after the other.
#[derive(Debug)]
pub struct Entries<'a> {
    recording: &'a Recording,
    next: u64,
    /// Read already, in reverse.
    chunk: Vec<Record>,
}

impl Iterator for Entries<'_> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<io::Result<Entry>> {
        if self.chunk.is_empty() {
            match self.recording.records(self.next) {
                Ok(records) => self.chunk = records,
                Err(error) => return Some(Err(error)),
            }
            self.next += self.chunk.len() as u64;
            self.chunk.reverse();
        }
        self.chunk.pop().map(|record| Ok(record.entry()))
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)
}
