//! The carrier as a process: forked by a minder, ended with its session.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use niia_spec::course::Access;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};

use super::carrier::Carrier;
use super::connection::Reach;
use super::decisions::{self, Log};
use super::rules::Rules;
use crate::keeper::kernel::{self, Fork};

/// A carrier that was killed is replaced so often; one that always breaks is no use to anybody.
const RESTARTS_MAX: u32 = 16;

/// Carries in this process, which must have a single thread, until the lifeline's other end is closed. What is decided
/// is written into the folder.
pub fn carry(
    rules: Rules,
    listeners: Vec<(u16, OwnedFd)>,
    lifeline: OwnedFd,
    folder: &Path,
) -> io::Result<()> {
    let log = Log::open(&folder.join(decisions::FILE))?;
    Carrier::new(rules, listeners, lifeline, log, Reach::public())?.run()
}

/// How a carrier leaves that has broken.
const EXIT_BROKEN: i32 = 70;

/// The carrier of one session, as its minder sees it.
///
/// The minder keeps the listeners too: a carrier that dies takes its connections along, and the next one goes on
/// with new ones.
pub(crate) struct Carried {
    rules: Rules,
    listeners: Vec<(u16, OwnedFd)>,
    child: Option<Pid>,
    /// Closed by the kernel when the minder dies, whatever it dies of.
    lifeline: Option<OwnedFd>,
    restarts: u32,
}

impl Carried {
    /// Starts a carrier for listeners that were made where the session lives. The process must have a single thread,
    /// and the session's folder as the current one.
    pub fn start(rules: Rules, listeners: Vec<(u16, OwnedFd)>) -> io::Result<Carried> {
        let mut carried = Carried { rules, listeners, child: None, lifeline: None, restarts: 0 };
        carried.fork()?;
        Ok(carried)
    }

    fn fork(&mut self) -> io::Result<()> {
        let log = Log::open(Path::new(decisions::FILE))?;
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
        let minder = rustix::process::getpid();
        match kernel::fork()? {
            Fork::Parent(child) => {
                self.child = Some(child);
                self.lifeline = Some(ours);
                Ok(())
            }
            Fork::Child => {
                // What is the minder's own is closed below and never dropped here.
                std::mem::forget(ours);
                let (rules, listeners) = (self.rules.clone(), std::mem::take(&mut self.listeners));
                let carried = std::panic::catch_unwind(move || be_carrier(minder, rules, listeners, theirs, log));
                kernel::leave(if matches!(carried, Ok(Ok(()))) { 0 } else { EXIT_BROKEN })
            }
        }
    }

    /// Takes note of a child that has ended; a carrier is replaced. Says whether it was the carrier.
    pub fn child_ended(&mut self, pid: Pid) -> bool {
        if self.child != Some(pid) {
            return false;
        }
        self.child = None;
        if self.lifeline.take().is_some() {
            self.restart();
        }
        true
    }

    fn restart(&mut self) {
        self.restarts += 1;
        if self.restarts <= RESTARTS_MAX && self.fork().is_ok() {
            return;
        }
        // Without listeners the program hears at once that there is nobody.
        self.listeners.clear();
        if let Ok(mut log) = Log::open(Path::new(decisions::FILE)) {
            log.note(Access::Failed, "(all hosts)", "the process that carries the session's connections broke");
        }
    }

    /// Lets the carrier end: the session's program has.
    pub fn end(&mut self) {
        self.lifeline = None;
        self.listeners.clear();
    }
}

fn be_carrier(
    minder: Pid,
    rules: Rules,
    listeners: Vec<(u16, OwnedFd)>,
    lifeline: OwnedFd,
    log: Log,
) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Some(minder) {
        // It died before the line above.
        return Ok(());
    }
    kernel::name_process(c"niia-carrier");
    let listening = listeners.iter().map(|(_, listener)| listener.as_raw_fd());
    let kept: Vec<_> = listening.chain([lifeline.as_raw_fd(), log.file().as_fd().as_raw_fd()]).collect();
    kernel::close_all_but(&kept)?;
    Carrier::new(rules, listeners, lifeline, log, Reach::public())?.run()
}
