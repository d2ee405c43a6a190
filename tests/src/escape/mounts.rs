//! Changing what lies where: mounts of every kind, with the powers of a namespace of its own where there is none yet.

use std::fs;
use std::io;

use super::sys::{ask, c};
use super::{Attempt, Claim, Scene, missed, reached};

/// Does it, and where that may not be, does it as root of a namespace of its own.
pub(super) fn with_powers(act: impl Fn() -> io::Result<i64>) -> Claim {
    let first = match act() {
        Ok(value) => return reached(format!("the kernel answered {value}")),
        Err(trouble) => trouble,
    };
    let all = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWUTS;
    // SAFETY: asks for numbers.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    if ask!(libc::SYS_unshare, all).is_err() {
        return Err(first);
    }
    let mapped = fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {user} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {group} 1")));
    if let Err(trouble) = mapped {
        eprintln!("root by power, not by name: {trouble}");
    }
    let value = act()?;
    reached(format!("the kernel answered {value} to the root of a namespace of its own"))
}

fn mount(kind: &str, at: &std::path::Path, flags: u64, data: &str) -> io::Result<i64> {
    ask!(libc::SYS_mount, &c(kind), &c(at), &c(kind), flags, &c(data))
}

fn over(scene: &Scene) -> std::path::PathBuf {
    scene.outside("dir")
}

const READ_ONLY: u64 = libc::MS_RDONLY;
const BIND: u64 = libc::MS_BIND;
const REMOUNT: u64 = libc::MS_REMOUNT;

/// The flags of the newer calls, which the C library lacks.
const OPEN_TREE_CLONE: i32 = 1;
const MOVE_FROM_EMPTY: i32 = 4;
const CREATE: i32 = 6;
const SET_STRING: i32 = 1;

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::told("tmpfs", "lays an empty folder over one of the user's", |s| {
        with_powers(|| mount("tmpfs", &over(s), 0, ""))
    }),
    Attempt::told("proc", "mounts another view of the processes", |s| {
        with_powers(|| mount("proc", &over(s), 0, ""))
    })
    .root("the kernel wants a namespace of processes with it"),
    Attempt::told("sysfs", "mounts the kernel's devices", |s| {
        with_powers(|| mount("sysfs", &over(s), 0, ""))
    }),
    Attempt::told("bind", "shows a folder of the user's in the worktree", |s| {
        fs::create_dir(s.tree().join("shown"))?;
        let (from, to) = (c(s.home()), c(s.tree().join("shown")));
        with_powers(|| ask!(libc::SYS_mount, &from, &to, 0, BIND, 0))
    }),
    Attempt::told("bind-over-secret", "shows a file of its own in place of another", |s| {
        fs::write(s.tree().join("mine"), "x")?;
        let (from, to) = (c(s.tree().join("mine")), c(s.outside("victim.txt")));
        with_powers(|| ask!(libc::SYS_mount, &from, &to, 0, BIND, 0))
    }),
    Attempt::told("remount-writable", "makes the root writable", |_| {
        with_powers(|| ask!(libc::SYS_mount, 0, c"/", 0, REMOUNT | BIND, 0))
    }),
    Attempt::told("remount-proc", "makes the kernel's settings writable", |_| {
        with_powers(|| ask!(libc::SYS_mount, 0, c"/proc", 0, REMOUNT | BIND, 0))
    }),
    Attempt::told("remount-worktree", "makes the protected parts of its tree writable", |s| {
        let at = c(s.tree());
        with_powers(|| {
            ask!(libc::SYS_mount, &at, &at, 0, BIND, 0)?;
            ask!(libc::SYS_mount, 0, &at, 0, REMOUNT | BIND, 0)
        })
    }),
    Attempt::told("overlay", "lays a writable copy over the home", |s| {
        for name in ["up", "work"] {
            fs::create_dir(s.tree().join(name))?;
        }
        let tree = s.tree().display().to_string();
        let data = format!(
            "lowerdir={},upperdir={tree}/up,workdir={tree}/work,userxattr",
            s.outside("dir").display()
        );
        with_powers(|| mount("overlay", &over(s), 0, &data))
    }),
    Attempt::told("umount", "takes away what lies over the keys", |s| {
        let at = c(s.home().join(".ssh"));
        with_powers(|| {
            // Unsandboxed nothing lies there, so something is laid first.
            let _laid = mount("tmpfs", &s.home().join(".ssh"), 0, "");
            ask!(libc::SYS_umount2, &at, libc::MNT_DETACH)
        })
    }),
    Attempt::outside("umount-and-read", "takes that away and reads a key", |s| {
        let at = c(s.home().join(".ssh"));
        for _ in 0..4 {
            let _gone = ask!(libc::SYS_umount2, &at, libc::MNT_DETACH);
        }
        fs::read_to_string(s.home().join(super::secrets::KEY))
    }),
    Attempt::told("umount-root", "takes the root away", |_| {
        with_powers(|| ask!(libc::SYS_umount2, c"/proc", libc::MNT_DETACH))
    })
    .root("what came from outside is locked to the namespace"),
    Attempt::told("move", "moves a mount", |s| {
        fs::create_dir(s.tree().join("moved"))?;
        let to = c(s.tree().join("moved"));
        with_powers(|| {
            mount("tmpfs", &over(s), 0, "")?;
            ask!(libc::SYS_mount, &c(over(s)), &to, 0, libc::MS_MOVE, 0)
        })
    }),
    Attempt::told("make-shared", "lets its mounts be seen outside", |_| {
        with_powers(|| ask!(libc::SYS_mount, 0, c"/", 0, libc::MS_SHARED | libc::MS_REC, 0))
    }),
    Attempt::told("open-tree", "takes a copy of the home's mount", |s| {
        let at = c(s.home());
        with_powers(|| ask!(libc::SYS_open_tree, libc::AT_FDCWD, &at, OPEN_TREE_CLONE))
    }),
    Attempt::told("move-mount", "lays that copy over a folder", |s| {
        let (from, to) = (c(s.home()), c(over(s)));
        with_powers(|| {
            let tree = ask!(libc::SYS_open_tree, libc::AT_FDCWD, &from, OPEN_TREE_CLONE)?;
            ask!(libc::SYS_move_mount, tree, c"", libc::AT_FDCWD, &to, MOVE_FROM_EMPTY)
        })
    }),
    Attempt::told("fsopen", "makes a file system by the newer calls", |_| {
        with_powers(|| {
            let context = ask!(libc::SYS_fsopen, c"tmpfs", 0)?;
            ask!(libc::SYS_fsconfig, context, SET_STRING, c"size", c"4096", 0)?;
            ask!(libc::SYS_fsconfig, context, CREATE, 0, 0, 0)?;
            ask!(libc::SYS_fsmount, context, 0, 0)
        })
    }),
    Attempt::told("fspick", "takes a file system up to change it", |_| {
        with_powers(|| {
            // What is not one's own is picked in vain; a tmpfs of one's own is not.
            mount("tmpfs", std::path::Path::new("/tmp"), 0, "")?;
            ask!(libc::SYS_fspick, libc::AT_FDCWD, c"/tmp", 0)
        })
    }),
    Attempt::told("mount-setattr", "makes the root writable by one call", |_| {
        // `struct mount_attr`: set, clear, propagation, user namespace; 1 is read-only.
        let attributes = [0_u64, READ_ONLY, 0, 0];
        with_powers(|| ask!(libc::SYS_mount_setattr, libc::AT_FDCWD, c"/", 0, attributes.as_ptr(), 32))
    }),
    Attempt::told("pivot-root", "makes another folder the root", |s| {
        let at = c(over(s));
        let turns = || {
            mount("tmpfs", &over(s), 0, "")?;
            fs::create_dir_all(over(s).join("old"))?;
            ask!(libc::SYS_pivot_root, &at, &c(over(s).join("old")))
        };
        let done = super::sys::in_child(|| with_powers(turns).is_ok())?;
        if done { reached("it is") } else { missed("refused") }
    }),
    Attempt::told("chroot", "makes a folder its root", |s| {
        let at = c(s.tree());
        let done = super::sys::in_child(|| with_powers(|| ask!(libc::SYS_chroot, &at)).is_ok())?;
        if done { reached("it is") } else { missed("refused") }
    }),
    Attempt::outside("chroot-climb", "leaves a root by having a folder outside it open", |s| {
        let at = c(s.tree());
        with_powers(|| {
            let root = ask!(libc::SYS_openat, libc::AT_FDCWD, c"/", libc::O_DIRECTORY)?;
            ask!(libc::SYS_chroot, &at)?;
            ask!(libc::SYS_fchdir, root)?;
            (0..32).try_for_each(|_| std::env::set_current_dir(".."))?;
            ask!(libc::SYS_chroot, c".")
        })?;
        fs::read_to_string(s.home().join(super::secrets::KEY))
    }),
    Attempt::told("fuse", "mounts a file system it answers for itself", |s| {
        let device = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&device);
        let data = format!("fd={fd},rootmode=40000,user_id={0},group_id={0}", s.uid);
        with_powers(|| mount("fuse", &over(s), 0, &data))
    })
    .root("the device is root's here"),
    Attempt::told("by-number-of-file", "opens a file by its number, past every folder", |s| {
        // `struct file_handle` with room for 128 bytes.
        let mut handle = [0_u8; 136];
        handle[..4].copy_from_slice(&128_u32.to_ne_bytes());
        let mut mount = 0_i32;
        let key = c(s.outside("victim.txt"));
        ask!(libc::SYS_name_to_handle_at, libc::AT_FDCWD, &key, handle.as_mut_ptr(), &raw mut mount, 0)?;
        let root = ask!(libc::SYS_openat, libc::AT_FDCWD, &c(s.home()), libc::O_RDONLY)?;
        let fd = ask!(libc::SYS_open_by_handle_at, root, handle.as_ptr(), libc::O_RDONLY)?;
        reached(format!("descriptor {fd}"))
    })
    .root("the kernel asks for a capability"),
    Attempt::told("swap", "has the machine swap onto a file", |s| {
        super::sys::beyond_permission(ask!(libc::SYS_swapon, &c(s.tree().join("none")), 0))
    })
    .root("the kernel asks for a capability"),
    Attempt::told("swap-off", "takes the machine's swap away", |s| {
        super::sys::beyond_permission(ask!(libc::SYS_swapoff, &c(s.tree().join("none"))))
    })
    .root("the kernel asks for a capability"),
    Attempt::told("sees-mounts", "sees the folder of another session by its mount", |s| {
        let text = fs::read_to_string("/proc/self/mountinfo")?;
        let disk = text.lines().any(|line| line.contains(" / / rw"));
        if disk { reached("the root is writable") } else { missed(&format!("not for {}", s.mark())) }
    }),
];
