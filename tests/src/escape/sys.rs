//! The kernel as an adversary speaks to it: any call by its number.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What can be handed to the kernel.
pub trait Arg {
    fn raw(self) -> usize;
}

macro_rules! numbers {
    ($($kind:ty),*) => { $(impl Arg for $kind {
        fn raw(self) -> usize {
            // The kernel takes a register: what is cut off or sign-extended here is so for every caller.
            self as usize
        }
    })* };
}
numbers!(i32, u32, i64, u64, usize, u8);

impl<T> Arg for *const T {
    fn raw(self) -> usize {
        self as usize
    }
}

impl<T> Arg for *mut T {
    fn raw(self) -> usize {
        self as usize
    }
}

impl Arg for &CStr {
    fn raw(self) -> usize {
        self.as_ptr() as usize
    }
}

impl Arg for &CString {
    fn raw(self) -> usize {
        self.as_ptr() as usize
    }
}

/// Asks the kernel for call `number`.
pub fn call(number: i64, args: &[usize]) -> io::Result<i64> {
    let arg = |at: usize| args.get(at).copied().unwrap_or(0);
    // SAFETY: every caller hands over numbers, and pointers to values that live until the call has returned; this
    // program exists to ask for what should be refused and dies of it where the kernel sees fit.
    let answer = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// `call!(libc::SYS_kill, pid, 9)`
macro_rules! ask {
    ($number:expr $(, $arg:expr)* $(,)?) => {
        $crate::escape::sys::call($number, &[$($crate::escape::sys::Arg::raw($arg)),*])
    };
}
pub(crate) use ask;

/// A path as the kernel takes it.
pub fn c(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).unwrap_or_default()
}

/// The kernel's answer when it looked at what was asked instead of refusing the caller: the way there is open.
pub fn beyond_permission(answer: io::Result<i64>) -> super::Claim {
    match answer {
        Ok(value) => Ok(format!("the kernel answered {value}")),
        Err(trouble) => match trouble.raw_os_error() {
            Some(libc::EPERM | libc::ENOSYS | libc::EACCES) | None => Err(trouble),
            Some(_) => Ok(format!("the kernel looked at it: {trouble}")),
        },
    }
}

/// Forks; the child does `work`, ends, and says so by its exit code: 0 for true.
pub fn in_child(work: impl FnOnce() -> bool) -> io::Result<bool> {
    // SAFETY: the adversary has one thread, so its child may do anything.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = i32::from(!work());
            // SAFETY: ends the child without running what belongs to its parent.
            unsafe { libc::_exit(code) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: `status` lives on this stack.
            while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1 {
                let trouble = io::Error::last_os_error();
                if trouble.kind() != io::ErrorKind::Interrupted {
                    return Err(trouble);
                }
            }
            Ok(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0)
        }
    }
}

/// Forks a child that waits to be ended.
pub fn idle_child() -> io::Result<i32> {
    // SAFETY: as in `in_child`.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        },
        pid => Ok(pid),
    }
}

/// Ends a child of one's own and waits for it.
pub fn end_child(pid: i32) {
    // SAFETY: the child is ours and not yet waited for.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}
