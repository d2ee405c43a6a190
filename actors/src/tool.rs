//! The command-line tools of this machine: where one lies, and what it says of itself.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niia_spec::profile::{Profile, Way};

use crate::git::process::{self, Bounds, Input};

/// How long a tool may take to tell its version; some start slowly, and slower still where many do.
const VERSION_WITHIN: Duration = Duration::from_secs(20);
/// The program whose version need not be asked for.
const OWN: &str = "niia";
/// Longer scripts are read no further.
const SCRIPT_BYTES_MAX: u64 = 64 * 1024;
/// A version is a line.
const SAID_BYTES_MAX: usize = 4 * 1024;
/// More tools than anybody has installed.
const KNOWN_MAX: usize = 64;

/// Where a program lies on a PATH, as a shell finds it; never below the current folder.
pub fn on_path(program: &str, path: &OsStr) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|file| is_program(file));
    }
    let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(program)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// What a tool says when it is asked for its version; nothing where it does not say. It is asked with an empty input, in
/// a folder where there is nothing to work on, and is ended with all it started.
pub fn said(profile: &Profile, program: &Path, env: &BTreeMap<String, String>) -> Option<String> {
    if profile.version.is_empty() || !understands(&profile.version, program) {
        return None;
    }
    let mut command = Command::new(program);
    command.args(&profile.version).current_dir("/").env_clear().envs(env).envs(&profile.env);
    let bounds = Bounds { time: VERSION_WITHIN, output_bytes_max: SAID_BYTES_MAX, error_bytes_max: 0 };
    let ran = process::run(command, Input::Nothing, bounds).ok()?;
    (!ran.timed_out).then(|| String::from_utf8_lossy(&ran.output).into_owned())
}

/// Whether a program may be asked. A script of somebody's own that knows no such question would do its work instead, with
/// all that comes of it. Built programs and what package managers put there know it; so does a script that names the
/// word, or hands its arguments on.
fn understands(question: &[String], program: &Path) -> bool {
    let Ok(real) = program.canonicalize() else { return false };
    let mut head = Vec::new();
    let read = fs::File::open(&real).and_then(|file| file.take(SCRIPT_BYTES_MAX).read_to_end(&mut head));
    if read.is_err() || !head.starts_with(b"#!") || real.iter().any(|part| part == "node_modules") {
        return read.is_ok();
    }
    let text = String::from_utf8_lossy(&head);
    let hands_on = |line: &str| line.contains("exec ") && line.contains("$@");
    question.iter().all(|word| text.contains(word.as_str()))
        || text.lines().any(hands_on)
        || text.contains("sys.exit(main())")
}

/// What is known of the tools of a machine. A tool is asked again once its file is another one.
#[derive(Clone, Debug, Default)]
pub struct Tools(Arc<Mutex<HashMap<File, Option<String>>>>);

/// A program's file as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct File {
    path: PathBuf,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl File {
    fn of(path: &Path) -> Option<File> {
        let found = fs::metadata(path).ok()?;
        let changed = (found.ctime(), found.ctime_nsec());
        Some(File { path: path.to_owned(), inode: found.ino(), bytes: found.len(), changed })
    }
}

impl Tools {
    /// Which way the profile's program is driven where these variables hold.
    pub fn way(&self, profile: &Profile, env: &BTreeMap<String, String>) -> Way {
        if profile.program.as_deref() == Some(OWN) {
            return Way { conversation: true, version: None, because: "it is niia itself".to_owned() };
        }
        // Nobody needs to know what the program says where that changes nothing.
        if !profile.converses() || profile.version_pattern.is_none() {
            return profile.way(None);
        }
        let path = env.get("PATH").map(OsStr::new).unwrap_or_default();
        let Some(program) = profile.program.as_deref().and_then(|program| on_path(program, path)) else {
            return profile.way(None);
        };
        profile.way(self.said(profile, &program, env).as_deref())
    }

    /// Whether a program of this name is there and is not the tool this profile is about.
    pub fn is_other(&self, profile: &Profile, env: &BTreeMap<String, String>) -> bool {
        let path = env.get("PATH").map(OsStr::new).unwrap_or_default();
        let Some(program) = profile.program.as_deref().and_then(|program| on_path(program, path)) else {
            return false;
        };
        let Some(pattern) = &profile.version_pattern else { return false };
        !self.said(profile, &program, env).is_some_and(|said| pattern.is_match(&said))
    }

    fn said(&self, profile: &Profile, program: &Path, env: &BTreeMap<String, String>) -> Option<String> {
        let file = File::of(program)?;
        if let Some(said) = self.with(|known| known.get(&file).cloned()) {
            return said;
        }
        let said = said(profile, program, env);
        self.with(|known| {
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(file, said.clone());
        });
        said
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<File, Option<String>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use niia_spec::profile::Profiles;

    fn tool(folder: &Path, text: &str) -> PathBuf {
        let file = folder.join("claude");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn a_program_is_found_as_the_shell_finds_it_but_never_in_the_current_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("claude");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        let path = env::join_paths([Path::new("."), folder.path()]).unwrap();
        assert_eq!(on_path("claude", &path), None, "it may not be run");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(on_path("claude", &path), Some(file));
        assert_eq!(on_path("claude", OsStr::new(".")), None);
    }

    #[test]
    fn a_tool_is_asked_once_for_as_long_as_its_file_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let asked = folder.path().join("asked");
        let script = |says: &str| {
            let asked = asked.display();
            format!("#!/bin/sh\n[ \"$1\" = --version ] && echo x >>{asked} && echo '{says}'\n")
        };
        let profiles = Profiles::built_in().unwrap();
        let claude = profiles.get("claude").unwrap();
        let env = BTreeMap::from([("PATH".to_owned(), format!("{}:/bin", folder.path().display()))]);
        let tools = Tools::default();
        assert!(!tools.way(claude, &env).conversation, "it is not there");
        let _ = tool(folder.path(), &script("1.2.3 (Claude Code)"));
        assert!(tools.way(claude, &env).conversation);
        assert!(tools.way(claude, &env).conversation);
        assert_eq!(fs::read_to_string(&asked).unwrap().lines().count(), 1);
        fs::remove_file(folder.path().join("claude")).unwrap();
        let _ = tool(folder.path(), &script("a script of that name"));
        assert!(!tools.way(claude, &env).conversation);
    }

    #[test]
    fn a_script_that_knows_no_such_question_is_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        let done = folder.path().join("done");
        let works = |rest: &str| format!("#!/bin/sh\necho x >>{}\n{rest}\n", done.display());
        let profiles = Profiles::built_in().unwrap();
        let claude = profiles.get("claude").unwrap();
        let env = BTreeMap::from([("PATH".to_owned(), format!("{}:/bin", folder.path().display()))]);
        let _ = tool(folder.path(), &works("echo '1.2.3 (Claude Code)'"));
        assert!(!Tools::default().way(claude, &env).conversation);
        assert!(!done.exists(), "its work was not done for the asking");
        let _ = tool(folder.path(), "#!/bin/sh\nexec echo '1.2.3 (Claude Code)' \"$@\"\n");
        assert!(Tools::default().way(claude, &env).conversation, "whom it hands its arguments to knows it");
    }
}
