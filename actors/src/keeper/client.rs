//! The node's way to the keeper.
//!
//! Starts that are asked for at the same time travel in one message. A keeper that is not there is started; one that
//! ends while it starts sessions is replaced, and the folder of each session says whether it was started before.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde_bytes::ByteBuf;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::descriptors;
use super::program::{Program, StartError};
use super::terminal::{Opened, Terminal};
use super::wire::{
    self, BATCH_BYTES_MAX, BATCH_ORDERS_MAX, Batch, Failure, Message, ORDER_BYTES_MAX, Order, Reply,
};
use super::{SESSION_MARK_VARIABLE, SESSION_VARIABLE};

/// Starts that wait for their turn; who asks beyond that waits as well.
const WAITING_MAX: usize = 256;
/// Starts without an answer yet. Each answer carries two descriptors, and an ordinary process may have a thousand.
const UNANSWERED_MAX: usize = 192;
/// A keeper that ends so often while it starts one session will not start it.
const TRIES_MAX: u32 = 3;
/// A terminal takes the node its control socket and its master.
const DESCRIPTORS_A_SESSION: u64 = 2;
/// Descriptors left to the rest of the node: its journal, its logs, its clients.
const DESCRIPTORS_SPARED: u64 = 128;
/// A keeper that has just been started is reached at the first try; an overloaded one after some.
const CONNECT_TRIES: u32 = 50;
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// The node's way to the keeper of one folder.
#[derive(Clone, Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    run_folder: PathBuf,
    executable: PathBuf,
    orders: OnceLock<mpsc::Sender<Pending>>,
    /// Counts the terminals of this keeper that are open: each holds one more reference.
    open: Arc<()>,
}

struct Pending {
    ticket: u64,
    folder: PathBuf,
    order: Vec<u8>,
    tries: u32,
    answer: oneshot::Sender<Answer>,
}

enum Answer {
    Started { pid: u32, control: OwnedFd, master: OwnedFd },
    Found(Terminal),
    Refused(Failure),
    Failed(StartError),
}

impl Keeper {
    /// A keeper that serves `run_folder`. Where none is running, `<executable> keeper --run-folder <run_folder>` is
    /// started when the first session is.
    pub fn new(run_folder: impl Into<PathBuf>, executable: impl Into<PathBuf>) -> Keeper {
        let (run_folder, executable) = (run_folder.into(), executable.into());
        Keeper {
            shared: Arc::new(Shared { run_folder, executable, orders: OnceLock::new(), open: Arc::new(()) }),
        }
    }

    /// Starts a program in a terminal of its own, with its session in `folder`, which is made where it is missing. Must
    /// be called within a tokio runtime.
    ///
    /// Without an answer, because the caller or its process went away, `Terminal::open(folder)` says what became of it.
    pub async fn start(&self, folder: &Path, program: &Program) -> Result<Terminal, StartError> {
        program.check()?;
        self.check_descriptors()?;
        let ticket = fastrand::u64(..);
        let folder = std::path::absolute(folder)
            .map_err(|source| StartError::Record { folder: folder.to_path_buf(), source })?;
        let order = encode(ticket, &folder, program)?;
        let (answer, answered) = oneshot::channel();
        let pending = Pending { ticket, folder: folder.clone(), order, tries: 0, answer };
        self.orders().send(pending).await.map_err(|_| StartError::Lost)?;
        match answered.await.map_err(|_| StartError::Lost)? {
            Answer::Started { pid, control, master } => {
                Terminal::started(folder, pid, control, master, self.shared.open.clone())
                    .map_err(StartError::Terminal)
            }
            Answer::Found(terminal) => Ok(terminal),
            Answer::Refused(failure) => Err(program.refused(&folder, &failure)),
            Answer::Failed(error) => Err(error),
        }
    }

    fn orders(&self) -> &mpsc::Sender<Pending> {
        self.shared.orders.get_or_init(|| {
            let (orders, waiting) = mpsc::channel(WAITING_MAX);
            let courier = Courier {
                run_folder: self.shared.run_folder.clone(),
                executable: self.shared.executable.clone(),
                orders: waiting,
                waiting: Vec::new(),
                unanswered: HashMap::new(),
                connection: None,
            };
            tokio::spawn(courier.run());
            orders
        })
    }

    /// Refuses a session before the node runs out of descriptors.
    fn check_descriptors(&self) -> Result<(), StartError> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let used = DESCRIPTORS_A_SESSION * (Arc::strong_count(&self.shared.open) as u64 - 1);
        if used + DESCRIPTORS_A_SESSION + DESCRIPTORS_SPARED.min(limit / 2) <= limit {
            return Ok(());
        }
        Err(StartError::Limit {
            what: "descriptors of this process",
            limit,
            used,
            needed: DESCRIPTORS_A_SESSION,
        })
    }
}

fn encode(ticket: u64, folder: &Path, program: &Program) -> Result<Vec<u8>, StartError> {
    let bytes = |text: &std::ffi::OsStr| ByteBuf::from(text.as_bytes());
    let mark = fastrand::u64(1..);
    let own = [(SESSION_VARIABLE, program.session.clone()), (SESSION_MARK_VARIABLE, format!("{mark:016x}"))];
    let env = program.env.iter().map(|(name, value)| (bytes(name), bytes(value)));
    let sandbox = program.sandbox.as_ref().map(serde_json::to_vec).transpose();
    let sandbox = sandbox.map_err(|error| StartError::Sandbox(error.into()))?;
    let reach = program.reach.as_ref().map(crate::network::Rules::to_bytes).transpose();
    let reach = reach.map_err(|error| StartError::Sandbox(io::Error::other(error)))?;
    let order = Order {
        ticket,
        folder: bytes(folder.as_os_str()),
        argv: program.argv.iter().map(|argument| bytes(argument)).collect(),
        env: env.chain(own.map(|(name, value)| (ByteBuf::from(name), ByteBuf::from(value)))).collect(),
        cwd: bytes(program.cwd.as_os_str()),
        cols: program.cols,
        rows: program.rows,
        record: program.record,
        recording_bytes_max: program.recording_bytes_max,
        mark,
        sandbox: sandbox.map(ByteBuf::from),
        reach: reach.map(ByteBuf::from),
    };
    let too_large =
        |bytes| StartError::TooLarge { program: program.name(), bytes, bytes_max: ORDER_BYTES_MAX };
    let encoded = rmp_serde::to_vec_named(&order).map_err(|_| too_large(0))?;
    if encoded.len() > ORDER_BYTES_MAX { Err(too_large(encoded.len())) } else { Ok(encoded) }
}

/// Carries orders to the keeper and answers back, on a connection that lasts as long as the node wants sessions.
struct Courier {
    run_folder: PathBuf,
    executable: PathBuf,
    orders: mpsc::Receiver<Pending>,
    waiting: Vec<Pending>,
    unanswered: HashMap<u64, Pending>,
    connection: Option<AsyncFd<OwnedFd>>,
}

impl Courier {
    async fn run(mut self) {
        // Until every way to this keeper is dropped; what was ordered before is still answered.
        let mut wanted = true;
        while wanted || !self.unanswered.is_empty() {
            let room = UNANSWERED_MAX.saturating_sub(self.unanswered.len() + self.waiting.len());
            tokio::select! {
                count = self.orders.recv_many(&mut self.waiting, room), if room > 0 && wanted => {
                    wanted = count > 0;
                }
                replies = receive_replies(self.connection.as_ref()), if self.connection.is_some() => {
                    self.deliver(replies).await;
                }
            }
            while !self.waiting.is_empty() {
                self.send_batch().await;
            }
        }
    }

    async fn deliver(&mut self, replies: io::Result<Vec<(Reply, Vec<OwnedFd>)>>) {
        let Ok(replies) = replies else { return self.settle().await };
        for (reply, descriptors) in replies {
            let Some(pending) = self.unanswered.remove(&reply.ticket) else { continue };
            let answer = match (reply.outcome, <[OwnedFd; 2]>::try_from(descriptors)) {
                (Ok(pid), Ok([control, master])) => Answer::Started { pid, control, master },
                (Ok(_), Err(_)) => Answer::Failed(StartError::Lost),
                (Err(failure), _) => Answer::Refused(failure),
            };
            // Whoever asked may have gone; the session lives on and its folder tells of it.
            let _ = pending.answer.send(answer);
        }
    }

    /// The keeper has gone, and so has each minder that had not answered: both hold this connection until then. So
    /// the folders are final.
    async fn settle(&mut self) {
        self.connection = None;
        super::tidy(&self.run_folder);
        for (_, mut pending) in std::mem::take(&mut self.unanswered) {
            let answer = match Terminal::open(&pending.folder).await {
                Ok(Opened::Live(terminal)) => Answer::Found(terminal),
                Ok(Opened::Never) if pending.tries < TRIES_MAX => {
                    pending.tries += 1;
                    self.waiting.push(pending);
                    continue;
                }
                Ok(Opened::Never) => Answer::Failed(StartError::KeeperEnded { times: TRIES_MAX }),
                Ok(Opened::Ended(_) | Opened::Lost(_)) | Err(_) => Answer::Failed(StartError::Lost),
            };
            let _ = pending.answer.send(answer);
        }
    }

    async fn send_batch(&mut self) {
        if self.connection.is_none() {
            match connect_or_launch(&self.run_folder, &self.executable).await {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => return self.fail_waiting(&error),
            }
        }
        let mut bytes = 0;
        let fitting = self.waiting.iter().take(BATCH_ORDERS_MAX).take_while(|pending| {
            bytes += pending.order.len();
            bytes <= BATCH_BYTES_MAX - 16
        });
        let count = fitting.count().max(1);
        let batch: Vec<Pending> = self.waiting.drain(..count).collect();
        let memory = write_orders(&batch);
        self.unanswered.extend(batch.into_iter().map(|pending| (pending.ticket, pending)));
        let sent = match (memory, &self.connection) {
            (Ok((memory, bytes)), Some(connection)) => {
                send_when_possible(connection, &Batch { bytes }, memory).await
            }
            (Err(error), _) => Err(error),
            (_, None) => Err(io::ErrorKind::NotConnected.into()),
        };
        if sent.is_err() {
            self.settle().await;
        }
    }

    fn fail_waiting(&mut self, error: &io::Error) {
        for pending in self.waiting.drain(..) {
            let executable = self.executable.clone();
            let source = io::Error::new(error.kind(), error.to_string());
            let _ = pending.answer.send(Answer::Failed(StartError::Keeper { executable, source }));
        }
    }
}

/// Puts orders into a file that exists only in memory.
fn write_orders(batch: &[Pending]) -> io::Result<(OwnedFd, u64)> {
    let mut bytes = Vec::with_capacity(batch.iter().map(|pending| pending.order.len()).sum::<usize>() + 8);
    let count = u32::try_from(batch.len()).map_err(io::Error::other)?;
    // An array of MessagePack is its length and then its elements, which are encoded already.
    bytes.push(0xdd);
    bytes.extend_from_slice(&count.to_be_bytes());
    batch.iter().for_each(|pending| bytes.extend_from_slice(&pending.order));
    let memory = rustix::fs::memfd_create(c"niia-orders", MemfdFlags::CLOEXEC)?;
    std::io::Write::write_all(&mut std::fs::File::from(memory.try_clone()?), &bytes)?;
    Ok((memory, bytes.len() as u64))
}

async fn send_when_possible(socket: &AsyncFd<OwnedFd>, batch: &Batch, memory: OwnedFd) -> io::Result<()> {
    loop {
        let mut ready = socket.writable().await?;
        if let Ok(sent) = ready.try_io(|socket| wire::send(socket.get_ref(), batch, &[memory.as_fd()])) {
            return sent;
        }
    }
}

/// All answers that have come; an error at the end of the connection.
async fn receive_replies(connection: Option<&AsyncFd<OwnedFd>>) -> io::Result<Vec<(Reply, Vec<OwnedFd>)>> {
    let connection = connection.ok_or(io::ErrorKind::NotConnected)?;
    let mut ready = connection.readable().await?;
    let mut replies = Vec::new();
    loop {
        let mut descriptors = Vec::new();
        match Message::receive(connection, &mut descriptors) {
            Ok(message) if message.is_end() && replies.is_empty() => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(message) if message.is_end() => return Ok(replies),
            Ok(message) => replies.push((message.read()?, descriptors)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.clear_ready();
                return Ok(replies);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A socket is read and written.
pub(super) const BOTH_WAYS: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Lets the runtime watch a descriptor.
pub(super) fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and the same descriptor for as long as it lives, and it is given away here, so
    // nobody can close or replace it before it is deregistered.
    unsafe { AsyncFd::register_with_interest(descriptor, interest) }.map_err(io::Error::from)
}

async fn connect_or_launch(run_folder: &Path, executable: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let name = wire::keeper_socket_file();
    for _ in 0..CONNECT_TRIES {
        match connect(run_folder, &name) {
            Ok(socket) => return watch(socket, BOTH_WAYS),
            Err(Errno::NOENT | Errno::CONNREFUSED) => launch(run_folder, executable).await?,
            Err(Errno::AGAIN) => tokio::time::sleep(CONNECT_PAUSE).await,
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::Error::from(io::ErrorKind::TimedOut))
}

/// Connects to a socket by a path of any length.
pub(super) fn connect(folder: &Path, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let short = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    rustix::net::connect(&socket, &SocketAddrUnix::new(short)?)?;
    if wire::is_own_user(&socket) { Ok(socket) } else { Err(Errno::PERM) }
}

/// Starts a keeper, which is a process of its own when this returns.
async fn launch(run_folder: &Path, executable: &Path) -> io::Result<()> {
    let mut command = Command::new(executable);
    command.arg("keeper").arg("--run-folder").arg(run_folder).env_clear();
    command.envs(descriptors::before().map(|limit| (descriptors::VARIABLE, limit)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output()).await.map_err(io::Error::other)??;
    // One that is killed while it starts is started again, by whoever finds no keeper there.
    if output.status.success() || output.status.signal().is_some() {
        return Ok(());
    }
    Err(io::Error::other(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}
