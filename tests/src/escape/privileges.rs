//! Becoming somebody else: files that lend their owner's powers, capabilities, changes of user.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitCode};

use super::sys::{ask, c};
use super::{Attempt, Claim, missed, reached};

/// Runs a copy of this program that lends powers, and hears who it is then.
fn run(program: &std::path::Path, wanted: &str) -> Claim {
    let said = Command::new(program).arg("whoami").output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    if said.contains(wanted) { reached(said) } else { missed(&format!("it is {said}")) }
}

/// Says who this is, as the copies above are asked.
pub fn whoami() -> ExitCode {
    // SAFETY: asks for numbers.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find(|line| line.starts_with("CapEff")).unwrap_or_default();
    println!("user={user} group={group} {capabilities}");
    ExitCode::SUCCESS
}

const DUTY: &str = "the kernel asks for a capability";

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::told("setuid-file", "runs a program that lends root's powers", |s| {
        run(&s.outside("setuid"), "user=0 ")
    }),
    Attempt::told("setgid-file", "runs a program that lends a group's powers", |s| {
        run(&s.outside("setgid"), "group=0 ")
    }),
    Attempt::told("capable-file", "runs a program that has a capability", |s| {
        run(&s.outside("capable"), "0000000000000002")
    }),
    Attempt::told("su", "runs the machine's own program for it", |_| {
        let said = Command::new("/usr/bin/su").args(["-c", "id"]).output()?;
        if said.status.success() { reached("root") } else { missed("it asked for a password") }
    })
    .root("a password is asked for"),
    Attempt::outside("leave-setuid", "leaves a program that lends the user's powers to others", |s| {
        let copy = s.tree().join("lends");
        fs::copy(&s.program, &copy)?;
        fs::set_permissions(&copy, Permissions::from_mode(0o4755))?;
        reached("left")
    }),
    Attempt::outside("leave-setgid", "leaves one that lends the group's", |s| {
        let copy = s.tree().join("lends");
        fs::copy(&s.program, &copy)?;
        ask!(libc::SYS_fchmodat2, libc::AT_FDCWD, &c(&copy), 0o2755, 0)?;
        reached("left")
    }),
    Attempt::outside("make-setuid", "makes a file that is one from its first moment", |s| {
        let path = c(s.tree().join("lends"));
        ask!(libc::SYS_openat, libc::AT_FDCWD, &path, libc::O_CREAT | libc::O_WRONLY, 0o4755)?;
        reached("made")
    }),
    Attempt::told("setuid", "becomes root", |_| {
        ask!(libc::SYS_setuid, 0)?;
        reached("root")
    })
    .root(DUTY),
    Attempt::told("setresuid", "becomes another user", |s| {
        let other = s.uid + 1;
        let done = super::sys::in_child(|| ask!(libc::SYS_setresuid, other, other, other).is_ok())?;
        if done { reached("another") } else { missed("refused") }
    })
    .root(DUTY),
    Attempt::told("setgroups", "joins a group", |_| {
        let groups = [0_u32];
        ask!(libc::SYS_setgroups, 1, groups.as_ptr())?;
        reached("joined")
    })
    .root(DUTY),
    Attempt::told("capabilities", "takes up capabilities", |_| {
        let head = [0x2008_0522_u32, 0];
        // The one that is nearly all, effective and permitted.
        let wanted = [1_u32 << 21, 1 << 21, 0, 0, 0, 0];
        let done = super::sys::in_child(|| ask!(libc::SYS_capset, head.as_ptr(), wanted.as_ptr()).is_ok())?;
        if done { reached("taken up") } else { missed("refused") }
    })
    .root(DUTY),
    Attempt::told("has-capabilities", "looks whether it has any", |_| {
        let status = fs::read_to_string("/proc/self/status")?;
        let effective = status.lines().find(|line| line.starts_with("CapEff")).unwrap_or_default();
        if effective.ends_with("0000000000000000") { missed("none") } else { reached(effective) }
    })
    .root("a plain user has none"),
    Attempt::told("ambient", "hands a capability to what it starts", |_| {
        ask!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, 1, 0, 0)?;
        reached("handed on")
    })
    .never("nobody has one to hand on that is not inherited too"),
    Attempt::told("bounding", "could still be given capabilities", |_| {
        let kept = (0..40).filter(|number| {
            ask!(libc::SYS_prctl, libc::PR_CAPBSET_READ, *number, 0, 0, 0).is_ok_and(|answer| answer == 1)
        });
        match kept.count() {
            0 => missed("none"),
            count => reached(format!("{count} of them")),
        }
    }),
    Attempt::told("new-privileges", "may be given powers by a program it runs", |_| {
        match ask!(libc::SYS_prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)? {
            0 => reached("it may"),
            _ => missed("it may not"),
        }
    }),
    Attempt::told("nice", "puts itself before everybody else", |_| {
        ask!(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, -10)?;
        reached("first")
    })
    .root(DUTY),
    Attempt::told("realtime", "runs whenever it wants to", |_| {
        let priority = 1_i32;
        ask!(libc::SYS_sched_setscheduler, 0, libc::SCHED_FIFO, &raw const priority)?;
        reached("at once")
    })
    .root(DUTY),
    Attempt::told("raise-limits", "raises the limits it was given", |_| {
        let most = [u64::MAX, u64::MAX];
        ask!(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, most.as_ptr(), 0)
            .or_else(|_| ask!(libc::SYS_prlimit64, 0, libc::RLIMIT_CORE, most.as_ptr(), 0))?;
        reached("raised")
    })
    .root(DUTY),
];
