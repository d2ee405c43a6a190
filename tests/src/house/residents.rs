//! Who lives in a house, and what they leave behind.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The kernel takes a killed process apart in this time, unless a disk or a driver holds it.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// A process of a house, known by id and start, so that a later one with the same id is never mistaken for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resident {
    pub id: u32,
    pub line: String,
    start: u64,
}

impl Resident {
    /// Ends this very process and no other, and comes back when the last of its threads is gone.
    pub fn kill(&self) {
        let Some(descriptor) = self.signal(Signal::KILL) else { return };
        // A process whose first thread is gone may still hold sockets by another one.
        let mut ended = [PollFd::new(&descriptor, PollFlags::IN)];
        let _ = poll(&mut ended, Some(&GONE_WITHIN));
    }

    /// Signals this very process and no other; nothing where it is gone.
    pub fn signal(&self, signal: Signal) -> Option<OwnedFd> {
        let pid = i32::try_from(self.id).ok().and_then(Pid::from_raw)?;
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // From here on the id is pinned: the start tells whether it is the one that was seen.
        if start(self.id) == Some(self.start) {
            // Gone in between is as good.
            let _ = pidfd_send_signal(&descriptor, signal);
        }
        Some(descriptor)
    }

    #[must_use]
    pub fn is_here(&self) -> bool {
        start(self.id) == Some(self.start)
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.id, self.line)
    }
}

/// Everybody whose environment, arguments or working folder mention the mark.
pub(super) fn of(mark: &str) -> Vec<Resident> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| *id != std::process::id()).filter_map(|id| resident(id, mark)).collect()
}

fn resident(id: u32, mark: &str) -> Option<Resident> {
    let folder = PathBuf::from(format!("/proc/{id}"));
    let start = start(id)?;
    let line = fs::read(folder.join("cmdline")).unwrap_or_default();
    let environment = fs::read(folder.join("environ")).unwrap_or_default();
    let cwd = fs::read_link(folder.join("cwd")).unwrap_or_default();
    let marked = holds(&line, mark) || holds(&environment, mark) || cwd.to_string_lossy().contains(mark);
    let line = String::from_utf8_lossy(&line).trim_end_matches('\0').replace('\0', " ");
    marked.then_some(Resident { id, line, start })
}

fn holds(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// When a living process began, in ticks since boot; nothing for one that is gone or only waits to be reaped.
fn start(id: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold blanks and brackets; what follows its last bracket does not.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // Field 22 of the line, the state being the third.
    fields.nth(18)?.parse().ok()
}

/// Who has not left when the time is up.
pub(super) fn still_here_after(mark: &str, limit: Duration) -> Vec<Resident> {
    let begun = Instant::now();
    loop {
        let here = of(mark);
        if here.is_empty() || begun.elapsed() > limit {
            return here;
        }
        std::thread::sleep(super::LOOK_PERIOD);
    }
}

pub(super) fn sockets(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(folder, &mut |path, data| {
        if data.file_type().is_socket() {
            found.push(path.to_owned());
        }
    });
    found
}

/// Files that somebody holds a lock on, and the lock files of a git that was cut short.
pub(super) fn locks(folder: &Path) -> Vec<PathBuf> {
    let held = held_locks();
    let mut found = Vec::new();
    walk(folder, &mut |path, data| {
        // The file of niia's own lock stays; it is a lock only while somebody holds it.
        let of_git = path.extension().is_some_and(|ending| ending == "lock")
            && path.components().any(|part| part.as_os_str() == ".git")
            && !path.ends_with(".git/niia.lock");
        if of_git || held.contains(&data.ino()) {
            found.push(path.to_owned());
        }
    });
    found
}

/// The inodes in the last but two column of `/proc/locks`: `1: FLOCK ADVISORY WRITE 812 fe:00:1311 0 EOF`.
fn held_locks() -> HashSet<u64> {
    let text = fs::read_to_string("/proc/locks").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_whitespace().rev().nth(2)?.rsplit(':').next()?.parse().ok())
        .collect()
}

fn walk(folder: &Path, see: &mut impl FnMut(&Path, &fs::Metadata)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(data) = fs::symlink_metadata(&path) else {
            continue;
        };
        see(&path, &data);
        if data.is_dir() {
            walk(&path, see);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_belongs_to_a_house_by_environment_arguments_or_folder_and_a_stranger_does_not() {
        let folder = tempfile::Builder::new().prefix("niia-house-").tempdir_in("/tmp").unwrap();
        let mark = folder.path().file_name().unwrap().to_str().unwrap();
        let sleeper = || {
            let mut command = Command::new("sleep");
            command.arg("1000").env_clear().current_dir("/").stdin(Stdio::null());
            command
        };
        let mut stranger = sleeper().spawn().unwrap();
        let mut by_env = sleeper().env("NIIA_HOUSE", mark).spawn().unwrap();
        let mut by_folder = sleeper().current_dir(folder.path()).spawn().unwrap();
        let ids = |mark: &str| of(mark).iter().map(|resident| resident.id).collect::<HashSet<u32>>();
        let both = HashSet::from([by_env.id(), by_folder.id()]);
        let found = crate::wait_until("both are seen", Duration::from_secs(10), || {
            let found = ids(mark);
            (found == both).then_some(found)
        });
        assert!(!found.contains(&stranger.id()));
        of(mark).iter().for_each(Resident::kill);
        by_env.wait().unwrap();
        by_folder.wait().unwrap();
        assert!(ids(mark).is_empty());
        assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
