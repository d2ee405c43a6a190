//! The end of what a killed minder may have left behind, where no keeper was there to end it.
//!
//! Nothing is ended that is not known to belong to the session: the program by its number and the time of its
//! beginning, others by the random mark in their environment, and the members of the program's kernel session as long
//! as the program itself, the leader of it, is there to vouch for them.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::wire::SOCKET_FILE;
use super::{SESSION_MARK_VARIABLE, tree};
use crate::recording::{Recording, RecordingError, Start};

/// How long what was killed is waited for.
const SWEEP_MAX: Duration = Duration::from_secs(3);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The processes that were ended.
    pub ended: Vec<u32>,
    /// Those that SIGKILL did not end in time.
    pub left_behind: Vec<u32>,
    /// The minder lives, so nothing was done: what runs there is not left over.
    pub minded: bool,
}

/// Whether the minder of the session in `folder` lives.
pub fn is_minded(folder: &Path) -> bool {
    let Ok(recording) = Recording::open(folder) else { return false };
    let start = recording.start();
    start.boot == tree::boot() && is_alive(start.minder, start.minder_began)
}

/// Ends everything that is left of the session in `folder`. May wait for some seconds: call it where that is no harm.
pub fn sweep(folder: &Path) -> Result<Swept, RecordingError> {
    let start = match Recording::open(folder) {
        Ok(recording) => *recording.start(),
        Err(RecordingError::Absent { .. }) => return Ok(Swept::default()),
        Err(error) => return Err(error),
    };
    if start.boot != tree::boot() {
        remove_socket(folder);
        return Ok(Swept::default());
    }
    if is_alive(start.minder, start.minder_began) {
        return Ok(Swept { minded: true, ..Swept::default() });
    }
    remove_socket(folder);
    sweep_start(&start).map_err(|source| RecordingError::Unreadable { folder: folder.to_path_buf(), source })
}

/// Nobody listens at it any more.
fn remove_socket(folder: &Path) {
    // One that cannot be removed harms nobody who knocks.
    let _ = std::fs::remove_file(folder.join(SOCKET_FILE));
}

fn sweep_start(start: &Start) -> io::Result<Swept> {
    let mut ended = HashSet::new();
    let until = Instant::now() + SWEEP_MAX;
    loop {
        let left = leftovers(start)?;
        if left.is_empty() || Instant::now() >= until {
            let left_behind: Vec<u32> = left.into_iter().map(|(pid, _)| number(pid)).collect();
            let mut ended: Vec<u32> = ended.into_iter().filter(|pid| !left_behind.contains(pid)).collect();
            ended.sort_unstable();
            return Ok(Swept { ended, left_behind, minded: false });
        }
        for (pid, began) in left {
            // One may end before its turn, by the hang-up that follows the end of another.
            tree::signal_known(pid, began, Signal::KILL);
            ended.insert(number(pid));
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

fn is_alive(pid: u32, began: u64) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.and_then(tree::stat).is_some_and(|stat| stat.began == began && stat.state != b'Z')
}

/// The processes of the session that are alive, with the time of their beginning.
fn leftovers(start: &Start) -> io::Result<Vec<(Pid, u64)>> {
    let mark = format!("{SESSION_MARK_VARIABLE}={:016x}", start.mark);
    let leader = i32::try_from(start.pid).unwrap_or_default();
    // While the leader lives nobody else can have a session of its number.
    let vouched = is_alive(start.pid, start.pid_began);
    let mut found = Vec::new();
    for pid in tree::processes()? {
        let Some(stat) = tree::stat(pid) else { continue };
        let in_session = vouched && stat.session == leader;
        if stat.state != b'Z' && (in_session || carries(pid, mark.as_bytes())) {
            found.push((pid, stat.began));
        }
    }
    Ok(found)
}

fn carries(pid: Pid, mark: &[u8]) -> bool {
    // The environment of another user's process cannot be read, and that process is none of ours.
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == mark))
}
