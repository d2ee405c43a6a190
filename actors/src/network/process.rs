//! The carrier as a process: forked by a minder, ended with its session.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use niia_spec::course::Access;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Pid, Signal, Uid};

use super::carrier::Carrier;
use super::connection::Reach;
use super::decisions::{self, Log};
use super::rules::Rules;
use crate::keeper::kernel::{self, Fork};
use crate::sandbox::RunAs;

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
#[derive(Default)]
pub(crate) struct Carried {
    /// Without any there is nobody behind the listeners.
    rules: Option<Rules>,
    /// Who it is where niia itself is root.
    run_as: Option<RunAs>,
    listeners: Vec<(u16, OwnedFd)>,
    child: Option<Pid>,
    /// Closed by the kernel when the minder dies, whatever it dies of.
    lifeline: Option<OwnedFd>,
    restarts: u32,
}

impl Carried {
    /// Starts a carrier for listeners that were made where the session lives. The process must have a single thread,
    /// and the session's folder as the current one.
    pub fn start(
        rules: Option<Rules>,
        listeners: Vec<(u16, OwnedFd)>,
        run_as: Option<RunAs>,
    ) -> io::Result<Carried> {
        let mut carried = Carried { rules, run_as, listeners, ..Carried::default() };
        if !carried.listeners.is_empty() {
            carried.fork()?;
        }
        Ok(carried)
    }

    fn fork(&mut self) -> io::Result<()> {
        let Some(rules) = self.rules.clone() else { return Ok(()) };
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
                let (run_as, listeners) = (self.run_as, std::mem::take(&mut self.listeners));
                let carried = std::panic::catch_unwind(move || {
                    lower(run_as)?;
                    be_carrier(minder, rules, listeners, theirs, log)
                });
                kernel::leave(if matches!(carried, Ok(Ok(()))) { 0 } else { EXIT_BROKEN })
            }
        }
    }

    /// Takes note of a child that has ended; a carrier is replaced while the session lasts.
    pub fn child_ended(&mut self, pid: Pid) {
        if self.child != Some(pid) {
            return;
        }
        self.child = None;
        if self.lifeline.take().is_some() {
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.restarts += 1;
        if self.restarts <= RESTARTS_MAX && self.fork().is_ok() {
            return;
        }
        // Without listeners the program hears at once that there is nobody.
        self.listeners.clear();
        if let Ok(mut log) = Log::open(Path::new(decisions::FILE)) {
            log.note(
                Access::Failed,
                "(all hosts)",
                "the process that carries the session's connections broke",
            );
        }
    }

    /// Lets the carrier end: the session's program has.
    pub fn end(&mut self) {
        self.lifeline = None;
        self.listeners.clear();
    }
}

/// Reads what a sandboxed program sends with no more rights than that program's user has.
fn lower(run_as: Option<RunAs>) -> io::Result<()> {
    if let Some(RunAs { uid, gid }) = run_as {
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_gid(Gid::from_raw(gid))?;
        rustix::thread::set_thread_uid(Uid::from_raw(uid))?;
    }
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
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
