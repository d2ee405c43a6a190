//! The terminal, raw while somebody holds it so.

use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Bytes taken from the terminal at once.
const READ_BYTES: usize = 64 * 1024;

/// Raw mode: every key arrives as it is pressed and nothing is echoed. Ends with the value.
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    pub(super) fn enter() -> io::Result<Raw> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone already; nobody is left to be told.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

pub(super) fn is_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Writes text whose lines end as the terminal's mode asks for.
pub(super) fn print(text: &str, raw: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if raw {
        out.write_all(text.replace('\n', "\r\n").as_bytes())?;
    } else {
        out.write_all(text.as_bytes())?;
    }
    out.flush()
}

/// The next bytes; empty at the end of the terminal.
pub(super) fn read() -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        match io::stdin().lock().read(&mut bytes) {
            Ok(count) => {
                bytes.truncate(count);
                return Ok(bytes);
            }
            Err(trouble) if trouble.kind() == io::ErrorKind::Interrupted => {}
            // A terminal that was hung up reads as an error on Linux: the end as well.
            Err(_) => return Ok(Vec::new()),
        }
    }
}

/// Whether something was typed, now or within this time.
pub(super) fn has_input(within: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(within).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let stdin = io::stdin();
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    Ok(poll(&mut ready, Some(&timeout))? > 0)
}

/// The bytes that arrive until nothing has come for `quiet`.
pub(super) fn read_until_quiet(quiet: Duration) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let timeout = Timespec::try_from(quiet).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    loop {
        let stdin = io::stdin();
        let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
        if poll(&mut ready, Some(&timeout))? == 0 {
            return Ok(all);
        }
        let more = read()?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}
