//! What was reached and what was refused: a file in the session's folder, one JSON object a line.
//!
//! The first time something is decided it is written at once. The same decision again is counted, and the count
//! written after a pause that doubles, so that a program that tries the same thing for hours fills no disk.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use niia_spec::course::{Access, Contact};
use serde::{Deserialize, Serialize};

/// The file's name in a session's folder.
pub const FILE: &str = "network.log";
/// Some five thousand lines. What comes after is counted no more, and the file says so.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Kept for the line that says that the file is full.
const LINE_BYTES_MAX: u64 = 2 << 10;
/// Hosts, verdicts and reasons that are told apart; the rest is counted together.
const KINDS_MAX: usize = 256;
/// The pause before a repeated decision is written again, at first and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10 * 60);
/// A name is no longer, and what a client sends in place of one need not be.
const HOST_CHARS_MAX: usize = 260;
const WHY_CHARS_MAX: usize = 400;
/// What stands for hosts beyond the bound.
const OTHERS: &str = "(others)";

/// A line: a decision, how often it was taken, and when the last time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Decision {
    at_ms: u64,
    #[serde(flatten)]
    contact: Contact,
}

/// All decisions of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    /// Refused ones first, then by host.
    pub all: Vec<Contact>,
    /// The file is full: there were more.
    pub cut: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Cut { cut: bool },
    Decision(Decision),
}

impl Decisions {
    /// Reads what was decided for the session in `folder`; nothing where it had no carrier.
    pub fn read(folder: &Path) -> io::Result<Decisions> {
        let file = match File::open(folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Decisions::default()),
            opened => opened?,
        };
        let mut kinds: BTreeMap<(Access, String, String), u64> = BTreeMap::new();
        let mut cut = false;
        for line in BufReader::new(file.take(FILE_BYTES_MAX)).split(b'\n') {
            // The last line may be on its way.
            match serde_json::from_slice(&line?) {
                Ok(Line::Decision(Decision { contact: Contact { verdict, host, why, count }, .. })) => {
                    let sum = kinds.entry((verdict, host, why)).or_default();
                    *sum = sum.saturating_add(count);
                }
                Ok(Line::Cut { .. }) => cut = true,
                Err(_) => {}
            }
        }
        let all = kinds.into_iter();
        let all = all.map(|((verdict, host, why), count)| Contact { verdict, host, why, count });
        Ok(Decisions { all: all.collect(), cut })
    }
}

/// Of these so many go into a run's journal; the file has them all.
const CONTACTS_MAX: usize = 50;
const MORE: &str = "(more)";

/// Whom the programs of the session in `folder` asked for, as much of it as a person reads.
pub fn contacts(folder: &Path) -> Vec<Contact> {
    let decisions = match Decisions::read(folder) {
        Ok(decisions) => decisions,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "what it reached cannot be read");
            return Vec::new();
        }
    };
    let mut contacts = decisions.all;
    let left_out = contacts.len().saturating_sub(CONTACTS_MAX);
    if left_out > 0 || decisions.cut {
        contacts.truncate(CONTACTS_MAX);
        let count = left_out as u64;
        let why = format!("the file `{FILE}` in the session's folder has the rest");
        contacts.push(Contact { verdict: Access::Failed, host: MORE.to_owned(), why, count });
    }
    contacts
}

/// The writing side, in the carrier.
pub(super) struct Log {
    file: File,
    bytes: u64,
    kinds: BTreeMap<(Access, String, String), Held>,
    is_full: bool,
}

struct Held {
    /// Taken since the last line.
    count: u64,
    pause: Duration,
    due: Instant,
}

impl Log {
    pub fn open(path: &Path) -> io::Result<Log> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Log { file, bytes, kinds: BTreeMap::new(), is_full: bytes + LINE_BYTES_MAX > FILE_BYTES_MAX })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn note(&mut self, verdict: Access, host: &str, why: &str) {
        let now = Instant::now();
        let mut kind = (verdict, plain(host, HOST_CHARS_MAX), plain(why, WHY_CHARS_MAX));
        if !self.kinds.contains_key(&kind) && self.kinds.len() >= KINDS_MAX {
            kind = (verdict, OTHERS.to_owned(), String::new());
        }
        match self.kinds.get_mut(&kind) {
            Some(held) => {
                held.count += 1;
                self.on_time(now);
            }
            None => {
                self.write(&kind, 1);
                self.kinds.insert(kind, Held { count: 0, pause: PAUSE_MIN, due: now + PAUSE_MIN });
            }
        }
    }

    /// When a count has to be written.
    pub fn due(&self) -> Option<Instant> {
        self.kinds.values().filter(|held| held.count > 0).map(|held| held.due).min()
    }

    /// Writes the counts whose pause is over.
    pub fn on_time(&mut self, now: Instant) {
        self.write_held(|held| held.due <= now);
    }

    /// Writes all counts, at the end.
    pub fn finish(&mut self) {
        self.write_held(|_| true);
    }

    fn write_held(&mut self, is_due: impl Fn(&Held) -> bool) {
        let now = Instant::now();
        let mut due = Vec::new();
        for (kind, held) in &mut self.kinds {
            if held.count > 0 && is_due(held) {
                due.push((kind.clone(), std::mem::take(&mut held.count)));
                held.pause = (held.pause * 2).min(PAUSE_MAX);
                held.due = now + held.pause;
            }
        }
        for (kind, count) in due {
            self.write(&kind, count);
        }
    }

    fn write(&mut self, (verdict, host, why): &(Access, String, String), count: u64) {
        if self.is_full {
            return;
        }
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
        let contact = Contact { verdict: *verdict, host: host.clone(), why: why.clone(), count };
        self.write_line(&Line::Decision(Decision { at_ms, contact }));
        if self.bytes + LINE_BYTES_MAX > FILE_BYTES_MAX {
            self.write_line(&Line::Cut { cut: true });
            self.is_full = true;
        }
    }

    fn write_line(&mut self, line: &Line) {
        let Ok(mut bytes) = serde_json::to_vec(line) else { return };
        bytes.push(b'\n');
        // A full disk costs the account of what was decided, and changes no decision.
        if self.file.write_all(&bytes).is_ok() {
            self.bytes += bytes.len() as u64;
        }
    }
}

/// What a client sent is written so that no line is long and no terminal is told anything.
fn plain(text: &str, chars_max: usize) -> String {
    let shown = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().take(chars_max).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_again_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(&folder.path().join(FILE)).unwrap();
        log.note(Access::Allowed, "a.test", "");
        for _ in 0..1000 {
            log.note(Access::Refused, "b.test", "not named");
        }
        log.finish();
        let read = Decisions::read(folder.path()).unwrap();
        let told: Vec<_> =
            read.all.iter().map(|decision| (decision.verdict, &*decision.host, decision.count)).collect();
        assert_eq!(told, [(Access::Refused, "b.test", 1000), (Access::Allowed, "a.test", 1)]);
        assert!(log.bytes < 1000, "{}", log.bytes);
    }

    #[test]
    fn the_file_has_a_bound_and_says_when_it_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for round in 0..60 {
            let mut log = Log::open(&path).unwrap();
            for n in 0..KINDS_MAX + 50 {
                log.note(Access::Refused, &format!("{n}.{round}.{}", "x".repeat(500)), "not named");
            }
            log.finish();
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= FILE_BYTES_MAX);
        let read = Decisions::read(folder.path()).unwrap();
        assert!(read.cut);
        assert_eq!(read.all.iter().find(|decision| decision.host == OTHERS).unwrap().count % 50, 0);
        assert_eq!(Decisions::read(&folder.path().join("none")).unwrap(), Decisions::default());
    }
}
