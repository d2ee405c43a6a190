//! Attempts that are made here for runs of other machines.
//!
//! Each is written down before it is accepted, and its end before it is told; a node that was restarted takes up what
//! lives. What came of an attempt waits here until home has it. Home may be silent for long: the attempt goes on, and
//! ends by itself when it counts as forgotten.

mod asked;
mod record;
mod talk;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niia_actors::ask::chain;
use niia_actors::machine::{Assignment, Machines};
use niia_actors::phase::{PhaseArguments, PhaseHandle};
use niia_actors::run::{LiveSessions, RunContext, RunHandle};
use niia_net::handover::{Due, Far, Stage};
use niia_net::identity::NodeId;
use niia_spec::course::{EndReason, Ending, Event};
use niia_spec::name::{RunId, SessionId};
use niia_spec::plan::{Egress, Plan};
use tokio::sync::{mpsc, watch};

use super::pad::{Changed, Pad};
use crate::network::boottime;
use record::Record;

pub(super) use record::write_whole;

pub(super) use talk::{GuestError, blocking, known_commits, serve, unpack};

/// So often home is told that this end is there.
fn beat(node: &crate::node::Node) -> Duration {
    let lease = node.network.as_ref().map_or(niia_net::endpoint::IDLE, |network| network.lease());
    lease / super::carry::BEATS_IN_A_LEASE
}

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
    /// The scratchpad, and what home is known to have of it.
    pub pad: Arc<Mutex<Pad>>,
    /// Talks about it are numbered; the newest one counts.
    pub talks: watch::Sender<u64>,
    /// Nothing where it was over when this node began.
    phase: Option<PhaseHandle>,
}

impl Guest {
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

/// Which attempts are here, and what belongs to each.
#[derive(Debug, Default)]
struct Table {
    far: Far,
    guests: HashMap<SessionId, Arc<Guest>>,
}

/// All attempts that are made here for others.
#[derive(Debug)]
pub struct Guests {
    folder: PathBuf,
    machines: Arc<Machines>,
    live: LiveSessions,
    table: Mutex<Table>,
    /// Moves when an attempt has begun or was let go of.
    changes: watch::Sender<u64>,
    /// The folder of a run goes with its last attempt, and never while the next one is being written into it.
    folders: tokio::sync::Mutex<()>,
}

impl Guests {
    pub fn new(state_folder: &Path, machines: Arc<Machines>, live: LiveSessions) -> Guests {
        let (table, changes) = (Mutex::default(), watch::Sender::new(0));
        Guests {
            folder: state_folder.join("guests"),
            machines,
            live,
            table,
            changes,
            folders: tokio::sync::Mutex::new(()),
        }
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
        self.with(|table| table.guests.get(session).cloned())
    }

    /// The node a session belongs to, where it is not this one.
    pub fn home_of(&self, session: &SessionId) -> Option<NodeId> {
        self.get(session).map(|guest| guest.home)
    }

    /// The folder of a run of another machine.
    pub fn folder_of(&self, run: &RunId) -> Option<PathBuf> {
        self.with(|table| {
            let mut guests = table.guests.values();
            guests.find(|guest| guest.session.run == *run).map(|guest| guest.context.folder.clone())
        })
    }

    /// The node a run belongs to, some of whose sessions are here.
    pub fn home_of_run(&self, run: &RunId) -> Option<NodeId> {
        self.with(|table| {
            table.guests.values().find(|guest| guest.session.run == *run).map(|guest| guest.home)
        })
    }

    /// The plan of a run of another machine, some of whose sessions are here.
    pub fn plan_of(&self, run: &RunId) -> Option<Arc<Plan>> {
        let of_run = |guest: &&Arc<Guest>| guest.session.run == *run;
        self.with(|table| table.guests.values().find(of_run).map(|guest| Arc::clone(&guest.context.plan)))
    }

    /// What of a session may leave this machine, where it belongs to another one's run.
    pub fn egress_of(&self, session: &SessionId) -> Option<Egress> {
        Some(self.get(session)?.record.offer.worker.session.egress)
    }

    /// Where the commits of a repository of another machine are kept.
    pub(super) fn repository_folder(&self, home: &NodeId, name: &str) -> PathBuf {
        record::repository_folder(&self.folder, home, name)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Table) -> T) -> T {
        look(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Home has said something about an attempt.
    pub(super) fn heard(&self, session: &SessionId) {
        self.with(|table| table.far.heard(session, boottime()));
    }

    /// The attempts of homes that have said nothing for so long.
    pub(super) fn unheard(&self, silent_for: Duration) -> BTreeMap<NodeId, Vec<SessionId>> {
        self.with(|table| table.far.unheard(boottime(), silent_for))
    }

    /// Nobody waits for it any more: it ends, and goes once it is over.
    pub(super) async fn unwanted(&self, session: &SessionId) {
        match self.get(session) {
            Some(guest) if guest.is_over() => self.forget(&guest).await,
            Some(guest) => guest.end(EndReason::NotNeeded),
            None => {}
        }
    }

    /// Writes an attempt down and has it made. What is refused then is not to be begun by the next node of this machine.
    pub(super) async fn take_on(
        self: &Arc<Self>,
        keep: impl FnOnce() -> Result<Record, String> + Send + 'static,
        files: Vec<Changed>,
    ) -> Result<Arc<Guest>, String> {
        let _alone = self.folders.lock().await;
        let record = tokio::task::spawn_blocking(keep).await.map_err(|error| error.to_string())??;
        let begun = self.begin_with(record.clone(), files).await;
        if begun.is_err() {
            let (last, folder) = (self.folder_of(&record.session.run).is_none(), self.folder.clone());
            let taken_back = tokio::task::spawn_blocking(move || record.discard(&folder, last)).await;
            taken_back.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        }
        begun
    }

    async fn begin(self: &Arc<Self>, record: Record) -> Result<Arc<Guest>, String> {
        self.begin_with(record, Vec::new()).await
    }

    /// Has an attempt made, or takes it up where it is. The files are those that came along.
    async fn begin_with(self: &Arc<Self>, record: Record, files: Vec<Changed>) -> Result<Arc<Guest>, String> {
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
        let life = Duration::from_millis(record.offer.orphan_after_ms);
        let stage = if over.is_some() { Stage::Over } else { Stage::Begun };
        let standing = over.map_or(Standing::Begun, |ending| Standing::Over(Arc::new(ending)));
        let guest = Arc::new(Guest {
            session: record.session.clone(),
            home: record.home,
            record,
            context,
            standing: watch::Sender::new(standing),
            pad: Arc::new(Mutex::new(pad)),
            talks: watch::Sender::new(0),
            phase,
        });
        // Earlier attempts of the same worker have been given up at home.
        let older = self.with(|table| {
            let older = table.far.begun(&guest.session, guest.home, (stage, life), boottime());
            table.guests.insert(guest.session.clone(), Arc::clone(&guest));
            older.iter().filter_map(|session| table.guests.get(session).cloned()).collect::<Vec<_>>()
        });
        older.iter().for_each(|guest| guest.end(EndReason::NotNeeded));
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        tokio::spawn(mind(Arc::clone(self), Arc::clone(&guest), news));
        Ok(guest)
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
            turn: offer.turn.as_deref().map(Into::into),
            context: Arc::clone(context),
        };
        phase.start(assignment).map_err(|error| chain(&error))?;
        Ok(phase)
    }

    /// Home has what came of it, or wants it no longer: nothing of it stays here.
    pub(super) async fn forget(&self, guest: &Arc<Guest>) {
        let was_here = self.with(|table| {
            table.guests.remove(&guest.session);
            table.far.forget(&guest.session)
        });
        if !was_here {
            return; // Another talk was told the same.
        }
        let _alone = self.folders.lock().await;
        let last = self.folder_of(&guest.session.run).is_none();
        let guest = Arc::clone(guest);
        let removed = tokio::task::spawn_blocking(move || guest.record.remove(&guest.context, last)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "what was kept for another machine is not removed");
        }
    }

    /// What is due without anybody asking.
    async fn look_after(&self, guest: &Arc<Guest>) {
        match self.with(|table| table.far.due(&guest.session, boottime())) {
            Some(Due::End) => {
                tracing::warn!(session = %guest.session, home = %guest.home, "home has been silent for too long");
                // Said once, not at every look.
                self.heard(&guest.session);
                guest.end(EndReason::Cancelled);
            }
            Some(Due::Forget) => {
                tracing::warn!(session = %guest.session, home = %guest.home, "nobody came for what came of it");
                self.forget(guest).await;
            }
            None => {}
        }
    }
}

/// Follows an attempt to its end and until it is fetched, and ends it when home has forgotten it.
async fn mind(guests: Arc<Guests>, guest: Arc<Guest>, mut news: mpsc::UnboundedReceiver<Event>) {
    let mut look = tokio::time::interval(LOOK);
    while guests.get(&guest.session).is_some() {
        tokio::select! {
            event = news.recv(), if !guest.is_over() => match event {
                Some(Event::Started { .. }) => drop(guest.standing.send_replace(Standing::Started)),
                Some(Event::Ended { ending, .. }) => ended(&guests, &guest, ending).await,
                Some(_) => {}
                None => return,
            },
            _ = look.tick() => guests.look_after(&guest).await,
        }
    }
}

/// The end is on disk before anybody is told.
async fn ended(guests: &Guests, guest: &Arc<Guest>, ending: Ending) {
    let (record, kept) = (Arc::clone(guest), ending.clone());
    let kept = tokio::task::spawn_blocking(move || record.record.keep_ending(&kept)).await;
    if let Ok(Err(error)) = kept {
        tracing::error!(session = %guest.session, %error, "an ending is not on disk");
    }
    if let Some(phase) = &guest.phase {
        phase.stop();
    }
    guests.with(|table| table.far.over(&guest.session));
    guest.standing.send_replace(Standing::Over(Arc::new(ending)));
}
