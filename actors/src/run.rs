//! The run: asks the course what comes next, stores it, and has it done.
//!
//! Every event goes the same way: the course decides, the journal makes event and commands durable, and only then are
//! the commands carried out. Events need not wait for each other's commit: decisions follow one another at once, and
//! the commands of each are let go in order as their rows reach the disk. After a crash the stored rows are applied,
//! nothing is decided again, and what had no answer yet is put to its owner once more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use niia_spec::course::{Bound, Command, Event, Gathering, RunCourse, Wake};
use niia_spec::name::{AttemptId, PhaseName, RunId, WorkerId};
use niia_spec::notice::RunView;
use niia_spec::plan::Plan;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::ask::{AskError, ask, tell};
use crate::journal::Journal;
use crate::machine::Machines;
use crate::mailbox::{Letter, MailboxHandle};
use crate::phase::PhaseHandle;

mod assign;
mod context;
mod ending;
mod eyes;
mod family;
mod gather;
mod guest;
mod handover;
mod history;
mod minutes;
mod perform;
mod report;
mod store;
mod talk;
mod times;
mod view;

pub use context::{
    ContextError, LiveSessions, RunContext, RunMeta, keep_variables, kept_variables, scratchpad_folder,
    session_folder,
};
pub use ending::{HELD_DAYS_MAX, RunNews};
pub use family::{Family, TreePlace};
pub use report::report_path;
pub use times::Times;
pub use view::view_of;

use store::Store;

/// A reader that lets more letters than this pile up makes its senders wait: more than anybody reads in one turn.
const LETTERS_MAX: usize = 256;

/// What the counter of changes says once a run is over and that is durable.
pub const OVER: u64 = u64::MAX;

/// A way to reach one run.
#[derive(Clone, Debug)]
pub struct RunHandle(ActorRef<RunMessage>);

#[derive(Debug)]
pub struct RunArguments {
    pub context: Arc<RunContext>,
    pub course: RunCourse,
    pub times: Times,
    pub journal: Journal,
    pub machines: Arc<Machines>,
    /// Nothing happened yet: the course begins. Otherwise the course was restored and goes on.
    pub fresh: bool,
    /// Told when a person must look at it, and once its end is durable.
    pub news: mpsc::UnboundedSender<RunNews>,
}

/// Who has an item that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub first: bool,
    pub holder: Option<WorkerId>,
}

impl RunHandle {
    pub async fn spawn(arguments: RunArguments, parent: ActorCell) -> Result<RunHandle, SpawnErr> {
        let (run, _) = Actor::spawn_linked(None, Run, arguments, parent).await?;
        Ok(RunHandle(run))
    }

    /// Something happened; a run that is gone needs to know nothing.
    pub fn happened(&self, event: Event) {
        if let Err(error) = tell(&self.0, RunMessage::Happened(Box::new(event))) {
            tracing::debug!(%error, "news for a run that is gone");
        }
    }

    /// A session shows a question that a person must answer; nothing of the run's course hangs on it.
    pub fn asks(&self, attempt: AttemptId, what: String) {
        if let Err(error) = tell(&self.0, RunMessage::Asks { attempt, what }) {
            tracing::debug!(%error, "a question for a run that is gone");
        }
    }

    /// As `happened`, and answers when it is durable.
    pub async fn record(&self, event: Event) -> Result<(), AskError> {
        ask(&self.0, |reply| RunMessage::Record(Box::new(event), reply)).await
    }

    /// As `happened`; `reply` is answered when it is durable.
    pub fn record_for(&self, event: Event, reply: RpcReplyPort<()>) {
        if let Err(error) = tell(&self.0, RunMessage::Record(Box::new(event), reply)) {
            tracing::debug!(%error, "news for a run that is gone");
        }
    }

    pub async fn claim(&self, key: String, by: WorkerId) -> Result<Claim, AskError> {
        ask(&self.0, |reply| RunMessage::Claim { key, by, reply }).await
    }

    /// Goes on with a run that waits for a person; answers once that is durable, or that it does not wait.
    pub async fn resume(&self, reason: String) -> Result<bool, AskError> {
        ask(&self.0, |reply| RunMessage::Resume { reason, reply }).await
    }

    pub async fn look(&self) -> Result<RunView, AskError> {
        ask(&self.0, RunMessage::Look).await
    }

    /// What was published: phase → worker → key, as conditions see it.
    pub async fn outputs(&self) -> Result<Value, AskError> {
        ask(&self.0, RunMessage::Outputs).await
    }

    /// What the run is by its document.
    pub async fn plan(&self) -> Result<Arc<Plan>, AskError> {
        ask(&self.0, RunMessage::Plan).await
    }

    /// The run that stands for an attempt, where it knows of one.
    pub async fn child_of(&self, attempt: AttemptId) -> Result<Option<RunId>, AskError> {
        ask(&self.0, |reply| RunMessage::ChildOf { attempt, reply }).await
    }

    /// Promises a run inside this one so much, all together; where there is not so much left, the bound.
    pub async fn lend(&self, to: RunId, of: Bound, total: u32) -> Result<Result<(), u32>, AskError> {
        ask(&self.0, |reply| RunMessage::Lend { to, of, total, reply }).await
    }

    /// Whether it knows of a run that was begun inside it.
    pub async fn has_child(&self, run: RunId) -> Result<bool, AskError> {
        ask(&self.0, |reply| RunMessage::HasChild { run, reply }).await
    }

    /// The run's mailbox; it is opened when it is asked for first.
    pub async fn mailbox(&self) -> Result<MailboxHandle, AskError> {
        ask(&self.0, RunMessage::Mailbox).await
    }

    /// A counter that moves whenever the view may have changed, and ends at [`OVER`].
    pub async fn watch(&self) -> Result<watch::Receiver<u64>, AskError> {
        ask(&self.0, RunMessage::Watch).await
    }

    /// The minutes of a talk go into the scratchpad in a moment, with all that comes until then.
    fn keep_minutes_soon(&self, phase: PhaseName) {
        drop(self.0.send_after(minutes::KEPT_WITHIN, move || RunMessage::Minutes(phase)));
    }

    pub fn id(&self) -> ractor::ActorId {
        self.0.get_id()
    }

    /// For those who are linked under this run.
    pub fn cell(&self) -> ActorCell {
        self.0.get_cell()
    }

    /// Lets go of a run that is over.
    pub fn stop(&self) {
        self.0.stop(None);
    }
}

enum RunMessage {
    Happened(Box<Event>),
    Record(Box<Event>, RpcReplyPort<()>),
    Claim {
        key: String,
        by: WorkerId,
        reply: RpcReplyPort<Claim>,
    },
    Resume {
        reason: String,
        reply: RpcReplyPort<bool>,
    },
    /// A row is durable: its commands may be carried out, its callers answered.
    Stored {
        commands: Vec<Command>,
        then: Option<Then>,
    },
    /// The time in which somebody may resume the n-th hold has passed.
    Waited(u32),
    Look(RpcReplyPort<RunView>),
    Outputs(RpcReplyPort<Value>),
    Watch(RpcReplyPort<watch::Receiver<u64>>),
    Plan(RpcReplyPort<Arc<Plan>>),
    HasChild {
        run: RunId,
        reply: RpcReplyPort<bool>,
    },
    ChildOf {
        attempt: AttemptId,
        reply: RpcReplyPort<Option<RunId>>,
    },
    Lend {
        to: RunId,
        of: Bound,
        total: u32,
        reply: RpcReplyPort<Result<(), u32>>,
    },
    Mailbox(RpcReplyPort<MailboxHandle>),
    /// A letter was taken in.
    Posted(Box<Letter>),
    /// The minutes of a talk are to be brought up to date.
    Minutes(PhaseName),
    Asks {
        attempt: AttemptId,
        what: String,
    },
}

/// Who waits for a row to be durable.
enum Then {
    Recorded(RpcReplyPort<()>),
    Resumed(RpcReplyPort<bool>),
    Claimed { key: String, by: WorkerId, reply: RpcReplyPort<Claim> },
    Lent { to: RunId, of: Bound, total: u32, reply: RpcReplyPort<Result<(), u32>> },
}

struct Run;

struct RunState {
    me: RunHandle,
    cell: ActorCell,
    context: Arc<RunContext>,
    course: RunCourse,
    times: Times,
    journal: Journal,
    machines: Arc<Machines>,
    store: Store<Then>,
    phases: HashMap<PhaseName, PhaseHandle>,
    clocks: HashMap<Wake, AbortHandle>,
    mailbox: Option<MailboxHandle>,
    minutes: HashMap<PhaseName, minutes::Minutes>,
    watches: HashMap<PhaseName, eyes::Watching>,
    changes: watch::Sender<u64>,
    news: mpsc::UnboundedSender<RunNews>,
    /// The newest hold that the report tells of.
    hold_told: Arc<AtomicU32>,
    /// Until a run that waits for a person is given up.
    held_clock: Option<AbortHandle>,
}

impl Actor for Run {
    type Msg = RunMessage;
    type State = RunState;
    type Arguments = RunArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<RunMessage>,
        arguments: RunArguments,
    ) -> Result<RunState, ActorProcessingErr> {
        let RunArguments { context, course, times, journal, machines, fresh, news } = arguments;
        let run = myself.clone();
        let store = Store::new(move |commands, then| {
            // A run that is gone will find the row in the journal.
            let _ = tell(&run, RunMessage::Stored { commands, then });
        });
        let me = RunHandle(myself.clone());
        let cell = myself.get_cell();
        let (changes, _) = watch::channel(0);
        let (phases, clocks) = (HashMap::new(), HashMap::new());
        let (mailbox, minutes, watches) = (None, HashMap::new(), HashMap::new());
        let mut state = RunState {
            me,
            cell,
            context,
            course,
            times,
            journal,
            machines,
            store,
            phases,
            clocks,
            mailbox,
            minutes,
            watches,
            changes,
            news,
            hold_told: Arc::default(),
            held_clock: None,
        };
        let (run, lineage) = (&state.context.run, &state.context.lineage);
        let max_parallel = state.context.plan.limits.max_parallel;
        state.context.live.family.enter(run, &state.me, lineage, max_parallel);
        state.open_mailbox_for_meshes().await;
        if fresh {
            state.happened(Event::Begun, None);
        } else {
            state.go_on().await;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<RunMessage>,
        message: RunMessage,
        state: &mut RunState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RunMessage::Happened(event) => state.heard(*event, None),
            RunMessage::Record(event, reply) => state.heard(*event, Some(reply)),
            RunMessage::Claim { key, by, reply } => state.claim(key, by, reply),
            RunMessage::Resume { reason, reply } => state.resume(reason, reply),
            RunMessage::Waited(hold) => state.waited(hold),
            RunMessage::Stored { commands, then } => state.stored(commands, then).await,
            RunMessage::Posted(letter) => state.posted(&letter),
            RunMessage::Minutes(phase) => state.minute(&phase),
            RunMessage::Asks { attempt, what } => state.asked(attempt, what),
            // Somebody who gave up waiting for a look is no fault of the run.
            RunMessage::Look(reply) => drop(reply.send(state.look())),
            RunMessage::Outputs(reply) => drop(reply.send(view::outputs(&state.course))),
            RunMessage::Plan(reply) => drop(reply.send(Arc::clone(&state.context.plan))),
            RunMessage::Lend { to, of, total, reply } => {
                let event = Event::Lends { to: to.clone(), of, total };
                state.happened(event, Some(Then::Lent { to, of, total, reply }));
            }
            RunMessage::ChildOf { attempt, reply } => {
                let mut children = state.course.children().iter();
                let found = children.find(|(_, by)| **by == attempt).map(|(run, _)| run.clone());
                drop(reply.send(found));
            }
            RunMessage::HasChild { run, reply } => {
                drop(reply.send(state.course.children().contains_key(&run)));
            }
            RunMessage::Watch(reply) => drop(reply.send(state.changes.subscribe())),
            RunMessage::Mailbox(reply) => {
                if let Some(mailbox) = state.mailbox().await {
                    drop(reply.send(mailbox));
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<RunMessage>,
        event: SupervisionEvent,
        _: &mut RunState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            // A phase holds sessions that only a replayed run can put in order again: the node restarts this run.
            SupervisionEvent::ActorFailed(_, error) => Err(error),
            _ => Ok(()),
        }
    }
}

impl RunState {
    fn happened(&mut self, event: Event, then: Option<Then>) {
        let mut commands = self.course.on(&event);
        self.times.note(&event, &commands, crate::session::wall_ms());
        match &event {
            Event::Ended { attempt, .. } => {
                if let Some(watching) = self.watches.get(&attempt.worker.phase) {
                    watching.board.ends(&attempt.worker.worker);
                }
                self.minute(&attempt.worker.phase.clone());
            }
            Event::Resumed { .. } => {
                if let Some(mailbox) = &self.mailbox {
                    mailbox.allow(self.course.letters_max());
                }
            }
            _ => {}
        }
        let row = match store::row(&event, &commands) {
            Ok(row) => row,
            Err(error) => {
                return tracing::error!(run = %self.context.run, %error, "an event cannot be written down");
            }
        };
        // What nobody acts upon and nobody waits for may share the commit of what comes next.
        let soon = commands.is_empty() && then.is_none();
        let gathered = self.nothing_to_gather(&mut commands);
        let durable = match soon {
            true => self.journal.append_soon(&self.context.run, row),
            false => self.journal.append(&self.context.run, row),
        };
        self.store.put(durable, commands, then);
        changed(&self.changes);
        for event in gathered {
            self.happened(event, None);
        }
    }

    /// Without trees a gathering does nothing. Said at once, its row shares the commit of the one that asked for it.
    fn nothing_to_gather(&self, commands: &mut Vec<Command>) -> Vec<Event> {
        let mut gathered = Vec::new();
        if self.context.trees.is_none() {
            commands.retain(|command| {
                let Command::Gather { phase, round } = command else { return true };
                let gathering = Gathering::nothing();
                gathered.push(Event::Gathered { phase: phase.clone(), round: *round, gathering });
                false
            });
        }
        gathered
    }

    fn claim(&mut self, key: String, by: WorkerId, reply: RpcReplyPort<Claim>) {
        let event = Event::Claimed { key: key.clone(), by: by.clone() };
        self.happened(event, Some(Then::Claimed { key, by, reply }));
    }

    async fn stored(&mut self, commands: Vec<Command>, then: Option<Then>) {
        match then {
            Some(Then::Recorded(reply)) => drop(reply.send(())),
            Some(Then::Resumed(reply)) => drop(reply.send(true)),
            Some(Then::Claimed { key, by, reply }) => {
                let holder = self.course.holder(&key).cloned();
                drop(reply.send(Claim { first: holder.as_ref() == Some(&by), holder }));
            }
            Some(Then::Lent { to, of, total, reply }) => {
                let has = self.course.lent(&to).of(of) >= total;
                drop(reply.send(if has { Ok(()) } else { Err(self.course.bound(of)) }));
            }
            None => {}
        }
        for command in commands {
            self.perform(command).await;
        }
        changed(&self.changes);
    }

    /// After a restart: opens what is open and does again what nobody answered. Each doer finds out by itself how far
    /// it came.
    async fn go_on(&mut self) {
        if let Some(outcome) = self.course.over().cloned() {
            return self.finish(outcome);
        }
        for phase in self.talks_at_work() {
            self.open(phase).await;
        }
        for command in self.course.open_effects() {
            self.perform(command).await;
        }
        if let Some(reason) = self.course.waits() {
            // Shown as it stands from the first look on; a report that could not be written was complained of.
            drop(self.hold(reason).await);
        }
    }
}

impl Drop for RunState {
    fn drop(&mut self) {
        for (_, clock) in self.clocks.drain() {
            clock.abort();
        }
        if let Some(clock) = self.held_clock.take() {
            clock.abort();
        }
    }
}

/// Hands letters on to the run, in order.
async fn tell_letters(mut letters: mpsc::UnboundedReceiver<Letter>, run: RunHandle) {
    while let Some(letter) = letters.recv().await {
        if tell(&run.0, RunMessage::Posted(Box::new(letter))).is_err() {
            return;
        }
    }
}

/// Moves the counter, unless it has come to its end.
fn changed(changes: &watch::Sender<u64>) {
    changes.send_if_modified(|version| {
        let moves = *version != OVER;
        *version += u64::from(moves);
        moves
    });
}
