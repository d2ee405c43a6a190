//! The node's appointments: documents that are kept for a time or an event.
//!
//! When one runs is decided by `niia_spec::schedule::diary`; this actor tells it the time and does what it says. What was
//! decided is in the journal before a run is begun, under the name the run will have: a node that was killed in between
//! finds the name there, and the run in the journal or not.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use niia_actors::ask::{AskError, ask, tell};
use niia_actors::journal::Journal;
use niia_actors::state::StateFolder;
use niia_spec::event::Happened;
use niia_spec::name::{RunId, Slug};
use niia_spec::notice::{KeptView, TriggeredView};
use niia_spec::origin::Origin;
use niia_spec::plan::Plan;
use niia_spec::schedule::diary::Occasion;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr};
use serde::{Deserialize, Serialize};

use crate::control::words::Refusal;
use crate::node::Node;
use crate::notify::Notifier;

mod begin;
mod kept;
mod shelf;
mod state;
mod watch;

use state::Appointments;

/// A document as it is handed in to be kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToKeep {
    pub plan: Box<Plan>,
    pub origin: Box<Origin>,
    /// Of the document's text, so that it can be told when the file is not that any more.
    pub digest: String,
    /// `owner/name` of the repository on GitHub, where it has one: events of others are not for it.
    pub github: Option<String>,
}

/// How long whoever tells of an event waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until the event is taken in for good.
    Taken,
    /// Until its runs have begun.
    Begun,
}

/// A way to reach the appointments.
#[derive(Clone, Debug)]
pub struct AppointmentsHandle(ActorRef<Message>);

#[derive(Debug)]
pub struct AppointmentsArguments {
    pub journal: Journal,
    /// The folder for what the journal should not hold: the callers' variables.
    pub folder: PathBuf,
    pub notifier: Notifier,
}

impl AppointmentsHandle {
    /// The appointments of the node in this state folder.
    pub async fn of(
        state: &StateFolder,
        journal: &Journal,
        notifier: &Notifier,
    ) -> Result<AppointmentsHandle, SpawnErr> {
        let folder = state.path().join("kept");
        let arguments =
            AppointmentsArguments { journal: journal.clone(), folder, notifier: notifier.clone() };
        let (actor, _) = Actor::spawn(None, Clerk, arguments).await?;
        Ok(AppointmentsHandle(actor))
    }

    /// The node can begin runs from here on.
    pub fn open(&self, node: &Arc<Node>) {
        self.tell(Message::Open(Arc::downgrade(node)));
    }

    pub fn over(&self, run: RunId) {
        self.tell(Message::Over(run));
    }

    pub async fn keep(&self, document: ToKeep) -> Result<Result<KeptView, Refusal>, AskError> {
        ask(&self.0, |reply| Message::Keep(Box::new(document), reply)).await
    }

    pub async fn remove(&self, name: Slug) -> Result<Result<(), Refusal>, AskError> {
        ask(&self.0, |reply| Message::Remove(name, reply)).await
    }

    pub async fn list(&self) -> Result<Vec<KeptView>, AskError> {
        ask(&self.0, Message::List).await
    }

    pub async fn run_now(&self, name: Slug) -> Result<Result<RunId, Refusal>, AskError> {
        ask(&self.0, |reply| Message::RunNow(name, reply)).await
    }

    /// Something has happened, at a place or wherever.
    pub async fn happened(
        &self,
        event: Happened,
        place: Option<PathBuf>,
        patience: Patience,
    ) -> Result<Vec<TriggeredView>, AskError> {
        ask(&self.0, |reply| Message::Happened { event: Arc::new(event), place, patience, reply }).await
    }

    fn tell(&self, message: Message) {
        if let Err(error) = tell(&self.0, message) {
            // A node that is going down keeps no appointments.
            tracing::debug!(%error, "nobody keeps appointments any more");
        }
    }
}

enum Message {
    Open(Weak<Node>),
    Keep(Box<ToKeep>, RpcReplyPort<Result<KeptView, Refusal>>),
    Remove(Slug, RpcReplyPort<Result<(), Refusal>>),
    List(RpcReplyPort<Vec<KeptView>>),
    RunNow(Slug, RpcReplyPort<Result<RunId, Refusal>>),
    Happened {
        event: Arc<Happened>,
        place: Option<PathBuf>,
        patience: Patience,
        reply: RpcReplyPort<Vec<TriggeredView>>,
    },
    /// It is time to look at the clock.
    Look,
    /// A run that was to begin has begun, or not.
    Begun {
        name: Slug,
        number: u64,
        occasion: Occasion,
        result: Result<RunId, Refusal>,
    },
    Over(RunId),
}

struct Clerk;

impl Actor for Clerk {
    type Msg = Message;
    type State = Appointments;
    type Arguments = AppointmentsArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: AppointmentsArguments,
    ) -> Result<Appointments, ActorProcessingErr> {
        Ok(Appointments::read(AppointmentsHandle(myself), arguments))
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut Appointments,
    ) -> Result<(), ActorProcessingErr> {
        // Whoever gave up waiting for an answer finds what was done in the list.
        match message {
            Message::Open(node) => state.open(node).await,
            Message::Keep(document, reply) => drop(reply.send(state.keep(*document).await)),
            Message::Remove(name, reply) => drop(reply.send(state.remove(&name).await)),
            Message::List(reply) => drop(reply.send(state.list())),
            Message::RunNow(name, reply) => state.run_now(&name, reply),
            Message::Happened { event, place, patience, reply } => {
                state.happened(&event, place.as_deref(), patience, reply);
            }
            Message::Look => state.look(),
            Message::Begun { name, number, occasion, result } => {
                state.begun(&name, number, occasion, result);
            }
            Message::Over(run) => state.over(&run),
        }
        state.set_clock();
        state.set_watch();
        Ok(())
    }
}
