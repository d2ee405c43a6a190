//! The phase: the supervisor of its sessions.
//!
//! It decides nothing. The run's course says which attempt starts and which ends; a phase has the machine do it, hands
//! the sessions' news up, and replaces a session's actor that broke, a bounded number of times.

use std::collections::HashMap;
use std::sync::Arc;

use niia_spec::course::{EndReason, Ending, Event, Outcome};
use niia_spec::name::{AttemptId, PhaseName};
use ractor::concurrency::{OneshotReceiver, oneshot};
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent,
};

use crate::ask::{AskError, tell};
use crate::machine::{Assignment, Machines, News};
use crate::run::RunHandle;
use crate::session::SessionHandle;

/// A session's actor is replaced so often; then the attempt counts as lost. Its program is taken up again each time,
/// so a replacement repeats nothing.
const REPLACEMENTS_MAX: u32 = 3;

/// A way to reach one phase.
#[derive(Clone, Debug)]
pub struct PhaseHandle(ActorRef<PhaseMessage>);

#[derive(Debug)]
pub struct PhaseArguments {
    pub run: RunHandle,
    pub machines: Arc<Machines>,
}

impl PhaseHandle {
    pub async fn spawn(arguments: PhaseArguments, parent: ActorCell) -> Result<PhaseHandle, SpawnErr> {
        let (phase, _) = Actor::spawn_linked(None, Phase, arguments, parent).await?;
        Ok(PhaseHandle(phase))
    }

    pub fn start(&self, assignment: Assignment) -> Result<(), AskError> {
        tell(&self.0, PhaseMessage::Start(Box::new(assignment)))
    }

    pub fn end(&self, attempt: AttemptId, reason: EndReason) -> Result<(), AskError> {
        tell(&self.0, PhaseMessage::End { attempt, reason })
    }

    /// A session's news of its attempt.
    pub fn told(&self, attempt: AttemptId, news: News) -> Result<(), AskError> {
        tell(&self.0, PhaseMessage::Told { attempt, news: Box::new(news), durable: None })
    }

    /// A session's end; what comes back is answered once the run has it on disk, and broken where it has not.
    pub fn ended(&self, attempt: AttemptId, ending: Ending) -> OneshotReceiver<()> {
        let (reply, durable) = oneshot();
        let news = Box::new(News::Ended(ending));
        if let Err(error) = tell(&self.0, PhaseMessage::Told { attempt, news, durable: Some(reply.into()) }) {
            tracing::debug!(%error, "news for a phase that is gone");
        }
        durable
    }

    /// Ends what its workers keep open between their turns; the run hears when nothing of it lives any more.
    pub fn dismiss(&self, phase: PhaseName) -> Result<(), AskError> {
        tell(&self.0, PhaseMessage::Dismiss(phase))
    }

    pub fn stop(&self) {
        self.0.stop(None);
    }

    /// For those who are linked under this phase.
    pub fn cell(&self) -> ActorCell {
        self.0.get_cell()
    }
}

enum PhaseMessage {
    Start(Box<Assignment>),
    End { attempt: AttemptId, reason: EndReason },
    Told { attempt: AttemptId, news: Box<News>, durable: Option<RpcReplyPort<()>> },
    Dismiss(PhaseName),
}

struct Phase;

struct PhaseState {
    run: RunHandle,
    machines: Arc<Machines>,
    seats: HashMap<AttemptId, Seat>,
}

/// A session at work.
struct Seat {
    session: SessionHandle,
    assignment: Assignment,
    /// An order to end it that a replacement must hear too.
    ending: Option<EndReason>,
    replaced: u32,
}

impl Actor for Phase {
    type Msg = PhaseMessage;
    type State = PhaseState;
    type Arguments = PhaseArguments;

    async fn pre_start(
        &self,
        _: ActorRef<PhaseMessage>,
        arguments: PhaseArguments,
    ) -> Result<PhaseState, ActorProcessingErr> {
        Ok(PhaseState { run: arguments.run, machines: arguments.machines, seats: HashMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<PhaseMessage>,
        message: PhaseMessage,
        state: &mut PhaseState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PhaseMessage::Start(assignment) => state.start(PhaseHandle(myself), *assignment, 0).await,
            PhaseMessage::End { attempt, reason } => state.end(&attempt, reason),
            PhaseMessage::Told { attempt, news, durable } => state.told(attempt, *news, durable),
            // Every turn is a session of its own, and those are over.
            PhaseMessage::Dismiss(phase) => state.run.happened(Event::Dismissed { phase }),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<PhaseMessage>,
        event: SupervisionEvent,
        state: &mut PhaseState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(session, error) => {
                state.replace(PhaseHandle(myself), session.get_id(), &error.to_string()).await;
            }
            SupervisionEvent::ActorTerminated(session, _, _) => {
                state.replace(PhaseHandle(myself), session.get_id(), "it stopped early").await;
            }
            _ => {}
        }
        Ok(())
    }
}

impl PhaseState {
    async fn start(&mut self, myself: PhaseHandle, assignment: Assignment, replaced: u32) {
        let attempt = assignment.attempt().clone();
        if replaced == 0 && self.seats.contains_key(&attempt) {
            return; // Said twice after a restart; it is being done.
        }
        let started = match self.machines.of(&assignment) {
            Ok(machine) => machine.start(assignment.clone(), myself).await,
            Err(error) => Err(error),
        };
        match started {
            Ok(session) => {
                let ending = self.seats.get(&attempt).and_then(|seat| seat.ending);
                if let Some(reason) = ending {
                    session.end(reason);
                }
                self.seats.insert(attempt, Seat { session, assignment, ending, replaced });
            }
            Err(error) => self.lost(attempt, format!("{error}")),
        }
    }

    fn end(&mut self, attempt: &AttemptId, reason: EndReason) {
        if let Some(seat) = self.seats.get_mut(attempt) {
            seat.ending = Some(reason);
            seat.session.end(reason);
        }
    }

    fn told(&mut self, attempt: AttemptId, news: News, durable: Option<RpcReplyPort<()>>) {
        if !self.seats.contains_key(&attempt) {
            return; // News of a session that was given up.
        }
        let event = match news {
            News::Started => Event::Started { attempt },
            News::Asks(what) => return self.run.asks(attempt, what),
            News::Ended(ending) => {
                if let Some(seat) = self.seats.remove(&attempt) {
                    seat.session.stop();
                }
                Event::Ended { attempt, ending }
            }
        };
        match durable {
            Some(reply) => self.run.record_for(event, reply),
            None => self.run.happened(event),
        }
    }

    /// A session's actor is gone although its attempt is not over.
    async fn replace(&mut self, myself: PhaseHandle, broken: ActorId, why: &str) {
        let seat = self.seats.iter().find(|(_, seat)| seat.session.id() == broken);
        let Some((attempt, seat)) = seat else {
            return;
        };
        let (attempt, assignment, replaced) = (attempt.clone(), seat.assignment.clone(), seat.replaced + 1);
        tracing::error!(session = %assignment.session, why, replaced, "a session's actor broke");
        if replaced > REPLACEMENTS_MAX {
            self.lost(attempt, format!("its actor broke {replaced} times, last: {why}"));
        } else {
            self.start(myself, assignment, replaced).await;
        }
    }

    fn lost(&mut self, attempt: AttemptId, reason: String) {
        self.seats.remove(&attempt);
        let ending = Ending::plain(Outcome::Lost { reason }, "the session's supervisor");
        self.run.happened(Event::Ended { attempt, ending });
    }
}
