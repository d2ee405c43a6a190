//! Fail points: named places at which a test has the process die or stall.
//!
//! `NIIA_FAIL_POINT=name[:n][:sleep=milliseconds]`, read once: the n-th time (the first, where nothing is said) the place
//! is reached the process kills itself as `kill -9` would, or sleeps once. Without the variable a hit costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// The environment variable that arms one place.
pub const VARIABLE: &str = "NIIA_FAIL_POINT";

/// Every place there is, so that a test can go through them all.
pub const NAMES: &[&str] = &[
    "node.locked",
    "node.loaded",
    "node.taken_up",
    "accept.before_begin",
    "accept.after_begin",
    "journal.before_commit",
    "journal.after_commit",
    "session.before_start",
    "session.after_start",
    "session.mid_prompt",
    "session.piece_typed",
    "session.before_enter",
    "session.after_enter",
    "session.before_acknowledge",
    "session.after_acknowledge",
    "session.before_commit",
    "session.after_commit",
    "schedule.decided",
    "schedule.begun",
    "run.before_gather",
    "run.after_gather",
    "run.before_report",
    "run.before_finish",
    "run.after_finish",
    "git.begin.between_refs",
    "git.commit.added",
    "git.commit.head",
    "git.commit.moved",
    "git.commit.settled",
    "git.commit.written",
    "git.create.branched",
    "git.create.checked_out",
    "git.create.claimed",
    "git.create.populated",
    "git.create.registered",
    "git.enter.announced",
    "git.land.files",
    "git.mend.laid_out",
    "git.mend.populated",
    "git.mend.written",
    "git.merge.moved",
    "git.merge.written",
    "git.remove.archived",
    "git.remove.files",
    "git.remove.marked",
    "git.show.kept",
    "git.show.moved",
    "git.show.populated",
];

#[derive(Debug, PartialEq, Eq)]
struct Armed {
    name: String,
    nth: u64,
    deed: Deed,
}

#[derive(Debug, PartialEq, Eq)]
enum Deed {
    Die,
    Sleep(Duration),
}

/// Why the variable's text arms nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{VARIABLE}={text}` arms nothing: it is written name[:n][:sleep=milliseconds]")]
pub struct FailPointError {
    pub text: String,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
static HITS: AtomicU64 = AtomicU64::new(0);

/// Passes a named place.
pub fn hit(name: &'static str) {
    if let Some(armed) = ARMED.get_or_init(|| read().unwrap_or_default()) {
        armed.hit(name);
    }
}

/// Says whether the variable is understood: a mistyped fail point would make a test pass that tests nothing.
pub fn check() -> Result<(), FailPointError> {
    read().map(drop)
}

fn read() -> Result<Option<Armed>, FailPointError> {
    match std::env::var(VARIABLE) {
        Ok(text) => Armed::parse(&text).map(Some),
        Err(_) => Ok(None),
    }
}

impl Armed {
    fn parse(text: &str) -> Result<Armed, FailPointError> {
        let wrong = || FailPointError { text: text.to_owned() };
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default().to_owned();
        let mut armed = Armed { name, nth: 1, deed: Deed::Die };
        for part in parts {
            match part.strip_prefix("sleep=") {
                Some(ms) => {
                    armed.deed = Deed::Sleep(Duration::from_millis(ms.parse().map_err(|_| wrong())?));
                }
                None => armed.nth = part.parse().map_err(|_| wrong())?,
            }
        }
        let known = NAMES.contains(&armed.name.as_str());
        if known && armed.nth > 0 { Ok(armed) } else { Err(wrong()) }
    }

    fn hit(&self, name: &str) {
        if self.name != name || HITS.fetch_add(1, Ordering::Relaxed) + 1 != self.nth {
            return;
        }
        match self.deed {
            Deed::Sleep(pause) => std::thread::sleep(pause),
            Deed::Die => die(),
        }
    }
}

fn die() {
    // Nothing of the process may run after this place: no destructor, no flush.
    if kill_process(getpid(), Signal::KILL).is_err() {
        std::process::abort();
    }
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fail_point_is_written_as_name_count_and_sleep() {
        let die = Armed::parse("journal.before_commit:3").unwrap();
        assert_eq!((die.nth, die.deed), (3, Deed::Die));
        let sleep = Armed::parse("journal.after_commit:2:sleep=40").unwrap();
        assert_eq!((sleep.nth, sleep.deed), (2, Deed::Sleep(Duration::from_millis(40))));
    }

    #[test]
    fn a_mistyped_fail_point_is_an_error_and_not_silence() {
        for wrong in ["", "journal.befor_commit", "journal.before_commit:0", "journal.before_commit:sleep=x"]
        {
            assert!(Armed::parse(wrong).is_err(), "{wrong}");
        }
    }
}
