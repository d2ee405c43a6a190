//! The person's own terminal: raw while attached, and put back whatever happens.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use crate::attach::strain::Strain;

/// Pieces of input and output on their way between a thread and the client.
const PIECES_MAX: usize = 16;
/// One read or write; small enough that a write into a terminal that can take something takes all of it.
const PIECE_BYTES_MAX: usize = 4096;
/// How often the threads look whether they are to stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long the last words to a terminal that takes nothing are tried for (flow control, a dead line).
const LAST_WORDS_TRIES_MAX: u32 = 20;

/// A terminal in raw mode. Dropping it takes back what was switched on and restores its settings.
#[derive(Debug)]
pub struct Terminal {
    fd: Arc<OwnedFd>,
    before: Termios,
    strain: Strain,
    stop: Arc<AtomicBool>,
    typed: Option<mpsc::Receiver<Vec<u8>>>,
    show: Option<mpsc::Sender<Vec<u8>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Terminal {
    pub fn take(terminal: impl AsFd) -> io::Result<Terminal> {
        let fd = Arc::new(opened_anew(terminal.as_fd())?);
        let before = tcgetattr(&*fd)?;
        let (typed_in, typed) = mpsc::channel(PIECES_MAX);
        let (show, shown) = mpsc::channel(PIECES_MAX);
        let mut terminal = Terminal {
            fd,
            before,
            strain: Strain::default(),
            stop: Arc::default(),
            typed: Some(typed),
            show: Some(show),
            threads: Vec::new(),
        };
        let mut raw = terminal.before.clone();
        raw.make_raw();
        tcsetattr(&*terminal.fd, OptionalActions::Now, &raw)?;
        let (fd, stop) = (terminal.fd.clone(), terminal.stop.clone());
        terminal.thread("attach-input", move || read(&fd, &stop, &typed_in))?;
        let (fd, stop) = (terminal.fd.clone(), terminal.stop.clone());
        terminal.thread("attach-output", move || write(&fd, &stop, shown))?;
        Ok(terminal)
    }

    /// What was typed next; nothing once the terminal is gone.
    pub async fn typed(&mut self) -> Option<Vec<u8>> {
        self.typed.as_mut()?.recv().await
    }

    /// A place in the queue to the terminal; nothing once it is gone. One that shows nothing gives none.
    pub fn show(&self) -> Option<mpsc::Sender<Vec<u8>>> {
        self.show.clone()
    }

    /// What of a session's output may be shown here.
    pub fn strained(&mut self, output: &[u8]) -> Vec<u8> {
        self.strain.feed(output)
    }

    fn thread(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(work)?);
        Ok(())
    }

    /// Whether something of one's own can be shown now without breaking anything of the session's.
    pub fn is_between_characters(&self) -> bool {
        self.strain.is_between_characters()
    }

    /// Columns and rows.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = tcgetwinsize(&*self.fd)?;
        Ok((size.ws_col, size.ws_row))
    }

    /// Says something to a terminal that may be stuck: as much as it takes in a bounded time.
    fn last_words(&self, words: &[u8]) {
        let mut rest = words;
        for _ in 0..LAST_WORDS_TRIES_MAX {
            match put(&self.fd, rest) {
                Ok(bytes) if bytes < rest.len() => rest = &rest[bytes..],
                _ => return,
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        (self.typed, self.show) = (None, None);
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing more to say here.
            drop(thread.join());
        }
        let rows = self.size().map_or(u16::MAX, |(_, rows)| rows);
        self.last_words(&self.strain.undo());
        self.last_words(format!("\x1b[{rows};1H\r\n\x1b[23;2t").as_bytes());
        // Reports the terminal sent late are not for the shell. Nobody is left to be told if it is gone.
        let _ = tcflush(&*self.fd, QueueSelector::IFlush);
        let _ = tcsetattr(&*self.fd, OptionalActions::Now, &self.before);
    }
}

/// Waits a moment for the terminal to be readable or writable.
fn is(fd: &OwnedFd, what: PollFlags) -> io::Result<bool> {
    let mut fds = [PollFd::new(fd, what)];
    let moment = LOOK.try_into().map_err(io::Error::other)?;
    match poll(&mut fds, Some(&moment)) {
        Ok(_) => Ok(!fds[0].revents().is_empty()),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read(fd: &OwnedFd, stop: &AtomicBool, typed: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; PIECE_BYTES_MAX];
    while !stop.load(Ordering::Relaxed) {
        match is(fd, PollFlags::IN) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) => return,
        }
        match rustix::io::read(fd, &mut buffer) {
            Ok(0) => return,
            Ok(bytes) => {
                // A client that is busy leaves the rest in the terminal; one that is gone ends this.
                if typed.blocking_send(buffer[..bytes].to_vec()).is_err() {
                    return;
                }
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}

/// Writes as much as the terminal takes now.
fn put(fd: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    if !is(fd, PollFlags::OUT)? {
        return Ok(0);
    }
    match rustix::io::write(fd, &bytes[..bytes.len().min(PIECE_BYTES_MAX)]) {
        Ok(bytes) => Ok(bytes),
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Shows what is to be shown. At the end it still shows what was there before, unless the terminal takes nothing.
fn write(fd: &OwnedFd, stop: &AtomicBool, mut shown: mpsc::Receiver<Vec<u8>>) {
    while let Some(piece) = shown.blocking_recv() {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            match put(fd, rest) {
                Ok(0) if stop.load(Ordering::Relaxed) => return,
                Ok(bytes) => rest = &rest[bytes..],
                Err(_) => return,
            }
        }
    }
}

/// The same terminal with a file of its own, so that what is set on it (not to block) is not set for the shell. Where
/// that is not allowed, the shell's is used.
fn opened_anew(terminal: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let name = rustix::termios::ttyname(terminal, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(name, flags, Mode::empty()) {
        Ok(fd) => Ok(fd),
        Err(_) => Ok(rustix::io::fcntl_dupfd_cloexec(terminal, 0)?),
    }
}
