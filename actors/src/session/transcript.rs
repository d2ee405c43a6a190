//! A tool's transcript, followed as it grows.
//!
//! The tool, or whatever runs in its session, says where it lies, so what lies there is looked at before it is read: a
//! plain file, and no link in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use niia_spec::detect::Told;
use niia_spec::profile::{Profile, Reading, Transcript};
use serde_json::Value;

/// What is read in one go; the rest comes at the next look.
const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Records that are kept in memory: those of one turn are of use.
const RECORDS_MAX: usize = 64;
/// The same by their size.
const RECORDS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where a transcript has been read to.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    offset: u64,
    reading: Reading,
}

impl Tail {
    /// Begins at the file's beginning, be it there already or not.
    pub(super) fn new(path: PathBuf) -> Tail {
        Tail { path, offset: 0, reading: Reading::default() }
    }

    /// Begins where the file ends now: what is there is of an earlier attempt.
    pub(super) fn at_end(path: PathBuf) -> Tail {
        let length = open(&path).and_then(|file| file.metadata()).map_or(0, |about| about.len());
        Tail { offset: length, ..Tail::new(path) }
    }

    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// The records that were written since the last look.
    pub(super) fn news(&mut self, transcript: &Transcript) -> Vec<Value> {
        match self.read() {
            Ok(bytes) if bytes.is_empty() => Vec::new(),
            Ok(bytes) => self.reading.feed(transcript, &bytes),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!(path = %self.path.display(), %error, "a transcript cannot be read");
                }
                Vec::new()
            }
        }
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut file = open(&self.path)?;
        let length = file.metadata()?.len();
        if length < self.offset {
            // It was written anew.
            *self = Tail::new(std::mem::take(&mut self.path));
        }
        if length == self.offset {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(READ_BYTES_MAX).read_to_end(&mut bytes)?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// Records that a rule of the profile is about, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Records {
    told: Vec<Told>,
    bytes: usize,
}

impl Records {
    pub(super) fn told(&self) -> &[Told] {
        &self.told
    }

    /// Takes records; those that are none of the profile's business are not kept.
    pub(super) fn take(&mut self, profile: &Profile, records: Vec<Value>, now_ms: u64) -> Vec<Told> {
        let about = |body: &Value| profile.records.iter().any(|rule| rule.holds("", body));
        let told = records.into_iter().filter(about);
        let told: Vec<Told> = told.map(|body| Told { event: String::new(), body, at_ms: now_ms }).collect();
        for one in &told {
            self.push(one.clone());
        }
        told
    }

    fn push(&mut self, told: Told) {
        let grows =
            |last: &Told| told.body.get("block").is_some_and(|block| last.body.get("block") == Some(block));
        if self.told.last().is_some_and(grows) {
            self.bytes -= self.told.pop().map_or(0, |last| size(&last));
        }
        self.bytes += size(&told);
        self.told.push(told);
        while self.told.len() > RECORDS_MAX || (self.bytes > RECORDS_BYTES_MAX && self.told.len() > 1) {
            self.bytes -= size(&self.told.remove(0));
        }
    }
}

fn size(told: &Told) -> usize {
    told.body.to_string().len()
}

/// All records of a transcript that lies there.
pub(super) fn whole(path: &Path, transcript: &Transcript, profile: &Profile) -> Vec<Told> {
    let (mut tail, mut records) = (Tail::new(path.to_owned()), Records::default());
    loop {
        let before = tail.offset;
        let news = tail.news(transcript);
        records.take(profile, news, 0);
        if tail.offset == before {
            return records.told;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn profile() -> Profile {
        let text = "id = 'x'\nprompt = 'stdin'\nprogram = 'x'\n[transcript]\n[[record]]\nwhere = { type = 'a' }\nis = 'working'";
        let profiles = niia_spec::profile::Profiles::built_in().unwrap().with([("x.toml", text)]).unwrap();
        profiles.get("x").unwrap().clone()
    }

    #[test]
    fn a_transcript_is_read_as_it_grows_and_anew_where_it_was_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.jsonl");
        let (profile, mut records) = (profile(), Records::default());
        let transcript = profile.transcript.clone().unwrap();
        let mut tail = Tail::new(path.clone());
        let mut look = |tail: &mut Tail| records.take(&profile, tail.news(&transcript), 7).len();
        assert_eq!(look(&mut tail), 0, "it is not there yet");
        fs::write(&path, "{\"type\":\"a\"}\n{\"type\":\"b\"}\n{\"type\":").unwrap();
        assert_eq!(look(&mut tail), 1);
        fs::write(&path, "{\"type\":\"a\"}\n{\"type\":\"b\"}\n{\"type\":\"a\"}\n").unwrap();
        assert_eq!(look(&mut tail), 1);
        fs::write(&path, "{\"type\":\"a\"}\n").unwrap();
        assert_eq!(look(&mut tail), 1);
        assert_eq!(whole(&path, &transcript, &profile).len(), 1);
    }

    #[test]
    fn what_is_no_plain_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "{\"type\":\"a\"}\n").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(open(&link).is_err() && open(folder.path()).is_err() && open(&real).is_ok());
    }
}
