//! Namespaces: making new ones to be root in, and going over to those of others.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::mounts::with_powers;
use super::sys::{self, ask};
use super::{Attempt, Claim, Scene, missed, reached};

/// `clone3` is newer than the C library's structures here: flags and signal are the first and the fifth number.
const CLONE_ARGS_BYTES: usize = 88;
const NEWTIME: i32 = 0x80;

fn unshares(flags: i32) -> Claim {
    with_powers(|| ask!(libc::SYS_unshare, flags))
}

/// Makes a child in new namespaces by the older call.
fn cloned(flags: i32) -> Claim {
    let pid = ask!(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0)?;
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    reached(format!("child {pid}"))
}

/// Makes one by the newer call, with its flags where a filter of numbers cannot look.
fn cloned_by_structure(flags: u64, cgroup: u64) -> Claim {
    let mut args = [0_u64; CLONE_ARGS_BYTES / 8];
    args[0] = flags;
    args[4] = 17;
    args[10] = cgroup;
    let pid = ask!(libc::SYS_clone3, args.as_ptr(), CLONE_ARGS_BYTES)?;
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    reached(format!("child {pid}"))
}

/// Goes over to a namespace of the victim, or of the first process.
fn joins(scene: &Scene, kind: &str, flag: i32) -> Claim {
    let mut last = None;
    for pid in [scene.victim, 1] {
        match File::open(format!("/proc/{pid}/ns/{kind}")) {
            Ok(file) => match ask!(libc::SYS_setns, file.as_raw_fd(), flag) {
                Ok(_) => return reached(format!("now in the one of {pid}")),
                Err(trouble) => last = Some(trouble),
            },
            Err(trouble) => last = Some(trouble),
        }
    }
    last.map_or_else(|| missed("there is none"), Err)
}

const CAPABLE: &str = "the kernel asks for a capability in the other namespace";

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::told("new-user", "becomes root of a namespace", |_| {
        ask!(libc::SYS_unshare, libc::CLONE_NEWUSER)?;
        reached("root of its own")
    }),
    Attempt::told("new-mounts", "takes a view of the files of its own", |_| unshares(libc::CLONE_NEWNS)),
    Attempt::told("new-network", "takes a network of its own", |_| unshares(libc::CLONE_NEWNET)),
    Attempt::told("new-processes", "takes numbers of processes of its own", |_| unshares(libc::CLONE_NEWPID)),
    Attempt::told("new-ipc", "takes shared memory of its own", |_| unshares(libc::CLONE_NEWIPC)),
    Attempt::told("new-name", "takes a name of the machine of its own", |_| unshares(libc::CLONE_NEWUTS)),
    Attempt::told("new-cgroup", "takes control groups of its own", |_| unshares(libc::CLONE_NEWCGROUP)),
    Attempt::told("new-time", "takes clocks of its own", |_| unshares(NEWTIME)),
    Attempt::told("clone-user", "makes a child that is root of a namespace", |_| cloned(libc::CLONE_NEWUSER)),
    Attempt::told("clone-all", "makes a child in namespaces of all kinds", |_| {
        let most = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWPID;
        cloned(most)
    }),
    Attempt::told("clone3-user", "does so by the newer call", |_| {
        cloned_by_structure(u64::try_from(libc::CLONE_NEWUSER).unwrap_or(0), 0)
    }),
    Attempt::told("clone3-time", "takes clocks of its own by the newer call", |_| {
        let flags = libc::CLONE_NEWUSER | NEWTIME;
        cloned_by_structure(u64::try_from(flags).unwrap_or(0), 0)
    }),
    Attempt::told("clone3-cgroup", "makes a child in another control group", |_| {
        let folder = File::open("/sys/fs/cgroup/unified").or_else(|_| File::open("/sys/fs/cgroup"))?;
        let fd = u64::try_from(folder.as_raw_fd()).unwrap_or(0);
        cloned_by_structure(0x2_0000_0000, fd)
    })
    .root("the groups are root's here"),
    Attempt::told("maps-itself-to-root", "writes who it is in its namespace", |s| {
        ask!(libc::SYS_unshare, libc::CLONE_NEWUSER)?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {} 1", s.uid))?;
        reached("root by name")
    }),
    Attempt::told("maps-anew", "changes who it is in the namespace it has", |_| {
        std::fs::write("/proc/self/uid_map", "0 0 4294967295")?;
        reached("mapped")
    })
    .never("the map of a namespace is written once; the machine's own cannot be"),
    Attempt::told("join-user", "goes over to the victim's user namespace", |s| {
        joins(s, "user", libc::CLONE_NEWUSER)
    })
    .never("nobody joins the user namespace it is in, and a plain user has no other"),
    Attempt::told("join-mounts", "goes over to the victim's files", |s| joins(s, "mnt", libc::CLONE_NEWNS))
        .root(CAPABLE),
    Attempt::told("join-network", "goes over to the victim's network", |s| {
        joins(s, "net", libc::CLONE_NEWNET)
    })
    .root(CAPABLE),
    Attempt::told("join-processes", "goes over to the victim's processes", |s| {
        joins(s, "pid", libc::CLONE_NEWPID)
    })
    .root(CAPABLE),
    Attempt::told("join-ipc", "goes over to the victim's shared memory", |s| {
        joins(s, "ipc", libc::CLONE_NEWIPC)
    })
    .root(CAPABLE),
    Attempt::told("join-by-handle", "goes over to all of the victim's at once", |s| {
        let handle = ask!(libc::SYS_pidfd_open, s.victim, 0)?;
        ask!(libc::SYS_setns, handle, libc::CLONE_NEWNET | libc::CLONE_NEWIPC)?;
        reached("gone over")
    })
    .root(CAPABLE),
    Attempt::told("parent-namespace", "asks for the namespace around its own", |_| {
        let own = File::open("/proc/self/ns/user")?;
        // NS_GET_PARENT
        let parent = ask!(libc::SYS_ioctl, own.as_raw_fd(), 0xb702, 0)?;
        reached(format!("descriptor {parent}"))
    })
    .never("the machine's own namespace has none around it"),
    Attempt::told("hostname", "renames the machine", |_| {
        with_powers(|| ask!(libc::SYS_sethostname, b"evil".as_ptr(), 4))
    }),
    Attempt::told("domain", "renames the machine's domain", |_| {
        with_powers(|| ask!(libc::SYS_setdomainname, b"evil".as_ptr(), 4))
    }),
    Attempt::told("message-queue", "opens a queue of letters others may have", |s| {
        let queue = super::sys::c(s.name("queue"));
        let fd = ask!(libc::SYS_mq_open, &queue, libc::O_RDWR, 0, 0)?;
        reached(format!("descriptor {fd}"))
    }),
    Attempt::outside("shared-segment", "reads a piece of shared memory by its key", |s| {
        let key = i32::from_str_radix(&s.key, 16).unwrap_or(0);
        let id = ask!(libc::SYS_shmget, key, 0, 0)?;
        let at = ask!(libc::SYS_shmat, id, 0, libc::SHM_RDONLY)?;
        let mut text = [0_u8; 64];
        // SAFETY: the segment has at least 64 bytes; the scene made it so.
        unsafe { std::ptr::copy_nonoverlapping(at as usize as *const u8, text.as_mut_ptr(), 64) };
        reached(String::from_utf8_lossy(&text))
    }),
    Attempt::told("child-of-namespace", "is root in a child, and mounts there", |_| {
        let worked = sys::in_child(|| {
            ask!(libc::SYS_unshare, libc::CLONE_NEWUSER | libc::CLONE_NEWNS).is_ok()
                && ask!(libc::SYS_mount, c"none", c"/tmp", c"tmpfs", 0, 0).is_ok()
        })?;
        if worked { reached("mounted") } else { missed("the child could not") }
    }),
];
