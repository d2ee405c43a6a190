//! The journal: what every run has decided, durable before it is acted upon.
//!
//! One SQLite file, one thread that writes it, many callers that do not wait for each other: what arrives while a
//! commit is under way shares the next one. The journal does not know what a course is; it keeps bytes, in order, each
//! row bound to the one before it by a hash. A row is told durable only after its commit reached the disk.

mod chain;
mod commit;
mod file;
mod letter;
mod load;
mod record;
mod salvage;
mod shelf;
mod trouble;
mod wal;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use niia_spec::name::RunId;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

pub use letter::{Fate, LetterRow, Letters};
pub use record::{Damage, Finish, Loaded, Quarantined, RunRecord, RunSummary, Step};
pub use shelf::{Put, Room};

use writer::{Job, Work, Writer};

/// The place of a row within its run; what began the run is row 0.
pub type Seq = u64;

/// The most that may wait for the disk, in bytes: what a full disk may cost of memory.
pub const BACKLOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest row, in bytes: far above any plan, far below what SQLite takes.
pub const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a row costs beside its bytes while it waits, in bytes (job, reply, names).
const ROW_OVERHEAD_BYTES: usize = 256;

/// One step of a run: what happened and what was decided about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The version of the course's own form.
    pub version: u32,
    /// JSON text, by custom, so that a person can read it with `sqlite3`; any bytes are kept as they are.
    pub event: Vec<u8>,
    pub commands: Vec<u8>,
}

/// How the journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Well,
    /// Rows wait in memory, none is lost or acknowledged, and the writer tries again by itself.
    Degraded {
        reason: String,
    },
    /// Nothing is taken any more.
    Stopped {
        reason: String,
    },
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Health::Well => f.write_str("well"),
            Health::Degraded { reason } => write!(f, "degraded: {reason}"),
            Health::Stopped { reason } => write!(f, "stopped: {reason}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the journal {path} cannot be opened")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the journal {path} cannot be created")]
    Create { path: PathBuf, source: std::io::Error },
    #[error("the journal {path} has version {found}, this niia knows up to {known}: use a newer niia")]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("the journal {path} is damaged and cannot be set aside")]
    SetAside { path: PathBuf, source: std::io::Error },
    #[error("the journal's thread cannot be started")]
    Thread { source: std::io::Error },
    #[error("the journal cannot be read")]
    Read { source: rusqlite::Error },
    #[error("the journal knows no run `{run}`")]
    NoSuchRun { run: RunId },
    #[error("the run `{run}` has begun already")]
    AlreadyBegun { run: RunId },
    #[error("the run `{run}` is over")]
    Over { run: RunId },
    #[error("the run `{run}` is quarantined: {reason}")]
    Quarantined { run: RunId, reason: String },
    #[error("a row of {bytes} bytes is larger than the {ROW_BYTES_MAX} a journal takes")]
    TooLarge { bytes: usize },
    #[error("{BACKLOG_BYTES_MAX} bytes wait for the disk already")]
    Backlog,
    #[error("the journal has stopped: {reason}")]
    Stopped { reason: String },
}

/// A way to reach the journal; any number of them reach the same one.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
    waiting_bytes: Arc<AtomicUsize>,
    health: watch::Receiver<Health>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The promise of a row: resolves to its place once it is durable, whether or not anybody looks.
#[derive(Debug)]
#[must_use = "a row is durable only once this has resolved"]
pub struct Durable(oneshot::Receiver<Result<Seq, JournalError>>);

impl Future for Durable {
    type Output = Result<Seq, JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or_else(|_| Err(ended())))
    }
}

impl Durable {
    /// Waits by blocking the thread: for code that is not async.
    pub fn wait(self) -> Result<Seq, JournalError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> JournalError {
    JournalError::Stopped { reason: "its writer has ended".to_owned() }
}

type Opened = (Connection, Loaded, commit::Runs);

fn open_whole(path: &Path) -> Result<Opened, JournalError> {
    salvage::resume(path).map_err(|source| JournalError::SetAside { path: path.to_owned(), source })?;
    let reason = match salvage::look(path)? {
        Some(reason) => reason,
        None => match read_whole(path) {
            Err(JournalError::Open { source, .. } | JournalError::Read { source })
                if trouble::damaged(&source) =>
            {
                source.to_string()
            }
            answer => return answer,
        },
    };
    let damage = salvage::salvage(path, reason)?;
    let (connection, mut loaded, runs) = read_whole(path)?;
    loaded.damage = Some(damage);
    Ok((connection, loaded, runs))
}

fn read_whole(path: &Path) -> Result<Opened, JournalError> {
    let connection = file::open(path)?;
    let (loaded, runs) = load::all(&connection).map_err(|source| JournalError::Read { source })?;
    Ok((connection, loaded, runs))
}

impl Journal {
    /// Opens or creates the journal and reads back every run that is not over. A file that is damaged as a whole is set
    /// aside, and what can be read of it goes on; `Loaded::damage` says so.
    pub fn open(path: &Path) -> Result<(Journal, Loaded), JournalError> {
        let (connection, loaded, runs) = open_whole(path)?;
        let (jobs, queue) = mpsc::channel();
        let (health_in, health) = watch::channel(Health::Well);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let writer =
            Writer::new(path.to_owned(), connection, runs, queue, Arc::clone(&waiting_bytes), health_in);
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(|| writer.run()).map_err(|source| JournalError::Thread { source })?;
        let writer = Mutex::new(Some(thread));
        Ok((Journal(Arc::new(Inner { path: path.to_owned(), jobs, waiting_bytes, health, writer })), loaded))
    }

    /// Takes a new run in: its plan, and a few words about it for lists.
    pub fn begin(&self, run: &RunId, plan: Vec<u8>, meta: Vec<u8>) -> Durable {
        self.put(Work::Begin { run: run.clone(), plan, meta })
    }

    /// Adds a step to a run. May be called again before the first one is durable; the order of calls is kept.
    pub fn append(&self, run: &RunId, row: Row) -> Durable {
        self.put(Work::Append { run: run.clone(), row })
    }

    /// As `append`, for a row nobody waits for: it may lie in memory for some milliseconds, so that it shares the commit of
    /// a row that is waited for.
    pub fn append_soon(&self, run: &RunId, row: Row) -> Durable {
        self.put(Work::AppendSoon { run: run.clone(), row })
    }

    /// Ends a run's record; nothing is added to it afterwards.
    pub fn finish(&self, run: &RunId, outcome: Vec<u8>) -> Durable {
        self.put(Work::Finish { run: run.clone(), outcome })
    }

    /// Takes a letter in; what it resolves to is the letter's number within its run.
    pub fn post(&self, run: &RunId, letter: LetterRow) -> Durable {
        self.put(Work::Post { run: run.clone(), letter })
    }

    /// Gives letters another fate.
    pub fn mark(&self, run: &RunId, numbers: Vec<u64>, fate: Fate) -> Durable {
        self.put(Work::Mark { run: run.clone(), numbers, fate })
    }

    /// Changes what the node remembers beside its runs, all of it in one commit.
    pub fn shelve(&self, puts: Vec<Put>) -> Durable {
        self.put(Work::Shelve { puts })
    }

    /// What lies in a room of the shelf. Reads the file in the caller's thread.
    pub fn room(&self, room: &str) -> Result<Room, JournalError> {
        self.read(|db| shelf::room(db, room).map_err(|source| JournalError::Read { source }))
    }

    /// One value of the shelf. Reads the file in the caller's thread.
    pub fn shelved(&self, room: &str, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.read(|db| shelf::value(db, room, name).map_err(|source| JournalError::Read { source }))
    }

    /// Resolves when all that was given before is durable: whoever takes over from another waits for this before it
    /// reads.
    pub fn settle(&self) -> Durable {
        self.put(Work::Settle)
    }

    /// The letters of one run. Reads the file in the caller's thread.
    pub fn letters(&self, run: &RunId) -> Result<Letters, JournalError> {
        self.read(|db| load::letters(db, run).map_err(|source| JournalError::Read { source }))
    }

    /// All of one run, its chain checked. Reads the file in the caller's thread.
    pub fn load(&self, run: &RunId) -> Result<RunRecord, JournalError> {
        self.read(|db| load::one(db, run))
    }

    /// Every run there is, oldest first. Reads the file in the caller's thread.
    pub fn runs(&self) -> Result<Vec<RunSummary>, JournalError> {
        self.read(|db| load::summaries(db).map_err(|source| JournalError::Read { source }))
    }

    /// Reads beside the writer. What turns out to be malformed is looked through and set aside at the next start.
    fn read<T>(&self, read: impl Fn(&Connection) -> Result<T, JournalError>) -> Result<T, JournalError> {
        let answer = file::open_to_read(&self.0.path).and_then(|db| read(&db));
        if let Err(JournalError::Open { source, .. } | JournalError::Read { source }) = &answer
            && trouble::damaged(source)
            && let Err(reason) = trouble::ask_for_check(&self.0.path)
        {
            tracing::error!(reason, "the damaged journal cannot be marked");
        }
        answer
    }

    /// How the journal is, now and whenever it changes.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.0.health.clone()
    }

    /// Writes what waits, closes the file and returns when that is done; other handles then find it stopped.
    pub fn close(&self) {
        drop(self.put(Work::Close));
        let writer = self.0.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the journal's thread panicked");
        }
    }

    fn put(&self, work: Work) -> Durable {
        let (reply, promise) = oneshot::channel();
        let bytes = work.bytes();
        if let Err(refusal) = self.admit(bytes) {
            drop(reply.send(Err(refusal)));
            return Durable(promise);
        }
        let cost = bytes + ROW_OVERHEAD_BYTES;
        self.0.waiting_bytes.fetch_add(cost, Ordering::Relaxed);
        if let Err(mpsc::SendError(job)) = self.0.jobs.send(Job { work, cost, reply }) {
            drop(job.reply.send(Err(self.stopped())));
        }
        Durable(promise)
    }

    fn admit(&self, bytes: usize) -> Result<(), JournalError> {
        if bytes > ROW_BYTES_MAX {
            return Err(JournalError::TooLarge { bytes });
        }
        let waiting = self.0.waiting_bytes.load(Ordering::Relaxed);
        if waiting + bytes > BACKLOG_BYTES_MAX { Err(JournalError::Backlog) } else { Ok(()) }
    }

    fn stopped(&self) -> JournalError {
        match &*self.0.health.borrow() {
            Health::Stopped { reason } => JournalError::Stopped { reason: reason.clone() },
            Health::Well | Health::Degraded { .. } => ended(),
        }
    }
}
