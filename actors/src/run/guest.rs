//! A run whose course is kept on another machine: here are only some of its sessions, and what happens to them is told
//! on.

use niia_spec::course::Event;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::sync::mpsc;

use super::{RunHandle, RunMessage};

impl RunHandle {
    /// The stand-in for a run of another machine. Events of its sessions come out of `events`; there are as many as
    /// its sessions have beginnings and ends.
    pub async fn guest(events: mpsc::UnboundedSender<Event>) -> Result<RunHandle, SpawnErr> {
        let (run, _) = Actor::spawn(None, Guest, events).await?;
        Ok(RunHandle(run))
    }
}

struct Guest;

impl Actor for Guest {
    type Msg = RunMessage;
    type State = mpsc::UnboundedSender<Event>;
    type Arguments = mpsc::UnboundedSender<Event>;

    async fn pre_start(
        &self,
        _: ActorRef<RunMessage>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle(
        &self,
        _: ActorRef<RunMessage>,
        message: RunMessage,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // Questions are for the run itself: the reply's end says that there is no answer here. Whoever listened may have
        // gone, and needs to know nothing then.
        match message {
            RunMessage::Happened(event) => drop(events.send(*event)),
            RunMessage::Record(event, reply) => {
                // Whoever takes the events writes them down before anybody else hears of them.
                drop(events.send(*event));
                drop(reply.send(()));
            }
            _ => {}
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<RunMessage>,
        event: SupervisionEvent,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(_, error) => Err(error),
            _ => Ok(()),
        }
    }
}
