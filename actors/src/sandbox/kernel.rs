//! Where the sandbox speaks to the kernel in words that no safe library has.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

pub(super) use crate::keeper::kernel::{
    Fork, close_all_from, fork, has_one_thread, hold_no_signal_back, leave, name_process,
};

/// `struct mount_attr` of the kernel.
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

pub(super) const RDONLY: u64 = 0x1;
pub(super) const NOSUID: u64 = 0x2;
pub(super) const NODEV: u64 = 0x4;
const IDMAP: u64 = 0x0010_0000;

/// Whether a change is for one mount or for all below it too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    One,
    All,
}

/// Changes the attributes of a mount, and of all below it where `reach` says so: of all or of none.
pub(super) fn set_mount(mount: BorrowedFd<'_>, reach: Reach, set: u64, clear: u64) -> io::Result<()> {
    mount_setattr(mount, reach, &MountAttributes { set, clear, ..MountAttributes::default() })
}

/// Lets a mount be seen with other owners, as the user namespace maps them.
pub(super) fn map_mount(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> io::Result<()> {
    let user_namespace = user_namespace.as_raw_fd().unsigned_abs().into();
    let attributes = MountAttributes { set: IDMAP, user_namespace, ..MountAttributes::default() };
    mount_setattr(mount, Reach::All, &attributes)
}

fn mount_setattr(mount: BorrowedFd<'_>, reach: Reach, attributes: &MountAttributes) -> io::Result<()> {
    let recursive = if reach == Reach::All { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string, the attributes are a structure of the kernel's own layout and of the size
    // that is told, and both live through the call, which changes neither.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    })
    .map(drop)
}

/// Leaves the namespaces of the machine.
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: descriptors stay shared with nobody, since this process has a single thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// What the steps between a fork and an exec need of a stack, many times over: they read and write some messages.
const LENT_STACK_BYTES: usize = 512 << 10;

/// A child that has this process's memory, while this process stands still, until it has become another program or has
/// ended with the code that `child` answers. No page is copied for it.
pub(super) fn lend<Child: FnOnce() -> i32>(child: Child) -> io::Result<Pid> {
    /// Calls what it is given, once. A panic ends the process here, as nothing below could go on.
    extern "C" fn enter<Child: FnOnce() -> i32>(child: *mut libc::c_void) -> i32 {
        // SAFETY: it is the `Option` that `lend` holds until this process is gone or another program.
        match unsafe { (*child.cast::<Option<Child>>()).take() } {
            Some(child) => child(),
            None => 1,
        }
    }
    let mut child = Some(child);
    let mut stack = vec![0_u8; LENT_STACK_BYTES];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child runs on a stack of its own, of which the aligned end is told, and returns to nowhere but the end of
    // its process. This one has a single thread, which stands still meanwhile: nobody else uses the memory. Descriptors
    // and signals are the child's own. What the child has not given back stays as it is: it is lost and not dangling.
    let pid = unsafe {
        let end = stack.as_mut_ptr().add(LENT_STACK_BYTES);
        let end = end.sub(end as usize % 16);
        libc::clone(enter::<Child>, end.cast(), flags, std::ptr::from_mut(&mut child).cast())
    };
    if pid == -1 {
        return Err(io::Error::last_os_error());
    }
    Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::Other.into())
}

/// Puts a descriptor where an exec passes it on under this number. Calls nothing that allocates or locks.
pub(super) fn place(descriptor: RawFd, number: RawFd) -> io::Result<()> {
    if descriptor == number {
        // SAFETY: changes a flag of a descriptor, no memory.
        return check(unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: called in a forked child only, before its exec: nobody there goes on using what had the number.
    check(unsafe { libc::dup2(descriptor, number) }.into()).map(drop)
}

/// Takes the descriptor that stands at a number by agreement with whoever started this process.
pub(super) fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: setting a flag; a number without a descriptor is an error and nothing else.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    // SAFETY: it is open, as was just seen, and nobody else in this process knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Lets go of the terminal that steers this process.
pub(super) fn leave_terminal(terminal: impl AsFd) -> io::Result<()> {
    // SAFETY: TIOCNOTTY takes no argument.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCNOTTY) }.into()).map(drop)
}

/// Holds every signal back that can be: they would end who waits for others.
pub(super) fn hold_all_signals_back() -> io::Result<()> {
    // SAFETY: a signal set is plain integers, and `sigfillset` makes it valid; the old mask is not asked for.
    check(
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigfillset(&mut set);
            libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut())
        }
        .into(),
    )
    .map(drop)
}

/// Waits for a child to change, no longer than so long. The signal must be held back.
pub(super) fn wait_for_child(longest: Duration) {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(longest.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: longest.subsec_nanos().into(),
    };
    // SAFETY: the set is made valid before it is used, the time lives through the call; no information is asked for.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigtimedwait(&set, std::ptr::null_mut(), &time);
    }
}

/// Ends this process by a signal, as another one has ended.
pub(super) fn die_by(signal: i32) {
    // SAFETY: the signal's default runs no code of this process; the set is made valid before it is used.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::raise(signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
    }
}

/// What flags a network device of this process's network namespace has, after those asked for were added.
pub(super) fn raise_device(socket: BorrowedFd<'_>, name: &CStr) -> io::Result<i32> {
    // SAFETY: `ifreq` is plain data, for which all zeros are valid; the kernel reads the name and reads or writes the
    // flags, the one member of the union both sides mean with these two requests.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
            *to = *from as libc::c_char;
        }
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut request).into())?;
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request).into())?;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut request).into())?;
        Ok(i32::from(request.ifr_ifru.ifru_flags))
    }
}

/// The newest landlock this kernel has; nothing where it has none.
pub(super) fn landlock_abi() -> Option<i32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel reads no memory and answers with a number.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0usize, VERSION)
    };
    i32::try_from(abi).ok().filter(|abi| *abi > 0)
}

/// Makes a call that a filter must answer before the kernel looks at its arguments: none of them points anywhere.
pub(super) fn refused_with(call: libc::c_long, arguments: [usize; 3]) -> Option<i32> {
    // SAFETY: every caller in this room gives numbers only, with which the kernel itself could do nothing: descriptors
    // that do not exist, sizes of nothing, no address.
    let answer = unsafe { libc::syscall(call, arguments[0], arguments[1], arguments[2], 0usize, 0usize) };
    if answer == -1 { io::Error::last_os_error().raw_os_error() } else { None }
}

/// Signals everybody this process can see but itself.
pub(super) fn signal_everybody(signal: rustix::process::Signal) {
    // SAFETY: sends signals and touches no memory. Called by the first process of a namespace alone, which sees nobody
    // outside of it.
    unsafe { libc::kill(-1, signal.as_raw()) };
}

/// Whether a descriptor does not outlive an exec; also where there is none.
pub(super) fn is_closed_by_exec(number: RawFd) -> bool {
    // SAFETY: reads a flag of a descriptor, or answers that there is none.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags == -1 || flags & libc::FD_CLOEXEC != 0
}

pub(super) fn parent() -> i32 {
    rustix::process::getppid().map_or(0, Pid::as_raw_pid)
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
