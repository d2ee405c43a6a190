//! The limit: the least code that does the same work, with nothing of niia in it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use super::chores;
use super::usage;

/// A terminal is read in pieces of this size, as a minder does.
const READ_BYTES: usize = 64 * 1024;

/// A program in a terminal of its own.
pub struct Session {
    pub master: File,
    pub child: Child,
}

/// # Panics
/// When the machine has no terminal left: then nothing can be measured.
pub fn start(mut command: Command) -> Session {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let open = || -> rustix::io::Result<(OwnedFd, OwnedFd)> {
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(&master, flags)?;
        Ok((master, slave))
    };
    let (master, slave) = open().unwrap_or_else(|error| panic!("no terminal: {error}"));
    let twice = || slave.try_clone().unwrap_or_else(|error| panic!("no descriptor: {error}"));
    command.stdin(Stdio::from(twice())).stdout(Stdio::from(twice())).stderr(Stdio::from(twice()));
    drop(slave);
    // SAFETY: between fork and exec only the kernel is called.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?)
        });
    }
    let child = command.spawn().unwrap_or_else(|error| panic!("no program: {error}"));
    // The command holds the other side of the terminal too.
    drop(command);
    Session { master: File::from(master), child }
}

impl Session {
    /// Reads to the end, into a file where one is given, and buries the program.
    pub fn finish(mut self, mut into: Option<File>) -> u64 {
        let mut buffer = vec![0; READ_BYTES];
        let mut all = 0;
        while let Ok(count) = self.master.read(&mut buffer) {
            if count == 0 {
                break;
            }
            all += count as u64;
            if let Some(file) = &mut into {
                file.write_all(&buffer[..count]).unwrap_or_else(|error| panic!("no disk: {error}"));
            }
        }
        self.child.wait().unwrap_or_else(|error| panic!("no end: {error}"));
        all
    }
}

fn chore(args: &[&str]) -> Command {
    let mut command = Command::new(chores::program());
    command.args(args);
    command
}

/// So many programs that do nothing, one after the other on each core: wall clock and CPU a program.
pub fn fan_out(count: usize) -> (Duration, Duration) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (cpu, began) = (usage::own_cpu(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| (0..count / cores).map(|_| start(Command::new("true")).finish(None)).sum::<u64>());
        }
    });
    let wall = began.elapsed();
    (wall, (usage::own_cpu() - cpu) / u32::try_from(count).unwrap_or(1))
}

/// A program that does nothing, and then a line that reaches the disk.
pub fn steps(folder: &Path, count: usize) -> Duration {
    let log = DurableLog::new(&folder.join("steps"));
    let began = Instant::now();
    for number in 0..count {
        start(Command::new("true")).finish(None);
        log.write(number);
    }
    began.elapsed() / u32::try_from(count).unwrap_or(1)
}

/// A file whose place on the disk is there already, as that of a log that is written over again and again.
pub struct DurableLog(File);

impl DurableLog {
    const PAGE_BYTES: usize = 4096;
    const PAGES: usize = 256;

    /// # Panics
    /// When the disk is full: then nothing can be measured.
    pub fn new(path: &Path) -> DurableLog {
        let made = File::create(path).and_then(|mut file| {
            file.write_all(&vec![1; Self::PAGE_BYTES * Self::PAGES])?;
            file.sync_all()?;
            Ok(file)
        });
        DurableLog(made.unwrap_or_else(|error| panic!("no disk: {error}")))
    }

    pub fn write(&self, number: usize) {
        let at = (number % Self::PAGES * Self::PAGE_BYTES) as u64;
        let written = self.0.write_all_at(&[number as u8; Self::PAGE_BYTES], at);
        written.and_then(|()| self.0.sync_data()).unwrap_or_else(|error| panic!("no disk: {error}"));
    }
}

/// Megabytes a second from so many terminals at once, each into a file of its own.
pub fn throughput(folder: &Path, sessions: usize, megabytes: u64) -> f64 {
    let began = Instant::now();
    let bytes: u64 = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..sessions)
            .map(|number| {
                let path = folder.join(format!("bare-{number}"));
                scope.spawn(move || {
                    let file = File::create(&path).unwrap_or_else(|error| panic!("no disk: {error}"));
                    let read = start(chore(&["--emit", &megabytes.to_string()])).finish(Some(file));
                    drop(std::fs::remove_file(&path));
                    read
                })
            })
            .collect();
        readers.into_iter().filter_map(|reader| reader.join().ok()).sum()
    });
    assert_eq!(bytes, sessions as u64 * chores::emitted_bytes(megabytes), "the bare reader lost bytes");
    bytes as f64 / 1e6 / began.elapsed().as_secs_f64()
}

/// Keys to a program that sends them back; each one's time, in microseconds.
pub fn echo(keys: usize, pause: Duration) -> Vec<f64> {
    let mut session = start(chore(&["--echo"]));
    let mut bytes = [0; 256];
    let mut seen = Vec::new();
    while !seen.ends_with(b"\n") {
        let count = session.master.read(&mut bytes).unwrap_or_default();
        seen.extend_from_slice(&bytes[..count]);
    }
    let times = (0..keys).map(|_| {
        std::thread::sleep(pause);
        let began = Instant::now();
        session.master.write_all(b"x").unwrap_or_else(|error| panic!("no key: {error}"));
        drop(session.master.read(&mut bytes));
        began.elapsed().as_secs_f64() * 1e6
    });
    let times = times.collect();
    drop(session.child.kill());
    session.finish(None);
    times
}

/// From the start of a program in a terminal until it runs, in milliseconds.
pub fn start_of_program(stamp: &Path) -> f64 {
    let began = chores::now();
    start(chore(&["--stamp", &stamp.display().to_string()])).finish(None);
    stamped(stamp).saturating_sub(began).as_secs_f64() * 1e3
}

/// When a `--stamp` ran.
pub fn stamped(stamp: &Path) -> Duration {
    let text = std::fs::read_to_string(stamp).unwrap_or_default();
    Duration::from_nanos(text.parse().unwrap_or_default())
}
