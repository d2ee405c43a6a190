//! The session's own files: one file system in memory, with a bound, of which every private folder is a part.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use super::os;
use crate::sandbox::kernel::{self, RDONLY, Reach};
use crate::sandbox::layers::terminal::Terminal;

/// A file of this size on the average: more files than that are a flood.
const BYTES_OF_A_FILE: u64 = 4 << 10;
const FILES_MIN: u64 = 4 << 10;
/// What a program expects to find as devices; of the machine's, these alone.
pub(super) const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
    ("pts/ptmx", "dev/ptmx"),
];
/// Parts of the file system, and their modes.
const PARTS: [(&str, u32); 9] = [
    ("dev", 0o755),
    ("dev/pts", 0o755),
    ("dev/shm", 0o755),
    ("shared", 0o755),
    ("run", 0o755),
    ("shm", 0o1777),
    ("empty", 0o555),
    ("covers", 0o755),
    ("links", 0o755),
];
/// What covers a file.
const VOID: &str = "void";

/// Mounts that are not yet anywhere.
pub(super) struct Fresh {
    pub processes: OwnedFd,
    pub terminals: OwnedFd,
    files: OwnedFd,
    devices: Vec<(&'static str, OwnedFd)>,
    console: Option<OwnedFd>,
}

/// The file system in memory, where it is mounted.
pub(super) struct Private {
    files: OwnedFd,
    covers: u32,
}

impl Fresh {
    /// Must be called while the machine's own tree is still there.
    pub fn make(bytes_max: u64, terminal: &Terminal) -> io::Result<Fresh> {
        let quiet = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let files_max = (bytes_max / BYTES_OF_A_FILE).max(FILES_MIN);
        let size = [("size", bytes_max.to_string()), ("nr_inodes", files_max.to_string())];
        let files = file_system("tmpfs", &size, "mode", "0755", quiet)?;
        let own = [("newinstance", String::new()), ("ptmxmode", "0666".to_owned())];
        let no_programs = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let terminals = file_system("devpts", &own, "mode", "0620", no_programs)?;
        let all = quiet | MountAttrFlags::MOUNT_ATTR_NOEXEC | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let processes = file_system("proc", &[], "", "", all)?;
        let mut devices = Vec::with_capacity(DEVICES.len());
        for name in DEVICES {
            devices.push((name, device(&Path::new("/dev").join(name))?));
        }
        let console = terminal.path().map(device).transpose()?;
        Ok(Fresh { processes, terminals, files, devices, console })
    }

    /// Puts the file system where `/dev` is, with all its parts, and the part that is to be seen there over it.
    pub fn settle(self) -> io::Result<(Private, Places)> {
        attach(self.files.as_fd(), Path::new("/dev"))?;
        let files = self.files;
        for (part, mode) in PARTS {
            rustix::fs::mkdirat(&files, part, Mode::from_raw_mode(0o755))?;
            rustix::fs::chmodat(&files, part, Mode::from_raw_mode(mode), AtFlags::empty())?;
        }
        for (target, link) in LINKS {
            rustix::fs::symlinkat(target, &files, link)?;
        }
        touch(files.as_fd(), VOID, 0o444)?;
        let private = Private { files, covers: 0 };
        let folder = private.part("dev")?;
        attach(folder.as_fd(), Path::new("/dev"))?;
        for (name, tree) in self
            .devices
            .iter()
            .map(|(name, tree)| (*name, tree))
            .chain(self.console.as_ref().map(|console| ("console", console)))
        {
            touch(folder.as_fd(), name, 0o444)?;
            attach(tree.as_fd(), &Path::new("/dev").join(name))?;
        }
        attach(self.terminals.as_fd(), Path::new("/dev/pts"))?;
        attach(private.part("shm")?.as_fd(), Path::new("/dev/shm"))?;
        kernel::set_mount(folder.as_fd(), Reach::One, RDONLY, 0)?;
        Ok((private, Places { processes: self.processes }))
    }
}

/// What is left to be put into its place.
pub(super) struct Places {
    pub processes: OwnedFd,
}

impl Private {
    /// A folder of its own that everybody may write to, as `/tmp` is.
    pub fn shared(&self, number: usize) -> io::Result<OwnedFd> {
        let name = format!("shared/{number}");
        rustix::fs::mkdirat(&self.files, name.as_str(), Mode::from_raw_mode(0o755))?;
        rustix::fs::chmodat(&self.files, name.as_str(), Mode::from_raw_mode(0o1777), AtFlags::empty())?;
        self.part(&name)
    }

    /// What stands in for `/run`: the one folder in it that programs write to is the user's.
    pub fn run(&self, uid: u32) -> io::Result<OwnedFd> {
        rustix::fs::mkdirat(&self.files, "run/user", Mode::from_raw_mode(0o755))?;
        let own = format!("run/user/{uid}");
        rustix::fs::mkdirat(&self.files, own.as_str(), Mode::from_raw_mode(0o700))?;
        rustix::fs::mkdirat(&self.files, "run/lock", Mode::from_raw_mode(0o755))?;
        self.part("run")
    }

    fn part(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        Ok(rustix::mount::open_tree(&self.files, name, flags)?)
    }

    /// A read-only file or folder with nothing in it.
    pub fn nothing(&self, is_folder: bool) -> io::Result<OwnedFd> {
        let tree = self.part(if is_folder { "empty" } else { VOID })?;
        kernel::set_mount(tree.as_fd(), Reach::One, RDONLY, 0)?;
        Ok(tree)
    }

    /// A link to a path.
    pub fn link(&self, number: usize, to: &Path) -> io::Result<OwnedFd> {
        let name = format!("links/{number}");
        rustix::fs::symlinkat(to, &self.files, name.as_str())?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let flags = flags | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        let tree = rustix::mount::open_tree(&self.files, name.as_str(), flags)?;
        kernel::set_mount(tree.as_fd(), Reach::One, RDONLY, 0)?;
        Ok(tree)
    }

    /// The folder in which nothing is, for file systems that want one.
    pub fn empty(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.files, "empty", flags, Mode::empty())?)
    }

    /// A folder in which what lies below can be put back; to be made read-only when all is there.
    pub fn cover(&mut self) -> io::Result<OwnedFd> {
        self.covers += 1;
        let name = format!("covers/{}", self.covers);
        rustix::fs::mkdirat(&self.files, name.as_str(), Mode::from_raw_mode(0o755))?;
        self.part(&name)
    }

    /// The number of the file system, by which its parts are known again.
    pub fn device(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.files)?.st_dev)
    }

    /// What is not mounted anywhere else cannot be written any more.
    pub fn close(&self) -> io::Result<()> {
        kernel::set_mount(self.files.as_fd(), Reach::One, RDONLY, 0)
    }
}

fn device(path: &Path) -> io::Result<OwnedFd> {
    let metadata = rustix::fs::stat(path)
        .map_err(|errno| io::Error::other(format!("`{}`: {}", path.display(), io::Error::from(errno))))?;
    if FileType::from_raw_mode(metadata.st_mode) != FileType::CharacterDevice {
        return Err(io::Error::other(format!("`{}` is no device", path.display())));
    }
    super::clone_of(path, Reach::One)
}

fn touch(files: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(files, name, flags, Mode::from_raw_mode(mode))?;
    Ok(())
}

pub(super) fn file_system(
    kind: &str,
    options: &[(&str, String)],
    mode_name: &str,
    mode: &str,
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let told = |error: rustix::io::Errno| io::Error::other(format!("{kind}: {}", io::Error::from(error)));
    let system = rustix::mount::fsopen(os(kind), FsOpenFlags::FSOPEN_CLOEXEC).map_err(told)?;
    for (name, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&system, *name).map_err(told)?;
        } else {
            rustix::mount::fsconfig_set_string(&system, *name, value.as_str()).map_err(told)?;
        }
    }
    if !mode_name.is_empty() {
        rustix::mount::fsconfig_set_string(&system, mode_name, mode).map_err(told)?;
    }
    rustix::mount::fsconfig_create(&system).map_err(told)?;
    rustix::mount::fsmount(&system, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(told)
}

/// Puts a mount over what lies at a path.
pub(super) fn attach(mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    Ok(rustix::mount::move_mount(mount, "", CWD, path, empty_path())?)
}

fn empty_path() -> MoveMountFlags {
    MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH
}
