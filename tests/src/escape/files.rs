//! Writing where nothing was granted: every way by which content or names can change.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::sys::{ask, c};
use super::{Attempt, reached};

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("create", "makes a new file beside the user's", |s| {
        fs::write(s.outside("new"), "x")?;
        reached("made")
    }),
    Attempt::outside("overwrite", "overwrites a file of the user's", |s| {
        fs::write(s.outside("victim.txt"), "x")?;
        reached("overwritten")
    }),
    Attempt::outside("append", "appends to a file of the user's", |s| {
        OpenOptions::new().append(true).open(s.outside("victim.txt"))?.write_all(b"x")?;
        reached("appended")
    }),
    Attempt::outside("truncate", "cuts a file off by its path", |s| {
        ask!(libc::SYS_truncate, &c(s.outside("victim.txt")), 0)?;
        reached("cut off")
    }),
    Attempt::outside("open-truncate", "opens a file for reading and cuts it off by the way", |s| {
        let path = c(s.outside("victim.txt"));
        ask!(libc::SYS_openat, libc::AT_FDCWD, &path, libc::O_RDONLY | libc::O_TRUNC)?;
        reached("cut off")
    }),
    Attempt::outside("openat2", "writes by the newer call to open", |s| {
        let how = [u64::try_from(libc::O_WRONLY | libc::O_TRUNC).unwrap_or(0), 0, 0];
        ask!(libc::SYS_openat2, libc::AT_FDCWD, &c(s.outside("victim.txt")), how.as_ptr(), 24)?;
        reached("opened and cut off")
    }),
    Attempt::outside("write-by-symlink", "writes through a link in the worktree", |s| {
        symlink(s.outside("victim.txt"), s.tree().join("link"))?;
        fs::write(s.tree().join("link"), "x")?;
        reached("written")
    }),
    Attempt::outside("create-by-symlink", "makes a file through a link to a folder", |s| {
        symlink(s.outside(""), s.tree().join("folder"))?;
        fs::write(s.tree().join("folder/new"), "x")?;
        reached("made")
    }),
    Attempt::outside("relative-symlink", "writes through a link that climbs", |s| {
        symlink("../../home/outside/victim.txt", s.tree().join("link"))?;
        fs::write(s.tree().join("link"), "x")?;
        reached("written")
    }),
    Attempt::outside("symlink-out", "leaves a link outside", |s| {
        symlink("/etc/passwd", s.outside("link"))?;
        reached("left")
    }),
    Attempt::outside("hardlink-in", "takes a file in by a second name and writes to it", |s| {
        fs::hard_link(s.outside("victim.txt"), s.tree().join("taken"))?;
        fs::write(s.tree().join("taken"), "x")?;
        reached("written")
    }),
    Attempt::outside("hardlink-out", "gives a file of its own a name outside", |s| {
        fs::write(s.tree().join("mine"), "x")?;
        fs::hard_link(s.tree().join("mine"), s.outside("mine"))?;
        reached("linked")
    }),
    Attempt::outside("rename-out", "moves a file outside", |s| {
        fs::write(s.tree().join("mine"), "x")?;
        fs::rename(s.tree().join("mine"), s.outside("mine"))?;
        reached("moved")
    }),
    Attempt::outside("rename-in", "moves a file of the user's into the worktree", |s| {
        fs::rename(s.outside("victim.txt"), s.tree().join("taken"))?;
        reached("moved")
    }),
    Attempt::outside("rename-over", "replaces a file of the user's by its own", |s| {
        fs::write(s.tree().join("mine"), "x")?;
        fs::rename(s.tree().join("mine"), s.outside("victim.txt"))?;
        reached("replaced")
    }),
    Attempt::outside("rename-within", "renames a file outside", |s| {
        fs::rename(s.outside("victim.txt"), s.outside("renamed"))?;
        reached("renamed")
    }),
    Attempt::outside("exchange", "swaps a file of its own with one outside", |s| {
        fs::write(s.tree().join("mine"), "x")?;
        let (from, to) = (c(s.tree().join("mine")), c(s.outside("victim.txt")));
        ask!(libc::SYS_renameat2, libc::AT_FDCWD, &from, libc::AT_FDCWD, &to, libc::RENAME_EXCHANGE)?;
        reached("swapped")
    }),
    Attempt::outside("rename-worktree", "moves the worktree itself out of its place", |s| {
        fs::rename(s.tree(), s.outside("tree"))?;
        fs::create_dir(s.tree())?;
        reached("moved")
    }),
    Attempt::outside("unlink", "removes a file of the user's", |s| {
        fs::remove_file(s.outside("victim.txt"))?;
        reached("removed")
    }),
    Attempt::outside("rmdir", "removes a folder of the user's", |s| {
        fs::remove_dir(s.outside("empty"))?;
        reached("removed")
    }),
    Attempt::outside("mkdir", "makes a folder outside", |s| {
        fs::create_dir(s.outside("folder"))?;
        reached("made")
    }),
    Attempt::outside("mkfifo", "makes a pipe with a name outside", |s| {
        ask!(libc::SYS_mknodat, libc::AT_FDCWD, &c(s.outside("pipe")), libc::S_IFIFO | 0o600, 0)?;
        reached("made")
    }),
    Attempt::outside("bind-socket", "leaves a socket outside", |s| {
        UnixListener::bind(s.outside("mine.sock"))?;
        reached("bound")
    }),
    Attempt::outside("nameless", "makes a file without a name and names it outside", |s| {
        let file =
            OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(s.outside(""))?;
        let own = c(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let to = c(s.outside("named"));
        ask!(libc::SYS_linkat, libc::AT_FDCWD, &own, libc::AT_FDCWD, &to, libc::AT_SYMLINK_FOLLOW)?;
        reached("named")
    }),
    Attempt::outside("write-by-proc-root", "writes through the link of its own root", |s| {
        fs::write(format!("/proc/self/root{}", s.outside("victim.txt").display()), "x")?;
        reached("written")
    }),
    Attempt::outside("write-by-proc-cwd", "writes by climbing from its own folder", |s| {
        std::env::set_current_dir(s.tree())?;
        fs::write("/proc/self/cwd/../../home/outside/victim.txt", "x")?;
        reached("written")
    }),
    Attempt::outside("reopen", "opens a file for reading and opens that again for writing", |s| {
        let file = File::open(s.outside("victim.txt"))?;
        fs::write(format!("/proc/self/fd/{}", file.as_raw_fd()), "x")?;
        reached("written")
    }),
    Attempt::outside("reopen-path", "takes hold of a path without opening it, and opens that", |s| {
        let path = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(s.outside("victim.txt"))?;
        fs::write(format!("/proc/self/fd/{}", path.as_raw_fd()), "x")?;
        reached("written")
    }),
    Attempt::outside("map-shared", "changes a file through its memory", |s| {
        let file = OpenOptions::new().read(true).write(true).open(s.outside("victim.txt"))?;
        let shared = libc::PROT_READ | libc::PROT_WRITE;
        let at = ask!(libc::SYS_mmap, 0, 4096, shared, libc::MAP_SHARED, file.as_raw_fd(), 0)?;
        // SAFETY: the page was mapped just now and the file has at least one byte.
        unsafe { std::ptr::write_volatile(at as usize as *mut u8, b'x') };
        ask!(libc::SYS_msync, at, 4096, libc::MS_SYNC)?;
        reached("changed")
    }),
    Attempt::outside("copy-range", "lets the kernel copy onto a file outside", |s| {
        let mut own = File::create_new(s.tree().join("mine"))?;
        own.write_all(b"xxxx")?;
        let own = File::open(s.tree().join("mine"))?;
        let mut other = OpenOptions::new().write(true).open(s.outside("victim.txt"))?;
        other.rewind()?;
        let none = std::ptr::null::<i64>();
        ask!(libc::SYS_copy_file_range, own.as_raw_fd(), none, other.as_raw_fd(), none, 4, 0)?;
        reached("copied")
    }),
    Attempt::outside("punch-hole", "makes a hole in a file", |s| {
        let file = OpenOptions::new().write(true).open(s.outside("victim.txt"))?;
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        ask!(libc::SYS_fallocate, file.as_raw_fd(), mode, 0, 4)?;
        reached("emptied")
    }),
    Attempt::outside("other-worktree", "writes into the worktree of another session", |s| {
        fs::write(s.other_tree().join("work.txt"), "x")?;
        reached("written")
    }),
    Attempt::outside("other-state", "writes into the node's state", |s| {
        fs::write(s.state().join("journal.db"), "x")?;
        reached("written")
    }),
    Attempt::outside("shared-tmp", "leaves a file where other programs look for theirs", |s| {
        fs::write(format!("/tmp/{}", s.name("left")), "x")?;
        reached("left")
    }),
    Attempt::outside("shared-memory", "leaves a piece of memory under a name", |s| {
        fs::write(format!("/dev/shm/{}", s.name("left")), "x")?;
        reached("left")
    }),
    Attempt::outside("shared-var-tmp", "leaves a file in the folder that survives a restart", |s| {
        fs::write(format!("/var/tmp/{}", s.name("left")), "x")?;
        reached("left")
    }),
];
