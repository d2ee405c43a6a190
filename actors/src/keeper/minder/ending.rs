//! The end of a session.
//!
//! When the program has ended, or has been told to, everything that descends from it is asked to end, then killed,
//! until the kernel says that this process has no child. As the nearest subreaper the minder becomes the parent of
//! whatever lost its own, so this reaches what forked twice, left its session or threw its environment away. Then what
//! the terminal still holds is recorded, how the program ended is written to disk, and only then anybody is told.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, wait};

use super::super::wire::ToNode;
use super::super::{kernel, tree};
use super::clients::Clients;
use super::pump::Pump;
use crate::network::Carried;
use crate::recording::{Exit, ExitStatus, Why};

/// What runs on after its program has ended gets so long to put its things in order.
const LEFTOVER_GRACE: Duration = Duration::from_millis(200);
/// A grace beyond a day is a mistake.
const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// When the minder itself is asked to end; a machine that shuts down gives its processes some seconds.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// How often what is being killed is looked for again, besides whenever a child has ended.
const KILL_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// A process that SIGKILL does not end in this time hangs in the kernel; nothing else waits for it.
const UNKILLABLE_AFTER: Duration = Duration::from_secs(3);
/// Somebody who does not descend from the program can hold the terminal open for ever; what was printed has long come.
const DRAIN_MAX: Duration = Duration::from_millis(300);
/// The exit is on disk then. A node that has not come by now will read it there.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10 * 60);

enum Phase {
    /// The program runs, perhaps on borrowed time.
    Running,
    /// Its descendants are being ended.
    Clearing,
    /// All are gone; what they printed is being read.
    Draining { until: Instant },
    /// The exit is on disk and has been told.
    Told { exit: Exit, until: Instant },
}

pub(super) struct Ending {
    program: Pid,
    phase: Phase,
    status: Option<WaitStatus>,
    why: Why,
    /// From when on everything is killed.
    kill_at: Option<Instant>,
    /// When it is killed next.
    kill_next: Option<Instant>,
    left_behind: u16,
    acknowledged: bool,
}

impl Ending {
    pub fn new(program: Pid) -> Ending {
        Ending {
            program,
            phase: Phase::Running,
            status: None,
            why: Why::Itself,
            kill_at: None,
            kill_next: None,
            left_behind: 0,
            acknowledged: false,
        }
    }

    pub fn program(&self) -> u32 {
        self.program.as_raw_nonzero().get().unsigned_abs()
    }

    pub fn told(&self) -> Option<&Exit> {
        match &self.phase {
            Phase::Told { exit, .. } => Some(exit),
            _ => None,
        }
    }

    pub fn has_left_behind(&self) -> bool {
        self.left_behind > 0
    }

    pub fn acknowledged(&mut self) {
        self.acknowledged = true;
    }

    pub fn may_leave(&self, clients: &Clients) -> bool {
        match self.phase {
            Phase::Told { until, .. } => self.acknowledged || (clients.is_empty() && Instant::now() >= until),
            _ => false,
        }
    }

    pub fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running | Phase::Clearing => self.kill_next,
            Phase::Draining { until } => Some(until),
            Phase::Told { until, .. } => Some(until),
        }
    }

    /// Ends the program and all that descends from it: asked at first, killed after the grace.
    pub fn order(&mut self, why: Why, grace: Duration) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        self.why = why;
        self.ask_to_end(grace.min(GRACE_MAX));
    }

    fn ask_to_end(&mut self, grace: Duration) {
        let now = Instant::now();
        let kill_at = self.kill_at.map_or(now + grace, |before| before.min(now + grace));
        self.kill_at = Some(kill_at);
        self.kill_next = Some(kill_at);
        if !grace.is_zero() {
            signal_all(Signal::TERM);
            // Whoever is stopped hears nothing until it goes on.
            signal_all(Signal::CONT);
        }
    }

    /// Whether the time of asking is over.
    pub fn kills(&self) -> bool {
        self.kill_at.is_some_and(|kill_at| Instant::now() >= kill_at)
    }

    /// A child has ended, was stopped or goes on; or the minder was asked to end.
    pub fn children_changed(&mut self, end_asked: bool, clients: &mut Clients, carried: &mut Carried) {
        if end_asked {
            self.order(Why::Shutdown, SHUTDOWN_GRACE);
        }
        let is_empty = self.reap(clients, carried);
        let has_ended = self.status.is_some();
        if has_ended {
            carried.end();
        }
        if matches!(self.phase, Phase::Running) && has_ended {
            self.phase = Phase::Clearing;
            if !is_empty {
                self.ask_to_end(LEFTOVER_GRACE);
            }
        }
        if matches!(self.phase, Phase::Clearing) && is_empty {
            self.phase = Phase::Draining { until: Instant::now() + DRAIN_MAX };
        }
        if self.kill_at.is_some_and(|kill_at| Instant::now() >= kill_at) && !is_empty {
            self.kill_next = Some(Instant::now());
        }
    }

    /// Buries every child that has ended; says whether there is none left.
    fn reap(&mut self, clients: &mut Clients, carried: &mut Carried) -> bool {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        loop {
            match wait(options) {
                Ok(Some((pid, status))) if pid == self.program => self.program_changed(status, clients),
                Ok(Some((pid, status))) if status.exited() || status.signaled() => carried.child_ended(pid),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    fn program_changed(&mut self, status: WaitStatus, clients: &mut Clients) {
        if let Some(signal) = status.stopping_signal() {
            clients.tell_all(&ToNode::Stopped { signal: Some(signal) });
        } else if status.continued() {
            clients.tell_all(&ToNode::Stopped { signal: None });
        } else {
            self.status = Some(status);
        }
    }

    /// Goes on with what is due.
    pub fn on_time(&mut self, pump: &mut Pump, clients: &mut Clients) {
        let now = Instant::now();
        if matches!(self.phase, Phase::Running | Phase::Clearing)
            && self.kill_next.is_some_and(|at| now >= at)
        {
            self.kill(now);
        }
        if let Phase::Draining { until } = self.phase {
            // Everything that can still come is there already; the kernel may be about to hand it over.
            pump.pump();
            let is_done = pump.is_dry() || (now >= until && pump.stalled().is_none());
            if is_done {
                self.tell(pump, clients);
            } else if now >= until {
                self.phase = Phase::Draining { until: now + DRAIN_MAX };
            }
        }
        if matches!(self.phase, Phase::Told { .. }) && self.acknowledged {
            pump.forget();
        }
    }

    fn kill(&mut self, now: Instant) {
        signal_all(Signal::KILL);
        self.kill_next = Some(now + KILL_AGAIN_AFTER);
        let hangs = self.kill_at.is_some_and(|kill_at| now >= kill_at + UNKILLABLE_AFTER);
        if hangs {
            let left = tree::children(rustix::process::getpid()).map_or(1, |children| children.len());
            self.left_behind = u16::try_from(left).unwrap_or(u16::MAX);
            self.phase = Phase::Draining { until: now + DRAIN_MAX };
        }
    }

    fn tell(&mut self, pump: &mut Pump, clients: &mut Clients) {
        let exit = self.exit(pump.end());
        if pump.exited(&exit) {
            self.phase = Phase::Told { exit, until: Instant::now() + UNACKNOWLEDGED_MAX };
            clients.tell_exit(exit);
        }
    }

    fn exit(&self, log_end: u64) -> Exit {
        let (user_ms, system_ms) = kernel::children_time_ms();
        let status = match self.status {
            Some(status) => match status.terminating_signal() {
                Some(number) => ExitStatus::Signal { number, core: status.as_raw() & 0x80 != 0 },
                None => ExitStatus::Code(status.exit_status().unwrap_or_default()),
            },
            // Even the program itself hangs in the kernel, with the signal that should have ended it.
            None => ExitStatus::Signal { number: libc::SIGKILL, core: false },
        };
        Exit { status, user_ms, system_ms, log_end, why: self.why, left_behind: self.left_behind }
    }
}

fn signal_all(signal: Signal) {
    // A tree that cannot be read at this moment is looked at again at the next.
    let _ = tree::signal_descendants(signal, |_| false);
}
