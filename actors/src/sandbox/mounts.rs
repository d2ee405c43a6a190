//! What of the machine's files a session sees, and which of them it may change.
//!
//! The session gets a tree of mounts of its own: the machine's, read-only as a whole; private folders in place of those
//! everybody shares; what may be written put back writable; what must not be seen covered. All is drawn up from paths
//! first ([`arrange`]), then mounted from the top downwards, then read back from the kernel and compared.

mod arrange;
mod check;
mod make;
mod own;
mod private;
mod sockets;
mod veil;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;

pub(super) use arrange::{Around, Entry, Kind, arrange};
pub(super) use make::make;

use super::kernel::{self, NODEV, NOSUID, RDONLY, Reach};
use super::refusal::at;
use super::{Policy, Refusal};

/// Folders everybody writes to; a session has its own.
pub(super) const PRIVATE: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/dev/shm"];
/// What lies in such a folder and is nobody's secret, but programs cannot do without: where names are looked up, and
/// the system's own programs where they are kept there.
const NEEDED: [&str; 3] = ["/etc/resolv.conf", "/run/current-system", "/run/opengl-driver"];

/// What was found of the policy's paths on this machine.
#[derive(Debug)]
pub(super) struct Found {
    pub entries: Vec<Entry>,
    pub private: Vec<PathBuf>,
    /// Sockets of others, wherever they lie.
    pub masked: Vec<PathBuf>,
    pub home: Option<PathBuf>,
    /// What stands in the files of which the session has copies, by their paths.
    pub own: BTreeMap<PathBuf, Vec<u8>>,
}

/// Mounts that were taken from the machine's tree, by their paths.
pub(super) type Trees = BTreeMap<PathBuf, OwnedFd>;

pub(super) fn find(policy: &Policy, home: Option<PathBuf>) -> Result<Found, Refusal> {
    let private: Vec<PathBuf> = PRIVATE
        .iter()
        .filter_map(|path| std::fs::canonicalize(path).ok())
        .filter(|path| path.is_dir())
        .collect();
    let home =
        home.filter(|home| home.is_absolute()).map(|home| std::fs::canonicalize(&home).unwrap_or(home));
    look_at_home(policy, home.as_deref(), &private)?;
    let mut entries = Vec::new();
    for path in &policy.write {
        entries.push(writable(path)?);
    }
    let needed = NEEDED.iter().map(PathBuf::from).collect::<Vec<_>>();
    let kinds =
        [(Kind::ReadOnly, &policy.read_only), (Kind::ReadOnly, &needed), (Kind::Hidden, &policy.hidden)];
    for (kind, paths) in kinds {
        for path in paths {
            entries.extend(guarded(path, kind)?);
        }
    }
    for path in &policy.sockets {
        entries.push(socket(path)?);
    }
    let own = own::read(&policy.own, &private, &mut entries)?;
    let masked = sockets::of_others(&policy.sockets)?;
    Ok(Found { entries, private, masked, home, own })
}

/// A home in a folder that is private to the session would be empty, and the session's own tools with it.
fn look_at_home(policy: &Policy, home: Option<&Path>, private: &[PathBuf]) -> Result<(), Refusal> {
    let Some(home) = home else { return Ok(()) };
    let Some(place) = private.iter().find(|place| home.starts_with(place)) else { return Ok(()) };
    if policy.write.iter().chain(&policy.read_only).any(|granted| home.starts_with(granted)) {
        return Ok(());
    }
    Err(Refusal::new(
        "home",
        format!("HOME is `{}`, and `{}` is private to the session", home.display(), place.display()),
        "set HOME to a folder outside of /tmp, /var/tmp, /run and /dev/shm",
    ))
}

fn writable(path: &Path) -> Result<Entry, Refusal> {
    let cure = "make the folder, or take it out of what the session may write";
    let (real, metadata) = look(path)
        .map_err(|error| Refusal::new("write", at(format!("`{}`", path.display()), error), cure))?;
    if real != path {
        return Err(Refusal::new(
            "write",
            format!("`{}` is reached through a symbolic link", path.display()),
            format!("name the folder itself: {}", real.display()),
        ));
    }
    if !metadata.is_dir() && !metadata.is_file() {
        let why = format!("`{}` is neither folder nor file", path.display());
        return Err(Refusal::new("write", why, cure));
    }
    Ok(Entry { path: real, kind: Kind::Write, is_folder: metadata.is_dir() })
}

/// A path that is not there needs no guard; one that cannot be looked at for another reason cannot be guarded.
fn guarded(path: &Path, kind: Kind) -> Result<Option<Entry>, Refusal> {
    match look(path) {
        Ok((real, metadata)) => Ok(Some(Entry { path: real, kind, is_folder: metadata.is_dir() })),
        Err(error) if is_out_of_reach(&error) => Ok(None),
        Err(error) => {
            let property = if kind == Kind::Hidden { "read" } else { "write" };
            let why = at(format!("`{}` cannot be looked at", path.display()), error);
            Err(Refusal::new(property, why, "make the path readable, or take it out of the policy"))
        }
    }
}

/// Who cannot get to a path from here cannot get to it from inside either.
fn is_out_of_reach(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
        || error.raw_os_error() == Some(libc::ELOOP)
}

fn socket(path: &Path) -> Result<Entry, Refusal> {
    let cure = "start what listens there, or take it out of the policy";
    let refuse = |why: String| Refusal::new("socket", why, cure);
    let (real, metadata) = look(path).map_err(|error| refuse(at(format!("`{}`", path.display()), error)))?;
    if !metadata.file_type().is_socket() && !metadata.is_dir() {
        return Err(refuse(format!("`{}` is no socket and no folder of sockets", path.display())));
    }
    Ok(Entry { path: real, kind: Kind::Socket, is_folder: metadata.is_dir() })
}

fn look(path: &Path) -> io::Result<(PathBuf, Metadata)> {
    let real = std::fs::canonicalize(path)?;
    let metadata = std::fs::symlink_metadata(&real)?;
    Ok((real, metadata))
}

/// Takes from the machine's tree what will be put back over private and hidden folders.
pub(super) fn take_trees(entries: &[Entry]) -> Result<Trees, Refusal> {
    let mut trees = Trees::new();
    for entry in entries.iter().filter(|entry| entry.is_taken()) {
        let tree = clone_of(&entry.path, Reach::All).and_then(|tree| {
            let read_only = if entry.kind == Kind::Write { 0 } else { RDONLY };
            kernel::set_mount(std::os::fd::AsFd::as_fd(&tree), Reach::All, read_only | NOSUID | NODEV, 0)?;
            Ok(tree)
        });
        match tree {
            Ok(tree) => drop(trees.insert(entry.path.clone(), tree)),
            Err(error) => {
                let why = at(format!("`{}` cannot be mounted", entry.path.display()), error);
                return Err(Refusal::new(entry.property(), why, MOUNT_CURE));
            }
        }
    }
    Ok(trees)
}

/// What helps where a mount is refused.
pub(super) const MOUNT_CURE: &str = "allow this executable to mount in its own user namespace: on Ubuntu an AppArmor \
     profile with `userns,` for it, in a container its seccomp profile and unmasked /proc; see `niia doctor`";

/// A mount of its own of what lies at a path, and of the mounts below where `reach` says so.
fn clone_of(path: impl rustix::path::Arg, reach: Reach) -> io::Result<OwnedFd> {
    let recursive = if reach == Reach::All { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | recursive;
    Ok(rustix::mount::open_tree(CWD, path, flags)?)
}

fn os(text: &str) -> &OsStr {
    OsStr::new(text)
}
