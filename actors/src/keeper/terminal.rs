//! The node's hold on the terminal of one session.
//!
//! Dropping it ends nothing: the minder goes on, and [`Terminal::open`] takes the session up again.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use super::client::{BOTH_WAYS, watch};
use super::wire::{self, Message, ToMinder, ToNode};
use crate::recording::{Exit, Mark, Recording, RecordingError};
use crate::session::delivery::{LineMode, line_mode};

/// A minder that has been told that its end is known leaves at once.
const LEAVE_WAIT: Duration = Duration::from_secs(5);
/// A terminal that takes nothing is asked again after this, since the kernel does not always say when it does again.
const WRITE_AGAIN_AFTER: Duration = Duration::from_millis(20);

mod open;

pub use open::release;

/// What a session's folder says.
#[derive(Debug)]
pub enum Opened {
    /// The program runs, or its end is being put down.
    Live(Terminal),
    Ended(Exit),
    /// The minder died before it could write how the program ended. `sweep` ends what it may have left behind.
    Lost(Lost),
    /// No program was ever started here.
    Never,
}

/// A session whose minder was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The program; 0 if the minder died at the very moment of its start.
    pub pid: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the minder of the session in `{}` does not answer", folder.display())]
    Silent { folder: PathBuf },
    #[error("could not reach the minder of the session in `{}`", folder.display())]
    Unreachable { folder: PathBuf, source: io::Error },
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// Why an order to a minder was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("the session is over")]
    Over,
    #[error("the minder could not do it")]
    Refused(#[source] io::Error),
    #[error("could not reach the minder")]
    Unreachable(#[source] io::Error),
}

/// What happens in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The log reaches to `end`, and was written so far before this was said.
    Grew {
        end: u64,
    },
    /// Nothing is read from the terminal because it could not be recorded; the program waits.
    Stalled {
        errno: i32,
    },
    /// It is read again.
    Resumed,
    /// A signal stopped the program.
    Stopped {
        signal: i32,
    },
    Continued,
    /// The program has ended, and that is on disk. Repeated whenever asked again.
    Exited(Exit),
    /// The minder was killed. Repeated whenever asked again.
    Lost(Lost),
}

/// What is known of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct News {
    end: u64,
    stalled: Option<i32>,
    stopped: Option<i32>,
    over: Option<Over>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Exited(Exit),
    Lost(Lost),
}

/// The terminal of one session. Clones share it.
#[derive(Clone, Debug)]
pub struct Terminal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    pid: u32,
    line: Arc<Line>,
    news: watch::Receiver<News>,
    told: Mutex<News>,
    master: OnceLock<AsyncFd<OwnedFd>>,
    unused_master: Mutex<Option<OwnedFd>>,
    reader: AbortHandle,
    _open: Arc<()>,
}

/// The connection to the minder.
#[derive(Debug)]
struct Line {
    socket: AsyncFd<OwnedFd>,
    orders: Mutex<Orders>,
    next_number: AtomicU64,
}

#[derive(Debug, Default)]
struct Orders {
    /// The minder has been asked to say when the log has grown, and has not said it yet.
    follows: bool,
    closed: bool,
    waiting: HashMap<u64, oneshot::Sender<Option<i32>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Terminal {
    pub(super) fn started(
        folder: PathBuf,
        pid: u32,
        control: OwnedFd,
        master: OwnedFd,
        open: Arc<()>,
    ) -> io::Result<Terminal> {
        // The minder follows the node that ordered the session from its start.
        Terminal::new(folder, pid, watch(control, BOTH_WAYS)?, master, News::default(), true, open)
    }

    fn new(
        folder: PathBuf,
        pid: u32,
        socket: AsyncFd<OwnedFd>,
        master: OwnedFd,
        news: News,
        follows: bool,
        open: Arc<()>,
    ) -> io::Result<Terminal> {
        let orders = Mutex::new(Orders { follows, ..Orders::default() });
        let line = Arc::new(Line { socket, orders, next_number: AtomicU64::new(1) });
        let (tell, news) = watch::channel(news);
        let reader = tokio::spawn(read_line(line.clone(), folder.clone(), pid, tell)).abort_handle();
        let shared = Shared {
            folder,
            pid,
            line,
            news,
            told: Mutex::default(),
            master: OnceLock::new(),
            unused_master: Mutex::new(Some(master)),
            reader,
            _open: open,
        };
        Ok(Terminal { shared: Arc::new(shared) })
    }

    /// The program's process, which is also its session.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// How far the log reaches, as far as the minder has said.
    pub fn end_of_log(&self) -> u64 {
        self.shared.news.borrow().end
    }

    /// The next thing that happens. Growth that nobody asked about meanwhile is told once, together. Meant for one
    /// caller at a time; a call that is dropped loses nothing.
    pub async fn next(&self) -> Notice {
        let mut news = self.shared.news.clone();
        loop {
            let known = *news.borrow_and_update();
            if let Some(notice) = self.shared.take_notice(&known) {
                return notice;
            }
            // A minder that cannot be asked has gone, which the reader of the line finds by itself.
            let _ = self.shared.follow(known.end).await;
            if news.changed().await.is_err() {
                return Notice::Lost(Lost { pid: self.shared.pid });
            }
        }
    }

    /// How the terminal treats what is typed, just now.
    pub fn line_mode(&self) -> io::Result<LineMode> {
        self.shared.line_mode()
    }

    /// How many bytes that were typed the program has not read yet.
    pub fn unread(&self) -> io::Result<u64> {
        let master = self.shared.master()?;
        let slave = rustix::pty::ioctl_tiocgptpeer(
            master.get_ref(),
            OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
        )?;
        Ok(rustix::io::ioctl_fionread(slave)?)
    }

    /// Types some of these bytes and says how many. Waits until the terminal takes at least one; when the call is
    /// dropped before it returns, none was typed.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let master = self.shared.master()?;
        loop {
            match rustix::io::write(master.get_ref(), bytes) {
                Ok(count) if count > 0 || bytes.is_empty() => return Ok(count),
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            if let Ok(ready) = tokio::time::timeout(WRITE_AGAIN_AFTER, master.writable()).await {
                ready?.clear_ready();
            }
        }
    }

    /// Types all of these bytes. `written` counts them as they go, so that it tells the truth when the call fails or
    /// is dropped.
    pub async fn write_all(&self, bytes: &[u8], written: &mut usize) -> io::Result<()> {
        *written = 0;
        while *written < bytes.len() {
            *written += self.write(&bytes[*written..]).await?;
        }
        Ok(())
    }

    /// Writes into the recording what is about to be typed. When this returns it outlives the node and the minder.
    pub async fn mark(&self, mark: Mark) -> Result<(), OrderError> {
        self.order(|number| ToMinder::Mark { number, mark }).await
    }

    /// Changes the size of the terminal, within its bounds, and notes it in the recording.
    pub async fn resize(&self, cols: u16, rows: u16) -> Result<(), OrderError> {
        self.order(|number| ToMinder::Resize { number, cols, rows }).await
    }

    /// Interrupts whoever has the terminal's foreground, as Ctrl-C does where a program lets it.
    pub async fn interrupt(&self) -> Result<(), OrderError> {
        self.order(|number| ToMinder::Interrupt { number }).await
    }

    /// Ends the program and all its descendants: SIGTERM now, SIGKILL after the grace. Returns when the minder has
    /// taken the order; `next` tells when it is done.
    pub async fn end(&self, grace: Duration) -> Result<(), OrderError> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.order(|number| ToMinder::End { number, grace_ms }).await
    }

    /// Tells the minder that the exit has been noted, and waits until it has left.
    pub async fn acknowledge(&self) {
        let mut news = self.shared.news.clone();
        if self.shared.line.send(&ToMinder::Acknowledge).await.is_ok() {
            let gone = async { while news.changed().await.is_ok() {} };
            // A minder that hangs has its exit on disk all the same.
            let _ = tokio::time::timeout(LEAVE_WAIT, gone).await;
        }
    }

    async fn order(&self, order: impl FnOnce(u64) -> ToMinder) -> Result<(), OrderError> {
        let line = &self.shared.line;
        let number = line.next_number.fetch_add(1, Ordering::Relaxed);
        let (done, is_done) = oneshot::channel();
        {
            let mut orders = lock(&line.orders);
            if orders.closed {
                return Err(OrderError::Over);
            }
            orders.waiting.insert(number, done);
        }
        if let Err(error) = line.send(&order(number)).await {
            lock(&line.orders).waiting.remove(&number);
            let is_over = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
            return Err(if is_over { OrderError::Over } else { OrderError::Unreachable(error) });
        }
        match is_done.await {
            Ok(None) => Ok(()),
            Ok(Some(errno)) => Err(OrderError::Refused(io::Error::from_raw_os_error(errno))),
            Err(_) => Err(OrderError::Over),
        }
    }
}

impl Shared {
    /// The first thing that is known and has not been told.
    fn take_notice(&self, known: &News) -> Option<Notice> {
        let mut told = lock(&self.told);
        if known.stopped != told.stopped {
            told.stopped = known.stopped;
            return Some(known.stopped.map_or(Notice::Continued, |signal| Notice::Stopped { signal }));
        }
        if known.stalled != told.stalled {
            told.stalled = known.stalled;
            return Some(known.stalled.map_or(Notice::Resumed, |errno| Notice::Stalled { errno }));
        }
        match known.over {
            Some(Over::Exited(exit)) => return Some(Notice::Exited(exit)),
            Some(Over::Lost(lost)) => return Some(Notice::Lost(lost)),
            None => {}
        }
        if known.end > told.end {
            told.end = known.end;
            return Some(Notice::Grew { end: known.end });
        }
        None
    }

    /// Asks to be told when the log has grown, unless that is asked already.
    async fn follow(&self, from: u64) -> io::Result<()> {
        if std::mem::replace(&mut lock(&self.line.orders).follows, true) {
            return Ok(());
        }
        self.line.send(&ToMinder::Follow { from }).await
    }

    /// How the terminal treats what is typed.
    fn line_mode(&self) -> io::Result<LineMode> {
        line_mode(self.master()?.get_ref())
    }

    fn master(&self) -> io::Result<&AsyncFd<OwnedFd>> {
        if let Some(master) = self.master.get() {
            return Ok(master);
        }
        let mut unused = lock(&self.unused_master);
        if let Some(master) = unused.take() {
            // Only who writes needs to be told of room, and most sessions are never written to.
            let master = watch(master, Interest::WRITABLE)?;
            return Ok(self.master.get_or_init(|| master));
        }
        self.master.get().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Line {
    async fn send(&self, order: &ToMinder) -> io::Result<()> {
        loop {
            match wire::send(self.socket.get_ref(), order, &[]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent,
            }
            self.socket.writable().await?.clear_ready();
        }
    }

    async fn receive(&self) -> io::Result<Option<ToNode>> {
        receive(&self.socket, &mut Vec::new()).await
    }
}

/// The next message; nothing at the end of the connection.
async fn receive(socket: &AsyncFd<OwnedFd>, descriptors: &mut Vec<OwnedFd>) -> io::Result<Option<ToNode>> {
    loop {
        match Message::receive(socket, descriptors) {
            Ok(message) if message.is_end() => return Ok(None),
            // A newer minder may say what is not known here.
            Ok(message) => return Ok(Some(message.read().unwrap_or(ToNode::Unknown))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
        socket.readable().await?.clear_ready();
    }
}

/// Reads what the minder says for as long as it lives, then what the folder says.
async fn read_line(line: Arc<Line>, folder: PathBuf, pid: u32, tell: watch::Sender<News>) {
    while let Ok(Some(message)) = line.receive().await {
        match message {
            ToNode::Grew { end } => {
                lock(&line.orders).follows = false;
                tell.send_modify(|news| news.end = news.end.max(end));
            }
            ToNode::Stalled { errno } => tell.send_modify(|news| news.stalled = errno),
            ToNode::Stopped { signal } => tell.send_modify(|news| news.stopped = signal),
            ToNode::Done { number, errno } => {
                if let Some(waiting) = lock(&line.orders).waiting.remove(&number) {
                    // Whoever gave the order may no longer wait for it.
                    let _ = waiting.send(errno);
                }
            }
            ToNode::Exited { exit } => tell.send_modify(|news| news.be_over(Over::Exited(exit))),
            ToNode::Hello { .. } | ToNode::Unknown => {}
        }
    }
    let mut orders = lock(&line.orders);
    orders.closed = true;
    orders.waiting.clear();
    drop(orders);
    if tell.borrow().over.is_none() {
        let exit = Recording::open(&folder).ok().and_then(|recording| recording.exit().ok().flatten());
        let over = exit.map_or(Over::Lost(Lost { pid }), Over::Exited);
        tell.send_modify(|news| news.be_over(over));
    }
}

impl News {
    fn be_over(&mut self, over: Over) {
        if let Over::Exited(exit) = &over {
            self.end = exit.log_end;
        }
        self.over = Some(over);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind these locks is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
