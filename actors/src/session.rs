//! The session: one attempt of one worker in a terminal of its own.
//!
//! The actor is the address and the safety net: it starts the session's life as a task, hands orders to it, and breaks
//! loudly if that task does, so that its phase can replace it. Dropping the actor ends no program: a replacement, or
//! the next node, takes the terminal up again where it is.

use std::pin::Pin;
use std::sync::Arc;

use niia_spec::course::EndReason;
pub use niia_spec::detect::Turned;
use niia_spec::name::AttemptId;
use niia_spec::notice::{Receipt, SessionView};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::ask::{AskError, tell};
use crate::machine::Assignment;
use crate::machine::local::LocalMachine;
use crate::phase::PhaseHandle;

pub mod answer;
mod chore;
mod clock;
pub mod delivery;
mod desk;
mod doors;
pub mod elsewhere;
mod facts;
pub mod finish;
mod follow;
mod glass;
pub mod hooks;
mod life;
pub mod look;
mod prepare;
pub mod query;
pub mod screen;
pub mod token;
mod transcript;
mod trees;
mod used;
pub mod view;
pub mod way;

pub use crate::clock::wall_ms;
pub use desk::{Painted, ScreenText, VIEWER_EVENTS_MAX, ViewerEvent, ViewerId};
pub use doors::{Door, Doors};
pub use facts::SessionFacts;
pub use prepare::past_of;

/// A way to reach one session.
#[derive(Clone, Debug)]
pub struct SessionHandle {
    actor: ActorRef<SessionMessage>,
    orders: mpsc::UnboundedSender<Order>,
    facts: Arc<SessionFacts>,
}

pub(crate) struct SessionArguments {
    pub assignment: Assignment,
    pub machine: LocalMachine,
    pub parent: PhaseHandle,
    pub facts: Arc<SessionFacts>,
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// Opened once the session can be found by its name.
    pub known: oneshot::Receiver<()>,
}

/// What may be asked of a session while it lives.
///
/// Each order of a client waits for its answer before the client's next one is read, so this queue stays as short as
/// there are clients.
#[derive(Debug)]
pub(crate) enum Order {
    End(EndReason),
    Look(oneshot::Sender<SessionView>),
    Screen(oneshot::Sender<ScreenText>),
    Write {
        text: String,
        enter: bool,
        urgent: bool,
        reply: oneshot::Sender<Receipt>,
    },
    /// A further prompt of a conversation.
    Turn {
        id: Option<u64>,
        prompt: String,
        reply: oneshot::Sender<Turned>,
    },
    /// The end of the turn under way, or of the last one.
    TurnEnd(oneshot::Sender<Turned>),
    Interrupt,
    Conclude,
    /// Answers the dialog that is to be seen; what was pressed, or why nothing was.
    Dialog {
        allow: bool,
        reply: oneshot::Sender<Result<String, String>>,
    },
    WaitIdle {
        quiet_ms: u64,
        reply: oneshot::Sender<SessionView>,
    },
    Resize {
        cols: u16,
        rows: u16,
    },
    Attach {
        take: bool,
        size: (u16, u16),
        events: mpsc::Sender<ViewerEvent>,
        reply: oneshot::Sender<Painted>,
    },
    Keys {
        viewer: ViewerId,
        bytes: Vec<u8>,
    },
    View {
        size: (u16, u16),
    },
    Take {
        viewer: ViewerId,
    },
    Repaint {
        viewer: ViewerId,
        reply: oneshot::Sender<Painted>,
    },
    Leave {
        viewer: ViewerId,
    },
}

impl SessionHandle {
    pub(crate) async fn spawn(
        assignment: Assignment,
        machine: LocalMachine,
        parent: PhaseHandle,
    ) -> Result<SessionHandle, SpawnErr> {
        let facts = Arc::new(SessionFacts::new(&assignment));
        let (orders, inbox) = mpsc::unbounded_channel();
        let (tell, known) = oneshot::channel();
        let (above, live) = (parent.cell(), machine.live.clone());
        let attempt = assignment.attempt().clone();
        let arguments =
            SessionArguments { assignment, machine, parent, facts: Arc::clone(&facts), orders: inbox, known };
        let begin = (attempt, Box::pin(life::live(arguments)) as Life);
        let (actor, _) = Actor::spawn_linked(None, Session, begin, above).await?;
        let session = SessionHandle { actor, orders, facts };
        live.enter(session.facts.session.clone(), session.clone());
        // A life that broke at once has told so by itself.
        let _ = tell.send(());
        Ok(session)
    }

    pub fn id(&self) -> ActorId {
        self.actor.get_id()
    }

    /// Lets go of a session that is over.
    pub fn stop(&self) {
        self.actor.stop(None);
    }

    pub fn facts(&self) -> &Arc<SessionFacts> {
        &self.facts
    }

    /// Ends the attempt and all that descends from it; its phase hears of the end.
    pub fn end(&self, reason: EndReason) {
        self.order(Order::End(reason));
    }

    pub async fn look(&self) -> Result<SessionView, AskError> {
        self.question(Order::Look).await
    }

    pub async fn screen(&self) -> Result<ScreenText, AskError> {
        self.question(Order::Screen).await
    }

    pub async fn write(&self, text: String, enter: bool, urgent: bool) -> Result<Receipt, AskError> {
        self.question(|reply| Order::Write { text, enter, urgent, reply }).await
    }

    /// Puts a further prompt to a conversation, once, and tells how its turn ended.
    pub async fn turn(&self, prompt: String) -> Result<Turned, AskError> {
        self.question(|reply| Order::Turn { id: None, prompt, reply }).await
    }

    /// The same under a number of the caller's, which only grows. A prompt that was typed under it already, be it by
    /// an earlier node, is not typed again: its turn's end is told.
    pub async fn turn_once(&self, id: u32, prompt: String) -> Result<Turned, AskError> {
        self.question(|reply| Order::Turn { id: Some(u64::from(id)), prompt, reply }).await
    }

    /// How the turn under way ends, or the last one ended; also that of the prompt the session began with.
    pub async fn turn_end(&self) -> Result<Turned, AskError> {
        self.question(Order::TurnEnd).await
    }

    /// Ends the turn under way early, by the tool's own key; its end says that it was interrupted.
    pub fn interrupt(&self) {
        self.order(Order::Interrupt);
    }

    /// Answers the dialog the session shows, by the keys its profile knows; tells which dialog that was.
    pub async fn answer_dialog(&self, allow: bool) -> Result<Result<String, String>, AskError> {
        self.question(|reply| Order::Dialog { allow, reply }).await
    }

    /// Ends a conversation well: the last turn's answer is the session's.
    pub fn conclude(&self) {
        self.order(Order::Conclude);
    }

    /// Answers once the terminal has been quiet for so long, or the session is over.
    pub async fn wait_idle(&self, quiet_ms: u64) -> Result<SessionView, AskError> {
        self.question(|reply| Order::WaitIdle { quiet_ms, reply }).await
    }

    pub fn resize(&self, cols: u16, rows: u16) {
        self.order(Order::Resize { cols, rows });
    }

    /// Begins to watch. What happens on the terminal is told on `events`; one that does not listen misses news, never
    /// slows the session.
    pub async fn attach(
        &self,
        size: (u16, u16),
        take: bool,
        events: mpsc::Sender<ViewerEvent>,
    ) -> Result<Painted, AskError> {
        self.question(|reply| Order::Attach { take, size, events, reply }).await
    }

    pub fn keys(&self, viewer: ViewerId, bytes: Vec<u8>) {
        self.order(Order::Keys { viewer, bytes });
    }

    /// A viewer's window has this size now.
    pub fn view(&self, size: (u16, u16)) {
        self.order(Order::View { size });
    }

    pub fn take(&self, viewer: ViewerId) {
        self.order(Order::Take { viewer });
    }

    pub async fn repaint(&self, viewer: ViewerId) -> Result<Painted, AskError> {
        self.question(|reply| Order::Repaint { viewer, reply }).await
    }

    pub fn leave(&self, viewer: ViewerId) {
        self.order(Order::Leave { viewer });
    }

    fn order(&self, order: Order) {
        // A session that is over needs no orders; who asks a question hears of it.
        drop(self.orders.send(order));
    }

    async fn question<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, AskError> {
        let (reply, answer) = oneshot::channel();
        self.order(make(reply));
        answer.await.map_err(|_| AskError::Gone)
    }
}

pub(crate) enum SessionMessage {
    /// The life is over and its phase has been told.
    Over(AttemptId),
    /// The life broke before its end.
    Broke(String),
}

/// All that a session does, from wherever it stands to its end.
pub(crate) type Life = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Session;

/// Aborts the life's task when the actor goes; the program in the terminal goes on.
struct SessionState {
    life: AbortHandle,
}

impl Drop for SessionState {
    fn drop(&mut self) {
        self.life.abort();
    }
}

impl Actor for Session {
    type Msg = SessionMessage;
    type State = SessionState;
    type Arguments = (AttemptId, Life);

    async fn pre_start(
        &self,
        myself: ActorRef<SessionMessage>,
        (attempt, life): (AttemptId, Life),
    ) -> Result<SessionState, ActorProcessingErr> {
        let life = tokio::spawn(life);
        let handle = life.abort_handle();
        tokio::spawn(async move {
            let message = match life.await {
                Ok(()) => SessionMessage::Over(attempt),
                Err(error) if error.is_cancelled() => return,
                Err(error) => SessionMessage::Broke(error.to_string()),
            };
            // An actor that is gone already has been told by other means.
            let _ = tell(&myself, message);
        });
        Ok(SessionState { life: handle })
    }

    async fn handle(
        &self,
        _: ActorRef<SessionMessage>,
        message: SessionMessage,
        _: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            // It stays until its phase has heard the end: a supervisor hears of a stopped child before its messages.
            SessionMessage::Over(attempt) => {
                tracing::debug!(%attempt, "a session is over");
                Ok(())
            }
            SessionMessage::Broke(why) => Err(why.into()),
        }
    }
}
