//! What every test of the keeper needs: a folder of its own, a keeper in it, and the look at what is left.
#![allow(dead_code)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use niia_actors::keeper::{Exit, Keeper, Notice, Program, Terminal};
use niia_actors::recording::{Read, Recording};

/// No single step of a test takes longer on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What has been ended is gone after this.
const LEAVING: Duration = Duration::from_secs(10);

pub struct House {
    pub folder: tempfile::TempDir,
    pub keeper: Keeper,
}

pub fn executable() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_niia-keeper"))
}

impl House {
    pub fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(folder.path().join("run"), executable());
        House { folder, keeper }
    }

    /// Lets go of the keeper, as a node does that ends.
    pub fn forget_keeper(&mut self) {
        self.keeper = Keeper::new(self.run_folder(), executable());
    }

    pub fn run_folder(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    pub fn session(&self, name: &str) -> PathBuf {
        self.folder.path().join("sessions").join(name)
    }

    pub async fn start(&self, name: &str, argv: &[&str]) -> Terminal {
        self.keeper.start(&self.session(name), &program(argv)).await.unwrap()
    }

    pub async fn shell(&self, name: &str, script: &str) -> Terminal {
        self.start(name, &["/bin/sh", "-c", script]).await
    }

    /// The keeper's own process, found by its lock.
    pub fn keeper_pid(&self) -> u32 {
        let run = std::fs::canonicalize(self.run_folder()).unwrap();
        let mut found = processes().into_iter().filter(|pid| {
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == run)
                && comm(*pid) == "niia-keeper"
        });
        found.next().expect("a keeper runs")
    }

    /// The minder of a session, found by its current folder.
    pub fn minder_pid(&self, name: &str) -> u32 {
        let folder = std::fs::canonicalize(self.session(name)).unwrap();
        let mut found = processes().into_iter().filter(|pid| {
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
                && comm(*pid) == "niia-minder"
        });
        found.next().expect("a minder runs")
    }

    pub fn printed(&self, name: &str) -> Vec<u8> {
        printed(&self.session(name))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let home = std::fs::canonicalize(self.folder.path()).unwrap();
        let lives_here = |pid: &u32| {
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&home))
                && is_alive(*pid)
        };
        let left = || -> Vec<u32> { processes().into_iter().filter(lives_here).collect() };
        let others =
            || -> Vec<u32> { left().into_iter().filter(|pid| comm(*pid) != "niia-keeper").collect() };
        let since = Instant::now();
        // A minder that has been let go is still being taken down by the kernel for a moment.
        while !others().is_empty() && since.elapsed() < LEAVING && !std::thread::panicking() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let (left, others) = (left(), others());
        // The keeper lingers for a moment after its last client; that is not waited for.
        for pid in left {
            kill(pid, libc::SIGKILL);
        }
        assert!(others.is_empty() || std::thread::panicking(), "left behind: {others:?}");
    }
}

pub fn program(argv: &[&str]) -> Program {
    Program {
        session: "run/phase/worker/1".to_owned(),
        argv: argv.iter().map(OsString::from).collect(),
        env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        cwd: PathBuf::from("/"),
        cols: 120,
        rows: 40,
        record: true,
        recording_bytes_max: 1 << 30,
        sandbox: None,
        reach: None,
    }
}

/// Everything that is recorded. Fails on a gap.
pub fn printed(folder: &Path) -> Vec<u8> {
    let mut recording = Recording::open(folder).unwrap();
    let mut all = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match recording.read_at(all.len() as u64, &mut buffer).unwrap() {
            Read::Bytes(0) => return all,
            Read::Bytes(count) => all.extend_from_slice(&buffer[..count]),
            gap @ Read::Gap { .. } => panic!("{gap:?}"),
        }
    }
}

/// Follows a session to its end.
pub async fn exit_of(terminal: &Terminal) -> Exit {
    let exited = async {
        loop {
            match terminal.next().await {
                Notice::Exited(exit) => return exit,
                Notice::Lost(lost) => panic!("{lost:?}"),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, exited).await.expect("the session ends")
}

/// Waits for a notice of a kind.
pub async fn notice(terminal: &Terminal, is_wanted: impl Fn(&Notice) -> bool) -> Notice {
    let wanted = async {
        loop {
            let notice = terminal.next().await;
            if is_wanted(&notice) {
                return notice;
            }
            assert!(!matches!(notice, Notice::Exited(_) | Notice::Lost(_)), "{notice:?}");
        }
    };
    tokio::time::timeout(PATIENCE, wanted).await.expect("the notice comes")
}

/// Waits until a session has printed something.
pub async fn until_printed(terminal: &Terminal, wanted: &str) -> String {
    let found = async {
        loop {
            let text = String::from_utf8_lossy(&printed(terminal.folder())).into_owned();
            if text.contains(wanted) {
                return text;
            }
            let notice = terminal.next().await;
            assert!(!matches!(notice, Notice::Exited(_) | Notice::Lost(_)), "{notice:?}: {text}");
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it is printed")
}

/// Waits for something that comes without an event of its own, such as the end of a process of somebody else's.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

pub fn comm(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Whether a process runs, a zombie being none.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

pub fn kill(pid: u32, signal: i32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}
