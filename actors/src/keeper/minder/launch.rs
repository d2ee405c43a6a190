//! The start of a session: folder, recording, socket, terminal, program, in this order, and none of it left where one
//! of them fails.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use portable_pty::PtySize;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::pty::OpenptFlags;

use super::super::wire::{Failure, FailureAt, Order, SOCKET_FILE};
use super::super::{clamp_size, daemon, kernel, tree};
use super::Setting;
use super::confined::{self, Confined};
use crate::network::Carried;
use crate::recording::{Header, Shape, Start, Writer};

/// Connections that wait while the minder is busy; it accepts within a moment.
const BACKLOG: i32 = 8;

/// A program that runs, and what belongs to its session.
pub(super) struct Launched {
    pub listener: OwnedFd,
    pub master: OwnedFd,
    pub writer: Writer,
    pub pid: Pid,
    /// What answers where the session's own loopback listens.
    pub carried: Carried,
}

/// A program that has been started.
struct Started {
    master: OwnedFd,
    pid: Pid,
    confined: Option<Confined>,
}

pub(super) fn launch(order: &Order, setting: &Setting) -> Result<Launched, Failure> {
    let folder = enter_folder(OsStr::from_bytes(&order.folder)).map_err(failed(FailureAt::Record))?;
    let cwd = open_folder(OsStr::from_bytes(&order.cwd)).map_err(failed(FailureAt::Cwd))?;
    let mut writer = begin_recording(order, setting)?;
    let launched = daemon::bind(SOCKET_FILE, BACKLOG)
        .map_err(failed(FailureAt::Record))
        .and_then(|listener| Ok((listener, start(order, setting, &folder, &cwd)?)))
        .and_then(|(listener, started)| {
            let Started { master, pid, confined } = started;
            let began = tree::stat(pid).map_or(0, |stat| stat.began);
            writer.started(raw(pid), began).map_err(|errno| failed(FailureAt::Record)(errno.into()))?;
            let carried =
                confined.map_or_else(|| Ok(Carried::default()), |confined| confined.enter(order))?;
            Ok((listener, master, pid, carried))
        });
    match launched {
        Ok((listener, master, pid, carried)) => Ok(Launched { listener, master, writer, pid, carried }),
        Err(failure) => {
            writer.withdraw();
            let _ = std::fs::remove_file(SOCKET_FILE);
            let _ = std::fs::remove_file(confined::MADE_FILE);
            Err(failure)
        }
    }
}

pub(super) fn failed(at: FailureAt) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::new(at, error.raw_os_error().unwrap_or(libc::EIO))
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

/// Makes the session's folder the current one, for good.
fn enter_folder(path: &OsStr) -> io::Result<OwnedFd> {
    let folder = match open_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            open_folder(path)?
        }
        opened => opened?,
    };
    rustix::process::fchdir(&folder)?;
    Ok(folder)
}

fn open_folder(path: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

fn begin_recording(order: &Order, setting: &Setting) -> Result<Writer, Failure> {
    let (cols, rows) = clamp_size(order.cols, order.rows);
    let own = rustix::process::getpid();
    let start = Start {
        cols,
        rows,
        at: SystemTime::now(),
        pid: 0,
        pid_began: 0,
        minder: raw(own),
        minder_began: tree::stat(own).map_or(0, |stat| stat.began),
        boot: setting.boot,
        mark: order.mark,
    };
    let shape = Shape::new(order.record, order.recording_bytes_max);
    Writer::create(Header { start, shape }).map_err(|errno| {
        let at = if errno == Errno::EXIST { FailureAt::Taken } else { FailureAt::Record };
        failed(at)(errno.into())
    })
}

fn start(order: &Order, setting: &Setting, folder: &OwnedFd, cwd: &OwnedFd) -> Result<Started, Failure> {
    let (cols, rows) = clamp_size(order.cols, order.rows);
    let (master, slave) = open_terminal(cols, rows).map_err(failed(FailureAt::Terminal))?;
    // Entering the program's folder here, and not between its fork and its exec, tells its faults from those of the
    // program.
    rustix::process::fchdir(cwd).map_err(|errno| failed(FailureAt::Cwd)(errno.into()))?;
    let spawned = match &order.sandbox {
        Some(policy) => confined::spawn(order, policy, setting.umask, slave)
            .map(|(pid, confined)| (pid, Some(confined)))
            .map_err(failed(FailureAt::Sandbox)),
        None => spawn(order, setting.umask, slave)
            .map(|pid| (pid, None))
            .map_err(|error| not_started(order, error)),
    };
    rustix::process::fchdir(folder).map_err(|errno| failed(FailureAt::Record)(errno.into()))?;
    let (pid, confined) = spawned?;
    Ok(Started { master, pid, confined })
}

pub(super) fn not_started(order: &Order, error: io::Error) -> Failure {
    let at = if lacks_interpreter(order, &error) { FailureAt::Interpreter } else { FailureAt::Program };
    failed(at)(error)
}

/// Opens a terminal; its master never makes anybody wait.
fn open_terminal(cols: u16, rows: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    let size = PtySize { cols, rows, pixel_width: 0, pixel_height: 0 };
    // The library tells its errors as text; the kernel's own number is the last one there was.
    let pair = portable_pty::native_pty_system().openpty(size).map_err(|_| io::Error::last_os_error())?;
    let raw = pair.master.as_raw_fd().ok_or(io::ErrorKind::Unsupported)?;
    // SAFETY: the descriptor is open as long as `pair` lives, which is to the end of this function.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    let master = borrowed.try_clone_to_owned()?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    rustix::io::fcntl_setfd(&slave, rustix::io::FdFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
    debug_assert!(slave.as_raw_fd() > 2);
    Ok((master, slave))
}

fn spawn(order: &Order, umask: u32, slave: OwnedFd) -> io::Result<Pid> {
    let Some((program, arguments)) = order.argv.split_first() else {
        return Err(Errno::INVAL.into());
    };
    let mut command = Command::new(OsStr::from_bytes(program));
    command.args(arguments.iter().map(|argument| OsStr::from_bytes(argument)));
    command.env_clear();
    command.envs(order.env.iter().map(|(name, value)| (OsStr::from_bytes(name), OsStr::from_bytes(value))));
    furnish(&mut command, umask, slave)?;
    pid_of(&command.spawn()?)
}

/// Gives a command the terminal.
pub(super) fn furnish(command: &mut Command, umask: u32, slave: OwnedFd) -> io::Result<()> {
    command
        .stdin(Stdio::from(slave.try_clone()?))
        .stdout(Stdio::from(slave.try_clone()?))
        .stderr(Stdio::from(slave));
    // SAFETY: this process has a single thread, and what runs between fork and exec only calls the kernel.
    unsafe { command.pre_exec(move || kernel::become_program(umask)) };
    Ok(())
}

pub(super) fn pid_of(child: &std::process::Child) -> io::Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::from(Errno::SRCH))
}

/// Whether the program's file is there, so that what is missing can only be the interpreter it names.
fn lacks_interpreter(order: &Order, error: &io::Error) -> bool {
    let Some(program) = order.argv.first().map(|program| Path::new(OsStr::from_bytes(program))) else {
        return false;
    };
    if error.raw_os_error() != Some(libc::ENOENT) {
        return false;
    }
    if program.as_os_str().as_bytes().contains(&b'/') {
        return program.is_file();
    }
    let path = order
        .env
        .iter()
        .find(|(name, _)| name.as_ref() == b"PATH")
        .map(|(_, value)| OsStr::from_bytes(value));
    path.is_some_and(|path| std::env::split_paths(path).any(|folder| folder.join(program).is_file()))
}
