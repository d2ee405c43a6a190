//! This machine: its keeper, its places, its live sessions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::breakers::BreakerRoom;
use super::starts::Starts;
use super::{Assignment, Machine, StartError, Starting};
use crate::keeper::Keeper;
use crate::launch::Confining;
use crate::phase::PhaseHandle;
use crate::run::LiveSessions;
use crate::sandbox::RunAs;
use crate::session::{Doors, SessionHandle};
use crate::tool::Tools;

/// Opens terminals here. Clones share everything.
#[derive(Clone, Debug)]
pub struct LocalMachine {
    pub(crate) keeper: Keeper,
    pub(crate) live: LiveSessions,
    pub(crate) program: PathBuf,
    pub(crate) state_folder: PathBuf,
    pub(crate) confining: Confining,
    pub(crate) doors: Option<Arc<dyn Doors>>,
    pub(crate) tools: Tools,
    pub(crate) breakers: BreakerRoom,
    pub(crate) starts: Starts,
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// Sessions whose small files are made or read at a time: enough to keep a disk busy.
const TURNS: usize = 4;

impl LocalMachine {
    pub fn new(
        keeper: Keeper,
        live: LiveSessions,
        sessions_max: u32,
        program: &Path,
        state_folder: &Path,
    ) -> LocalMachine {
        let places = usize::try_from(sessions_max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        LocalMachine {
            keeper,
            live,
            program: program.to_owned(),
            state_folder: state_folder.to_owned(),
            confining: Confining { state_folder: state_folder.to_owned(), run_as: None },
            doors: None,
            tools: Tools::default(),
            breakers: BreakerRoom::open(state_folder),
            starts: Starts::default(),
            places: Arc::new(Semaphore::new(places)),
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    /// The same, with sandboxed sessions as this user, and a way for them to reach the node.
    #[must_use]
    pub fn confining(mut self, run_as: Option<RunAs>, doors: Arc<dyn Doors>) -> LocalMachine {
        self.confining.run_as = run_as;
        self.doors = Some(doors);
        self
    }

    /// Who is not asked now.
    pub fn breakers(&self) -> &BreakerRoom {
        &self.breakers
    }

    /// Waits for a place among this machine's sessions.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

impl LocalMachine {
    /// Waits for a turn at the disk.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }
}

impl Machine for LocalMachine {
    fn start(&self, assignment: Assignment, parent: PhaseHandle) -> Starting<'_> {
        Box::pin(async move {
            SessionHandle::spawn(assignment, self.clone(), parent).await.map_err(StartError::Actor)
        })
    }
}
