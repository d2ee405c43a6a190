//! House: a home of its own for one test, and whoever leaves something behind in it fails the test.
//!
//! Everything niia could touch lies in one temporary folder: HOME, the XDG folders, its state, the repositories, the
//! executables on PATH. The folder's name is the house's mark: a process belongs to the house when its environment,
//! its arguments or its working folder mention it, and nothing else is ever signalled.

mod call;
mod clean;
mod place;
mod programs;
mod pty;
mod repository;
mod residents;
mod runs;
mod walls;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use call::{Call, Going, Said};
pub(crate) use place::{is_seen_by_all, public_folder};
pub use programs::niia;
pub use pty::Terminal;
pub use repository::Repository;
pub use residents::Resident;
pub use walls::Walls;

/// How long the node and what belongs to it may take to go once they were told to: the grace of a session and a second.
const LEAVING_WITHIN: Duration = Duration::from_secs(15);

/// How often something is looked at that tells nobody when it changes.
pub(crate) const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// One test's home.
#[derive(Debug)]
pub struct House {
    folder: Option<TempDir>,
    /// The runs it has heard of; their ids are cleaned out of what is compared.
    runs: RefCell<Vec<String>>,
    leaving_within: Duration,
    /// Who makes its sandboxes, where it is one for them.
    walls: Option<Walls>,
}

impl House {
    /// An empty home with nobody in it and no AI command line installed.
    #[must_use]
    pub fn new() -> House {
        // Directly in /tmp: the sockets of the node lie below, and their paths may have 108 bytes.
        House::furnished(must(
            "make a house",
            tempfile::Builder::new().prefix("niia-house-").tempdir_in("/tmp"),
        ))
    }

    fn furnished(folder: TempDir) -> House {
        for part in ["bin", "home", "config", "data", "cache", "state", "tmp"] {
            must("furnish the house", fs::create_dir(folder.path().join(part)));
        }
        House { folder: Some(folder), runs: RefCell::default(), leaving_within: LEAVING_WITHIN, walls: None }
    }

    /// A house whose residents have only so long to leave at the end.
    #[must_use]
    pub fn leaving_within(mut self, limit: Duration) -> House {
        self.leaving_within = limit;
        self
    }

    /// # Panics
    /// Never while the house stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.folder {
            Some(folder) => folder.path(),
            None => panic!("the house is gone"),
        }
    }

    /// The name by which its processes are known.
    #[must_use]
    pub fn mark(&self) -> &str {
        self.path().file_name().and_then(OsStr::to_str).unwrap_or_default()
    }

    /// A path in the house.
    #[must_use]
    pub fn at(&self, part: &str) -> PathBuf {
        self.path().join(part)
    }

    /// Installs a stand-in under this name; it does what the play says (see [`crate::stand_in::play`]).
    pub fn install(&self, name: &str, play: &str) -> PathBuf {
        let stand_in = self.reachable(programs::stand_in());
        self.executable(name, &format!("#!{} --play\n{play}\n", stand_in.display()))
    }

    /// Installs any executable text under this name.
    pub fn executable(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at("bin").join(name);
        // Written by another process: a file that this one has open for writing is inherited by whatever another test
        // starts at that moment, and cannot be executed until that has closed it.
        let mut writer = Command::new("/bin/sh");
        writer.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(&path).stdin(Stdio::piped());
        let mut writer = must("install a program", writer.spawn());
        if let Some(mut pipe) = writer.stdin.take() {
            must("install a program", pipe.write_all(text.as_bytes()));
        }
        assert!(must("install a program", writer.wait()).success(), "{} was not written", path.display());
        path
    }

    /// Writes a file in the house and says where it is.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        if let Some(folder) = path.parent() {
            must("make a folder", fs::create_dir_all(folder));
        }
        must("write a file", fs::write(&path, text));
        path
    }

    /// A new git repository with one commit.
    #[must_use]
    pub fn repository(&self, name: &str) -> Repository {
        let mut environment = self.environment();
        if self.user().is_some() {
            // The test itself looks into what belongs to another user.
            environment.push(("GIT_CONFIG_COUNT", "1".to_owned()));
            environment.push(("GIT_CONFIG_KEY_0", "safe.directory".to_owned()));
            environment.push(("GIT_CONFIG_VALUE_0", "*".to_owned()));
        }
        Repository::new(environment, &self.at(name))
    }

    /// `niia` with these arguments, to be run in this house.
    pub fn niia<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Call<'_> {
        Call::new(self, &self.reachable(programs::niia()), args)
    }

    /// Any other program, in the same environment.
    pub fn program<A: AsRef<OsStr>>(&self, program: &Path, args: impl IntoIterator<Item = A>) -> Call<'_> {
        Call::new(self, program, args)
    }

    /// What a program of this house is told of the world.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let at = |part: &str| self.at(part).to_string_lossy().into_owned();
        vec![
            ("NIIA_HOUSE", self.mark().to_owned()),
            ("NIIA_HOME", at("state")),
            ("HOME", at("home")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_STATE_HOME", at("state")),
            ("XDG_DATA_HOME", at("data")),
            ("XDG_CACHE_HOME", at("cache")),
            ("TMPDIR", at("tmp")),
            ("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", at("bin"))),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("TERM", "xterm-256color".to_owned()),
            ("USER", "tester".to_owned()),
        ]
    }

    /// Everybody who lives here now.
    #[must_use]
    pub fn residents(&self) -> Vec<Resident> {
        residents::of(self.mark())
    }

    /// Text with ids, times, commits and paths replaced, so that two runs of a test say the same.
    #[must_use]
    pub fn cleaned(&self, text: &str) -> String {
        clean::clean(text, self.path(), &self.runs.borrow())
    }

    fn hear_of(&self, run: &str) {
        self.runs.borrow_mut().push(run.to_owned());
    }

    /// Sends the node home and names everything that stays.
    fn leave(&self) -> Vec<String> {
        let mut left = Vec::new();
        if !self.residents().is_empty() {
            let said = self.niia(["daemon", "stop"]).run();
            if said.code != Some(0) {
                left.push(format!("`niia daemon stop` said {:?}: {}{}", said.code, said.out, said.err));
            }
        }
        for resident in residents::still_here_after(self.mark(), self.leaving_within) {
            left.push(format!("process {resident}"));
            resident.kill();
        }
        left.extend(residents::sockets(self.path()).iter().map(|path| format!("socket {}", path.display())));
        left.extend(residents::locks(self.path()).iter().map(|path| format!("lock {}", path.display())));
        left
    }
}

impl Default for House {
    fn default() -> House {
        House::new()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The test has failed already: only tidy up.
            self.residents().iter().for_each(Resident::kill);
            keep_if_wanted(self.folder.take());
            return;
        }
        let left = self.leave();
        if !left.is_empty() {
            keep_if_wanted(self.folder.take());
            panic!("the test left behind:\n  {}", left.join("\n  "));
        }
    }
}

/// With `NIIA_HOUSE_KEEP=1` the house of a failed test stays to be looked at.
fn keep_if_wanted(folder: Option<TempDir>) {
    if let Some(folder) = folder
        && std::env::var_os("NIIA_HOUSE_KEEP").is_some()
    {
        eprintln!("the house is kept at {}", folder.keep().display());
    }
}

/// Looks again and again until there is something, and fails the test when there is nothing for too long.
///
/// # Panics
/// When `limit` has passed.
pub fn wait_until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain until {what}");
        std::thread::sleep(LOOK_PERIOD);
    }
}

/// The programs `escape` and `niia`.
pub(crate) fn adversary() -> (PathBuf, PathBuf) {
    (programs::escape(), programs::niia())
}

/// Everybody whose environment, arguments or working folder mention the mark.
pub(crate) fn residents_of(mark: &str) -> Vec<Resident> {
    residents::of(mark)
}

/// In a house what does not work fails the test, in words.
pub(crate) fn must<T, E: Display>(what: &str, result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(trouble) => panic!("could not {what}: {trouble}"),
    }
}
