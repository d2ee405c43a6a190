//! Other processes as files: what /proc shows of them and takes for them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use super::{Attempt, Claim, Scene, missed, reached};

fn of(scene: &Scene, part: &str) -> String {
    format!("/proc/{}/{part}", scene.victim)
}

/// Every process there is, by number.
pub(super) fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The first answer any process but the adversary and its parents gives.
fn any(scene: &Scene, part: &str) -> Claim {
    let own = std::process::id();
    for pid in processes().into_iter().filter(|pid| u32::try_from(*pid) != Ok(own)) {
        let text = fs::read(format!("/proc/{pid}/{part}")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        // Its own parents carry the scene too; only what is not theirs counts, and the secret shows that.
        if text.contains("VICTIM_TOKEN") {
            return reached(text);
        }
    }
    missed(&format!("nobody shows {part} with {}", scene.mark()))
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("environ", "reads the environment of the victim", |s| {
        let text = fs::read(of(s, "environ"))?;
        reached(String::from_utf8_lossy(&text))
    }),
    Attempt::outside("any-environ", "looks through the environments of all", |s| any(s, "environ")),
    Attempt::told("sees-others", "finds the victim among the processes", |s| {
        for pid in processes() {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.ends_with(b"\0victim\0") {
                return reached(format!("process {pid}"));
            }
        }
        missed(&format!("nobody there is the victim of {}", s.mark()))
    }),
    Attempt::told("counts-processes", "sees the processes of root", |_| {
        for pid in processes() {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            if status.contains("Name:\tkthreadd") {
                return reached(format!("process {pid} belongs to the kernel"));
            }
        }
        missed("no process of the kernel is there")
    }),
    Attempt::outside("memory-read", "reads the memory of the victim", |s| {
        let mut memory = File::open(of(s, "mem"))?;
        memory.seek(SeekFrom::Start(s.word))?;
        let mut secret = [0; 64];
        memory.read_exact(&mut secret)?;
        reached(String::from_utf8_lossy(&secret))
    }),
    Attempt::outside("memory-write", "writes into the memory of the victim", |s| {
        let mut memory = OpenOptions::new().write(true).open(of(s, "mem"))?;
        memory.seek(SeekFrom::Start(s.word))?;
        memory.write_all(b"x")?;
        reached("written")
    }),
    Attempt::told("maps", "learns where things lie in the victim's memory", |s| {
        let maps = fs::read_to_string(of(s, "maps"))?;
        if maps.contains("[stack]") { reached("read") } else { missed("there is nothing in it") }
    }),
    Attempt::outside("root-link", "reads a key through the victim's root", |s| {
        let key = s.home().join(super::secrets::KEY);
        fs::read_to_string(format!("{}{}", of(s, "root"), key.display()))
    }),
    Attempt::outside("cwd-link", "writes through the victim's folder", |s| {
        fs::write(of(s, "cwd/victim.txt"), "x")?;
        reached("written")
    }),
    Attempt::outside("fd-link", "reads what the victim has open", |s| {
        for entry in fs::read_dir(of(s, "fd"))?.flatten() {
            let target = fs::read_link(entry.path())?;
            if target.ends_with("id_ed25519") {
                return fs::read_to_string(entry.path());
            }
        }
        missed("the file is not among them")
    }),
    Attempt::told("namespace-links", "takes hold of the victim's namespaces", |s| {
        File::open(of(s, "ns/mnt"))?;
        reached("open")
    }),
    Attempt::outside("oom-score", "has the victim killed first when memory ends", |s| {
        fs::write(of(s, "oom_score_adj"), "1000")?;
        reached("set")
    }),
    Attempt::outside("victim-name", "renames the victim", |s| {
        fs::write(of(s, "comm"), "mine")?;
        reached("renamed")
    })
    .never("only a process itself may rename itself"),
    Attempt::outside("timer-slack", "slows the victim's timers", |s| {
        fs::write(of(s, "timerslack_ns"), "4000000000")?;
        reached("set")
    })
    .root("the kernel asks for a capability"),
    Attempt::outside("dump-filter", "changes what a crash of the victim would show", |s| {
        fs::write(of(s, "coredump_filter"), "0xff")?;
        reached("set")
    }),
    Attempt::outside("scheduling-group", "lowers the victim's group in the scheduler", |s| {
        fs::write(of(s, "autogroup"), "19")?;
        reached("set")
    })
    .never("this kernel has no automatic groups"),
    Attempt::told("mounts-of-host", "learns what is mounted for the victim", |s| {
        let text = fs::read_to_string(of(s, "mountinfo"))?;
        if text.is_empty() { missed("nothing") } else { reached("read") }
    }),
    Attempt::told("init-environ", "reads the environment of the first process", |_| {
        let text = fs::read("/proc/1/environ")?;
        if text.is_empty() { missed("it is empty") } else { reached("read") }
    })
    .never("the machine's first process is root's, and kept from most roots"),
    Attempt::told("init-root", "goes through the root of the first process", |s| {
        let key = s.home().join(super::secrets::KEY);
        let text = fs::read_to_string(format!("/proc/1/root{}", key.display()))?;
        if text.is_empty() { missed("it is empty") } else { reached(text) }
    })
    .never("the machine's first process is root's, and kept from most roots"),
    Attempt::told("sysrq", "opens the emergency keys of the machine", |_| {
        OpenOptions::new().write(true).open("/proc/sysrq-trigger")?;
        reached("open")
    })
    .never("the file is root's, and this kernel was built without it"),
    Attempt::told("sysctl-core-pattern", "opens the setting of what runs when something crashes", |_| {
        OpenOptions::new().write(true).open("/proc/sys/kernel/core_pattern")?;
        reached("open")
    })
    .root("the setting is root's"),
    Attempt::told("sysctl-modprobe", "opens the setting of what loads modules", |_| {
        OpenOptions::new().write(true).open("/proc/sys/kernel/modprobe")?;
        reached("open")
    })
    .never("the file is root's, and this kernel was built without it"),
    Attempt::told("sysctl-namespaces", "opens the setting of how many namespaces there may be", |_| {
        OpenOptions::new().write(true).open("/proc/sys/user/max_user_namespaces")?;
        reached("open")
    })
    .never("the setting is root's, and kept from most roots"),
    Attempt::told("sysctl-network", "opens a setting of the network", |_| {
        OpenOptions::new().write(true).open("/proc/sys/net/ipv4/ip_forward")?;
        reached("open")
    })
    .root("the setting is root's"),
    Attempt::told("kernel-memory", "opens the memory of the kernel", |_| {
        File::open("/proc/kcore")?;
        reached("open")
    })
    .never("the file is root's, and this kernel was built without it"),
    Attempt::told("page-map", "learns where its pages lie in the machine", |_| {
        let mut map = File::open("/proc/self/pagemap")?;
        let local = 1_u64;
        map.seek(SeekFrom::Start((&raw const local as u64 / 4096) * 8))?;
        let mut entry = [0; 8];
        map.read_exact(&mut entry)?;
        let frame = u64::from_le_bytes(entry) & ((1 << 55) - 1);
        if frame == 0 { missed("the kernel hides it") } else { reached(format!("frame {frame:x}")) }
    })
    .root("the kernel hides it from plain users"),
    Attempt::told("device-settings", "opens a setting of a device", |_| {
        for name in [
            "/sys/power/state",
            "/sys/kernel/uevent_helper",
            "/sys/kernel/profiling",
            "/sys/kernel/mm/ksm/run",
        ] {
            if OpenOptions::new().write(true).open(name).is_ok() {
                return reached(name);
            }
        }
        missed("none could be opened")
    })
    .root("the settings are root's"),
];
