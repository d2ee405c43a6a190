//! The victim as the stage sees it: alive, untouched, undisturbed.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::escape::sys::ask;
use crate::house::must;

/// A terminal made for somebody.
#[derive(Debug)]
pub struct Pty {
    pub master: File,
    pub slave: OwnedFd,
    pub path: PathBuf,
}

impl Pty {
    pub fn new(uid: u32) -> Pty {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = must("open a terminal", openpt(flags));
        must("open a terminal", grantpt(&master).and_then(|()| unlockpt(&master)));
        let slave = must("open a terminal", ioctl_tiocgptpeer(&master, flags));
        let number = std::os::fd::AsRawFd::as_raw_fd(&slave);
        let path = must("name a terminal", fs::read_link(format!("/proc/self/fd/{number}")));
        // Only root may, and only root has to.
        let _own = std::os::unix::fs::fchown(&slave, Some(uid), None);
        must("never wait for a terminal", rustix::io::ioctl_fionbio(&master, true));
        Pty { master: File::from(master), slave, path }
    }

    /// What has been printed and not been read yet.
    pub fn printed(&mut self) -> String {
        let mut bytes = vec![0; 64 * 1024];
        let mut text = String::new();
        while let Ok(count) = self.master.read(&mut bytes) {
            if count == 0 {
                break;
            }
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        text
    }
}

/// Lets a command's process have this terminal as its own.
pub fn controlled(command: &mut Command, terminal: i32) {
    // SAFETY: only calls the kernel between fork and exec.
    unsafe {
        command.pre_exec(move || {
            if libc::setsid() == -1 || libc::ioctl(terminal, libc::TIOCSCTTY, 0) == -1 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

#[derive(Debug)]
pub struct Victim {
    child: Child,
    pub word: u64,
    secret: String,
    says: File,
    pub terminal: Pty,
    state: String,
}

impl Victim {
    /// Starts it as this user; it says where its word lies.
    pub fn start(mut command: Command, uid: u32, secret: &str) -> Victim {
        let terminal = Pty::new(uid);
        let input = must("share a terminal", terminal.slave.try_clone());
        command.arg("victim").stdin(Stdio::from(input)).stdout(Stdio::piped()).stderr(Stdio::null());
        controlled(&mut command, 0);
        let mut child = must("start the victim", command.spawn());
        let Some(out) = child.stdout.take() else { panic!("the victim has an output") };
        let mut says = File::from(OwnedFd::from(out));
        let mut line = String::new();
        let mut byte = [0];
        while !line.ends_with('\n') {
            assert!(must("hear the victim", says.read(&mut byte)) == 1, "the victim ended at once");
            line.push(char::from(byte[0]));
        }
        must("never wait for the victim", rustix::io::ioctl_fionbio(&says, true));
        let word = must("hear the victim's word", line.trim().parse());
        let mut victim =
            Victim { child, word, secret: secret.to_owned(), says, terminal, state: String::new() };
        // Its first lines on the screen are none.
        let _nothing = victim.terminal.printed();
        victim.state = victim.look();
        victim
    }

    pub fn id(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// What has happened to it.
    pub fn harm(&mut self) -> Option<String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(format!("the victim has ended: {status}"));
        }
        let now = self.look();
        if now != self.state {
            return Some(format!("the victim was {}, is {now}", self.state));
        }
        let screen = self.terminal.printed();
        let foreign = screen.lines().find(|line| !line.trim().is_empty() && !line.contains(&self.secret));
        if let Some(line) = foreign {
            return Some(format!("the victim's screen shows {line:?}"));
        }
        let mut said = String::new();
        let _no_more = self.says.read_to_string(&mut said);
        let typed = said.lines().find(|line| !line.contains(&self.secret));
        typed.map(|line| format!("the victim was {line}"))
    }

    /// Everything about it that others might change.
    fn look(&self) -> String {
        let id = self.child.id();
        let file = |name: &str| fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
        let status = file("status");
        let of = |key: &str| status.lines().find(|line| line.starts_with(key)).unwrap_or("").to_owned();
        let stat = file("stat");
        let numbers: Vec<&str> = stat.rsplit_once(')').unwrap_or_default().1.split_whitespace().collect();
        // Priority, nice value and policy: fields 18, 19 and 41 of the line, the state being the third.
        let schedule = [15, 16, 38].map(|at| numbers.get(at).copied().unwrap_or_default()).join(" ");
        let stopped = if of("State").contains("T (") { "stopped" } else { "going" };
        let disk = ask!(libc::SYS_ioprio_get, 1, id).unwrap_or(-1);
        let mut word = [0; 64];
        let seen =
            File::open(format!("/proc/{id}/mem")).and_then(|mem| mem.read_exact_at(&mut word, self.word));
        let memory = if seen.is_ok() { blurred(&word) } else { "unseen".to_owned() };
        let limits = file("limits").lines().filter(|line| line.contains("open files")).collect::<String>();
        let size = rustix::termios::tcgetwinsize(&self.terminal.slave).map(|size| (size.ws_row, size.ws_col));
        let echo = rustix::termios::tcgetattr(&self.terminal.slave)
            .map(|all| all.local_modes.contains(rustix::termios::LocalModes::ECHO));
        format!(
            "{stopped}; {}; {}; {schedule}; {disk}; {memory}; {limits}; {size:?} {echo:?}; {}; {}; {}; {}",
            of("TracerPid"),
            of("Cpus_allowed:"),
            file("oom_score_adj").trim(),
            file("coredump_filter").trim(),
            file("timerslack_ns").trim(),
            file("comm").trim()
        )
    }

    pub fn end(mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A secret is not written into what a failed test prints.
fn blurred(bytes: &[u8]) -> String {
    format!("word {:x}", bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte)))
}

/// What starts a program as a user with nothing but this environment.
pub fn command(program: &Path, uid: u32, root: bool) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    if root {
        command.uid(uid).gid(uid);
    }
    command
}
