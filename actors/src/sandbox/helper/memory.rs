//! Watches over what all of a session's processes hold together.
//!
//! A limit of the kernel's own holds for one process and not for a session, and memory that is shared counts for
//! nobody. So the helper, which no process inside can see or stop, looks at all of them, the oftener the nearer they
//! are to their bound, and ends the largest where they are above it. The kernel's own tables, pipes and sockets are not
//! in what it sees.

use std::ffi::CStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Signal;

/// Faster than two processors get and clear pages, for each millisecond.
const BYTES_A_MS: u64 = 4 << 20;
/// A look at a session of ten processes takes some tenth of a millisecond.
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_millis(250);
/// The watch itself takes no more than a part of a processor's time.
const SHARE: u32 = 10;
/// Between fork and exec a child counts what is its parent's once more; by then it is over.
const LOOKS_OVER: u32 = 3;
/// What the kernel says of one process is a page or two.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// The longest name of a process.
const NAME_LETTERS_MAX: usize = 16;
const SEGMENTS: &CStr = c"sysvipc/shm";

/// The watch of one session.
#[derive(Debug)]
pub(super) struct Watch {
    /// The session's own `/proc`.
    processes: OwnedFd,
    bytes_max: u64,
    /// How often in a row there was too much.
    over: u32,
}

/// One process, and what it holds.
struct Holder {
    /// Its folder, which stands for this process even where its number is given away again.
    folder: OwnedFd,
    number: i32,
    bytes: u64,
}

impl Watch {
    /// To be called when `/proc` is the session's: then this process is not in it.
    pub fn begin(bytes_max: u64) -> io::Result<Watch> {
        let processes = folder(CWD, "/proc")?;
        match rustix::fs::readlinkat(&processes, "self", Vec::new()) {
            Err(Errno::NOENT) => Ok(Watch { processes, bytes_max, over: 0 }),
            Ok(_) => Err(io::Error::other("/proc is the machine's")),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Looks, ends who holds too much, and says when to look again.
    pub fn look(&mut self) -> io::Result<Duration> {
        let begun = Instant::now();
        let segments = segments(&self.processes)?;
        let mut all = self.holders(private_and_shared)?;
        let mut held = segments + sum(&all);
        if held > self.bytes_max {
            // What several see was counted for each of them.
            all.iter_mut().for_each(|holder| holder.bytes = parts(&holder.folder).unwrap_or(holder.bytes));
            held = segments + sum(&all);
        }
        self.over = if held > self.bytes_max { self.over + 1 } else { 0 };
        if self.over >= LOOKS_OVER || distinct(&all) > self.bytes_max.saturating_mul(2) {
            self.over = 0;
            if let Some(largest) = all.into_iter().max_by_key(|holder| holder.bytes) {
                end(&largest, held, self.bytes_max);
            }
        }
        Ok(pause(self.bytes_max.saturating_sub(held), begun.elapsed()))
    }

    /// Everybody but the first process, which is niia's.
    fn holders(&self, bytes: fn(&str) -> u64) -> io::Result<Vec<Holder>> {
        let mut all = Vec::new();
        for entry in Dir::read_from(&self.processes)? {
            let entry = entry?;
            let number = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
            let Some(number) = number.filter(|number| *number > 1) else { continue };
            // Processes come and go.
            let Ok(folder) = folder(&self.processes, entry.file_name()) else { continue };
            let Ok(text) = text(&folder, c"status") else { continue };
            all.push(Holder { folder, number, bytes: bytes(&text) });
        }
        Ok(all)
    }
}

fn sum(all: &[Holder]) -> u64 {
    all.iter().map(|holder| holder.bytes).sum()
}

/// What is held for sure: a child that has not become another program yet holds exactly what its parent holds, and may be
/// counted once more than there is.
fn distinct(all: &[Holder]) -> u64 {
    let amounts: std::collections::BTreeSet<u64> = all.iter().map(|holder| holder.bytes).collect();
    amounts.into_iter().sum()
}

/// The nearer the bound, the sooner.
fn pause(room: u64, took: Duration) -> Duration {
    let soonest = Duration::from_millis(room / BYTES_A_MS);
    (soonest.max(took * SHARE)).clamp(LOOK_MIN, LOOK_MAX)
}

/// What a process has in memory and in swap but its programs' files; all that it shares is counted as its own.
fn private_and_shared(status: &str) -> u64 {
    kib(status, &["RssAnon:", "RssShmem:", "VmSwap:"])
}

/// The same, with what is shared counted in parts.
fn parts(folder: &OwnedFd) -> io::Result<u64> {
    Ok(kib(&text(folder, c"smaps_rollup")?, &["Pss_Anon:", "Pss_Shmem:", "SwapPss:"]))
}

fn kib(text: &str, names: &[&str]) -> u64 {
    let of = |line: &str| {
        let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
        u64::from_str(rest.trim().strip_suffix("kB")?.trim()).ok()
    };
    text.lines().filter_map(of).sum::<u64>() << 10
}

/// What lies in segments that nobody needs to have before him: their two last columns are what is in memory and in swap.
/// Those that somebody has are counted twice, which is on the safe side, and they are small.
fn segments(processes: &OwnedFd) -> io::Result<u64> {
    let text = match text(processes, SEGMENTS) {
        // A kernel without them.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        text => text?,
    };
    let of =
        |line: &str| line.split_whitespace().skip(14).filter_map(|bytes| bytes.parse::<u64>().ok()).sum();
    Ok(text.lines().skip(1).map(|line| -> u64 { of(line) }).sum())
}

fn end(holder: &Holder, held: u64, bytes_max: u64) {
    let name = text(&holder.folder, c"comm").unwrap_or_default();
    let name: String = name.chars().filter(|letter| !letter.is_control()).take(NAME_LETTERS_MAX).collect();
    // Who has ended by itself needs no more.
    if rustix::process::pidfd_send_signal(&holder.folder, Signal::KILL).is_ok() {
        tell(&format!(
            "\r\nniia: memory_mb: `{name}` (process {}) was ended: the session held {} MiB of {}\r\n",
            holder.number,
            held >> 20,
            bytes_max >> 20
        ));
    }
}

/// Says it to whoever looks at the terminal, where that takes it at once.
fn tell(line: &str) {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let stderr = rustix::stdio::stderr();
    let mut watched = [PollFd::new(&stderr, PollFlags::OUT)];
    if poll(&mut watched, Some(&now)) == Ok(1) && watched[0].revents().contains(PollFlags::OUT) {
        drop(io::stderr().write_all(line.as_bytes()));
    }
}

fn folder(at: impl AsFd, name: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

fn text(folder: &OwnedFd, name: &CStr) -> io::Result<String> {
    let file = rustix::fs::openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(std::fs::File::from(file), TEXT_BYTES_MAX as u64), &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_and_in_swap_counts_and_programs_files_do_not() {
        let status = "Name:\tx\nVmRSS:\t  500 kB\nRssAnon:\t  100 kB\nRssFile:\t  300 kB\nRssShmem:\t  20 kB\n\
             VmSwap:\t   3 kB\n";
        assert_eq!(private_and_shared(status), 123 << 10);
        assert_eq!(private_and_shared("Name:\tzombie\n"), 0);
    }

    #[test]
    fn the_nearer_the_bound_the_oftener_it_is_looked() {
        let quick = Duration::from_micros(50);
        assert_eq!(pause(10 << 30, quick), LOOK_MAX);
        assert_eq!(pause(200 << 20, quick), Duration::from_millis(50));
        assert_eq!(pause(0, quick), LOOK_MIN);
        assert_eq!(pause(0, Duration::from_millis(9)), Duration::from_millis(90), "it takes a tenth at most");
    }
}
