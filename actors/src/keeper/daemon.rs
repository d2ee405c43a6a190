//! The keeper's own process.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions};

use super::kernel::{self, Fork};
use super::minder::{self, Setting};
use super::tree;
use super::wire::{self, BATCH_BYTES_MAX, Batch, Failure, FailureAt, Message, Order, Reply};

/// Connections that wait to be accepted; a node keeps a single one.
const BACKLOG: i32 = 64;
/// A node has one connection. A few nodes and tests share a keeper, nobody needs more.
const CLIENTS_MAX: usize = 32;
/// A keeper without minders and without clients ends by itself: starting one costs a few milliseconds.
const LINGER: Duration = Duration::from_secs(2);
/// Terminals that are left to the rest of the machine.
const TERMINALS_SPARED: u64 = 16;
/// The descriptor by which a minder answers; everything above it is the keeper's and is closed.
const REPLY_DESCRIPTOR: i32 = 3;

/// What a keeper tells whoever started it when it, or another one, serves the folder.
const READY: &str = "serving";

/// Runs a keeper for this folder. Returns when it serves, or when another one already does; the keeper itself is a
/// process of its own then. Must be reached before the process has a second thread.
pub fn main(run_folder: &Path) -> ExitCode {
    match launch(run_folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever started the keeper reads why there is none.
            let _ = writeln!(io::stderr(), "niia keeper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn launch(run_folder: &Path) -> io::Result<()> {
    if !kernel::has_one_thread()? {
        return Err(io::Error::other("the keeper forks and so cannot have a second thread"));
    }
    super::descriptors::restore();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(run_folder)?;
    std::env::set_current_dir(run_folder)?;
    let (mut ready, tell) = io::pipe()?;
    match kernel::fork()? {
        Fork::Parent(_) => {
            drop(tell);
            let mut word = String::new();
            ready.read_to_string(&mut word)?;
            if word == READY { Ok(()) } else { Err(io::Error::other(word)) }
        }
        Fork::Child => {
            drop(ready);
            kernel::leave(be_keeper(tell))
        }
    }
}

/// Becomes the keeper, says so or why not, and serves until nobody needs it.
fn be_keeper(mut tell: io::PipeWriter) -> i32 {
    let (keeper, word) = match Keeper::prepare() {
        Ok(keeper) => (keeper, READY.to_owned()),
        Err(error) => (None, error.to_string()),
    };
    // Whoever started this process may have gone meanwhile, which is no reason not to serve.
    let _ = tell.write_all(word.as_bytes());
    drop(tell);
    match keeper.map(Keeper::run) {
        None | Some(Ok(())) => 0,
        Some(Err(_)) => 1,
    }
}

/// Takes away the socket of a keeper that was killed; a keeper that lives keeps its own.
pub fn tidy(run_folder: &Path) {
    let socket = run_folder.join(wire::keeper_socket_file());
    // Who holds the lock, and be it for this moment, is the only one who may touch the socket.
    if !socket.exists() {
        return;
    }
    if let Ok(Some(held)) = lock(run_folder) {
        // One that stays is replaced by the next keeper.
        let _ = std::fs::remove_file(socket);
        drop(held);
    }
}

/// The lock that makes this the only keeper of its version in this folder; nothing if there is one already.
fn lock(run_folder: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = rustix::fs::open(run_folder.join(wire::keeper_lock_file()), flags, Mode::RUSR | Mode::WUSR)?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The keeper's socket, in the current folder, which makes its path short.
fn listen() -> io::Result<OwnedFd> {
    let name = wire::keeper_socket_file();
    // The lock is held, so a socket that is there belongs to a keeper that was killed.
    match std::fs::remove_file(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => bind(&name, BACKLOG),
    }
}

/// Listens in the current folder, for this user alone.
pub(super) fn bind(name: &str, backlog: i32) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(name)?)?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket)
}

/// The next connection, if its other end belongs to the same user.
pub(super) fn accept(listener: &OwnedFd) -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::accept_with(listener, flags).ok()?;
    wire::is_own_user(&socket).then_some(socket)
}

struct Keeper {
    listener: OwnedFd,
    signals: OwnedFd,
    clients: Vec<OwnedFd>,
    minders: Vec<Pid>,
    setting: Setting,
    idle_since: Instant,
    /// Held as long as this process lives, and by nobody else.
    _lock: OwnedFd,
}

impl Keeper {
    /// Nothing if this folder has a keeper already.
    fn prepare() -> io::Result<Option<Keeper>> {
        rustix::process::setsid()?;
        let Some(lock) = lock(Path::new("."))? else { return Ok(None) };
        kernel::default_signals();
        kernel::hold_signals_back()?;
        kernel::name_process(c"niia-keeper");
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let umask = rustix::process::umask(Mode::from_raw_mode(0o177)).bits();
        let listener = listen()?;
        rustix::process::umask(Mode::from_raw_mode(0o077));
        quiet_standard_streams()?;
        Ok(Some(Keeper {
            listener,
            signals: kernel::signal_descriptor()?,
            clients: Vec::new(),
            minders: Vec::new(),
            setting: Setting { umask, boot: tree::boot() },
            idle_since: Instant::now(),
            _lock: lock,
        }))
    }

    /// Whatever ends it, its socket goes along: nobody may find a keeper that does not listen.
    fn run(mut self) -> io::Result<()> {
        let served = self.serve();
        served.and(self.leave())
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            if ready.signals {
                if kernel::end_was_asked(&self.signals) {
                    // Minders live on; the next start of a session starts a new keeper.
                    return Ok(());
                }
                self.reap()?;
            }
            if ready.listener
                && let Some(client) = accept(&self.listener)
                && self.clients.len() < CLIENTS_MAX
            {
                self.clients.push(client);
            }
            self.hear(&ready.clients);
            if !self.clients.is_empty() || !self.minders.is_empty() {
                self.idle_since = Instant::now();
            } else if self.idle_since.elapsed() >= LINGER {
                return Ok(());
            }
        }
    }

    fn leave(&self) -> io::Result<()> {
        std::fs::remove_file(wire::keeper_socket_file())
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut watched =
            vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        watched.extend(self.clients.iter().map(|client| PollFd::new(client, PollFlags::IN)));
        let is_idle = self.clients.is_empty() && self.minders.is_empty();
        let linger = Timespec { tv_sec: LINGER.as_secs() as i64, tv_nsec: 0 };
        match poll(&mut watched, is_idle.then_some(&linger)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut ready = watched.iter().map(|watched| !watched.revents().is_empty());
        Ok(Ready {
            signals: ready.next().unwrap_or_default(),
            listener: ready.next().unwrap_or_default(),
            clients: ready.collect(),
        })
    }

    /// Hears every client that has said something, and forgets those that have gone.
    fn hear(&mut self, ready: &[bool]) {
        for at in (0..ready.len()).rev() {
            if ready[at] && !self.hear_client(at) {
                self.clients.remove(at);
            }
        }
    }

    /// Says whether the client is still there.
    fn hear_client(&mut self, at: usize) -> bool {
        let mut descriptors = Vec::new();
        match Message::receive(&self.clients[at], &mut descriptors) {
            Ok(message) if !message.is_end() => {
                match (message.read::<Batch>(), descriptors.pop()) {
                    (Ok(batch), Some(memory)) => self.start_batch(at, &batch, memory),
                    // A message of another version: it gets no answer but the end of the connection.
                    _ => false,
                }
            }
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    fn start_batch(&mut self, client: usize, batch: &Batch, memory: OwnedFd) -> bool {
        let Ok(orders) = read_orders(batch, memory) else { return false };
        let terminals = Terminals::look();
        for (before, order) in orders.iter().enumerate() {
            let started = match terminals.refuse(before as u64) {
                Some(refused) => Err(refused),
                None => self.start(client, order),
            };
            if let Err(failure) = started {
                let reply = Reply { ticket: order.ticket, outcome: Err(failure) };
                if wire::send(&self.clients[client], &reply, &[]).is_err() {
                    return false;
                }
            }
        }
        true
    }

    fn start(&mut self, client: usize, order: &Order) -> Result<(), Failure> {
        match kernel::fork() {
            Ok(Fork::Parent(minder)) => {
                self.minders.push(minder);
                Ok(())
            }
            Ok(Fork::Child) => become_minder(self.clients[client].as_fd(), order, &self.setting),
            Err(error) => Err(Failure::new(FailureAt::Fork, error.raw_os_error().unwrap_or_default())),
        }
    }

    /// Takes leave of minders that have ended, and ends what those that were killed have left behind: as the nearest
    /// subreaper the keeper has become the parent of it.
    fn reap(&mut self) -> io::Result<()> {
        let mut orphaned = false;
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            match self.minders.iter().position(|minder| *minder == pid) {
                Some(at) => {
                    self.minders.swap_remove(at);
                    orphaned |= status.exit_status() != Some(0);
                }
                // An orphan has ended, and its own children have become the keeper's.
                None => orphaned = true,
            }
        }
        if orphaned {
            tree::signal_descendants(Signal::KILL, |child| self.minders.contains(&child))?;
        }
        Ok(())
    }
}

struct Ready {
    signals: bool,
    listener: bool,
    clients: Vec<bool>,
}

/// Goes on as the minder of one session; the keeper's own descriptors are closed first.
fn become_minder(client: BorrowedFd<'_>, order: &Order, setting: &Setting) -> ! {
    let minded = std::panic::catch_unwind(|| {
        // Everything this process inherited from the keeper is never dropped here, only closed.
        let reply = minder::keep_reply_descriptor(client, REPLY_DESCRIPTOR)?;
        minder::mind(reply, order, setting)
    });
    match minded {
        Ok(Ok(code)) => kernel::leave(code),
        _ => kernel::leave(minder::EXIT_BROKEN),
    }
}

fn read_orders(batch: &Batch, memory: OwnedFd) -> io::Result<Vec<Order>> {
    let bytes = usize::try_from(batch.bytes).ok().filter(|bytes| *bytes <= BATCH_BYTES_MAX);
    let mut orders = vec![0; bytes.ok_or(io::ErrorKind::InvalidData)?];
    std::os::unix::fs::FileExt::read_exact_at(&std::fs::File::from(memory), &mut orders, 0)?;
    rmp_serde::from_slice(&orders).map_err(io::Error::other)
}

/// How many terminals this machine has left.
struct Terminals {
    limit: u64,
    used: u64,
}

impl Terminals {
    fn look() -> Terminals {
        let number = |file| std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
        Terminals {
            limit: number("/proc/sys/kernel/pty/max").unwrap_or(u64::MAX),
            used: number("/proc/sys/kernel/pty/nr").unwrap_or_default(),
        }
    }

    fn refuse(&self, before: u64) -> Option<Failure> {
        let (limit, used) = (self.limit.saturating_sub(TERMINALS_SPARED), self.used + before);
        (used >= limit).then_some(Failure::new(FailureAt::Terminals { limit, used }, libc::ENOSPC))
    }
}

/// Standard input and output lead nowhere; what goes wrong is written to a small file, anew by each keeper.
fn quiet_standard_streams() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let log = std::fs::File::create(format!("keeper-{}.log", wire::PROTOCOL))?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&log)?;
    Ok(())
}
