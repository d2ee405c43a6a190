//! Making the mounts.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use super::private::{Fresh, Private, attach};
use super::{Around, Entry, Found, Kind, MOUNT_CURE, Trees, arrange, check, clone_of, own, take_trees, veil};
use crate::sandbox::kernel::{self, NODEV, NOSUID, RDONLY, Reach};
use crate::sandbox::layers::terminal::Terminal;
use crate::sandbox::refusal::at;
use crate::sandbox::wire::Layers;
use crate::sandbox::{Policy, Refusal};

/// A socket that is made anew faster than this is not there to be reached.
const MASK_TRIES: usize = 3;
const KEY_LISTS: [&str; 2] = ["/proc/keys", "/proc/key-users"];

/// The mounts in the making.
struct Making {
    private: Private,
    trees: Trees,
    /// What stands in files of which the session has copies, and how many of those there are.
    own: BTreeMap<PathBuf, Vec<u8>>,
    owned: usize,
    /// Covers that things are still put into.
    covers: Vec<OwnedFd>,
}

/// Gives this process, in its new namespaces, its own tree of mounts, and says what there is.
///
/// `trees` is what was taken from the machine's tree before, where that had to be done as another user.
pub(in super::super) fn make(
    policy: &Policy,
    found: Found,
    trees: Option<Trees>,
    terminal: &Terminal,
    layers: &mut Layers,
) -> Result<Vec<Entry>, Refusal> {
    let Found { mut entries, private, masked, home, own } = found;
    entries.extend(masked.into_iter().map(|path| Entry { path, kind: Kind::Mask, is_folder: false }));
    let mut entries = arrange(entries, &private);
    let covered = out_of_reach(&entries);
    if !covered.is_empty() {
        entries.extend(covered);
        entries = arrange(entries, &private);
    }
    let refuse =
        |what: &'static str| move |error: io::Error| Refusal::new("write", at(what, error), MOUNT_CURE);
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| refuse("the mounts cannot be made private")(errno.into()))?;
    let fresh = Fresh::make(policy.files_bytes_max(), terminal)
        .map_err(refuse("a file system of the session's own cannot be made"))?;
    let trees = trees.map_or_else(|| take_trees(&entries), Ok)?;
    turn_root().map_err(refuse("the machine's tree cannot be made read-only"))?;
    let (files, places) = fresh.settle().map_err(refuse("private folders cannot be made"))?;
    attach(places.processes.as_fd(), Path::new("/proc")).map_err(refuse("/proc cannot be mounted"))?;
    let veiled = veil::veil(home.as_deref(), &files);
    for (number, place) in private.iter().enumerate().filter(|(_, place)| !place.starts_with("/dev")) {
        let folder = if place.ends_with("run") {
            files.run(rustix::process::getuid().as_raw())
        } else {
            files.shared(number)
        };
        folder
            .and_then(|folder| attach(folder.as_fd(), place))
            .map_err(refuse("a private folder cannot be mounted"))?;
    }
    let mut making = Making { private: files, trees, own, owned: 0, covers: Vec::new() };
    for entry in &entries {
        making.mount(entry, &entries, &private).map_err(|error| {
            let why = at(format!("`{}` cannot be mounted", entry.path.display()), error);
            Refusal::new(entry.property(), why, MOUNT_CURE)
        })?;
    }
    making.hide_keys().map_err(refuse("the machine's keys cannot be covered"))?;
    making.close().map_err(refuse("what covers others cannot be made read-only"))?;
    let device = making.private.device().map_err(refuse("the private files cannot be looked at"))?;
    entries.retain(|entry| entry.kind != Kind::Mask || making.is_masked(entry, device));
    check::check(&entries, &private, device, layers)?;
    veil::tell(&veiled, layers);
    Ok(entries)
}

/// Folders the session's user cannot pass, above something that it may use: they are covered, and what may be used is
/// put back.
fn out_of_reach(entries: &[Entry]) -> Vec<Entry> {
    let cannot_pass =
        |folder: &&Path| rustix::fs::accessat(CWD, *folder, Access::EXEC_OK, AtFlags::EACCESS).is_err();
    let first = |entry: &Entry| {
        let mut above: Vec<&Path> = entry.path.ancestors().skip(1).collect();
        above.reverse();
        above.into_iter().find(cannot_pass).map(Path::to_path_buf)
    };
    let found = entries.iter().filter(|entry| entry.is_taken()).filter_map(first);
    found.map(|path| Entry { path, kind: Kind::Hidden, is_folder: true }).collect()
}

/// Makes a read-only copy of the machine's tree the root of everything, and lets go of the machine's.
fn turn_root() -> io::Result<()> {
    let root = clone_of("/", Reach::All)?;
    kernel::set_mount(root.as_fd(), Reach::All, RDONLY | NOSUID | NODEV, 0)?;
    attach(root.as_fd(), Path::new("/"))?;
    rustix::process::fchdir(&root)?;
    rustix::process::pivot_root(".", ".")?;
    // The machine's tree lies over the new one now, where this name finds it first.
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(())
}

impl Making {
    fn mount(&mut self, entry: &Entry, entries: &[Entry], private: &[std::path::PathBuf]) -> io::Result<()> {
        let around = super::arrange::around(&entry.path, entries, private);
        match entry.kind {
            Kind::Write | Kind::Socket => self.put_back(entry),
            Kind::ReadOnly if around == Around::Covered => self.put_back(entry),
            Kind::ReadOnly => {
                let tree = clone_of(&entry.path, Reach::All)?;
                kernel::set_mount(tree.as_fd(), Reach::All, RDONLY, 0)?;
                attach(tree.as_fd(), &entry.path)
            }
            Kind::Own => {
                let bytes = self.own.remove(&entry.path).unwrap_or_default();
                let link = own::link(&self.private, self.owned, &bytes)?;
                self.owned += 1;
                attach(link.as_fd(), &entry.path)
            }
            Kind::Pin => attach(clone_of(&entry.path, Reach::One)?.as_fd(), &entry.path),
            Kind::Hidden => self.cover(entry, entries),
            // Sockets come and go; what has gone is not seen.
            Kind::Mask => match self.cover(entry, entries) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                covered => covered,
            },
        }
    }

    /// Whether a socket is covered; one that was made anew meanwhile is covered again, one that has gone is forgotten.
    fn is_masked(&self, entry: &Entry, device: u64) -> bool {
        for _ in 0..MASK_TRIES {
            match rustix::fs::stat(&entry.path) {
                Ok(stat) if stat.st_dev == device => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
            // What fails here is looked at again, and told by the check in the end.
            let _ = self.private.nothing(false).and_then(|nothing| attach(nothing.as_fd(), &entry.path));
        }
        true
    }

    /// The kernel tells everybody the names of keys.
    fn hide_keys(&self) -> io::Result<()> {
        for list in KEY_LISTS.map(Path::new).into_iter().filter(|list| list.exists()) {
            attach(self.private.nothing(false)?.as_fd(), list)?;
        }
        Ok(())
    }

    fn put_back(&mut self, entry: &Entry) -> io::Result<()> {
        make_place(&entry.path, entry.is_folder)?;
        let tree =
            self.trees.remove(&entry.path).ok_or_else(|| io::Error::other("it was not taken along"))?;
        attach(tree.as_fd(), &entry.path)
    }

    fn cover(&mut self, entry: &Entry, entries: &[Entry]) -> io::Result<()> {
        // What is not in the new tree, as a part of `/proc`, is not seen either.
        if rustix::fs::stat(&entry.path).is_err() && !entry.path.exists() {
            return Ok(());
        }
        let holds = |other: &Entry| other.is_taken() && other.path.starts_with(&entry.path);
        if entry.is_folder && entries.iter().any(holds) {
            let cover = self.private.cover()?;
            attach(cover.as_fd(), &entry.path)?;
            self.covers.push(cover);
            return Ok(());
        }
        attach(self.private.nothing(entry.is_folder)?.as_fd(), &entry.path)
    }

    fn close(&mut self) -> io::Result<()> {
        for cover in self.covers.drain(..) {
            kernel::set_mount(cover.as_fd(), Reach::One, RDONLY, 0)?;
        }
        self.private.close()
    }
}

/// Makes a place to mount on where there is none; it can be made in private folders and in covers only.
fn make_place(path: &Path, is_folder: bool) -> io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    if is_folder {
        return std::fs::create_dir_all(path);
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::File::create_new(path).map(drop)
}
