//! Getting at other processes by the kernel's calls: signals, tracing, memory, descriptors, scheduling.

use std::io;

use super::proc::processes;
use super::sys::{self, ask};
use super::{Attempt, Claim, Scene, missed, reached};

const SIGUSR1: i32 = libc::SIGUSR1;

/// Does to everybody else what could not be done to the victim by the number it has outside.
fn to_others(act: impl Fn(i32) -> io::Result<i64>) -> Claim {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    // SAFETY: asks for a number.
    let parent = unsafe { libc::getppid() };
    let others = processes().into_iter().filter(|pid| *pid != own && *pid != parent && *pid != 1);
    let hit = others.filter(|pid| act(*pid).is_ok()).count();
    if hit == 0 { missed("nobody else is there") } else { reached(format!("{hit} others")) }
}

fn done(answer: io::Result<i64>) -> Claim {
    reached(format!("the kernel answered {}", answer?))
}

fn traced(scene: &Scene, how: u32) -> Claim {
    ask!(libc::SYS_ptrace, how, scene.victim, 0, 0)?;
    reached("the victim is traced")
}

/// `struct iovec` of one piece.
fn piece(at: u64, length: u64) -> [u64; 2] {
    [at, length]
}

/// A handle on the victim.
fn handle(scene: &Scene) -> io::Result<i64> {
    ask!(libc::SYS_pidfd_open, scene.victim, 0)
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("kill", "ends the victim", |s| done(ask!(libc::SYS_kill, s.victim, libc::SIGKILL))),
    Attempt::outside("stop", "stops the victim", |s| done(ask!(libc::SYS_kill, s.victim, libc::SIGSTOP))),
    Attempt::outside("kill-each", "signals everybody it sees", |_| {
        to_others(|pid| ask!(libc::SYS_kill, pid, SIGUSR1))
    }),
    Attempt::outside("kill-all", "signals everybody at once", |_| {
        ask!(libc::SYS_kill, -1, SIGUSR1)?;
        reached("signalled")
    }),
    Attempt::outside("kill-group", "signals the victim's group", |s| {
        done(ask!(libc::SYS_kill, -s.victim, SIGUSR1))
    }),
    Attempt::outside("tgkill", "signals the victim's thread", |s| {
        done(ask!(libc::SYS_tgkill, s.victim, s.victim, SIGUSR1))
    }),
    Attempt::outside("tkill", "signals it by the older call", |s| {
        done(ask!(libc::SYS_tkill, s.victim, SIGUSR1))
    }),
    Attempt::outside("queue-signal", "queues a signal with a value", |s| {
        // `si_code` is the third number of 32 bits; -1 says that it was queued.
        let mut info = [0_u64; 16];
        info[1] = u64::from(u32::MAX);
        done(ask!(libc::SYS_rt_sigqueueinfo, s.victim, SIGUSR1, info.as_ptr()))
    }),
    Attempt::outside("signal-by-handle", "signals the victim through a handle", |s| {
        done(ask!(libc::SYS_pidfd_send_signal, handle(s)?, SIGUSR1, 0, 0))
    }),
    Attempt::outside("signal-by-folder", "signals it through its folder in /proc", |s| {
        let folder = std::fs::File::open(format!("/proc/{}", s.victim))?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&folder);
        done(ask!(libc::SYS_pidfd_send_signal, fd, SIGUSR1, 0, 0))
    }),
    Attempt::outside("signal-by-owner", "has the kernel signal it about a socket", |s| {
        let mut pair = [0_i32; 2];
        ask!(libc::SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr())?;
        ask!(libc::SYS_fcntl, pair[0], libc::F_SETOWN, s.victim)?;
        ask!(libc::SYS_fcntl, pair[0], 10, SIGUSR1)?;
        ask!(libc::SYS_fcntl, pair[0], libc::F_SETFL, libc::O_ASYNC)?;
        done(ask!(libc::SYS_write, pair[1], b"x".as_ptr(), 1))
    }),
    Attempt::told("open-handle", "takes a handle on the victim", |s| done(handle(s))),
    Attempt::outside("steal-descriptor", "takes a descriptor of the victim's", |s| {
        let handle = handle(s)?;
        for number in 3..32 {
            let Ok(fd) = ask!(libc::SYS_pidfd_getfd, handle, number, 0) else { continue };
            let name = std::fs::read_link(format!("/proc/self/fd/{fd}"))?;
            if name.ends_with("id_ed25519") {
                let mut text = [0_u8; 128];
                let count = ask!(libc::SYS_pread64, fd, text.as_mut_ptr(), 128, 0)?;
                let count = usize::try_from(count).unwrap_or(0);
                return reached(String::from_utf8_lossy(&text[..count]));
            }
        }
        missed("none of them could be taken")
    }),
    Attempt::outside("trace-attach", "traces the victim", |s| traced(s, libc::PTRACE_ATTACH)),
    Attempt::told("trace-seize", "seizes the victim", |s| traced(s, libc::PTRACE_SEIZE)),
    Attempt::told("trace-anybody", "traces whoever it finds", |_| {
        to_others(|pid| ask!(libc::SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0))
    }),
    Attempt::outside("read-memory", "reads the victim's memory by a call", |s| {
        let mut secret = [0_u8; 64];
        let local = piece(secret.as_mut_ptr() as u64, 64);
        let remote = piece(s.word, 64);
        ask!(libc::SYS_process_vm_readv, s.victim, local.as_ptr(), 1, remote.as_ptr(), 1, 0)?;
        reached(String::from_utf8_lossy(&secret))
    }),
    Attempt::outside("write-memory", "writes into the victim's memory by a call", |s| {
        let (local, remote) = (piece(b"x".as_ptr() as u64, 1), piece(s.word, 1));
        done(ask!(libc::SYS_process_vm_writev, s.victim, local.as_ptr(), 1, remote.as_ptr(), 1, 0))
    }),
    Attempt::told("advise-memory", "has the victim's memory put aside", |s| {
        let remote = piece(s.word & !4095, 4096);
        let handle = handle(s)?;
        done(ask!(libc::SYS_process_madvise, handle, remote.as_ptr(), 1, libc::MADV_COLD, 0))
    })
    .root("the kernel asks for a capability"),
    Attempt::told("move-memory", "moves the victim's pages", |s| {
        done(ask!(libc::SYS_move_pages, s.victim, 0, 0, 0, 0, 0))
    }),
    Attempt::outside("priority", "lowers the victim's priority", |s| {
        done(ask!(libc::SYS_setpriority, libc::PRIO_PROCESS, s.victim, 19))
    }),
    Attempt::outside("priority-of-user", "lowers everybody's priority", |s| {
        // Only the victim is looked at: the user of the scene has no other program.
        done(ask!(libc::SYS_setpriority, libc::PRIO_USER, s.uid, 15))
    }),
    Attempt::outside("affinity", "pins the victim to one processor", |s| {
        let mask = [1_u64; 1];
        done(ask!(libc::SYS_sched_setaffinity, s.victim, 8, mask.as_ptr()))
    }),
    Attempt::outside("scheduler", "makes the victim run when all else rests", |s| {
        let zero = 0_i32;
        done(ask!(libc::SYS_sched_setscheduler, s.victim, libc::SCHED_IDLE, &raw const zero))
    }),
    Attempt::outside("limits", "takes the victim's right to open files", |s| {
        let none = [0_u64, 0];
        done(ask!(libc::SYS_prlimit64, s.victim, libc::RLIMIT_NOFILE, none.as_ptr(), 0))
    }),
    Attempt::outside("disk-priority", "lets the victim wait for the disk", |s| {
        done(ask!(libc::SYS_ioprio_set, 1, s.victim, 3 << 13))
    }),
    Attempt::told("compare", "compares the victim's descriptors with its own", |s| {
        let own = std::process::id();
        done(ask!(libc::SYS_kcmp, own, s.victim, 1, 0, 0))
    }),
    Attempt::told("robust-list", "reads where the victim keeps its locks", |s| {
        let (mut head, mut length) = (0_u64, 0_u64);
        done(ask!(libc::SYS_get_robust_list, s.victim, &raw mut head, &raw mut length))
    }),
    Attempt::told("ask-session", "asks in which session the victim is", |s| {
        done(ask!(libc::SYS_getsid, s.victim))
    }),
    Attempt::told("trace-own-child", "changes a child's harmless call into a forbidden one", |_| smuggle()),
];

/// Traces a child and rewrites its `getppid` into `io_uring_setup` after the filters may have looked.
fn smuggle() -> Claim {
    // SAFETY: one thread; the child only stops and asks.
    let child = unsafe { libc::fork() };
    if child == 0 {
        if ask!(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0).is_err() {
            // SAFETY: ends the child.
            unsafe { libc::_exit(1) };
        }
        let stopped = ask!(libc::SYS_kill, std::process::id(), libc::SIGSTOP);
        // `struct io_uring_params`, all zero.
        let mut parameters = [0_u8; 120];
        let answer = ask!(libc::SYS_getppid, 1, parameters.as_mut_ptr());
        let opened = answer.is_ok_and(|fd| std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok());
        // SAFETY: ends the child.
        unsafe { libc::_exit(if stopped.is_ok() && opened { 0 } else { 1 }) };
    }
    let mut status = 0;
    loop {
        // SAFETY: waits for our own child.
        if unsafe { libc::waitpid(child, &raw mut status, 0) } == -1 {
            return Err(io::Error::last_os_error());
        }
        if libc::WIFEXITED(status) {
            let code = libc::WEXITSTATUS(status);
            return if code == 0 { reached("a ring was made") } else { missed("the call was refused") };
        }
        if libc::WIFSIGNALED(status) {
            return missed("the child was ended for it");
        }
        if let Err(trouble) = rewrite(child) {
            sys::end_child(child);
            return Err(trouble);
        }
    }
}

fn rewrite(child: i32) -> io::Result<()> {
    // SAFETY: all zero is a valid set of registers.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    ask!(libc::SYS_ptrace, libc::PTRACE_GETREGS, child, 0, &raw mut registers)?;
    if i64::try_from(registers.orig_rax) == Ok(libc::SYS_getppid) && registers.rdi == 1 {
        registers.orig_rax = u64::try_from(libc::SYS_io_uring_setup).unwrap_or(0);
        ask!(libc::SYS_ptrace, libc::PTRACE_SETREGS, child, 0, &raw const registers)?;
    }
    ask!(libc::SYS_ptrace, libc::PTRACE_SYSCALL, child, 0, 0)?;
    Ok(())
}
