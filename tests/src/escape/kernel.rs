//! Parts of the kernel no worker needs, each of which has let somebody out before.

use std::fs::OpenOptions;

use super::sys::{ask, beyond_permission};
use super::{Attempt, Claim, missed, reached};

/// Newer than the C library's list.
const MAP_SHADOW_STACK: i64 = 453;

fn descriptor(answer: std::io::Result<i64>) -> Claim {
    reached(format!("descriptor {}", answer?))
}

fn opens(names: &[&str]) -> Claim {
    for name in names {
        if OpenOptions::new().read(true).open(name).is_ok() {
            return reached(format!("{name} is open"));
        }
    }
    missed("none could be opened")
}

const CAPABLE: &str = "the kernel asks for a capability";
const NOT_BUILT: &str = "this kernel was built without it";

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::told("io-uring", "makes a ring whose calls no filter sees", |_| {
        let mut parameters = [0_u8; 120];
        descriptor(ask!(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()))
    }),
    Attempt::told("io-uring-register", "prepares a ring", |_| {
        beyond_permission(ask!(libc::SYS_io_uring_register, -1, 0, 0, 0))
    }),
    Attempt::told("io-uring-enter", "hands work to a ring", |_| {
        beyond_permission(ask!(libc::SYS_io_uring_enter, -1, 0, 0, 0, 0, 0))
    }),
    Attempt::told("bpf", "loads a program into the kernel", |_| {
        // `union bpf_attr`: a map of one entry of four bytes.
        let map = [2_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        descriptor(ask!(libc::SYS_bpf, 0, map.as_ptr(), 72))
    })
    .root(CAPABLE),
    Attempt::told("perf-event", "counts what the processor does", |_| {
        // `struct perf_event_attr`: software, its size, the clock of the task, without the kernel's part.
        let mut attributes = [0_u64; 16];
        attributes[0] = 1 | 128 << 32;
        attributes[1] = 1;
        attributes[5] = 1 << 5 | 1 << 6;
        descriptor(ask!(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0))
    }),
    Attempt::told("userfault", "answers for missing pages itself", |_| {
        descriptor(ask!(libc::SYS_userfaultfd, 1))
    }),
    Attempt::told("add-key", "keeps a key in the kernel", |_| {
        reached(format!("key {}", ask!(libc::SYS_add_key, c"user", c"mine", b"x".as_ptr(), 1, -4)?))
    }),
    Attempt::outside("read-key", "reads a key the user keeps in the kernel", |s| {
        let key = ask!(libc::SYS_keyctl, 10, -4, c"user", &super::sys::c(s.name("key")), 0)?;
        let mut secret = [0_u8; 64];
        ask!(libc::SYS_keyctl, 11, key, secret.as_mut_ptr(), 64)?;
        reached(String::from_utf8_lossy(&secret))
    }),
    Attempt::told("request-key", "has the kernel ask a program for a key", |_| {
        beyond_permission(ask!(libc::SYS_request_key, c"user", c"none", 0, 0))
    }),
    Attempt::told("session-keyring", "joins a ring of keys by its name", |_| {
        reached(format!("ring {}", ask!(libc::SYS_keyctl, 1, c"evil")?))
    }),
    Attempt::told("list-keys", "reads which keys there are", |s| {
        let keys = std::fs::read_to_string("/proc/keys")?;
        if keys.contains(&s.mark()) { reached("listed") } else { missed("the user's is not listed") }
    }),
    Attempt::told("load-module", "loads a module from memory", |_| {
        beyond_permission(ask!(libc::SYS_init_module, 0, 0, c""))
    })
    .never(NOT_BUILT),
    Attempt::told("load-module-file", "loads a module from a file", |_| {
        beyond_permission(ask!(libc::SYS_finit_module, -1, c"", 0))
    })
    .never(NOT_BUILT),
    Attempt::told("remove-module", "removes a module", |_| {
        beyond_permission(ask!(libc::SYS_delete_module, c"none", libc::O_NONBLOCK))
    })
    .never(NOT_BUILT),
    Attempt::told("kexec", "starts another kernel", |_| {
        beyond_permission(ask!(libc::SYS_kexec_load, 0, 0, 0, u64::MAX))
    })
    .never(NOT_BUILT),
    Attempt::told("kexec-file", "starts another kernel from a file", |_| {
        beyond_permission(ask!(libc::SYS_kexec_file_load, -1, -1, 0, 0, u64::MAX))
    })
    .never(NOT_BUILT),
    // With magic numbers that are none, the kernel looks at the caller first and then at them.
    Attempt::told("reboot", "restarts the machine", |_| {
        beyond_permission(ask!(libc::SYS_reboot, 0, 0, 0, 0))
    })
    .root(CAPABLE),
    Attempt::told("quota", "changes what users may store", |_| {
        beyond_permission(ask!(libc::SYS_quotactl, 0x0080_0002_u32 << 8, c"/dev/none", 0, 0))
    })
    .root(CAPABLE),
    Attempt::told("quota-by-folder", "changes it by a folder", |_| {
        beyond_permission(ask!(libc::SYS_quotactl_fd, -1, 0, 0, 0))
    }),
    Attempt::told("accounting", "has the machine account for every process", |s| {
        beyond_permission(ask!(libc::SYS_acct, &super::sys::c(s.tree().join("none"))))
    })
    .root(CAPABLE),
    Attempt::told("set-time", "sets the clock of the machine", |_| {
        // A number of nanoseconds that is none: whoever may is told so, and the clock stays.
        let time = [0_i64, i64::MAX];
        match ask!(libc::SYS_clock_settime, 0, time.as_ptr()) {
            Err(trouble) if trouble.raw_os_error() == Some(libc::EINVAL) => {
                beyond_permission(ask!(libc::SYS_settimeofday, 0, [0_i32, 0].as_ptr()))
            }
            answer => beyond_permission(answer),
        }
    })
    .root(CAPABLE),
    Attempt::told("adjust-time", "lets the clock of the machine drift", |_| {
        // `struct timex` with a tick of no length: whoever may is told that there is none, and the clock stays.
        let mut adjustment = [0_u64; 32];
        adjustment[0] = 0x4000;
        beyond_permission(ask!(libc::SYS_adjtimex, adjustment.as_mut_ptr()))
    })
    .root(CAPABLE),
    Attempt::told("ports-of-processor", "speaks to devices by the processor", |_| {
        reached(format!("the kernel answered {}", ask!(libc::SYS_iopl, 3)?))
    })
    .never(NOT_BUILT),
    Attempt::told("port-range", "does so for some ports", |_| {
        reached(format!("the kernel answered {}", ask!(libc::SYS_ioperm, 0x80, 1, 1)?))
    })
    .never(NOT_BUILT),
    Attempt::told("hang-up", "hangs its terminal up for everybody", |_| {
        let worked = super::sys::in_child(|| ask!(libc::SYS_vhangup).is_ok())?;
        if worked { reached("hung up") } else { missed("it could not") }
    })
    .never("root would hang up the terminal the attempt reports on"),
    Attempt::told("fanotify", "is asked before anybody opens a file", |_| {
        descriptor(ask!(libc::SYS_fanotify_init, 4, 0))
    })
    .root(CAPABLE),
    Attempt::told("watch-files", "is told what others do with files", |_| {
        descriptor(ask!(libc::SYS_fanotify_init, 0x200, 0))
    }),
    Attempt::told("secret-memory", "hides memory from the kernel itself", |_| {
        descriptor(ask!(libc::SYS_memfd_secret, 0))
    }),
    Attempt::told("shadow-stack", "maps a stack of the processor's own", |_| {
        reached(format!("at {}", ask!(MAP_SHADOW_STACK, 0, 4096, 1)?))
    })
    .never("this processor or kernel has none"),
    Attempt::told("zero-page", "maps the page at address zero", |_| {
        let how = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        ask!(libc::SYS_mmap, 0, 4096, libc::PROT_READ, how, -1, 0)?;
        reached("mapped")
    })
    .root("the lowest address is kept from plain users"),
    Attempt::told("local-tables", "changes the processor's own tables", |_| {
        // `struct user_desc` of a segment of data.
        let entry = [0_u32, 0, 0xfffff, 0x71];
        reached(format!("the kernel answered {}", ask!(libc::SYS_modify_ldt, 1, entry.as_ptr(), 16)?))
    }),
    Attempt::told("devices", "opens a device only few need", |_| {
        opens(&[
            "/dev/kvm",
            "/dev/fuse",
            "/dev/net/tun",
            "/dev/loop-control",
            "/dev/mem",
            "/dev/port",
            "/dev/uinput",
        ])
    })
    .root("the devices are root's here"),
    Attempt::told("make-device", "makes a device of its own", |s| {
        let name = super::sys::c(s.tree().join("device"));
        ask!(libc::SYS_mknodat, libc::AT_FDCWD, &name, libc::S_IFCHR | 0o666, 0x10b)?;
        opens(&[&s.tree().join("device").display().to_string()])
    })
    .root(CAPABLE),
    Attempt::told("cgroup-write", "writes into the control groups", |_| {
        for group in
            ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory"]
        {
            if OpenOptions::new().write(true).open(format!("{group}/cgroup.procs")).is_ok() {
                return reached(group);
            }
        }
        missed("none could be opened")
    })
    .root("the groups are root's here"),
    Attempt::told("own-cgroup", "makes a group of its own beside its limits", |s| {
        let name = format!("/sys/fs/cgroup/pids/{}", s.mark());
        std::fs::create_dir(&name)?;
        std::fs::remove_dir(&name)?;
        reached("made")
    })
    .root("the groups are root's here"),
];
