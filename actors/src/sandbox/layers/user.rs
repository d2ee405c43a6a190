//! Who the session is.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{DumpableBehavior, Gid, Uid, WaitOptions};
use rustix::thread::UnshareFlags;

use crate::sandbox::kernel::{self, Fork};
use crate::sandbox::mounts::{self, Found, Trees, arrange};
use crate::sandbox::policy::RunAs;
use crate::sandbox::refusal::at;
use crate::sandbox::wire::Layers;
use crate::sandbox::{Policy, Refusal};

const CURE: &str =
    "run the node as a plain user, or name one in the node's configuration: `[sandbox] run_as`";

/// Stops being root, for good. What root alone can reach is taken along: the mounts of what the session may use, seen
/// with the session's user as the owner of what is the node's on disk.
pub(in super::super) fn become_user(
    policy: &Policy,
    found: &Found,
    layers: &mut Layers,
) -> Result<Option<Trees>, Refusal> {
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| Refusal::new("privileges", at("they cannot be given up", errno), CURE))?;
    let own = rustix::process::geteuid();
    let trees = match policy.run_as {
        None if own.is_root() => return Err(Refusal::new("user", "niia runs as root", CURE)),
        Some(user) if own.is_root() => {
            let mut entries = arrange(found.entries.clone(), &found.private);
            entries.retain(|entry| !entry.path.starts_with("/dev"));
            let trees = mounts::take_trees(&entries)?;
            lend(&trees, user)?;
            change_to(user).map_err(|error| {
                Refusal::new("user", at(format!("uid {} cannot be taken", user.uid), error), CURE)
            })?;
            Some(trees)
        }
        Some(user) if own.as_raw() != user.uid => {
            let why = format!("niia runs as uid {own} and cannot become uid {}", user.uid);
            return Err(Refusal::new("user", why, "leave `run_as` out where niia is not root"));
        }
        _ => None,
    };
    check()?;
    let groups = rustix::process::getgroups().map_or(0, |groups| groups.len());
    layers.insert(
        "user".to_owned(),
        format!(
            "uid {}, gid {}, {groups} further groups{}",
            rustix::process::getuid(),
            rustix::process::getgid(),
            if trees.is_some() { ", its folders lent by an idmapped mount" } else { "" }
        ),
    );
    Ok(trees)
}

/// Lets the session's user be the owner, inside, of what the node's user owns on disk: neither changes there.
fn lend(trees: &Trees, user: RunAs) -> Result<(), Refusal> {
    let cure = "keep repositories and the node's state on ext4, xfs, btrfs or tmpfs, or run the node as a plain user";
    if trees.is_empty() {
        return Ok(());
    }
    let map = namespace_of(user).map_err(|error| {
        Refusal::new("user", at("no user namespace can be made for the folders", error), CURE)
    })?;
    for (path, tree) in trees {
        kernel::map_mount(tree.as_fd(), map.as_fd()).map_err(|error| {
            let why = at(format!("`{}` cannot be lent to uid {}", path.display(), user.uid), error);
            Refusal::new("user", why, cure)
        })?;
    }
    Ok(())
}

/// A user namespace that is nothing but a table: the node's user there is the session's here.
fn namespace_of(user: RunAs) -> io::Result<OwnedFd> {
    let (mut ready, tell) = io::pipe()?;
    let (hold, release) = io::pipe()?;
    match kernel::fork()? {
        Fork::Child => {
            drop((ready, release));
            kernel::leave(be_namespace(tell, hold))
        }
        Fork::Parent(child) => {
            drop((tell, hold));
            let mut word = [0];
            let made = ready.read_exact(&mut word).and_then(|()| {
                let folder = format!("/proc/{child}");
                let own = (rustix::process::geteuid(), rustix::process::getegid());
                std::fs::write(format!("{folder}/uid_map"), format!("{} {} 1", own.0, user.uid))?;
                std::fs::write(format!("{folder}/gid_map"), format!("{} {} 1", own.1, user.gid))?;
                std::fs::File::open(format!("{folder}/ns/user"))
            });
            drop(release);
            rustix::process::waitpid(Some(child), WaitOptions::empty())?;
            Ok(made?.into())
        }
    }
}

fn be_namespace(mut tell: io::PipeWriter, mut hold: io::PipeReader) -> i32 {
    let made = kernel::unshare(UnshareFlags::NEWUSER).and_then(|()| tell.write_all(&[1]));
    // Lives until the other side has what it wants.
    let held = hold.read(&mut [0]);
    i32::from(made.is_err() || held.is_err())
}

fn change_to(user: RunAs) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    // The terminal is the session's: its user must be able to open it by name.
    if rustix::termios::isatty(rustix::stdio::stdin()) {
        rustix::fs::fchown(rustix::stdio::stdin(), Some(uid), None)?;
    }
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    // A process that was root hides itself from its own user, and could not name its own user in a namespace.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    Ok(())
}

fn check() -> Result<(), Refusal> {
    let is_root = rustix::process::getuid().is_root() || rustix::process::geteuid().is_root();
    if is_root || rustix::thread::set_thread_uid(Uid::ROOT).is_ok() {
        return Err(Refusal::new("user", "the session would still be root", CURE));
    }
    if !rustix::thread::no_new_privs().unwrap_or(false) {
        return Err(Refusal::new("privileges", "they were not given up", CURE));
    }
    Ok(())
}
