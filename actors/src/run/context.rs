//! What everybody who works on a run needs to know of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niia_spec::course::Wake;
use niia_spec::name::{AttemptId, RunId, SessionId};
use niia_spec::origin::Origin;
use niia_spec::plan::Plan;
use niia_spec::profile::{ProfileError, Profiles};
use serde::{Deserialize, Serialize};

use super::family::Family;
use crate::git::{DiscoverError, Repository, RunTrees, TreeError};
use crate::recording::Recording;
use crate::scratchpad::{ScratchpadError, ScratchpadFolder};
use crate::session::SessionHandle;

/// The same for all of a run's actors, from its begin to its end.
#[derive(Debug)]
pub struct RunContext {
    pub run: RunId,
    /// Everything niia keeps of this run lies here.
    pub folder: PathBuf,
    pub plan: Arc<Plan>,
    pub origin: Origin,
    pub profiles: Profiles,
    /// The run's work trees; nothing where it works in no repository.
    pub trees: Option<RunTrees>,
    pub scratchpad: ScratchpadFolder,
    pub begun_at_ms: u64,
    /// The sessions it was begun in, the outermost first.
    pub lineage: Vec<SessionId>,
    pub live: LiveSessions,
    scratchpad_folder: PathBuf,
}

/// The payload of the event that began a run, in the run's folder.
const EVENT_FILE: &str = "event.json";

/// What a run's first journal row keeps beside the plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunMeta {
    pub begun_at_ms: u64,
    /// Without its variables: those lie in a file of their own while the run lasts.
    pub origin: Origin,
    /// The commit the run started from.
    pub base: Option<String>,
    /// The sessions it was begun in, from the outermost one to the one it was begun by; none for a run of a person's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineage: Vec<SessionId>,
}

#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error("the run's folder {path} cannot be made")]
    Folder { path: PathBuf, source: io::Error },
    #[error("what began the run cannot be kept in {path}")]
    Event { path: PathBuf, source: io::Error },
    #[error("the caller's variables cannot be kept in {path}")]
    Variables { path: PathBuf, source: io::Error },
    #[error("the caller's variables in {path} are damaged")]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Scratchpad(#[from] ScratchpadError),
    #[error(transparent)]
    Repository(#[from] DiscoverError),
    #[error(transparent)]
    Trees(#[from] TreeError),
}

impl RunContext {
    /// What a run needs to know of itself, made anew from what its first row keeps.
    pub fn open(
        run: &RunId,
        folder: PathBuf,
        plan: Arc<Plan>,
        meta: RunMeta,
        live: LiveSessions,
    ) -> Result<RunContext, ContextError> {
        let scratchpad_folder = scratchpad_folder(run, &folder, &meta.lineage);
        let scratchpad = ScratchpadFolder::open(&scratchpad_folder)?;
        let own = meta.origin.profiles.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let profiles = Profiles::built_in()?.with(own)?;
        let trees = match (&meta.origin.repository, &meta.base) {
            (Some(repository), Some(_)) => {
                let repository = Repository::discover(repository)?;
                Some(RunTrees::open(&repository, &folder.join("git"))?)
            }
            _ => None,
        };
        keep_event(&folder, &plan)?;
        let RunMeta { origin, begun_at_ms, lineage, .. } = meta;
        let run = run.clone();
        Ok(RunContext {
            run,
            folder,
            plan,
            origin,
            profiles,
            trees,
            scratchpad,
            begun_at_ms,
            lineage,
            live,
            scratchpad_folder,
        })
    }

    /// The folder of one session: its recording and its answer.
    pub fn session_folder(&self, attempt: &AttemptId) -> PathBuf {
        session_folder(&self.folder, attempt)
    }

    /// The payload of the event that began the run, where one did.
    pub fn event_path(&self) -> Option<PathBuf> {
        self.plan.event.as_ref().map(|_| self.folder.join(EVENT_FILE))
    }

    pub fn scratchpad_folder(&self) -> PathBuf {
        self.scratchpad_folder.clone()
    }

    /// The scratchpads above this run's own, the nearest first: to be read, not to be written.
    pub fn scratchpads_above(&self) -> impl Iterator<Item = &Path> {
        self.scratchpad_folder.ancestors().skip(1).take(self.lineage.len())
    }

    pub fn session_id(&self, attempt: &AttemptId) -> SessionId {
        SessionId { run: self.run.clone(), attempt: attempt.clone() }
    }

    /// What is left of a time that was asked for: all of it, less what a session has run already.
    ///
    /// A node that was restarted goes by the program's own start, on a clock that no hand can set.
    pub fn left_of(&self, wake: &Wake, after: Duration) -> Duration {
        match wake {
            Wake::Timeout { attempt } => {
                let ran = age(&self.session_folder(attempt)).unwrap_or_default();
                after.saturating_sub(ran)
            }
            Wake::Backoff { .. } | Wake::Quiet { .. } => after,
        }
    }
}

/// Where a run's scratchpad lies: in its own folder, or below that of the run it was begun in.
pub fn scratchpad_folder(run: &RunId, folder: &Path, lineage: &[SessionId]) -> PathBuf {
    let runs = folder.parent().unwrap_or(folder);
    match lineage.split_first() {
        None => folder.join("scratchpad"),
        Some((outermost, between)) => {
            let top = runs.join(outermost.run.as_str()).join("scratchpad");
            let below = between.iter().map(|session| session.run.as_str()).chain([run.as_str()]);
            below.fold(top, |path, run| path.join(run))
        }
    }
}

/// How long a session's program has run, by the kernel's own clock.
fn age(session_folder: &Path) -> Option<Duration> {
    let recording = Recording::open(session_folder).ok()?;
    let ticks_a_second = rustix::param::clock_ticks_per_second().max(1);
    let began_ms = recording.start().pid_began * 1000 / ticks_a_second;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now_ms = u64::try_from(now.tv_sec).ok()? * 1000 + u64::try_from(now.tv_nsec).ok()? / 1_000_000;
    Some(Duration::from_millis(now_ms.saturating_sub(began_ms)))
}

pub fn session_folder(run_folder: &Path, attempt: &AttemptId) -> PathBuf {
    let worker = &attempt.worker;
    run_folder
        .join("sessions")
        .join(worker.phase.as_str())
        .join(worker.worker.as_str())
        .join(attempt.attempt.to_string())
}

/// The payload, for programs that read it. The plan has the last word, so it is written anew where it is not.
fn keep_event(folder: &Path, plan: &Plan) -> Result<(), ContextError> {
    let path = folder.join(EVENT_FILE);
    let Some(event) = plan.event.as_ref().filter(|_| !path.exists()) else { return Ok(()) };
    let kept = serde_json::to_vec_pretty(&event.payload).map_err(io::Error::other).and_then(|bytes| {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        io::Write::write_all(&mut file, &bytes)
    });
    kept.map_err(|source| ContextError::Event { path, source })
}

/// Keeps the caller's variables for as long as the run lasts, readable by the user alone.
pub fn keep_variables(folder: &Path, env: &BTreeMap<String, String>) -> Result<(), ContextError> {
    let path = folder.join("variables.json");
    let kept = serde_json::to_vec(env).map_err(io::Error::other).and_then(|bytes| {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        io::Write::write_all(&mut file, &bytes)?;
        file.sync_all()
    });
    kept.map_err(|source| ContextError::Variables { path, source })
}

/// The kept variables; none once they are forgotten.
pub fn kept_variables(folder: &Path) -> Result<BTreeMap<String, String>, ContextError> {
    let path = folder.join("variables.json");
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| ContextError::Damaged { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(ContextError::Variables { path, source }),
    }
}

pub fn forget_variables(folder: &Path) {
    let path = folder.join("variables.json");
    if let Err(error) = fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "the caller's variables could not be removed");
    }
}

/// The sessions of a node that live just now, and the runs that wait for a person.
#[derive(Clone, Debug, Default)]
pub struct LiveSessions {
    sessions: Arc<Mutex<HashMap<SessionId, SessionHandle>>>,
    waiting: Arc<Mutex<HashSet<RunId>>>,
    /// Which run was begun in which session.
    pub family: Family,
}

impl LiveSessions {
    pub fn enter(&self, session: SessionId, handle: SessionHandle) {
        self.with(|sessions| sessions.insert(session, handle));
    }

    pub fn leave(&self, session: &SessionId) {
        self.with(|sessions| sessions.remove(session));
    }

    pub fn get(&self, session: &SessionId) -> Option<SessionHandle> {
        self.with(|sessions| sessions.get(session).cloned())
    }

    pub fn all(&self) -> Vec<(SessionId, SessionHandle)> {
        self.with(|sessions| sessions.iter().map(|(id, handle)| (id.clone(), handle.clone())).collect())
    }

    pub fn count(&self) -> usize {
        self.with(|sessions| sessions.len())
    }

    /// Notes whether a run waits for a person.
    pub fn note_waiting(&self, run: &RunId, waits: bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waits {
            waiting.insert(run.clone());
        } else {
            waiting.remove(run);
        }
    }

    /// How many runs wait for a person.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<SessionId, SessionHandle>) -> T) -> T {
        look(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
