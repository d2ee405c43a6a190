//! Code by unusual ways: from memory, of another machine word, by calls of another kind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::sys::{self, ask};
use super::{Attempt, Claim, Scene, missed, reached};

/// What a program says that only shows it ran.
const RAN: i32 = 42;

/// A program of 32 bits that ends with [`RAN`]: head, one segment, `mov eax,1; mov ebx,42; int 0x80`.
fn program_of_32_bits() -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let halves = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let words = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    bytes.extend(halves(&[2, 3]));
    bytes.extend(words(&[1, 0x0804_8054, 52, 0, 0]));
    bytes.extend(halves(&[52, 32, 1, 0, 0, 0]));
    bytes.extend(words(&[1, 0, 0x0804_8000, 0x0804_8000, 96, 96, 5, 0x1000]));
    bytes.extend([0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0xcd, 0x80]);
    bytes
}

/// A call of the older kind: only what fits into 32 bits.
#[cfg(target_arch = "x86_64")]
fn old_call(number: u32, first: u32) -> i64 {
    let answer: i64;
    // SAFETY: the calls used here take numbers only; the register the compiler keeps for itself is put back.
    unsafe {
        std::arch::asm!(
            "xchg {first}, rbx",
            "int 0x80",
            "xchg {first}, rbx",
            first = inout(reg) u64::from(first) => _,
            inout("rax") u64::from(number) => answer,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    answer
}

/// Asks in a child: whoever speaks another language may be ended for it.
#[cfg(target_arch = "x86_64")]
fn old_call_works(number: u32, first: u32) -> Claim {
    let worked = sys::in_child(|| old_call(number, first) >= 0)?;
    if worked { reached("the kernel answered") } else { missed("refused or ended for it") }
}

/// There is one kind of call only on other machines.
#[cfg(not(target_arch = "x86_64"))]
fn old_call_works(_number: u32, _first: u32) -> Claim {
    missed("this machine has no older calls")
}

fn runs(path: &std::path::Path) -> Claim {
    let status = Command::new(path).status()?;
    if status.code() == Some(RAN) { reached("it ran") } else { missed(&format!("{status}")) }
}

/// Puts a program into nameless memory.
fn in_memory(flags: u32) -> std::io::Result<i64> {
    let fd = ask!(libc::SYS_memfd_create, c"program", flags)?;
    let program = fs::read("/bin/cat")?;
    let mut rest = program.as_slice();
    while !rest.is_empty() {
        let count = ask!(libc::SYS_write, fd, rest.as_ptr(), rest.len())?;
        rest = &rest[usize::try_from(count).unwrap_or(0)..];
    }
    Ok(fd)
}

/// Runs it on a key: a program from memory must be held as any other is.
fn executes(scene: &Scene, fd: i64) -> Claim {
    let key = sys::c(scene.home().join(super::secrets::KEY));
    let _worked = sys::in_child(|| {
        let arguments = [c"cat".as_ptr(), key.as_ptr(), std::ptr::null()];
        let nothing = [std::ptr::null::<u8>()];
        let empty = c"";
        let at = libc::AT_EMPTY_PATH;
        ask!(libc::SYS_execveat, fd, empty, arguments.as_ptr(), nothing.as_ptr(), at).is_ok()
    })?;
    // What it printed is seen by whoever has the terminal.
    missed("nothing came back by itself")
}

fn script(scene: &Scene, text: &str) -> Claim {
    let path = scene.tree().join("script");
    fs::write(&path, text)?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    runs(&path)
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("memory-program", "has a program that never lay on disk read a key", |s| {
        executes(s, in_memory(0)?)
    }),
    Attempt::outside("memory-program-by-proc", "runs that by its name in /proc", |s| {
        let fd = in_memory(0)?;
        let key = s.home().join(super::secrets::KEY);
        let said = Command::new(format!("/proc/self/fd/{fd}")).arg(key).output()?;
        reached(String::from_utf8_lossy(&said.stdout))
    }),
    Attempt::outside("memory-program-asked", "runs it after asking that it may be run", |s| {
        // MFD_EXEC
        executes(s, in_memory(0x10)?)
    }),
    Attempt::told("program-of-32-bits", "runs a program of the older word", |s| {
        let path = s.tree().join("older");
        fs::write(&path, program_of_32_bits())?;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        runs(&path)
    }),
    Attempt::told("old-call", "asks the kernel by an older call", |_| old_call_works(20, 0)),
    Attempt::told("old-call-socket", "opens a socket by an older call", |_| {
        // `socket(AF_UNIX, …)` with whatever else the registers hold; the number alone must not pass.
        old_call_works(41, 1)
    }),
    Attempt::told("old-call-user", "becomes root of a namespace by an older call", |_| {
        old_call_works(310, 0x1000_0000)
    }),
    Attempt::told("x32-call", "asks by the numbers of the short pointers", |_| {
        reached(format!("the kernel answered {}", ask!(0x4000_0000_i64 + 39)?))
    })
    .never("this kernel was built without them"),
    Attempt::told("x32-ring", "makes a ring by those numbers", |_| {
        let mut parameters = [0_u8; 120];
        let number = 0x4000_0000_i64 + libc::SYS_io_uring_setup;
        reached(format!("descriptor {}", ask!(number, 1, parameters.as_mut_ptr())?))
    })
    .never("this kernel was built without them"),
    Attempt::told("upper-half", "makes a ring with a number whose upper half is set", |_| {
        let mut parameters = [0_u8; 120];
        let number = libc::SYS_io_uring_setup | 1 << 32;
        reached(format!("descriptor {}", ask!(number, 1, parameters.as_mut_ptr())?))
    }),
    Attempt::outside("linker-of-its-own", "has the loader run a program that lends powers", |s| {
        let loader = "/lib64/ld-linux-x86-64.so.2";
        let said = Command::new(loader).arg(s.outside("setuid")).arg("whoami").output()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        if said.contains("user=0 ") { reached(said) } else { missed(&said) }
    })
    .never("a loader lends no powers anywhere"),
    Attempt::told("filter-of-its-own", "answers its own filtered calls as if they were allowed", |s| {
        // SECCOMP_FILTER_FLAG_NEW_LISTENER: a filter that asks a supervisor about `unshare`, and is told to go on.
        let _scene = s;
        supervise()
    }),
    Attempt::told("script-of-32-bits", "has a script run by a program of the older word", |s| {
        let path = s.tree().join("older");
        fs::write(&path, program_of_32_bits())?;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        script(s, &format!("#!{}\n", path.display()))
    }),
];

/// One instruction of a filter.
fn step(code: u16, when: u8, otherwise: u8, value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&code.to_ne_bytes());
    (bytes[2], bytes[3]) = (when, otherwise);
    bytes[4..].copy_from_slice(&value.to_ne_bytes());
    bytes
}

/// Puts a filter of its own before that of the sandbox and lets through what it asks about.
fn supervise() -> Claim {
    let unshare = u32::try_from(libc::SYS_unshare).unwrap_or(0);
    let filter = [
        step(0x20, 0, 0, 0),
        step(0x15, 0, 1, unshare),
        step(0x06, 0, 0, 0x7fc0_0000),
        step(0x06, 0, 0, 0x7fff_0000),
    ];
    let program = [filter.len() as u64, filter.as_ptr() as u64];
    ask!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)?;
    let listener = ask!(libc::SYS_seccomp, 1, 8, program.as_ptr())?;
    // SAFETY: one thread; the child only asks.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(ask!(libc::SYS_unshare, libc::CLONE_NEWUSER).is_err());
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    let answered = answer(listener);
    let mut status = 0;
    // SAFETY: waits for our own child.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    answered?;
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
        reached("let through")
    } else {
        missed("refused all the same")
    }
}

/// Waits a moment to be asked, and says yes.
fn answer(listener: i64) -> std::io::Result<()> {
    // `struct pollfd`: descriptor and what is waited for.
    let mut wait = [u32::try_from(listener).unwrap_or(0), u32::try_from(libc::POLLIN).unwrap_or(0)];
    if ask!(libc::SYS_poll, wait.as_mut_ptr(), 1, 1000)? == 0 {
        return Err(std::io::Error::other("nobody asked: another filter was stricter"));
    }
    let mut question = [0_u64; 10];
    ask!(libc::SYS_ioctl, listener, 0xc050_2100_u32, question.as_mut_ptr())?;
    // `struct seccomp_notif_resp`: id, value, error and the flag to go on.
    let answer = [question[0], 0, 1 << 32];
    ask!(libc::SYS_ioctl, listener, 0xc018_2101_u32, answer.as_ptr())?;
    Ok(())
}
