//! The first process of the new namespaces: makes the layers from within, starts the program, buries the dead.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus};

use super::{Order, program};
use crate::sandbox::kernel;
use crate::sandbox::layers::{capabilities, landlock, limits, namespaces, network, seccomp};
use crate::sandbox::mounts::{self, Found, Trees};
use crate::sandbox::refusal::at;
use crate::sandbox::{EXIT_REFUSED, Refusal};

/// What runs on after its program has ended gets so long to put its things in order.
const LEFTOVER_GRACE: Duration = Duration::from_millis(200);

/// What the first process begins with.
pub(super) struct First {
    pub order: Order,
    pub found: Found,
    pub trees: Option<Trees>,
    /// Ends when the helper does.
    pub alive: PipeReader,
    /// Where the helper hears how the program ended.
    pub tell: PipeWriter,
    /// Where the helper is asked whether it watches over the session's memory, where that has a bound.
    pub watch: Option<UnixStream>,
}

impl First {
    /// Makes the sandbox and stays in it until the program has ended; answers how to leave.
    pub fn run(self, line: OwnedFd) -> i32 {
        let First { mut order, found, trees, alive, tell, watch } = self;
        let made = make(&mut order, found, trees, &alive).and_then(|listeners| {
            watch.map_or(Ok(()), is_watched)?;
            Ok(listeners)
        });
        let listeners = match made {
            Ok(listeners) => listeners,
            Err(refusal) => {
                super::refuse(&line, &refusal);
                return i32::from(EXIT_REFUSED);
            }
        };
        // Neither pipe is passed on to a program.
        match kernel::lend(|| i32::from(program::become_program(&mut order, &line, &listeners))) {
            Ok(program) => {
                drop((order, line, listeners, alive));
                bury(program, tell)
            }
            Err(error) => {
                let refusal = Refusal::new("start", at("no process can be forked", error), CURE);
                super::refuse(&line, &refusal);
                i32::from(EXIT_REFUSED)
            }
        }
    }
}

/// Makes every layer that holds the program and all that comes from it.
fn make(
    order: &mut Order,
    found: Found,
    trees: Option<Trees>,
    alive: &PipeReader,
) -> Result<Vec<OwnedFd>, Refusal> {
    namespaces::check_first()?;
    end_with(alive)?;
    let private = found.private.clone();
    let entries = mounts::make(&order.policy, found, trees, &order.terminal, &mut order.layers)?;
    let listeners = network::make(&order.policy, &mut order.layers)?;
    enter_folder(order)?;
    limits::set(&order.policy, &mut order.layers)?;
    capabilities::drop_all()?;
    // What has been given up must not be got back through another process of the same user.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| Refusal::new("processes", at("the first one cannot hide", errno), CURE))?;
    landlock::restrict(&entries, &private, order.policy.network, &mut order.layers)?;
    let filters = seccomp::restrict(order.policy.memory_bytes_max, &mut order.layers)?;
    capabilities::check(filters, &mut order.layers)?;
    end_with(alive)?;
    Ok(listeners)
}

/// No program starts before the helper has looked at the session once.
fn is_watched(mut watch: UnixStream) -> Result<(), Refusal> {
    let mut word = [1];
    watch.write_all(&word).and_then(|()| watch.read_exact(&mut word)).map_err(|error| {
        let why = at("what the session's processes hold together cannot be seen", error);
        Refusal::new("memory", why, "leave `memory_mb` out, or use a kernel with `smaps_rollup` (Linux 4.14)")
    })
}

const CURE: &str = "look whether the machine is out of processes or memory";

/// Ends when the helper does, also when it has ended already.
fn end_with(alive: &PipeReader) -> Result<(), Refusal> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| Refusal::new("end", at("the helper's death cannot be heard of", errno), CURE))?;
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut watched = [PollFd::new(alive, PollFlags::IN)];
    match poll(&mut watched, Some(&now)) {
        Ok(0) => Ok(()),
        _ => Err(Refusal::new("end", "the helper ended while the sandbox was made", CURE)),
    }
}

fn enter_folder(order: &Order) -> Result<(), Refusal> {
    rustix::process::chdir(&order.cwd).map_err(|errno| {
        let why = at(format!("`{}` cannot be entered", order.cwd.display()), errno);
        Refusal::new("folder", why, "work in a folder that the session may write or read")
    })
}

/// Waits for the program, buries whatever else ends, and tells the helper how the program ended.
fn bury(program: Pid, mut tell: PipeWriter) -> i32 {
    let status = loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => break status,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return i32::from(EXIT_REFUSED),
        }
    };
    clear();
    let _ = tell.write_all(&WaitStatus::as_raw(status).to_ne_bytes());
    // Nobody of this namespace outlives its first process.
    0
}

/// Asks what is left to end, and gives it a moment.
fn clear() {
    if !has_children() {
        return;
    }
    let until = Instant::now() + LEFTOVER_GRACE;
    // Everybody but this process, which the kernel spares itself.
    kernel::signal_everybody(Signal::TERM);
    kernel::signal_everybody(Signal::CONT);
    while has_children() {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        kernel::wait_for_child(rest);
    }
}

/// Buries who has ended, and says whether anybody is left.
fn has_children() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}
