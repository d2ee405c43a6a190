//! Changing what is known about a file outside without touching its content: mode, owner, times, attributes.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::time::SystemTime;

use super::sys::{ask, c};
use super::{Attempt, reached};

/// `setxattrat`, `file_setattr`: newer than the C library's list.
const SETXATTRAT: i64 = 463;
const FILE_SETATTR: i64 = 469;

/// Of `linux/fs.h`: reads and sets what `chattr` shows.
const GETFLAGS: u64 = 0x8008_6601;
const SETFLAGS: u64 = 0x4008_6602;
const NODUMP: i64 = 0x40;

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("chmod", "opens a file of the user's to everybody", |s| {
        fs::set_permissions(s.outside("victim.txt"), Permissions::from_mode(0o666))?;
        reached("changed")
    }),
    Attempt::outside("fchmod", "does so by a descriptor that may only read", |s| {
        File::open(s.outside("victim.txt"))?.set_permissions(Permissions::from_mode(0o666))?;
        reached("changed")
    }),
    Attempt::outside("chmod-by-path-handle", "does so through /proc by a handle of the path", |s| {
        let path = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(s.outside("victim.txt"))?;
        let name = format!("/proc/self/fd/{}", path.as_raw_fd());
        fs::set_permissions(name, Permissions::from_mode(0o666))?;
        reached("changed")
    }),
    Attempt::outside("fchmodat2", "does so by the newest call for it", |s| {
        ask!(libc::SYS_fchmodat2, libc::AT_FDCWD, &c(s.outside("victim.txt")), 0o666, 0)?;
        reached("changed")
    }),
    Attempt::outside("chmod-by-symlink", "does so through a link in the worktree", |s| {
        std::os::unix::fs::symlink(s.outside("victim.txt"), s.tree().join("link"))?;
        fs::set_permissions(s.tree().join("link"), Permissions::from_mode(0o666))?;
        reached("changed")
    }),
    Attempt::outside("chmod-home", "opens the home itself to everybody", |s| {
        fs::set_permissions(s.home(), Permissions::from_mode(0o777))?;
        reached("changed")
    }),
    Attempt::outside("chown", "gives a file to its own group anew", |s| {
        chown(s.outside("victim.txt"), Some(s.uid), None)?;
        reached("changed")
    }),
    Attempt::outside("fchown", "does so by a descriptor that may only read", |s| {
        std::os::unix::fs::fchown(File::open(s.outside("victim.txt"))?, Some(s.uid), None)?;
        reached("changed")
    }),
    Attempt::outside("utimes", "sets back the time of a file", |s| {
        let times = [0_i64, 0, 0, 0];
        ask!(libc::SYS_utimensat, libc::AT_FDCWD, &c(s.outside("victim.txt")), times.as_ptr(), 0)?;
        reached("changed")
    }),
    Attempt::outside("futimens", "does so by a descriptor that may only read", |s| {
        let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        File::open(s.outside("victim.txt"))?.set_times(times)?;
        reached("changed")
    }),
    Attempt::outside("setxattr", "hangs an attribute on a file", |s| {
        let value = b"x";
        ask!(libc::SYS_setxattr, &c(s.outside("victim.txt")), c"user.x", value.as_ptr(), 1, 0)?;
        reached("hung")
    }),
    Attempt::outside("fsetxattr", "does so by a descriptor that may only read", |s| {
        let file = File::open(s.outside("victim.txt"))?;
        let value = b"x";
        ask!(libc::SYS_fsetxattr, file.as_raw_fd(), c"user.x", value.as_ptr(), 1, 0)?;
        reached("hung")
    }),
    Attempt::outside("setxattrat", "does so by the newest call for it", |s| {
        let value = b"x";
        let value_args: [u64; 2] = [value.as_ptr() as u64, 1];
        let path = c(s.outside("victim.txt"));
        ask!(SETXATTRAT, libc::AT_FDCWD, &path, 0, c"user.x", value_args.as_ptr(), 16)?;
        reached("hung")
    }),
    Attempt::outside("removexattr", "takes an attribute off", |s| {
        ask!(libc::SYS_removexattr, &c(s.outside("victim.txt")), c"user.mark")?;
        reached("taken off")
    }),
    Attempt::outside("access-list", "lets everybody in by an access list", |s| {
        // Version 2, then owner, group, mask and others, each with all rights.
        let entry = |tag: u16| [tag.to_le_bytes(), 7_u16.to_le_bytes(), [255, 255], [255, 255]].concat();
        let entries = [0x01, 0x04, 0x10, 0x20].map(entry).concat();
        let list = [2_u32.to_le_bytes().to_vec(), entries].concat();
        let path = c(s.outside("victim.txt"));
        ask!(libc::SYS_setxattr, &path, c"system.posix_acl_access", list.as_ptr(), list.len(), 0)?;
        reached("opened")
    }),
    Attempt::outside("chattr", "sets a flag on a file by a descriptor that may only read", |s| {
        let file = File::open(s.outside("victim.txt"))?;
        let mut flags = 0_i64;
        ask!(libc::SYS_ioctl, file.as_raw_fd(), GETFLAGS, &raw mut flags)?;
        flags ^= NODUMP;
        ask!(libc::SYS_ioctl, file.as_raw_fd(), SETFLAGS, &raw const flags)?;
        reached("set")
    }),
    Attempt::outside("file-setattr", "sets a flag by the newest call for it", |s| {
        // `struct file_attr`: flags (nodump), extent size, extents, project, extent size for copies.
        let attributes: [u32; 6] = [0x80, 0, 0, 0, 0, 0];
        let path = c(s.outside("victim.txt"));
        ask!(FILE_SETATTR, libc::AT_FDCWD, &path, attributes.as_ptr(), 24, 0)?;
        reached("set")
    }),
    Attempt::outside("project-folder", "opens the repository's own folder to everybody", |s| {
        fs::set_permissions(s.project().join(".git"), Permissions::from_mode(0o777))?;
        reached("changed")
    }),
];
