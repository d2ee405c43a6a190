//! Opening below a folder and nowhere else, whatever others do to it meanwhile: no link is followed on the way.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

/// Never waits for the other end of a pipe, never becomes a terminal's, never survives an exec, never follows a link.
const ALWAYS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens a path below the folder.
pub fn open(root: BorrowedFd, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    match open_at_once(root, path, flags, mode) {
        // An old kernel, or a container that does not let the call through.
        Err(Errno::NOSYS | Errno::PERM) => {}
        answer => return answer,
    }
    open_by_steps(root, path, flags, mode)
}

#[cfg(target_os = "linux")]
fn open_at_once(root: BorrowedFd, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};

    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | ALWAYS, mode, resolve | ResolveFlags::NO_XDEV)
}

/// One folder after the other, each held open while the next is looked up, so that nothing can be put in its place.
fn open_by_steps(root: BorrowedFd, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let parts: Vec<&OsStr> = path.iter().collect();
    let Some((last, folders)) = parts.split_last() else {
        return Err(Errno::NOENT);
    };
    if parts.iter().any(|part| *part == ".." || *part == "/") {
        return Err(Errno::XDEV);
    }
    let mut folder: Option<OwnedFd> = None;
    for name in folders {
        let at = folder.as_ref().map_or(root, AsFd::as_fd);
        folder = Some(openat(at, *name, OFlags::RDONLY | OFlags::DIRECTORY | ALWAYS, Mode::empty())?);
    }
    openat(folder.as_ref().map_or(root, AsFd::as_fd), *last, flags | ALWAYS, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_opening_agree_on_what_lies_below_and_what_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("in/deep")).unwrap();
        std::fs::write(at("in/deep/file"), "x").unwrap();
        std::fs::write(at("secret"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", at("in/link")).unwrap();
        std::os::unix::fs::symlink("..", at("in/up")).unwrap();
        std::os::unix::fs::symlink("deep", at("in/inside")).unwrap();
        let root = rustix::fs::open(at("in"), OFlags::RDONLY, Mode::empty()).unwrap();
        for path in
            ["deep/file", "deep", "link", "up/secret", "../secret", "/etc/passwd", "inside/file", "absent"]
        {
            let steps = open_by_steps(root.as_fd(), Path::new(path), OFlags::RDONLY, Mode::empty());
            let either = open(root.as_fd(), Path::new(path), OFlags::RDONLY, Mode::empty());
            assert_eq!(steps.is_ok(), path.starts_with("deep"), "{path}");
            assert_eq!(either.is_ok(), steps.is_ok(), "{path}");
        }
    }
}
