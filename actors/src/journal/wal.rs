//! SQLite's write-ahead log, looked at before SQLite does.
//!
//! After a crash SQLite takes the log up to the first frame whose checksum is wrong, and the rest for a write that was cut
//! off. It cannot tell that from a changed bit in the middle, behind which acknowledged commits lie. This can: behind a
//! write that was cut off there is no whole commit.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// What every journal is made with.
pub const PAGE_BYTES: usize = 4096;
const FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAGE_BYTES;
/// The log's first four bytes; the last bit says in which order the bytes of checksummed words stand.
const MAGIC: u32 = 0x377f_0682;
/// A log is emptied after 1,000 frames, unless somebody reads for long; one of more than this (bytes) is none.
const LOG_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

type Sum = (u32, u32);

/// A log as it lies there.
pub struct Log {
    bytes: Vec<u8>,
    header_whole: bool,
    /// For each frame, whether it is whole in itself: its checksum follows from the one before it.
    whole: Vec<bool>,
    big_endian: bool,
}

/// Reads the log; nothing where there is none.
pub fn read(path: &Path) -> io::Result<Option<Log>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok((bytes.len() > HEADER_BYTES).then(|| Log::of(bytes)))
}

impl Log {
    fn of(bytes: Vec<u8>) -> Log {
        let magic = word(&bytes, 0);
        let big_endian = magic & 1 == 1;
        let seed = sum((0, 0), &bytes[..24], big_endian);
        let header_whole = magic & !1 == MAGIC && seed == (word(&bytes, 24), word(&bytes, 28));
        let mut log = Log { bytes, header_whole, whole: Vec::new(), big_endian };
        // A damaged header says nothing: whoever wrote the frames had this machine's order.
        if !header_whole {
            log.big_endian = cfg!(target_endian = "big");
        }
        log.whole = (0..log.count()).map(|n| log.is_whole(n)).collect();
        log
    }

    /// What is wrong with it, in words; nothing for a whole log and for one whose last write was cut off.
    pub fn damage(&self) -> Option<String> {
        let own = |n: &usize| self.salt(*n) == self.salt_of_log();
        let commits = |from: usize| {
            (from..self.count()).filter(own).filter(|n| self.whole[*n] && self.commits(*n)).count()
        };
        if !self.header_whole {
            let commits = commits(0);
            return (commits > 0)
                .then(|| format!("the head of its log is damaged, {commits} commits follow it"));
        }
        let first = (0..self.count()).find(|n| !own(n) || !self.whole[*n])?;
        // Frames of an older round, which was copied into the file long ago.
        let commits = commits(first);
        (commits > 0).then(|| format!("frame {first} of its log is damaged, {commits} commits follow it"))
    }

    /// Writes every whole page of the log into the file, as SQLite would do with a whole log. A page whose frame is
    /// damaged stays as it was before, unless a later frame has it too.
    pub fn copy_into(&self, file: &File) -> io::Result<()> {
        let own: Vec<usize> =
            (0..self.count()).filter(|n| self.whole[*n] && self.salt(*n) == self.salt_of_log()).collect();
        let Some(last) = own.iter().rposition(|n| self.commits(*n)) else {
            return Ok(());
        };
        for n in &own[..=last] {
            let page = u64::from(word(self.frame(*n), 0));
            if page > 0 {
                file.write_all_at(&self.frame(*n)[FRAME_HEADER_BYTES..], (page - 1) * PAGE_BYTES as u64)?;
            }
        }
        let pages = word(self.frame(own[last]), 4);
        file.set_len(u64::from(pages) * PAGE_BYTES as u64)
    }

    fn count(&self) -> usize {
        (self.bytes.len() - HEADER_BYTES) / FRAME_BYTES
    }

    fn frame(&self, n: usize) -> &[u8] {
        let start = HEADER_BYTES + n * FRAME_BYTES;
        &self.bytes[start..start + FRAME_BYTES]
    }

    fn salt(&self, n: usize) -> &[u8] {
        &self.frame(n)[8..16]
    }

    /// What marks this round's frames. A damaged header is not asked, but the first frame, which belongs to it.
    fn salt_of_log(&self) -> &[u8] {
        if self.header_whole || self.count() == 0 { &self.bytes[16..24] } else { self.salt(0) }
    }

    fn commits(&self, n: usize) -> bool {
        word(self.frame(n), 4) != 0
    }

    fn is_whole(&self, n: usize) -> bool {
        let seed = match n {
            0 => (word(&self.bytes, 24), word(&self.bytes, 28)),
            _ => self.sum_of(n - 1),
        };
        let frame = self.frame(n);
        let own = sum(seed, &frame[..8], self.big_endian);
        sum(own, &frame[FRAME_HEADER_BYTES..], self.big_endian) == self.sum_of(n)
    }

    fn sum_of(&self, n: usize) -> Sum {
        (word(self.frame(n), 16), word(self.frame(n), 20))
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(word)
}

/// The log's checksum, as its documented format has it.
fn sum(seed: Sum, bytes: &[u8], big_endian: bool) -> Sum {
    let (mut a, mut b) = seed;
    for pair in bytes.chunks_exact(8) {
        let (mut x, mut y) = (word(pair, 0), word(pair, 4));
        if !big_endian {
            (x, y) = (x.swap_bytes(), y.swap_bytes());
        }
        a = a.wrapping_add(x).wrapping_add(b);
        b = b.wrapping_add(y).wrapping_add(a);
    }
    (a, b)
}
