//! Where the keeper and the minders speak to the kernel in words that no safe library has.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::Pid;

/// Which side of a fork this is.
pub(crate) enum Fork {
    Parent(Pid),
    Child,
}

/// Forks this process, which must have a single thread.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: the keeper refuses to run with more than one thread (`has_one_thread`) and neither it nor a minder
    // ever starts one. So no other thread can hold a lock or be in the middle of a change that the child inherits.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Pid::from_raw(pid).map(Fork::Parent).ok_or_else(|| io::Error::from(io::ErrorKind::Other)),
    }
}

pub(crate) fn has_one_thread() -> io::Result<bool> {
    Ok(std::fs::read_dir("/proc/self/task")?.count() == 1)
}

/// Ends this process at once: what a forked child inherited is not dropped a second time.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: `_exit` touches no memory of this process.
    unsafe { libc::_exit(code) }
}

/// Signals that would end or stop a minder by accident, and those it reads from a descriptor.
const HELD_BACK: [i32; 9] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGPIPE,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// Sets every signal to its default: a program inherits what is ignored, from whoever started the keeper too.
pub(super) fn default_signals() {
    for signal in 1..=64 {
        // SAFETY: setting a signal to its default runs no code of this process. For KILL, STOP and the two the C
        // library keeps for itself it is refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Holds signals back for good. They are not ignored, since a program would inherit that.
pub(crate) fn hold_signals_back() -> io::Result<()> {
    let set = signal_set(&HELD_BACK);
    // SAFETY: `set` is a valid signal set and the old mask is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) }).map(drop)
}

/// A program inherits the mask too, and would never hear SIGTERM.
pub(crate) fn hold_no_signal_back() -> io::Result<()> {
    let set = signal_set(&[]);
    // SAFETY: `set` is a valid signal set and the old mask is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut()) }).map(drop)
}

/// A descriptor that is readable when a child has changed or somebody asks this process to end.
pub(super) fn signal_descriptor() -> io::Result<OwnedFd> {
    let set = signal_set(&[libc::SIGCHLD, libc::SIGTERM]);
    // SAFETY: `set` is a valid signal set; -1 asks for a new descriptor.
    let descriptor = check(unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
    // SAFETY: the kernel has just made this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Takes everything from a signal descriptor and says whether the end was asked for.
pub(super) fn end_was_asked(signals: &OwnedFd) -> bool {
    const INFO_BYTES: usize = size_of::<libc::signalfd_siginfo>();
    let mut asked = false;
    let mut info = [0u8; INFO_BYTES];
    while let Ok(INFO_BYTES) = rustix::io::read(signals, &mut info) {
        // The number of the signal is the first field.
        asked |= u32::from_ne_bytes([info[0], info[1], info[2], info[3]]) == libc::SIGTERM as u32;
    }
    asked
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: a signal set is plain integers, `sigemptyset` makes it valid, and all numbers are those of signals.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        set
    }
}

/// What a program does between its fork and its exec: a session and terminal of its own, signals and mask as a program
/// expects them, no descriptor besides the three of the terminal. Calls nothing that allocates or locks.
pub(super) fn become_program(umask: u32) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
    hold_no_signal_back()?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
    raise_oom_score();
    // The descriptor by which a failing exec is reported must live until the exec, hence a flag and no closing.
    close_all_from(3, libc::CLOSE_RANGE_CLOEXEC as i32)
}

/// When memory runs out the program is ended before the minder, which could not report it otherwise.
fn raise_oom_score() {
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(c"/proc/self/oom_score_adj", flags, rustix::fs::Mode::empty()) {
        // A system that forbids it keeps its own order.
        let _ = rustix::io::write(&file, b"500");
    }
}

/// Closes every descriptor from `first` on, or lets an exec close them.
pub(crate) fn close_all_from(first: RawFd, flags: i32) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).unwrap_or_default();
    // SAFETY: called in a forked child only, which leaves by `leave` or an exec: no value it inherited is dropped, so
    // none closes one of these descriptors again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) as i32 }).map(drop)
}

/// Closes every descriptor beyond the standard streams but these. Only for a forked child.
pub(crate) fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<RawFd> = kept.iter().copied().filter(|descriptor| *descriptor > 2).collect();
    kept.sort_unstable();
    let mut first = 3;
    for descriptor in kept {
        if first < descriptor {
            close_range(first, descriptor - 1)?;
        }
        first = descriptor + 1;
    }
    close_all_from(first, 0)
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    // SAFETY: called in a forked child only, which leaves by `leave`: nothing it inherited and closes here is dropped.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) as i32 }).map(drop)
}

/// Interrupts the terminal's foreground group, which the kernel finds by itself.
pub(super) fn interrupt_foreground(master: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSIG takes the signal's number as its argument and no pointer.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSIG, libc::SIGINT) }).map(drop)
}

/// Time spent in all children that have been waited for and in theirs, in milliseconds: user and system.
pub(super) fn children_time_ms() -> (u32, u32) {
    // SAFETY: `rusage` is plain integers, and the kernel fills it in.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let ms =
        |time: libc::timeval| (time.tv_sec * 1000 + time.tv_usec / 1000).clamp(0, i64::from(u32::MAX)) as u32;
    (ms(usage.ru_utime), ms(usage.ru_stime))
}

/// Gives memory that is free back to the system.
pub(crate) fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` only returns what the allocator does not use.
    unsafe {
        libc::malloc_trim(0);
    }
}

pub(crate) fn name_process(name: &std::ffi::CStr) {
    // A process without a name of its own is no harm.
    let _ = rustix::thread::set_name(name);
}

fn check(result: i32) -> io::Result<i32> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Moves a descriptor to a place and closes all others beyond the standard streams. Only for a forked child.
pub(crate) fn keep_only(kept: BorrowedFd<'_>, place: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: `dup2` onto the number of a descriptor of the keeper's closes this process's copy of it, whose owner is
    // never dropped here.
    check(unsafe { libc::dup2(kept.as_raw_fd(), place) })?;
    // SAFETY: setting a flag of a descriptor that was just made.
    check(unsafe { libc::fcntl(place, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    close_all_from(place + 1, 0)?;
    // SAFETY: the place holds the duplicate made above, and nobody else in this process uses it.
    Ok(unsafe { OwnedFd::from_raw_fd(place) })
}
