//! Verbs that are for people alone: a program inside a session may not say them, whatever it claims to be.
//!
//! The node knows its sessions' processes and refuses what is asked of it. Some verbs do their work here, in the
//! caller's own process; so the caller looks whether it descends from a session before it does any of that.

use std::path::{Path, PathBuf};

use crate::cli::Verb;
use crate::failure::{Exit, Failure};

/// A chain of parents longer than this belongs to no session of ours.
const ANCESTORS_MAX: usize = 256;

/// What the processes above a session's program are called: the one that owns its terminal, and the one that keeps it
/// in its sandbox.
const ABOVE: [&[u8]; 2] = [b"keeper", b"sandbox-exec"];

/// Refuses a verb that is for people, where a session stands above this process.
pub fn refuse(verb: &Verb) -> Result<(), Failure> {
    let Some(word) = for_people(verb) else { return Ok(()) };
    if !is_inside_a_session() {
        return Ok(());
    }
    let message = format!("`niia {word}` is not for programs inside a session");
    Err(Failure::new(Exit::Failed, message).help("a person says it from a terminal of their own"))
}

/// Whether a session stands above this process.
pub fn is_inside_a_session() -> bool {
    is_inside(std::process::id())
}

fn for_people(verb: &Verb) -> Option<&'static str> {
    Some(match verb {
        Verb::Merge(_) => "merge",
        Verb::Approve(_) => "approve",
        Verb::Deny(_) => "deny",
        Verb::Answer(_) => "answer",
        Verb::Resume(_) => "resume",
        // A run that was begun in the session may be: the node knows whether it was.
        Verb::Cancel(words) if words.name.run.is_none() => "cancel",
        Verb::Serve(_) => "serve",
        Verb::Schedule(_) => "schedule",
        Verb::Trigger(_) => "trigger",
        Verb::Daemon(_) => "daemon",
        Verb::Gc(_) => "gc",
        Verb::Pair(_) => "pair",
        Verb::Peer(_) => "peer",
        Verb::Remote(_) => "remote",
        Verb::Login(_) => "login",
        _ => return None,
    })
}

/// Whether one of the parents of a process is this very program in one of the parts that stand above a session.
pub fn is_inside(pid: u32) -> bool {
    let own = std::fs::read_link("/proc/self/exe").ok();
    let mut pid = pid;
    for _ in 0..ANCESTORS_MAX {
        let Some(parent) = crate::control::caller::parent_of(pid).filter(|parent| *parent > 0) else {
            return false;
        };
        if stands_above(parent, own.as_deref()) {
            return true;
        }
        pid = parent;
    }
    false
}

fn stands_above(pid: u32, own: Option<&Path>) -> bool {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let part = words.split(|b| *b == 0).nth(1).unwrap_or_default();
    // Inside a sandbox the program of a process above may be hidden; its words are not.
    let same = match std::fs::read_link(format!("/proc/{pid}/exe")) {
        Ok(exe) => own.is_none_or(|own| plain(&exe) == plain(own)),
        Err(_) => true,
    };
    same && ABOVE.contains(&part)
}

/// Without what the kernel says of a file that was replaced meanwhile.
fn plain(exe: &Path) -> PathBuf {
    PathBuf::from(exe.to_string_lossy().trim_end_matches(" (deleted)"))
}
