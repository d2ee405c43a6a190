//! The root of the tree: the supervisor of runs.
//!
//! A run whose actor breaks is taken up again from the journal, as after a crash of the node, a bounded number of times;
//! then it holds still and says so, while its programs go on and every other run does too.

use std::collections::HashMap;
use std::sync::Arc;

use niia_actors::ask::{AskError, ask, tell};
use niia_actors::journal::Journal;
use niia_actors::machine::Machines;
use niia_actors::run::{RunArguments, RunContext, RunHandle, RunNews, Times};
use niia_spec::course::RunCourse;
use niia_spec::name::RunId;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent};
use tokio::sync::mpsc;

use super::past;

/// A run's actor is replaced so often before it holds still.
const REPLACEMENTS_MAX: u32 = 3;

/// A way to reach the root.
#[derive(Clone, Debug)]
pub struct RootHandle(ActorRef<RootMessage>);

impl RootHandle {
    /// What happens to runs is passed on to `listener`.
    pub async fn spawn(
        journal: Journal,
        machines: Arc<Machines>,
        listener: mpsc::UnboundedSender<RunNews>,
    ) -> Result<RootHandle, SpawnErr> {
        let (root, _) = Actor::spawn(None, Root, (journal, machines, listener)).await?;
        Ok(RootHandle(root))
    }

    /// Has a run go on, or begin.
    pub async fn adopt(
        &self,
        context: Arc<RunContext>,
        course: RunCourse,
        times: Times,
        fresh: bool,
    ) -> Result<(), AskError> {
        let past = Box::new((course, times));
        ask(&self.0, |reply| RootMessage::Adopt { context, past, fresh, reply }).await
    }

    pub async fn run(&self, run: &RunId) -> Option<RunHandle> {
        let run = run.clone();
        ask(&self.0, |reply| RootMessage::Find { run, reply }).await.ok().flatten()
    }

    /// The runs that live, in no order.
    pub async fn runs(&self) -> Vec<RunId> {
        ask(&self.0, RootMessage::List).await.unwrap_or_default()
    }
}

enum RootMessage {
    Adopt { context: Arc<RunContext>, past: Box<(RunCourse, Times)>, fresh: bool, reply: RpcReplyPort<()> },
    Find { run: RunId, reply: RpcReplyPort<Option<RunHandle>> },
    List(RpcReplyPort<Vec<RunId>>),
    Over(RunId),
}

struct Root;

struct RootState {
    journal: Journal,
    machines: Arc<Machines>,
    runs: HashMap<RunId, Seat>,
    news: mpsc::UnboundedSender<RunNews>,
}

struct Seat {
    run: RunHandle,
    context: Arc<RunContext>,
    replaced: u32,
}

impl Actor for Root {
    type Msg = RootMessage;
    type State = RootState;
    type Arguments = (Journal, Arc<Machines>, mpsc::UnboundedSender<RunNews>);

    async fn pre_start(
        &self,
        myself: ActorRef<RootMessage>,
        (journal, machines, listener): Self::Arguments,
    ) -> Result<RootState, ActorProcessingErr> {
        let (news, mut told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(news) = told.recv().await {
                if let RunNews::Over { run, .. } = &news {
                    // A root that is gone forgets its runs without being told.
                    let _ = tell(&myself, RootMessage::Over(run.clone()));
                }
                // A node that is going down tells nobody.
                drop(listener.send(news));
            }
        });
        Ok(RootState { journal, machines, runs: HashMap::new(), news })
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMessage>,
        message: RootMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMessage::Adopt { context, past, fresh, reply } => {
                state.adopt(&myself, context, *past, fresh, 0).await;
                // Who gave up waiting will see the run in the list.
                drop(reply.send(()));
            }
            RootMessage::Find { run, reply } => {
                drop(reply.send(state.runs.get(&run).map(|seat| seat.run.clone())));
            }
            RootMessage::List(reply) => drop(reply.send(state.runs.keys().cloned().collect())),
            RootMessage::Over(run) => {
                if let Some(seat) = state.runs.remove(&run) {
                    seat.run.stop();
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMessage>,
        event: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(cell, error) = event {
            state.replace(&myself, cell.get_id(), &error.to_string()).await;
        }
        Ok(())
    }
}

impl RootState {
    async fn adopt(
        &mut self,
        myself: &ActorRef<RootMessage>,
        context: Arc<RunContext>,
        (course, times): (RunCourse, Times),
        fresh: bool,
        replaced: u32,
    ) {
        let arguments = RunArguments {
            context: Arc::clone(&context),
            course,
            times,
            journal: self.journal.clone(),
            machines: Arc::clone(&self.machines),
            fresh,
            news: self.news.clone(),
        };
        match RunHandle::spawn(arguments, myself.get_cell()).await {
            Ok(run) => drop(self.runs.insert(context.run.clone(), Seat { run, context, replaced })),
            Err(error) => tracing::error!(run = %context.run, %error, "a run's actor did not start"),
        }
    }

    async fn replace(&mut self, myself: &ActorRef<RootMessage>, broken: ActorId, why: &str) {
        let Some(run) =
            self.runs.iter().find(|(_, seat)| seat.run.id() == broken).map(|(run, _)| run.clone())
        else {
            return;
        };
        let Some(seat) = self.runs.remove(&run) else {
            return;
        };
        let replaced = seat.replaced + 1;
        tracing::error!(%run, why, replaced, "a run's actor broke");
        if replaced > REPLACEMENTS_MAX {
            tracing::error!(%run, "the run holds still; `niia resume` tries again");
            return;
        }
        match past::restored(&self.journal, &run) {
            Ok((past, fresh)) => self.adopt(myself, seat.context, past, fresh, replaced).await,
            Err(reason) => tracing::error!(%run, reason, "the run cannot be read back"),
        }
    }
}
