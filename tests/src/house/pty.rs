//! A terminal held by the test, as a person would hold it.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::must;

/// Bytes taken from the terminal at once.
const READ_BYTES: usize = 64 * 1024;

/// A look at the terminal lasts no longer than this, so that limits are kept.
const LOOK: Duration = Duration::from_millis(50);

/// A program in a terminal of 120 columns and 40 rows.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    child: Child,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts the command with this terminal as its input and output.
    #[must_use]
    pub fn open(mut command: Command) -> Terminal {
        let master =
            must("open a terminal", openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC));
        must("open a terminal", grantpt(&master).and_then(|()| unlockpt(&master)));
        let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        must("size the terminal", tcsetwinsize(&master, size));
        let slave = || {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            Stdio::from(must("open the terminal's other side", ioctl_tiocgptpeer(&master, flags)))
        };
        command.stdin(slave()).stdout(slave()).stderr(slave());
        let child = must("start a program in a terminal", command.spawn());
        let flags = must("read the terminal's flags", fcntl_getfl(&master));
        must("never wait for the terminal", fcntl_setfl(&master, flags | OFlags::NONBLOCK));
        Terminal { master, child, seen: Vec::new() }
    }

    /// Types, and reads meanwhile what the program has to say.
    ///
    /// # Panics
    /// When the program does not take it within `limit`.
    pub fn write(&mut self, mut bytes: &[u8], limit: Duration) {
        let start = Instant::now();
        while !bytes.is_empty() {
            assert!(start.elapsed() < limit, "{} bytes were not taken within {limit:?}", bytes.len());
            self.look(PollFlags::IN | PollFlags::OUT);
            match rustix::io::write(&self.master, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(trouble) => panic!("could not type: {trouble}"),
            }
        }
    }

    /// Reads until the text has come, and forgets everything up to its end.
    ///
    /// # Panics
    /// When it does not come within `limit`.
    pub fn wait_for(&mut self, text: &str, limit: Duration) -> String {
        let start = Instant::now();
        loop {
            if let Some(at) = find(&self.seen, text.as_bytes()) {
                let rest = self.seen.split_off(at + text.len());
                let before = std::mem::replace(&mut self.seen, rest);
                return String::from_utf8_lossy(&before).into_owned();
            }
            let seen = String::from_utf8_lossy(&self.seen);
            assert!(start.elapsed() < limit, "waited {limit:?} in vain for {text:?}, saw {seen:?}");
            self.look(PollFlags::IN);
        }
    }

    /// Drops what was read and not asked for.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// Reads until nothing has come for a moment.
    pub fn settle(&mut self) {
        loop {
            let before = self.seen.len();
            self.look(PollFlags::IN);
            if self.seen.len() == before {
                return;
            }
        }
    }

    /// Reads on until the program is gone.
    ///
    /// # Panics
    /// When it stays longer than `limit`.
    pub fn end(mut self, limit: Duration) -> (ExitStatus, String) {
        let start = Instant::now();
        loop {
            let status = must("ask for the program", self.child.try_wait());
            self.look(PollFlags::IN);
            if let Some(status) = status {
                return (status, String::from_utf8_lossy(&self.seen).into_owned());
            }
            if start.elapsed() > limit {
                must("end the program", self.child.kill());
                panic!("the program was still there after {limit:?}");
            }
        }
    }

    fn look(&mut self, wanted: PollFlags) {
        let timeout = must("reckon with time", Timespec::try_from(LOOK));
        let mut ready = [PollFd::new(&self.master, wanted)];
        if poll(&mut ready, Some(&timeout)).is_err() || !ready[0].revents().contains(PollFlags::IN) {
            if ready[0].revents().contains(PollFlags::HUP) {
                // Nobody holds the other side: nothing will come, and the poll does not wait any more.
                std::thread::sleep(super::LOOK_PERIOD);
            }
            return;
        }
        let mut bytes = vec![0; READ_BYTES];
        match rustix::io::read(&self.master, &mut bytes) {
            Ok(count) => self.seen.extend_from_slice(&bytes[..count]),
            // The other side is closed; what there was has been read.
            Err(rustix::io::Errno::IO | rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(trouble) => panic!("could not read the terminal: {}", io::Error::from(trouble)),
        }
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}
