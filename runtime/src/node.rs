//! The node: the actor tree of one machine and user, and the socket by which it is reached.
//!
//! node → runs → phases → sessions. A node is the only one in its state folder (the kernel holds the lock). It takes up
//! every run that was not over, and every terminal that still lives, before it says that it is ready.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use niia_actors::ask::chain;
use niia_actors::failpoint::{self, FailPointError};
use niia_actors::journal::{Health, Journal, JournalError, Loaded};
use niia_actors::keeper::Keeper;
use niia_actors::machine::breakers::BreakerRoom;
use niia_actors::machine::local::LocalMachine;
use niia_actors::machine::{Machine, Machines};
use niia_actors::run::LiveSessions;
use niia_actors::sandbox::RunAs;
use niia_actors::state::{Lock, LockError, SocketError, StateError, StateFolder};
use niia_spec::name::RunId;
use tokio::sync::{mpsc, watch};

use crate::appointments::AppointmentsHandle;
use crate::config::{Folders, own_hosts};
use crate::control::ready::Ready;
use crate::control::server;
use crate::control::words::NodeView;
use crate::network::{Network, NetworkSettings};
use crate::notify::Notifier;
use crate::remote::{Abroad, Guests, Letters, Remotes};
use crate::webhook::{Hooks, WebhookConfig};

pub mod accept;
pub mod admission;
pub mod asks;
pub mod child;
mod connector;
mod memory;
mod news;
pub(crate) mod past;
mod root;

use connector::Connectors;
use news::Followers;
pub use root::RootHandle;

/// The name of the node's socket in the state's `run` folder.
pub const SOCKET: &str = "node.sock";
/// Sessions a node holds where its configuration says nothing: far below what Linux gives (4,096 terminals).
pub const SESSIONS_MAX_DEFAULT: u32 = 1_200;
/// A run begins only with so much memory free, in MiB, where the configuration says nothing.
pub const MEMORY_FLOOR_MIB_DEFAULT: u64 = 256;
/// A live session holds its terminal, its recording and its minder's socket open, and one more while it is looked at.
const DESCRIPTORS_PER_SESSION: u64 = 4;
/// The journal, the log, sockets of callers and the runtime's own.
const DESCRIPTORS_RESERVED: u64 = 64;
/// Threads of the node: it waits more than it computes, and the machine belongs to the workers.
const THREADS: usize = 2;

#[derive(Debug)]
pub struct NodeOptions {
    pub state_folder: PathBuf,
    pub sessions_max: u32,
    pub memory_floor_mib: u64,
    /// Who sandboxed sessions are where this is root.
    pub run_as: Option<RunAs>,
    pub network: NetworkSettings,
    /// Tells a person of runs that nobody follows.
    pub notifier: Notifier,
    pub webhook: WebhookConfig,
    pub folders: Folders,
}

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    FailPoint(#[from] FailPointError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("the node's threads could not be started")]
    Threads(#[source] std::io::Error),
    #[error("the path of this program cannot be found")]
    Program(#[source] std::io::Error),
    #[error("the node's socket cannot be used")]
    Listen(#[source] std::io::Error),
    #[error("signals cannot be waited for")]
    Signals(#[source] std::io::Error),
    #[error("the node's actor did not start")]
    Actor(#[source] ractor::SpawnErr),
}

/// What every connection of a node shares.
#[derive(Debug)]
pub struct Node {
    pub state: StateFolder,
    pub journal: Journal,
    pub machines: Arc<Machines>,
    pub live: LiveSessions,
    pub root: RootHandle,
    pub followers: Followers,
    /// What sessions ask people just now.
    pub asks: asks::Asks,
    pub notifier: Notifier,
    pub sessions_max: u32,
    pub memory_floor_mib: u64,
    pub run_as: Option<RunAs>,
    breakers: BreakerRoom,
    pub quarantined: Vec<(String, String)>,
    /// The way to other machines; nothing where this node's own key cannot be used.
    pub network: Option<Arc<Network>>,
    /// What was given to other machines, and what was taken from them.
    pub remotes: Option<Arc<Remotes>>,
    pub guests: Arc<Guests>,
    /// Held while a run is begun inside another one.
    children: tokio::sync::Mutex<()>,
    pub appointments: AppointmentsHandle,
    /// Where webhooks are taken, or why they are not.
    pub webhook: Option<String>,
    /// Letters to people of other machines, and from there.
    pub letters: Arc<Letters>,
    /// Runs that were begun here and live elsewhere.
    pub abroad: Arc<Abroad>,
    pub(crate) began: Instant,
    stop: watch::Sender<bool>,
}

impl Node {
    pub fn room(&self) -> admission::Room {
        admission::Room {
            sessions_live: u32::try_from(self.live.count()).unwrap_or(u32::MAX),
            runs_waiting: u32::try_from(self.live.waiting()).unwrap_or(u32::MAX),
            sessions_max: self.sessions_max,
            memory_free_mib: memory::free_mib(),
            memory_floor_mib: self.memory_floor_mib,
        }
    }

    /// The names under which a document may mean this machine.
    pub fn hosts(&self) -> Vec<String> {
        self.network.as_ref().map_or_else(|| own_hosts(None), |network| network.hosts())
    }

    pub fn sandboxes(&self) -> admission::Sandboxes {
        match self.run_as {
            None if rustix::process::geteuid().is_root() => admission::Sandboxes::NoUser,
            _ => admission::Sandboxes::Possible,
        }
    }

    pub fn run_folder(&self, run: &RunId) -> PathBuf {
        self.guests.folder_of(run).unwrap_or_else(|| self.state.run(run))
    }

    /// What is wrong with the journal, while something is.
    pub fn trouble(&self) -> Option<String> {
        match &*self.journal.health().borrow() {
            Health::Well => None,
            trouble => Some(trouble.to_string()),
        }
    }

    pub async fn view(&self) -> NodeView {
        let degraded = self.trouble();
        NodeView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state_folder: self.state.path().to_owned(),
            up_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            runs_live: u32::try_from(self.root.runs().await.len()).unwrap_or(u32::MAX),
            sessions_live: self.room().sessions_live,
            sessions_max: self.sessions_max,
            memory_floor_mib: self.memory_floor_mib,
            degraded,
            breakers: self.breakers.all(),
            webhook: self.webhook.clone(),
        }
    }

    /// Asks the node to end; the programs in its terminals go on.
    pub fn stop(&self) {
        // Nobody listens any more only when it is stopping already.
        let _ = self.stop.send(true);
    }
}

/// Runs a node until it is told to stop.
pub fn run(options: NodeOptions, ready: Ready) -> Result<(), NodeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("niia")
        .enable_all()
        .build()
        .map_err(NodeError::Threads)?;
    let begun = match runtime.block_on(begin(options)) {
        Ok(begun) => begun,
        Err(error) => {
            ready.failed(&chain(&error));
            return Err(error);
        }
    };
    ready.ready();
    let journal = runtime.block_on(serve(begun));
    // Sessions' tasks end here without ending their programs; rows on their way are written first.
    runtime.shutdown_background();
    journal.close();
    Ok(())
}

/// A node that may be spoken to.
struct Begun {
    node: Arc<Node>,
    lock: Lock,
    listener: tokio::net::UnixListener,
    signals: Signals,
    stopping: watch::Receiver<bool>,
    hooks: Option<Hooks>,
}

async fn begin(options: NodeOptions) -> Result<Begun, NodeError> {
    failpoint::check()?;
    let sessions_max = sessions_bound(options.sessions_max, niia_actors::keeper::raise_descriptors());
    let Opened { state, lock, listener, journal, loaded } = open(&options.state_folder)?;
    let signals = Signals::new()?;
    let program = std::env::current_exe().map_err(NodeError::Program)?;
    let live = LiveSessions::default();
    niia_actors::keeper::tidy(state.run_folder().as_ref());
    let keeper = Keeper::new(state.run_folder(), &program);
    // Root alone can be somebody else.
    let run_as = options.run_as.filter(|_| rustix::process::geteuid().is_root());
    let (doors, opener) = server::doors(run_as.map(|user| user.uid));
    let here = LocalMachine::new(keeper, live.clone(), sessions_max, &program, state.path())
        .confining(run_as, Arc::new(doors));
    let breakers = here.breakers().clone();
    let network = network_of(&state, options.network);
    let here: Arc<dyn Machine> = Arc::new(here);
    let remotes =
        network.clone().map(|network| Arc::new(Remotes::new(network, live.clone(), Arc::clone(&here))));
    let (inward, nodes) = watch::channel(None);
    let connectors = Connectors { nodes, live: live.clone() };
    let machines = machines_of(here, connectors, remotes.clone());
    let guests = Arc::new(Guests::new(state.path(), Arc::clone(&machines), live.clone()));
    let (news, told) = mpsc::unbounded_channel();
    let followers = Followers::default();
    let appointments = AppointmentsHandle::of(&state, &journal, &options.notifier);
    let appointments = appointments.await.map_err(NodeError::Actor)?;
    let abroad = Arc::new(Abroad::open(state.path(), network.clone(), news.clone()));
    let letters = Arc::new(Letters::new(state.path(), network.clone(), options.notifier.clone()));
    tokio::spawn(Arc::clone(&letters).carry());
    tokio::spawn(news::tell(told, followers.clone(), options.notifier.clone(), appointments.clone()));
    let root =
        RootHandle::spawn(journal.clone(), Arc::clone(&machines), news).await.map_err(NodeError::Actor)?;
    let (hooks, webhook) = hooks_of(&options.webhook, &options.folders).await;
    guests.take_up().await;
    abroad.take_up();
    let (stop, stopping) = watch::channel(false);
    let quarantined = take_up(loaded, &state, &live, &root).await;
    failpoint::hit("node.taken_up");
    let node = Arc::new(Node {
        state,
        journal,
        machines,
        live,
        root,
        followers,
        asks: asks::Asks::default(),
        notifier: options.notifier,
        sessions_max,
        memory_floor_mib: options.memory_floor_mib,
        run_as,
        breakers,
        quarantined,
        network,
        remotes,
        guests,
        children: tokio::sync::Mutex::default(),
        appointments,
        webhook,
        letters,
        abroad,
        began: Instant::now(),
        stop,
    });
    opener.open(&node);
    inward.send_replace(Some(Arc::downgrade(&node)));
    node.appointments.open(&node);
    tracing::info!(state = %node.state.path().display(), "the node is ready");
    Ok(Begun { node, lock, listener, signals, stopping, hooks })
}

/// A state folder that is this node's alone, and what lies in it.
struct Opened {
    state: StateFolder,
    lock: Lock,
    listener: tokio::net::UnixListener,
    journal: Journal,
    loaded: Loaded,
}

fn open(folder: &Path) -> Result<Opened, NodeError> {
    let state = StateFolder::open(folder)?;
    let lock = Lock::take(&state)?;
    failpoint::hit("node.locked");
    let listener = niia_actors::state::bind(&lock, SOCKET)?;
    listener.set_nonblocking(true).map_err(NodeError::Listen)?;
    let listener = tokio::net::UnixListener::from_std(listener).map_err(NodeError::Listen)?;
    let (journal, loaded) = Journal::open(&state.journal())?;
    failpoint::hit("node.loaded");
    Ok(Opened { state, lock, listener, journal, loaded })
}

/// Takes up every run that was not over; gives those that cannot be, and why.
async fn take_up(
    loaded: Loaded,
    state: &StateFolder,
    live: &LiveSessions,
    root: &RootHandle,
) -> Vec<(String, String)> {
    let broken = loaded.quarantined.into_iter().map(|run| (run.run, run.reason));
    let mut quarantined: Vec<(String, String)> = broken.collect();
    let taken_up = past::inner_first(loaded.runs);
    for (record, _) in &taken_up {
        if let Err((run, reason)) = past::take_up(state, live, root, record).await {
            tracing::error!(%run, reason, "a run cannot be taken up");
            quarantined.push((run.to_string(), reason));
        }
    }
    for (record, lineage) in &taken_up {
        if let Some(session) = lineage.last() {
            child::rejoin(root, &record.run, session).await;
        }
    }
    quarantined
}

/// As many sessions as there are descriptors for, and no more than the configuration says.
fn sessions_bound(wanted: u32, descriptors: Option<u64>) -> u32 {
    let room = descriptors.unwrap_or(u64::MAX).saturating_sub(DESCRIPTORS_RESERVED) / DESCRIPTORS_PER_SESSION;
    let bound = wanted.min(u32::try_from(room).unwrap_or(u32::MAX)).max(1);
    tracing::info!(?descriptors, wanted, bound, "so many sessions may live at a time");
    if bound < wanted {
        tracing::warn!(
            bound,
            wanted,
            "fewer sessions than configured: raise the limit of open files (ulimit -Hn)"
        );
    }
    bound
}

async fn serve(begun: Begun) -> Journal {
    let Begun { node, lock, listener, mut signals, mut stopping, hooks } = begun;
    if let Some(network) = &node.network {
        network.serve(&node).await;
    }
    let told = async {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => {}
            () = signals.wait() => {}
        }
        // While it says goodbye it is still this node that listens here: nobody takes it for gone.
        if let Some(network) = &node.network {
            network.close().await;
        }
    };
    let told_by_others = async {
        match hooks {
            Some(hooks) => hooks.serve(Arc::clone(&node)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = server::listen(listener, Arc::clone(&node)) => {}
        () = told_by_others => {}
        () = told => {}
    }
    // Named here so that it is held to this point: another node may begin only now.
    remove_socket(&node.state.socket(SOCKET));
    niia_actors::keeper::tidy(node.state.run_folder().as_ref());
    drop(lock);
    node.journal.clone()
}

/// This machine, and those that are paired with it.
fn machines_of(
    here: Arc<dyn Machine>,
    connectors: Connectors,
    remotes: Option<Arc<Remotes>>,
) -> Arc<Machines> {
    let machines = Machines::only(here).within(Arc::new(connectors));
    Arc::new(match remotes {
        Some(remotes) => machines.and(remotes),
        None => machines,
    })
}

/// A node without webhooks works all the same, and says why it has none.
async fn hooks_of(config: &WebhookConfig, folders: &Folders) -> (Option<Hooks>, Option<String>) {
    match Hooks::bind(config, folders).await {
        Ok(hooks) => {
            let told = hooks.as_ref().map(Hooks::told);
            (hooks, told)
        }
        Err(error) => {
            let reason = chain(&error);
            tracing::error!(reason, "webhooks are not taken");
            (None, Some(format!("not taken: {reason}")))
        }
    }
}

/// Without a key of its own a node works alone, and says why.
fn network_of(state: &StateFolder, settings: NetworkSettings) -> Option<Arc<Network>> {
    match Network::load(state.path(), settings) {
        Ok(network) => Some(Arc::new(network)),
        Err(error) => {
            tracing::error!(error = chain(&error), "other machines cannot be reached");
            None
        }
    }
}

fn remove_socket(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "the node's socket could not be removed");
    }
}

/// The signals that end a node.
struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Signals, NodeError> {
        use tokio::signal::unix::{SignalKind, signal};
        let on = |kind| signal(kind).map_err(NodeError::Signals);
        Ok(Signals {
            term: on(SignalKind::terminate())?,
            int: on(SignalKind::interrupt())?,
            hup: on(SignalKind::hangup())?,
        })
    }

    /// Returns at TERM or INT. A hang-up is what the last terminal leaves behind; a node outlives it.
    async fn wait(&mut self) {
        loop {
            tokio::select! {
                _ = self.term.recv() => return,
                _ = self.int.recv() => return,
                _ = self.hup.recv() => {}
            }
        }
    }
}
