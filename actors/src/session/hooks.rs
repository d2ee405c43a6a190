//! What a tool tells by its hooks: a file of the session's own, and a pipe that says there is something new in it.
//!
//! The file is the truth. Whoever tells appends a line first and pokes the pipe afterwards, without waiting: where no
//! node listens the line is kept for the next one. The pipe is a named one and no socket, because a path of any length
//! will do for it and no other network namespace hides it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use niia_spec::detect::{self, Process, Statuses, Told, TurnEnd, transcript_told};
use niia_spec::permission::Policy;
use niia_spec::profile::Profile;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::unix::pipe;

use super::transcript;

/// The variable that names the folder to whoever tells.
pub const FOLDER_VARIABLE: &str = "NIIA_HOOKS";
/// The longest word of a hook: an answer is at most half of it, and what a tool did may be as much again.
pub const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// All that one session may tell: a day of work is some megabytes.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Words that are kept in memory: a turn's end is among the last few.
pub const TOLD_MAX: usize = 32;
/// A field of a word, other than an answer, that is longer says nothing about a state.
const FIELD_BYTES_MAX: usize = 16 * 1024;
/// Fields whose length does not matter.
const WHOLE: [&str; 2] = ["last_assistant_message", "prompt"];

const WORDS: &str = "told.jsonl";
const PIPE: &str = "pipe";
/// The folder of a session's own settings.
pub(super) const OVERLAY: &str = "overlay";
const CONVERSATION: &str = "conversation.json";
const LAST_TURN: &str = "turn.json";

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    event: String,
    body: Value,
}

/// The tool's own name of a conversation, by which it is taken up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    pub profile: String,
    pub name: String,
}

/// Where a session's hooks tell.
pub fn folder(session_folder: &Path) -> PathBuf {
    session_folder.join("hooks")
}

/// Tells a word: a line in the file, and a poke for whoever listens.
///
/// # Errors
/// Where the line cannot be written. Whoever is a hook ends well nevertheless: a tool must not wait or fail for us.
pub fn tell(folder: &Path, event: &str, body: &[u8]) -> io::Result<()> {
    let body = serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body).into_owned()));
    let mut line = serde_json::to_vec(&Line { event: event.to_owned(), body })?;
    line.push(b'\n');
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(folder.join(WORDS))?;
    if file.metadata()?.len() + line.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("the session has told too much"));
    }
    // One write: the lines of hooks that run at a time do not mix.
    file.write_all(&line)?;
    let poke = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(folder.join(PIPE));
    if let Ok(mut pipe) = poke {
        // A full pipe has been poked already.
        drop(pipe.write(b"\n"));
    }
    Ok(())
}

/// Where a session's policy lies: beside the tool's own settings, which a sandboxed session cannot change.
pub(super) fn policy_path(session_folder: &Path) -> PathBuf {
    session_folder.join(OVERLAY).join("permission.json")
}

/// What the session lets its tool do, for a hook that knows the folder in which it tells.
pub fn policy(hooks: &Path) -> Option<Policy> {
    serde_json::from_slice(&fs::read(policy_path(hooks.parent()?)).ok()?).ok()
}

/// Makes the folder and the pipe.
pub(super) fn prepare(session_folder: &Path) -> io::Result<()> {
    let folder = folder(session_folder);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    match rustix::fs::mknodat(rustix::fs::CWD, folder.join(PIPE), rustix::fs::FileType::Fifo, mode, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The listener's end.
#[derive(Debug)]
pub(super) struct Hooks {
    folder: PathBuf,
    pipe: pipe::Receiver,
    offset: u64,
    /// The beginning of a line that is not written to its end yet.
    rest: Vec<u8>,
}

impl Hooks {
    pub(super) fn open(session_folder: &Path) -> io::Result<Hooks> {
        let folder = folder(session_folder);
        // With a writer of its own it never ends.
        let pipe = pipe::OpenOptions::new().read_write(true).open_receiver(folder.join(PIPE))?;
        Ok(Hooks { folder, pipe, offset: 0, rest: Vec::new() })
    }

    /// Returns once somebody has told something.
    pub(super) async fn poked(&self) {
        let mut bytes = [0; 256];
        loop {
            if self.pipe.readable().await.is_err() {
                return std::future::pending().await;
            }
            match self.pipe.try_read(&mut bytes) {
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return std::future::pending().await,
            }
        }
    }

    /// What was told since.
    pub(super) fn news(&mut self, now_ms: u64) -> Vec<Told> {
        let mut told = Vec::new();
        match self.read() {
            Ok(bytes) => self.rest.extend(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(folder = %self.folder.display(), %error, "hooks cannot be read"),
        }
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            // A line that is none was written by somebody else; it says nothing.
            told.extend(serde_json::from_slice(&line).ok().map(|line| heard(line, now_ms)));
        }
        if self.rest.len() as u64 > BODY_BYTES_MAX * 2 {
            self.rest = Vec::new();
        }
        told
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut file = open_words(&self.folder)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        let left = FILE_BYTES_MAX.saturating_sub(self.offset);
        file.take(left.min(BODY_BYTES_MAX * 2)).read_to_end(&mut bytes)?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }

    /// Writes down how the last turn ended; while one is under way there is none.
    pub(super) fn keep_turn(&self, end: Option<&TurnEnd>) -> io::Result<()> {
        let path = self.folder.join(LAST_TURN);
        let Some(end) = end else {
            return match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let written = self.folder.join(format!("{LAST_TURN}.new"));
        fs::write(&written, serde_json::to_vec(end)?)?;
        fs::rename(written, path)
    }

    /// Writes down how the tool calls the conversation.
    pub(super) fn keep(&self, conversation: &Conversation) -> io::Result<()> {
        fs::write(self.folder.join(CONVERSATION), serde_json::to_vec(conversation)?)
    }
}

fn open_words(folder: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(folder.join(WORDS))
}

fn heard(line: Line, at_ms: u64) -> Told {
    let mut body = line.body;
    if let Value::Object(fields) = &mut body {
        fields.retain(|name, value| {
            WHOLE.contains(&name.as_str()) || value.to_string().len() <= FIELD_BYTES_MAX
        });
    }
    Told { event: line.event, body, at_ms }
}

/// How the tool of an earlier attempt called its conversation.
pub(super) fn conversation(session_folder: &Path) -> Option<Conversation> {
    serde_json::from_slice(&fs::read(folder(session_folder).join(CONVERSATION)).ok()?).ok()
}

/// All that a session told; nothing where that cannot be read.
pub(super) fn all(session_folder: &Path) -> Vec<Told> {
    let mut bytes = Vec::new();
    let Ok(file) = open_words(&folder(session_folder)) else { return Vec::new() };
    if let Err(error) = file.take(FILE_BYTES_MAX).read_to_end(&mut bytes) {
        tracing::warn!(folder = %session_folder.display(), %error, "hooks cannot be read");
    }
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    lines.map(|line| heard(line, 0)).collect()
}

/// The last turn a session has ended, from its files alone.
pub(super) fn last_turn(session_folder: &Path, profile: &Profile) -> Option<TurnEnd> {
    let kept = fs::read(folder(session_folder).join(LAST_TURN)).ok();
    if let Some(kept) = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Some(kept);
    }
    let told = all(session_folder);
    let path = told.iter().rev().find_map(|told| transcript_told(profile, told));
    let records = match (path, &profile.transcript) {
        (Some(path), Some(transcript)) => transcript::whole(Path::new(&path), transcript, profile),
        _ => Vec::new(),
    };
    let (statuses, process) = (Statuses::default(), Process::Running { has_printed: true });
    let seen = detect::Seen {
        screen: "",
        title: "",
        statuses: &statuses,
        hooks: &told,
        records: &records,
        process: &process,
        quiet_ms: 0,
        // Whatever was to be written is written.
        now_ms: u64::MAX,
    };
    detect::turn_end(profile, &seen, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_is_kept_for_whoever_listens_later_and_wakes_whoever_listens_now() {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path()).unwrap();
        let hooks = super::folder(folder.path());
        tell(&hooks, "SessionStart", br#"{"session_id":"s"}"#).unwrap();
        let mut listener = Hooks::open(folder.path()).unwrap();
        assert_eq!(listener.news(1).len(), 1, "told while nobody listened");
        tell(&hooks, "Stop", br#"{"last_assistant_message":"42"}"#).unwrap();
        listener.poked().await;
        let news = listener.news(2);
        assert_eq!((news[0].event.as_str(), news[0].at_ms), ("Stop", 2));
        assert!(listener.news(3).is_empty(), "each word is heard once");
    }

    #[test]
    fn many_who_tell_at_a_time_do_not_mix_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path()).unwrap();
        let hooks = super::folder(folder.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let body = format!(r#"{{"tool_input":"{}"}}"#, "x".repeat(9_000));
                        tell(&hooks, "PreToolUse", body.as_bytes()).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(hooks.join(WORDS)).unwrap();
        assert_eq!(text.lines().filter(|line| serde_json::from_str::<Line>(line).is_ok()).count(), 400);
    }

    #[test]
    fn the_last_turn_is_known_from_the_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path()).unwrap();
        let hooks = super::folder(folder.path());
        let profiles = niia_spec::profile::Profiles::built_in().unwrap();
        let claude = profiles.get("claude").unwrap();
        assert_eq!(last_turn(folder.path(), claude), None);
        tell(&hooks, "UserPromptSubmit", br#"{"prompt":"x"}"#).unwrap();
        tell(&hooks, "Stop", br#"{"last_assistant_message":"42"}"#).unwrap();
        assert_eq!(last_turn(folder.path(), claude).unwrap().answer.as_deref(), Some("42"));
        tell(&hooks, "UserPromptSubmit", br#"{"prompt":"y"}"#).unwrap();
        assert_eq!(last_turn(folder.path(), claude), None, "a turn is under way");
    }
}
