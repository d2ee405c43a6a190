//! The helper: makes the sandbox around itself and becomes the program.
//!
//! It stays where the machine's processes are, to be waited for, ended and signalled like any program; the first
//! process of the new namespaces (`first`) makes what can only be made from within.

mod first;
mod memory;
mod program;

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

use super::kernel::{self, Fork};
use super::layers::{namespaces, terminal, user};
use super::mounts;
use super::refusal::at;
use super::wire::{self, FromHelper, Layers};
use super::{ENV_PREFIX, EXIT_REFUSED, LINE_DESCRIPTOR, Policy, Refusal};

/// Whoever starts the helper has written the policy before.
const POLICY_WAIT: Duration = Duration::from_secs(10);

/// Everything that is known before the namespaces are left.
struct Order {
    policy: Policy,
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: PathBuf,
    terminal: terminal::Terminal,
    layers: Layers,
}

/// The hidden verb `sandbox-exec -- PROGRAM…`. Must be reached before the process has a second thread.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut argv: Vec<OsString> = arguments.collect();
    if argv.first().is_some_and(|first| first == "--") {
        argv.remove(0);
    }
    let Ok(line) = kernel::take(LINE_DESCRIPTOR) else {
        // It is no verb for people.
        drop(writeln!(io::stderr(), "niia: `sandbox-exec` is started by the node alone"));
        return ExitCode::from(2);
    };
    let entered = order(&line, argv).and_then(enter);
    match entered {
        Ok(Side::Outside(inside)) => {
            drop(line);
            follow(inside)
        }
        // The line is given away, so that it ends with the last process that has a word to say.
        Ok(Side::Inside(first)) => kernel::leave(first.run(line)),
        Err(refusal) => refuse(&line, &refusal),
    }
}

/// Tells whoever started the helper and whoever looks at its terminal.
fn refuse(line: &OwnedFd, refusal: &Refusal) -> ExitCode {
    // Whoever is gone hears nothing, and the exit code says it all the same.
    drop(writeln!(io::stderr(), "{refusal}"));
    drop(wire::send(line, &FromHelper::Refused(refusal.clone()), &[]));
    ExitCode::from(EXIT_REFUSED)
}

fn order(line: &OwnedFd, argv: Vec<OsString>) -> Result<Order, Refusal> {
    let broken =
        |why: String| Refusal::new("start", why, "this is a fault of niia: please report it with this text");
    let has_one_thread = kernel::has_one_thread().map_err(|error| {
        Refusal::new("start", at("/proc cannot be read", error), "mount /proc, and let niia's user read it")
    })?;
    if !has_one_thread {
        return Err(broken("the helper has more than one thread".to_owned()));
    }
    if argv.is_empty() {
        return Err(broken("no program is named".to_owned()));
    }
    kernel::close_all_from(LINE_DESCRIPTOR + 1, 0)
        .map_err(|error| broken(at("descriptors cannot be closed", error)))?;
    let bytes = wire::receive(line, Instant::now() + POLICY_WAIT, &mut Vec::new())
        .map_err(|error| broken(at("no policy came", error)))?
        .ok_or_else(|| broken("no policy came".to_owned()))?;
    let policy: Policy = serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::new("policy", format!("it cannot be read: {error}"), "correct the policy")
    })?;
    policy.check()?;
    let cwd = std::env::current_dir().map_err(|error| broken(at("there is no current folder", error)))?;
    Ok(Order {
        policy,
        argv,
        env: environment(),
        cwd,
        terminal: terminal::Terminal::find(),
        layers: Layers::new(),
    })
}

/// The first process inside, and where it says how the program ended.
struct Inside {
    first: Pid,
    ending: PipeReader,
    watched: Option<Watched>,
}

/// That the memory of the session is to be watched over, and where the first process asks whether it is.
struct Watched {
    asked: UnixStream,
    bytes_max: u64,
}

/// The program's environment, which came wrapped.
fn environment() -> Vec<(OsString, OsString)> {
    let own = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.as_bytes().strip_prefix(ENV_PREFIX.as_bytes())?;
        Some((OsStr::from_bytes(name).to_owned(), value))
    });
    own.collect()
}

/// Where this process is after the fork.
enum Side {
    Outside(Inside),
    Inside(Box<first::First>),
}

/// Leaves the machine's namespaces and starts the first process of the new ones.
fn enter(mut order: Order) -> Result<Side, Refusal> {
    let cure = "look whether the machine is out of processes or memory";
    let starter = kernel::parent();
    kernel::hold_all_signals_back()
        .map_err(|error| Refusal::new("start", at("signals cannot be held back", error), cure))?;
    let home = order.env.iter().find(|(name, _)| name == "HOME").map(|(_, home)| PathBuf::from(home));
    let found = mounts::find(&order.policy, home)?;
    let trees = user::become_user(&order.policy, &found, &mut order.layers)?;
    order.terminal.let_go();
    namespaces::leave(order.policy.network, &mut order.layers)?;
    die_with(starter)?;
    let (ending, tell) =
        io::pipe().map_err(|error| Refusal::new("start", at("no pipe can be made", error), cure))?;
    let (alive, lives) =
        io::pipe().map_err(|error| Refusal::new("start", at("no pipe can be made", error), cure))?;
    let watch = order.policy.memory_bytes_max.map(|bytes_max| {
        let (asked, ask) = UnixStream::pair()?;
        Ok((Watched { asked, bytes_max }, ask))
    });
    let watch = watch
        .transpose()
        .map_err(|error: io::Error| Refusal::new("start", at("no sockets can be made", error), cure))?;
    match kernel::fork() {
        Ok(Fork::Parent(first)) => {
            // The other end is held to the end of this process and by nobody else.
            drop(alive);
            std::mem::forget(lives);
            let watched = watch.map(|(watched, _)| watched);
            Ok(Side::Outside(Inside { first, ending, watched }))
        }
        Ok(Fork::Child) => {
            drop((lives, ending));
            let watch = watch.map(|(_, ask)| ask);
            Ok(Side::Inside(Box::new(first::First { order, found, trees, alive, tell, watch })))
        }
        Err(error) => Err(Refusal::new("start", at("no process can be forked", error), cure)),
    }
}

/// The helper must not outlive who started it, or nobody would end the session.
fn die_with(starter: i32) -> Result<(), Refusal> {
    let cure = "start the session again";
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|errno| {
        Refusal::new("end", at("the death of the minder cannot be heard of", errno), cure)
    })?;
    if kernel::parent() != starter {
        return Err(Refusal::new("end", "the minder ended while the sandbox was made", cure));
    }
    Ok(())
}

/// How a process ended, where it has; an error where there is none.
fn wait(process: Pid, options: WaitOptions) -> io::Result<Option<i32>> {
    loop {
        match rustix::process::waitpid(Some(process), options) {
            Ok(ended) => return Ok(ended.map(|(_, status)| status.as_raw())),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Waits for the first process, and looks at what the session holds meanwhile. Where that cannot be seen any more the
/// session ends: nobody may run unwatched.
fn wait_and_watch(first: Pid, mut watched: Watched) -> Option<i32> {
    let ended = || wait(first, WaitOptions::empty()).unwrap_or_default();
    let mut word = [0];
    if watched.asked.read_exact(&mut word).is_err() {
        return ended();
    }
    let begun = memory::Watch::begin(watched.bytes_max).and_then(|mut watch| {
        let pause = watch.look()?;
        watched.asked.write_all(&word).map(|()| (watch, pause))
    });
    drop(watched);
    let Ok((mut watch, mut pause)) = begun else { return ended() };
    loop {
        kernel::wait_for_child(pause);
        match wait(first, WaitOptions::NOHANG) {
            Ok(None) => {}
            Ok(ended) => return ended,
            Err(_) => return None,
        }
        match watch.look() {
            Ok(next) => pause = next,
            Err(_) => {
                let _ = rustix::process::kill_process(first, Signal::KILL);
                return ended();
            }
        }
    }
}

/// Waits for what is inside, and ends as the program ended.
fn follow(inside: Inside) -> ExitCode {
    let Inside { first, mut ending, watched } = inside;
    kernel::name_process(c"niia-sandbox");
    let status = match watched {
        Some(watched) => wait_and_watch(first, watched),
        None => wait(first, WaitOptions::empty()).unwrap_or_default(),
    };
    let mut told = [0; size_of::<i32>()];
    let program = ending.read_exact(&mut told).ok().map(|()| i32::from_ne_bytes(told));
    let Some(status) = program.or(status) else { return ExitCode::from(EXIT_REFUSED) };
    let status = ExitStatus::from_raw(status);
    if let Some(signal) = status.signal() {
        kernel::die_by(signal);
        return ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
