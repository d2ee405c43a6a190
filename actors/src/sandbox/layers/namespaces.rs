//! Namespaces: of users, mounts, processes, messages, names, control groups and, where the network is closed, networks.

use std::io;
use std::path::PathBuf;

use rustix::thread::UnshareFlags;

use crate::sandbox::Refusal;
use crate::sandbox::kernel;
use crate::sandbox::policy::Network;
use crate::sandbox::refusal::at;
use crate::sandbox::wire::Layers;

/// Their names in `/proc`. The one of processes is that of the children.
const NAMES: [(&str, UnshareFlags); 7] = [
    ("user", UnshareFlags::NEWUSER),
    ("mnt", UnshareFlags::NEWNS),
    ("pid_for_children", UnshareFlags::NEWPID),
    ("ipc", UnshareFlags::NEWIPC),
    ("uts", UnshareFlags::NEWUTS),
    ("cgroup", UnshareFlags::NEWCGROUP),
    ("net", UnshareFlags::NEWNET),
];

/// Leaves the machine's namespaces, staying the same user in a namespace that knows no other.
pub(in super::super) fn leave(network: Network, layers: &mut Layers) -> Result<(), Refusal> {
    let wanted: Vec<(&str, UnshareFlags)> =
        NAMES.into_iter().filter(|(name, _)| *name != "net" || network == Network::Closed).collect();
    let before: Vec<Option<PathBuf>> = wanted.iter().map(|(name, _)| own(name)).collect();
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let flags = wanted.iter().fold(UnshareFlags::empty(), |flags, (_, flag)| flags | *flag);
    kernel::unshare(flags).map_err(|error| refused(&error))?;
    // Groups cannot be given up any more after this, or one could get rid of one that forbids something.
    write("setgroups", "deny")?;
    write("uid_map", &format!("{uid} {uid} 1"))?;
    write("gid_map", &format!("{gid} {gid} 1"))?;
    if rustix::process::getuid() != uid || rustix::process::getgid() != gid {
        return Err(Refusal::new("namespaces", "the session's user is not known in its own", cure()));
    }
    for ((name, _), before) in wanted.iter().zip(before) {
        // That of the children is told when there are children.
        let is_new = *name == "pid_for_children" || before.is_none() || own(name) != before;
        if !is_new {
            return Err(Refusal::new("namespaces", format!("`{name}` is still the machine's"), cure()));
        }
    }
    let names: Vec<&str> = wanted.iter().map(|(name, _)| name.split('_').next().unwrap_or(name)).collect();
    layers.insert("namespaces".to_owned(), format!("of its own: {}", names.join(", ")));
    Ok(())
}

/// The first process of its namespace is number 1.
pub(in super::super) fn check_first() -> Result<(), Refusal> {
    if rustix::process::getpid().is_init() {
        return Ok(());
    }
    Err(Refusal::new("namespaces", "the processes of the machine are still in reach", cure()))
}

fn own(name: &str) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/ns/{name}")).ok()
}

fn write(name: &str, text: &str) -> Result<(), Refusal> {
    std::fs::write(format!("/proc/self/{name}"), text)
        .map_err(|error| Refusal::new("namespaces", at(format!("{name} cannot be written"), error), cure()))
}

fn refused(error: &io::Error) -> Refusal {
    let why = match error.raw_os_error() {
        Some(libc::ENOSPC) => {
            "there can be no further user namespace (user.max_user_namespaces, or nested too deep)"
        }
        Some(libc::EPERM) => "this system does not let a plain user make user namespaces",
        Some(libc::EINVAL | libc::ENOSYS) => "this kernel was built without a namespace that is needed",
        Some(libc::ENOMEM) => "the machine is out of memory",
        _ => "namespaces cannot be made",
    };
    Refusal::new(
        "namespaces",
        at(why, io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0))),
        cure(),
    )
}

/// What helps depends on what stands in the way, and the kernel tells where it is.
fn cure() -> String {
    let is = |path: &str, value: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        "allow them: sysctl -w user.max_user_namespaces=10000".to_owned()
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "allow them: sysctl -w kernel.unprivileged_userns_clone=1".to_owned()
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "install an AppArmor profile with `userns,` for this executable; see `niia doctor`".to_owned()
    } else {
        "in a container allow unshare and mount in its seccomp profile; a sandbox within a sandbox there is not"
            .to_owned()
    }
}
