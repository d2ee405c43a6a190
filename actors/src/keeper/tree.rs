//! The descendants of a process, and signals to them.
//!
//! A signal goes through a pidfd that was opened before the process was looked at, so that a number that has been
//! given to another process meanwhile is noticed and never signalled.

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A tree that is looked at while it grows is followed so deep; the rest is found when its parents are gone.
const DESCENDANTS_MAX: usize = 100_000;

/// Some fifty numbers of twenty digits at most, and a name.
const STAT_BYTES_MAX: usize = 1200;

/// What `/proc/<pid>/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub state: u8,
    pub parent: i32,
    pub session: i32,
    /// In the kernel's ticks since the machine's start: with the number it names a process for good.
    pub began: u64,
}

/// Looks at a process; nothing where there is none.
pub(super) fn stat(pid: Pid) -> Option<Stat> {
    let file = fs::File::open(format!("/proc/{pid}/stat")).ok()?;
    let mut text = [0; STAT_BYTES_MAX];
    let count = (&file).read(&mut text).ok()?;
    let text = &text[..count];
    // The program's name comes in brackets and may hold anything, brackets too.
    let after = text.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = text[after..].split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let state = *fields.next()?.first()?;
    let mut number =
        |skip: usize| -> Option<i64> { std::str::from_utf8(fields.nth(skip)?).ok()?.parse().ok() };
    let parent = number(0)?;
    let session = number(1)?;
    let began = number(15)?;
    Some(Stat {
        state,
        parent: i32::try_from(parent).ok()?,
        session: i32::try_from(session).ok()?,
        began: began.unsigned_abs(),
    })
}

/// The children of a process.
pub(super) fn children(pid: Pid) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        match fs::read_to_string(task?.path().join("children")) {
            Ok(text) => found.extend(text.split_ascii_whitespace().filter_map(pid_of)),
            // The thread has ended, or this kernel was built without the file.
            Err(_) => return children_by_parent(pid),
        }
    }
    Ok(found)
}

fn children_by_parent(pid: Pid) -> io::Result<Vec<Pid>> {
    let parent = pid.as_raw_nonzero().get();
    Ok(processes()?.filter(|child| stat(*child).is_some_and(|stat| stat.parent == parent)).collect())
}

/// Every process of this machine.
pub(super) fn processes() -> io::Result<impl Iterator<Item = Pid>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| pid_of(entry.ok()?.file_name().to_str()?)))
}

fn pid_of(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}

/// Sends a signal to every child of this process that `spared` does not name and to all that descend from it, parents
/// before children.
pub(super) fn signal_descendants(signal: Signal, spared: impl Fn(Pid) -> bool) -> io::Result<()> {
    let own = rustix::process::getpid();
    let mut waiting: Vec<(Pid, Pid)> =
        children(own)?.into_iter().filter(|child| !spared(*child)).map(|child| (own, child)).collect();
    let mut next = 0;
    while let Some((parent, pid)) = waiting.get(next).copied() {
        next += 1;
        // What is below must be known before the signal: a dead parent no longer names its children.
        if waiting.len() < DESCENDANTS_MAX {
            waiting.extend(children(pid).unwrap_or_default().into_iter().map(|child| (pid, child)));
        }
        signal_child(parent, pid, signal);
    }
    Ok(())
}

/// Signals `pid` if it is still a child of `parent`, or of this process since `parent` has died.
fn signal_child(parent: Pid, pid: Pid, signal: Signal) {
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let own = rustix::process::getpid();
    let is_ours = |stat: Stat| [parent, own].iter().any(|pid| pid.as_raw_nonzero().get() == stat.parent);
    if stat(pid).is_some_and(is_ours) {
        send(&descriptor, signal);
    }
}

/// Signals a process by number and beginning, if it is still the same.
pub(super) fn signal_known(pid: Pid, began: u64, signal: Signal) {
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if stat(pid).is_some_and(|stat| stat.began == began && stat.state != b'Z') {
        send(&descriptor, signal);
    }
}

fn send(descriptor: impl AsFd, signal: Signal) {
    // The process may have ended at this very moment, and that is what was wanted.
    let _ = pidfd_send_signal(descriptor, signal);
}

/// Which start of the machine this is, as a number.
pub(super) fn boot() -> u64 {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or_default()
}
