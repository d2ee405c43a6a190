//! Attempts that are made here for runs of other machines.
//!
//! Each is written down before it is accepted, and its end before it is told; a node that was restarted takes up what
//! lives. What came of an attempt waits here until home has it. Home may be silent for long: the attempt goes on, and
//! ends by itself when it counts as forgotten.

mod record;
mod talk;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niia_actors::ask::chain;
use niia_actors::machine::{Assignment, Machines};
use niia_actors::phase::{PhaseArguments, PhaseHandle};
use niia_actors::run::{LiveSessions, RunContext, RunHandle};
use niia_net::identity::NodeId;
use niia_net::lease::is_orphan;
use niia_spec::course::{EndReason, Ending, Event};
use niia_spec::name::{RunId, SessionId};
use tokio::sync::{mpsc, watch};

use super::pad::{Changed, Pad};
use crate::network::boottime;
use record::Record;

pub(super) use talk::serve;

/// Attempts that are kept for others at a time, live ones and results: more than a machine has terminals for.
const GUESTS_MAX: usize = 4_096;
/// How often a silent home is looked after.
const LOOK: Duration = Duration::from_secs(1);

/// How an attempt stands.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    Begun,
    Started,
    Over(Arc<Ending>),
}

/// One attempt that is made here.
#[derive(Debug)]
pub(super) struct Guest {
    pub session: SessionId,
    pub home: NodeId,
    pub record: Record,
    pub context: Arc<RunContext>,
    pub standing: watch::Sender<Standing>,
    /// Nothing where it was over when this node began.
    phase: Option<PhaseHandle>,
    heard_ms: AtomicU64,
}

impl Guest {
    pub fn heard(&self) {
        self.heard_ms.store(millis(boottime()), Ordering::Relaxed);
    }

    pub fn end(&self, reason: EndReason) {
        if let Some(phase) = &self.phase {
            // One that is over has nothing left to end.
            let _ = phase.end(self.session.attempt.clone(), reason);
        }
    }

    fn is_over(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Over(_))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// All attempts that are made here for others.
#[derive(Debug)]
pub struct Guests {
    folder: PathBuf,
    machines: Arc<Machines>,
    live: LiveSessions,
    all: Mutex<HashMap<SessionId, Arc<Guest>>>,
}

impl Guests {
    pub fn new(state_folder: &Path, machines: Arc<Machines>, live: LiveSessions) -> Guests {
        Guests { folder: state_folder.join("guests"), machines, live, all: Mutex::default() }
    }

    /// Takes up what an earlier node of this machine had begun.
    pub async fn take_up(self: &Arc<Self>) {
        let folder = self.folder.clone();
        let records = tokio::task::spawn_blocking(move || record::all(&folder)).await.unwrap_or_default();
        for record in records {
            let session = record.session.clone();
            if let Err(reason) = self.begin(record).await {
                tracing::error!(%session, reason, "a session of another machine's run cannot be taken up");
            }
        }
    }

    pub(super) fn get(&self, session: &SessionId) -> Option<Arc<Guest>> {
        self.with(|all| all.get(session).cloned())
    }

    /// The node a session belongs to, where it is not this one.
    pub fn home_of(&self, session: &SessionId) -> Option<NodeId> {
        self.get(session).map(|guest| guest.home)
    }

    /// The folder of a run of another machine.
    pub fn folder_of(&self, run: &RunId) -> Option<PathBuf> {
        self.with(|all| {
            all.values().find(|guest| guest.session.run == *run).map(|g| g.context.folder.clone())
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<SessionId, Arc<Guest>>) -> T) -> T {
        look(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn has_room(&self) -> bool {
        self.with(|all| all.len() < GUESTS_MAX)
    }

    /// Ends earlier attempts of the same worker: home has given them up.
    pub(super) fn end_older(&self, session: &SessionId, home: NodeId) {
        let older = |guest: &&Arc<Guest>| {
            guest.home == home
                && guest.session.run == session.run
                && guest.session.attempt.worker == session.attempt.worker
                && guest.session.attempt.attempt < session.attempt.attempt
        };
        for guest in self.with(|all| all.values().filter(older).cloned().collect::<Vec<_>>()) {
            guest.end(EndReason::NotNeeded);
        }
    }

    async fn begin(self: &Arc<Self>, record: Record) -> Result<Arc<Guest>, String> {
        Ok(self.begin_with(record, Vec::new()).await?.0)
    }

    /// Has an attempt made, or takes it up where it is. The files are those that came along.
    pub(super) async fn begin_with(
        self: &Arc<Self>,
        record: Record,
        files: Vec<Changed>,
    ) -> Result<(Arc<Guest>, Pad), String> {
        let (live, folder) = (self.live.clone(), self.folder.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let context = Arc::new(record.context(&folder, live)?);
            let mut pad = Pad::new(Arc::clone(&context));
            for file in &files {
                pad.take(file, "home").map_err(|reason| format!("{}: {reason}", file.path))?;
            }
            Ok::<_, String>((context, record, pad))
        });
        let (context, record, pad) = opened.await.map_err(|error| error.to_string())??;
        let (events, news) = mpsc::unbounded_channel();
        let over = record.ending();
        let phase = match &over {
            Some(_) => None,
            None => Some(self.start(&record, &context, events).await?),
        };
        let standing = over.map_or(Standing::Begun, |ending| Standing::Over(Arc::new(ending)));
        let guest = Arc::new(Guest {
            session: record.session.clone(),
            home: record.home,
            record,
            context,
            standing: watch::Sender::new(standing),
            phase,
            heard_ms: AtomicU64::new(millis(boottime())),
        });
        self.with(|all| all.insert(guest.session.clone(), Arc::clone(&guest)));
        tokio::spawn(mind(Arc::clone(&guest), news));
        Ok((guest, pad))
    }

    async fn start(
        &self,
        record: &Record,
        context: &Arc<RunContext>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<PhaseHandle, String> {
        let run = RunHandle::guest(events).await.map_err(|error| chain(&error))?;
        let machines = Arc::new(Machines::only(self.machines.here()));
        let arguments = PhaseArguments { run: run.clone(), machines };
        let phase = PhaseHandle::spawn(arguments, run.cell()).await.map_err(|error| chain(&error))?;
        let offer = &record.offer;
        let assignment = Assignment {
            session: record.session.clone(),
            worker: Arc::new(offer.worker.clone()),
            model: offer.model,
            prompt: offer.prompt.as_str().into(),
            subject: offer.subject.clone(),
            mend: None,
            conversation: false,
            step: offer.plan.step(&record.session.attempt.worker).cloned().map(Arc::new),
            connector: None,
            turn: None,
            context: Arc::clone(context),
        };
        phase.start(assignment).map_err(|error| chain(&error))?;
        Ok(phase)
    }

    /// Home has what came of it: nothing of it stays here.
    pub(super) async fn forget(&self, guest: &Arc<Guest>) {
        self.with(|all| all.remove(&guest.session));
        let last = self.folder_of(&guest.session.run).is_none();
        let guest = Arc::clone(guest);
        let removed = tokio::task::spawn_blocking(move || guest.record.remove(&guest.context, last)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "what was kept for another machine is not removed");
        }
    }
}

/// Follows an attempt to its end, and ends it when home has forgotten it.
async fn mind(guest: Arc<Guest>, mut news: mpsc::UnboundedReceiver<Event>) {
    let orphan_after = Duration::from_millis(guest.record.offer.orphan_after_ms);
    let mut look = tokio::time::interval(LOOK);
    while !guest.is_over() {
        tokio::select! {
            event = news.recv() => match event {
                Some(Event::Started { .. }) => drop(guest.standing.send_replace(Standing::Started)),
                Some(Event::Ended { ending, .. }) => ended(&guest, ending).await,
                Some(_) => {}
                None => return,
            },
            _ = look.tick() => {
                let heard = Duration::from_millis(guest.heard_ms.load(Ordering::Relaxed));
                if is_orphan(heard, boottime(), orphan_after) {
                    tracing::warn!(session = %guest.session, home = %guest.home, "home has been silent for too long");
                    guest.heard();
                    guest.end(EndReason::Cancelled);
                }
            }
        }
    }
}

/// The end is on disk before anybody is told.
async fn ended(guest: &Arc<Guest>, ending: Ending) {
    let (record, kept) = (Arc::clone(guest), ending.clone());
    let kept = tokio::task::spawn_blocking(move || record.record.keep_ending(&kept)).await;
    if let Ok(Err(error)) = kept {
        tracing::error!(session = %guest.session, %error, "an ending is not on disk");
    }
    if let Some(phase) = &guest.phase {
        phase.stop();
    }
    guest.standing.send_replace(Standing::Over(Arc::new(ending)));
}
