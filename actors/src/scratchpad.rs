//! The scratchpad: the folder in which the workers of a run leave things for each other.
//!
//! Workers write into it by themselves as well, so nothing in it is believed: names, links, pipes and sizes are looked at
//! anew with every access.

pub(crate) mod beneath;
mod name;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr};

pub use beneath::open as open_beneath;
pub use store::{
    ENTRIES_MAX, Entry, EntryKind, FILE_BYTES_MAX, Listing, RUN_BYTES_MAX, ScratchpadError, ScratchpadFolder,
    answer_path, outputs_path,
};

use crate::ask::{AskError, ask};

/// A way to reach one scratchpad.
#[derive(Clone, Debug)]
pub struct ScratchpadHandle(ActorRef<ScratchpadMessage>);

#[derive(Debug)]
pub struct ScratchpadArguments {
    /// The run's own folder for it.
    pub folder: PathBuf,
}

impl ScratchpadHandle {
    pub async fn start(
        arguments: ScratchpadArguments,
        supervisor: Option<ActorCell>,
    ) -> Result<ScratchpadHandle, SpawnErr> {
        let spawned = match supervisor {
            Some(supervisor) => Actor::spawn_linked(None, ScratchpadActor, arguments, supervisor).await,
            None => Actor::spawn(None, ScratchpadActor, arguments).await,
        };
        spawned.map(|(actor, _)| ScratchpadHandle(actor))
    }

    /// Writes a file whole; returns once it is durable.
    pub async fn put(&self, path: String, bytes: Vec<u8>) -> Result<Result<(), ScratchpadError>, AskError> {
        ask(&self.0, |reply| ScratchpadMessage::Put { path, bytes, reply }).await
    }

    pub async fn cat(&self, path: String) -> Result<Result<Vec<u8>, ScratchpadError>, AskError> {
        ask(&self.0, |reply| ScratchpadMessage::Cat { path, reply }).await
    }

    /// Everything below a folder; `""` is the scratchpad itself.
    pub async fn ls(&self, path: String) -> Result<Result<Listing, ScratchpadError>, AskError> {
        ask(&self.0, |reply| ScratchpadMessage::Ls { path, reply }).await
    }

    pub fn stop(&self) {
        self.0.stop(None);
    }
}

#[derive(Debug)]
enum ScratchpadMessage {
    Put { path: String, bytes: Vec<u8>, reply: RpcReplyPort<Result<(), ScratchpadError>> },
    Cat { path: String, reply: RpcReplyPort<Result<Vec<u8>, ScratchpadError>> },
    Ls { path: String, reply: RpcReplyPort<Result<Listing, ScratchpadError>> },
}

struct ScratchpadActor;

impl Actor for ScratchpadActor {
    type Msg = ScratchpadMessage;
    type State = Arc<ScratchpadFolder>;
    type Arguments = ScratchpadArguments;

    async fn pre_start(
        &self,
        _: ActorRef<ScratchpadMessage>,
        arguments: ScratchpadArguments,
    ) -> Result<Arc<ScratchpadFolder>, ActorProcessingErr> {
        let open = move || ScratchpadFolder::open(&arguments.folder);
        Ok(Arc::new(tokio::task::spawn_blocking(open).await??))
    }

    async fn handle(
        &self,
        _: ActorRef<ScratchpadMessage>,
        message: ScratchpadMessage,
        folder: &mut Arc<ScratchpadFolder>,
    ) -> Result<(), ActorProcessingErr> {
        let folder = Arc::clone(folder);
        // The disk has its own threads; one access after the other keeps the order of those who do not wait.
        let work = move || match message {
            // An asker that gave up waiting is no fault of the scratchpad.
            ScratchpadMessage::Put { path, bytes, reply } => drop(reply.send(folder.put(&path, &bytes))),
            ScratchpadMessage::Cat { path, reply } => drop(reply.send(folder.cat(&path))),
            ScratchpadMessage::Ls { path, reply } => drop(reply.send(folder.ls(&path))),
        };
        Ok(tokio::task::spawn_blocking(work).await?)
    }
}
