//! The limit: what the machine itself takes, with nothing of niia around it.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::house::must;

/// A program in a terminal of its own, as barely as it can be had.
pub(super) fn spawn(mut command: Command) -> (OwnedFd, Child) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = must("open a terminal", openpt(flags));
    must("open a terminal", grantpt(&master).and_then(|()| unlockpt(&master)));
    let slave = || Stdio::from(must("open the other side", ioctl_tiocgptpeer(&master, flags)));
    command.stdin(slave()).stdout(slave()).stderr(slave());
    let child = must("start a program", command.spawn());
    (master, child)
}

/// Starts `true` so many times, one after the other.
pub(super) fn fan_out(count: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        let (master, mut child) = spawn(Command::new("true"));
        must("wait", child.wait());
        drop(master);
    }
    start.elapsed()
}

/// Processor time of this process and of the children it waited for, in seconds.
pub(super) fn processor_time() -> f64 {
    // The order of the fields is that of proc(5): utime, stime, cutime, cstime are 14 to 17.
    let stat = must("read proc", std::fs::read_to_string("/proc/self/stat"));
    super::memory::ticks(&stat, 4)
}

/// Reads everything programs print into files, one after the other as it comes, and says how long that took.
pub(super) fn drain(program: &Path, args: &[&str], sessions: usize, folder: &Path) -> Duration {
    let start = Instant::now();
    let readers: Vec<_> = (0..sessions)
        .map(|number| {
            let mut command = Command::new(program);
            command.args(args);
            let (master, mut child) = spawn(command);
            let path = folder.join(format!("bare-{number}"));
            std::thread::spawn(move || {
                let mut file = must("make a file", std::fs::File::create(&path));
                copy(&mut std::fs::File::from(master), &mut file);
                must("wait", child.wait());
                must("remove a file", std::fs::remove_file(&path));
            })
        })
        .collect();
    for reader in readers {
        assert!(reader.join().is_ok(), "a reader ended otherwise");
    }
    start.elapsed()
}

fn copy(from: &mut std::fs::File, to: &mut std::fs::File) {
    let mut bytes = vec![0; 64 * 1024];
    // A terminal ends with an error on Linux.
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        must("write", std::io::Write::write_all(to, &bytes[..count]));
    }
}
