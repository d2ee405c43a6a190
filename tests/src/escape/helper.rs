//! The helper that makes the sandbox: what it left open, what it was told, who its parent is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::FromRawFd;

use super::sys::{self, ask};
use super::{Attempt, Claim, missed, reached};

/// Descriptors that are looked at.
const DESCRIPTORS_MAX: i32 = 1024;

/// What is open besides the three.
fn open() -> Vec<i32> {
    (3..DESCRIPTORS_MAX).filter(|fd| ask!(libc::SYS_fcntl, *fd, libc::F_GETFD, 0).is_ok()).collect()
}

fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

/// What a file of the first process or of the parent shows.
fn shows(part: &str, word: &str) -> Claim {
    for pid in [1, parent()] {
        let text = fs::read(format!("/proc/{pid}/{part}")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        if text.contains(word) {
            return reached(format!("{pid}: {text}"));
        }
    }
    missed("neither shows it")
}

/// The attempt whose environment tells the loader to write a file outside.
pub const LOADER: &str = "loader-environment";

const PARENT: &str = "without a sandbox there is no helper; the parent is the test";

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("leaked-descriptor", "reads what somebody left open", |_| {
        for fd in open() {
            // SAFETY: the descriptor is open and nobody else here uses it.
            let mut file = unsafe { File::from_raw_fd(fd) };
            let mut text = String::new();
            if file.read_to_string(&mut text).is_ok() && !text.is_empty() {
                return reached(text);
            }
            std::mem::forget(file);
        }
        missed("nothing is open")
    }),
    Attempt::told("leaked-folder", "climbs out of a folder somebody left open", |s| {
        for fd in open() {
            let key = sys::c("home/.ssh/id_ed25519");
            if let Ok(file) = ask!(libc::SYS_openat, fd, &key, libc::O_RDONLY) {
                return reached(format!("descriptor {file} of {}", s.mark()));
            }
        }
        missed("no folder is open")
    }),
    Attempt::told("any-descriptor", "finds anything open besides its terminal", |_| {
        let names = open().into_iter().filter_map(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).ok());
        let names: Vec<String> = names.map(|name| name.display().to_string()).collect();
        if names.is_empty() { missed("nothing is open") } else { reached(names.join(" ")) }
    }),
    Attempt::told("policy-descriptor", "speaks to whoever gave the helper its orders", |_| {
        ask!(libc::SYS_write, 3, b"\0\0\0\x02{}".as_ptr(), 6)?;
        reached("written")
    })
    .never(PARENT),
    Attempt::told("policy-in-arguments", "reads the helper's orders from its arguments", |_| {
        shows("cmdline", "tmp_bytes_max")
    })
    .never(PARENT),
    Attempt::told("policy-in-environment", "reads them from its environment", |_| {
        shows("environ", "tmp_bytes_max")
    })
    .never(PARENT),
    Attempt::told("memory-of-helper", "reads the memory of the first process", |_| {
        for pid in [1, parent()] {
            if File::open(format!("/proc/{pid}/mem")).is_ok() {
                return reached(format!("the memory of {pid}"));
            }
        }
        missed("neither can be opened")
    })
    .root("without a sandbox the first process and the parent are root's"),
    Attempt::told("descriptors-of-helper", "looks at what the first process has open", |_| {
        for pid in [1, parent()] {
            if fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|entries| entries.count() > 0) {
                return reached(format!("those of {pid}"));
            }
        }
        missed("neither can be listed")
    })
    .root("without a sandbox the first process and the parent are root's"),
    Attempt::told("root-of-helper", "goes through the root of the first process", |s| {
        for pid in [1, parent()] {
            let key = s.home().join(super::secrets::KEY);
            if fs::read(format!("/proc/{pid}/root{}", key.display())).is_ok_and(|text| !text.is_empty()) {
                return reached(format!("through {pid}"));
            }
        }
        missed("neither leads there")
    })
    .root("without a sandbox the first process and the parent are root's"),
    Attempt::told("trace-helper", "traces the first process", |_| {
        for pid in [1, parent()] {
            if ask!(libc::SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0).is_ok() {
                return reached(format!("{pid} is traced"));
            }
        }
        missed("neither can be traced")
    })
    .root("without a sandbox the first process and the parent are root's"),
    Attempt::outside("kill-helper", "ends the first process and goes on without it", |s| {
        let worked = sys::in_child(|| {
            let _own = ask!(libc::SYS_setsid);
            super::leftovers::start_one(s).is_ok()
        })?;
        let _ended = ask!(libc::SYS_kill, 1, libc::SIGKILL);
        reached(format!("ended: {worked}"))
    }),
    Attempt::told("keep-helper-waiting", "writes a new name for the first process", |_| {
        OpenOptions::new().write(true).open("/proc/1/comm")?.write_all(b"evil")?;
        reached("renamed")
    })
    .never("only a process itself may rename itself"),
    Attempt::outside(LOADER, "has the loader of the helper write a file", |_| {
        reached("the environment it was started with says where")
    }),
    Attempt::told("filter-off", "takes its filter off", |_| {
        // Without a filter at all, a call that is always refused would be answered.
        let status = fs::read_to_string("/proc/self/status")?;
        let mode = status.lines().find(|line| line.starts_with("Seccomp:")).unwrap_or_default();
        if mode.ends_with('2') { missed("a filter is on") } else { reached(format!("no filter: {mode}")) }
    }),
    Attempt::told("landlock-off", "looks whether its files are held", |s| {
        // A file made anew in the root of its own view is held by mounts and by rules alike.
        let name = format!("/{}", s.name("root"));
        fs::write(&name, "x")?;
        fs::remove_file(&name)?;
        reached("the root is writable")
    })
    .root("the root is root's"),
    Attempt::told("program-of-helper", "overwrites the program niia itself", |s| {
        let niia = s.program.with_file_name("niia");
        match OpenOptions::new().append(true).open(niia) {
            // The kernel says so to those alone who may write.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                reached("it only runs just now")
            }
            opened => opened.and_then(|_| reached("open for writing")),
        }
    })
    .root("what was built is root's here"),
    Attempt::told("dumpable", "looks whether the first process lets itself be seen", |_| {
        let text = fs::read_to_string("/proc/1/maps")?;
        if text.is_empty() { missed("nothing") } else { reached("its memory is laid open") }
    })
    .never("the machine's first process is root's, and kept from most roots"),
];
