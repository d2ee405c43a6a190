//! Staying: processes that go on after the session's own program has ended.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use super::sys::{self, ask};
use super::{Attempt, Claim, Scene, missed, reached};

/// How long one that stays would stay: longer than anybody waits for it.
const LINGER: Duration = Duration::from_secs(300);

/// A process that stays.
#[must_use]
pub fn linger() -> ExitCode {
    // What it is told to end by is not listened to.
    for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
        // SAFETY: ignoring a signal touches no memory.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    std::thread::sleep(LINGER);
    ExitCode::SUCCESS
}

/// Handed on to whatever is started: the end of the terminal's session is not listened to.
fn deaf() {
    // SAFETY: ignoring a signal touches no memory.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
}

fn lingerer(scene: &Scene) -> Command {
    deaf();
    let mut command = Command::new(&scene.program);
    command.arg("linger").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Leaves one.
pub(super) fn start_one(scene: &Scene) -> Claim {
    start(&mut lingerer(scene))
}

fn start(command: &mut Command) -> Claim {
    reached(format!("process {}", command.spawn()?.id()))
}

/// Starts it from a child's child, whose parent is gone at once.
fn orphaned(scene: &Scene, session: bool) -> Claim {
    deaf();
    let program = sys::c(&scene.program);
    let worked = sys::in_child(|| {
        // SAFETY: one thread; the grandchild becomes another program.
        match unsafe { libc::fork() } {
            0 => {
                if session {
                    let _own = ask!(libc::SYS_setsid);
                }
                let arguments = [program.as_ptr(), c"linger".as_ptr(), std::ptr::null()];
                // SAFETY: both strings and the list live until the program is another.
                unsafe {
                    libc::execv(program.as_ptr(), arguments.as_ptr());
                    libc::_exit(1)
                }
            }
            pid => pid > 0,
        }
    })?;
    if worked { reached("started") } else { missed("it could not be started") }
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("background", "leaves a process in the background", |s| start(&mut lingerer(s))),
    Attempt::outside("own-group", "leaves one in a group of its own", |s| {
        start(lingerer(s).process_group(0))
    }),
    Attempt::outside("double-fork", "leaves one whose parent is gone", |s| orphaned(s, false)),
    Attempt::outside("own-session", "leaves one in a session of its own, without a parent", |s| {
        orphaned(s, true)
    }),
    Attempt::outside("holds-terminal", "leaves one that holds the terminal open", |s| {
        deaf();
        start(Command::new(&s.program).arg("linger").process_group(0))
    }),
    Attempt::outside("setsid-command", "leaves one by the machine's own command for it", |s| {
        deaf();
        let mut command = Command::new("setsid");
        command.arg("--fork").arg(&s.program).arg("linger");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // It is over as soon as the one that stays has begun; before, there is nothing to be found.
        match command.status()?.success() {
            true => reached("setsid left one"),
            false => missed("setsid could not leave one"),
        }
    }),
    Attempt::outside("subreaper", "leaves one below a process that takes in orphans", |s| {
        ask!(libc::SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)?;
        orphaned(s, true)
    }),
    Attempt::outside("stopped", "leaves one that is stopped", |s| {
        let child = lingerer(s).process_group(0).spawn()?;
        ask!(libc::SYS_kill, child.id(), libc::SIGSTOP)?;
        reached("stopped")
    }),
    Attempt::outside("many", "leaves a few, each of which would start another", |s| {
        for _ in 0..8 {
            orphaned(s, true)?;
        }
        reached("eight of them")
    }),
];
