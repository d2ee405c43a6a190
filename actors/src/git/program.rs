//! The `git` program, and one call of it.
//!
//! niia's own git starts nothing but itself: no hooks, no file-system monitor, no signing, no prompts, no pager, no
//! editor. Its environment is made from nothing, so that no `GIT_…` variable of the caller reaches it.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::GitError;
use super::lock::Lock;
use super::process::{self, Bounds, Input, Limits, Ran};

/// The first version with `merge-tree --write-tree`.
const VERSION_NEEDED: (u32, u32) = (2, 38);

/// For calls that read or write a few objects or refs.
const QUICK: Duration = Duration::from_secs(120);
/// For calls that go through a whole tree: a checkout of a very large repository takes minutes.
pub(super) const LONG: Duration = Duration::from_secs(3600);

/// Enough for the names of a million files.
const OUTPUT_BYTES_MAX: usize = 128 * 1024 * 1024;
/// More of an error than anybody reads.
const ERROR_BYTES_MAX: usize = 64 * 1024;
/// What of it stands in an error of ours.
const MESSAGE_CHARS_MAX: usize = 2000;

/// The caller's variables that git needs to find the user's identity and its own parts.
const PASSED: [&str; 6] = ["HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "TMPDIR", "SSH_AUTH_SOCK"];

const SET: [(&str, &str); 9] = [
    ("LC_ALL", "C"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_PAGER", "cat"),
    ("GIT_EDITOR", "false"),
    ("GIT_SEQUENCE_EDITOR", "false"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
];

/// What no configuration of a repository may change.
const PROTECTIONS: [&str; 16] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.quotePath=false",
    "core.askPass=",
    "core.logAllRefUpdates=true",
    // What is said to be committed or moved must be so after a power cut; git's own default leaves refs out.
    "core.fsync=objects,reference",
    "credential.helper=",
    "commit.gpgSign=false",
    "tag.gpgSign=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "protocol.ext.allow=never",
    "fetch.recurseSubmodules=false",
];

/// The program, found and looked at once.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    /// Absolute entries only: a `git-lfs` or `git` that lies in a tree must not be found by accident.
    path: OsString,
    version: (u32, u32),
}

impl Git {
    /// Finds the program on the caller's PATH.
    pub fn find() -> Result<Git, GitError> {
        Git::find_on(&std::env::var_os("PATH").unwrap_or_default())
    }

    pub fn find_on(path: &OsStr) -> Result<Git, GitError> {
        let folders: Vec<PathBuf> =
            std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect();
        let program = folders
            .iter()
            .map(|folder| folder.join("git"))
            .find(|file| is_program(file))
            .ok_or(GitError::Missing)?;
        let path = std::env::join_paths(&folders).unwrap_or_default();
        let git = Git { program, path, version: VERSION_NEEDED };
        let text = git.call("version").text()?;
        let version = version_of(&text)
            .ok_or_else(|| GitError::Strange { verb: "version".to_owned(), text: text.clone() })?;
        if version < VERSION_NEEDED {
            let (major, minor) = VERSION_NEEDED;
            let found = text.trim_start_matches("git version ").to_owned();
            return Err(GitError::TooOld { found, needed: format!("{major}.{minor}") });
        }
        Ok(Git { version, ..git })
    }

    /// Major and minor version.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Whether another program lies on the path that git is given.
    pub(super) fn finds(&self, program: &str) -> bool {
        std::env::split_paths(&self.path).any(|folder| is_program(&folder.join(program)))
    }

    pub(super) fn call(&self, verb: &str) -> Call {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", &self.path).current_dir("/");
        for name in PASSED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(SET).arg("--no-pager");
        for protection in PROTECTIONS {
            command.arg("-c").arg(protection);
        }
        command.arg(verb);
        Call { verb: verb.to_owned(), command, input: Input::Nothing, time: QUICK, held: None, limits: None }
    }
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// One call of git, being put together.
#[derive(Debug)]
pub(super) struct Call {
    verb: String,
    command: Command,
    input: Input,
    time: Duration,
    held: Option<std::io::Error>,
    limits: Option<Limits>,
}

impl Call {
    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Call {
        self.command.arg(arg);
        self
    }

    pub(super) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Call {
        self.command.args(args);
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Call {
        self.command.env(name, value);
        self
    }

    pub(super) fn in_folder(mut self, folder: &Path) -> Call {
        self.command.current_dir(folder);
        self
    }

    pub(super) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Call {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// What it reads comes from a file.
    pub(super) fn input_file(mut self, file: std::os::fd::OwnedFd) -> Call {
        self.input = Input::File(file);
        self
    }

    /// Settings of this call alone, such as `pack.threads=1`.
    pub(super) fn settings(mut self, settings: &[&str]) -> Call {
        for (n, setting) in settings.iter().enumerate() {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            self.command.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value);
        }
        self.env("GIT_CONFIG_COUNT", settings.len().to_string())
    }

    /// The call reads what somebody may have made to be more than the machine can take.
    pub(super) fn limited(mut self, limits: Limits, time: Duration) -> Call {
        self.limits = Some(limits);
        self.time = time;
        self
    }

    /// The call goes through a whole tree.
    pub(super) fn long(mut self) -> Call {
        self.time = LONG;
        self
    }

    /// Hands the lock to the program as well: if niia dies meanwhile, the lock is free when the program has ended and
    /// not before.
    pub(super) fn holding(mut self, lock: &Lock) -> Call {
        match lock.share() {
            Ok(file) => self.input = Input::File(file),
            Err(error) => self.held = Some(error),
        }
        self
    }

    /// Runs it; how it ended is for the caller to judge.
    pub(super) fn run(self) -> Result<Ran, GitError> {
        let Call { verb, command, input, time, held, limits } = self;
        if let Some(source) = held {
            return Err(GitError::Run { verb, source });
        }
        let bounds = Bounds { time, output_bytes_max: OUTPUT_BYTES_MAX, error_bytes_max: ERROR_BYTES_MAX };
        let ran = match process::run_within(command, input, bounds, limits) {
            Ok(ran) => ran,
            Err(source) => return Err(GitError::Run { verb, source }),
        };
        if ran.timed_out {
            return Err(GitError::TimedOut { verb, after: time });
        }
        Ok(ran)
    }

    /// Runs it, and takes any end but a good one for a failure.
    pub(super) fn bytes(self) -> Result<Vec<u8>, GitError> {
        let verb = self.verb.clone();
        let ran = self.run()?;
        if !ran.status.success() {
            return Err(failed(&verb, &ran));
        }
        if ran.output_cut {
            return Err(GitError::TooMuchOutput { verb, bytes_max: OUTPUT_BYTES_MAX });
        }
        Ok(ran.output)
    }

    /// The same for an answer of one line.
    pub(super) fn text(self) -> Result<String, GitError> {
        let bytes = self.bytes()?;
        Ok(one_line(bytes))
    }

    pub(super) fn done(self) -> Result<(), GitError> {
        self.bytes().map(drop)
    }

    /// An answer of one line where git says yes (0), nothing where it says no (1).
    pub(super) fn maybe(self) -> Result<Option<String>, GitError> {
        let verb = self.verb.clone();
        let ran = self.run()?;
        match ran.status.code() {
            Some(0) => Ok(Some(one_line(ran.output))),
            Some(1) => Ok(None),
            _ => Err(failed(&verb, &ran)),
        }
    }
}

fn one_line(bytes: Vec<u8>) -> String {
    let mut text =
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into());
    if text.ends_with('\n') {
        text.pop();
    }
    text
}

pub(super) fn failed(verb: &str, ran: &Ran) -> GitError {
    let message: String =
        String::from_utf8_lossy(&ran.errors).trim().chars().take(MESSAGE_CHARS_MAX).collect();
    GitError::Failed { verb: verb.to_owned(), ending: ran.ending(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_however_a_vendor_writes_them() {
        assert_eq!(version_of("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(version_of("git version 2.47.3"), Some((2, 47)));
        assert_eq!(version_of("git version 2.38.0.windows.1"), Some((2, 38)));
        assert_eq!(version_of("hello"), None);
    }

    fn folder_with(script: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("git");
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[test]
    fn an_old_git_is_named_with_the_version_that_is_needed() {
        let folder = folder_with("echo git version 2.30.2");
        let error = Git::find_on(folder.path().as_os_str()).unwrap_err();
        assert_eq!(error.to_string(), "git 2.30.2 is too old: 2.38 is needed");
    }

    #[test]
    fn no_git_at_all_is_said() {
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Git::find_on(empty.path().as_os_str()), Err(GitError::Missing)));
        assert!(matches!(Git::find_on(OsStr::new(".:")), Err(GitError::Missing)));
    }
}
