//! The node's side of the protocol: one task for each connection, one answer for each request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use niia_net::link::{self, Link, LinkError, LinkReceiver, LinkSender};
use niia_net::wire::Hello;
use niia_spec::name::SessionId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};

use super::SPOKEN;
use super::caller::Caller;
use super::parts::{self, PartsError, Unpacker};
use super::words::{MachinesRequest, Refusal, RefusalCode, Reply, Request};
use crate::node::Node;

mod abroad;
mod agents;
mod answer;
mod appointments;
mod asks;
mod attach;
mod child;
mod doors;
mod egress;
mod find;
mod machines;
mod past;
mod rights;
mod runs;
mod sessions;
mod talks;
mod through;

pub(crate) use egress::{run as veiled_run, run_stays};
pub use machines::node_of_peer;
pub use rights::Visitor;
pub(crate) use runs::view as view_of_run;

pub use doors::{Opener, doors};

/// Callers served at a time; one more waits in the socket's queue. Far above a shell full of `niia` commands.
pub const CALLERS_MAX: usize = 512;
/// After a failed `accept` (no descriptors left, say) the node looks again this much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves whoever connects, until the task is dropped.
pub async fn listen(listener: UnixListener, node: Arc<Node>) {
    let places = Arc::new(tokio::sync::Semaphore::new(CALLERS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let node = Arc::clone(&node);
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, node, None).await {
                        tracing::debug!(%error, "a caller went away");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a caller could not be let in");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// By then a node that came back has found the sessions that live; who stands in none of them then is inside those of
/// another node.
const SESSIONS_KNOWN_WITHIN: Duration = Duration::from_secs(30);
/// How often is looked whether it has.
const SESSIONS_KNOWN_PERIOD: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Parts(#[from] PartsError),
}

type Reader = Box<dyn AsyncRead + Send + Sync + Unpin>;

/// One caller, and the way back to it.
pub(super) struct Connection {
    node: Arc<Node>,
    caller: Caller,
    /// Another node, for which its caller speaks.
    visitor: Option<Visitor>,
    sender: LinkSender,
    receiver: LinkReceiver<Reader>,
    unpacker: Unpacker,
    /// What a visitor looked at.
    looked: egress::Looked,
}

/// `known` is the session whose own door was knocked at; otherwise the caller's ancestors say who it is.
async fn serve(stream: UnixStream, node: Arc<Node>, known: Option<SessionId>) -> Result<(), ServeError> {
    let peer = if known.is_some() { None } else { link::peer(&stream)?.pid };
    let (reader, writer) = stream.into_split();
    let caller = match known {
        Some(session) => Caller::Agent(session),
        None => who(&node, peer).await,
    };
    talk((reader, writer), node, caller, None).await
}

/// Serves one caller over any stream, until it goes away.
pub async fn talk<R, W>(
    (reader, writer): (R, W),
    node: Arc<Node>,
    caller: Caller,
    visitor: Option<Visitor>,
) -> Result<(), ServeError>
where
    R: AsyncRead + Send + Sync + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let mut link = Link::new(Box::new(reader) as Reader, writer);
    link.greet(&Hello::new(SPOKEN, env!("CARGO_PKG_VERSION"))).await?;
    let (sender, receiver) = link.split();
    let mut connection = Connection {
        node,
        caller,
        visitor,
        sender,
        receiver,
        unpacker: Unpacker::default(),
        looked: Default::default(),
    };
    while let Some(request) = connection.next().await? {
        connection.handle(request).await?;
    }
    Ok(())
}

/// Who asks. A node that has just come back may not know yet in which session a caller stands: until it does, nobody who
/// stands in one is taken for a person.
async fn who(node: &Node, pid: Option<i32>) -> Caller {
    let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()) else {
        return Caller::Person;
    };
    loop {
        let minders: HashMap<u32, SessionId> = node
            .live
            .all()
            .into_iter()
            .filter_map(|(session, handle)| Some((handle.facts().minder()?, session)))
            .collect();
        let caller = Caller::of(pid, &minders);
        let known = caller != Caller::Person || node.began.elapsed() > SESSIONS_KNOWN_WITHIN;
        if known || !crate::command::inside::is_inside(pid) {
            return caller;
        }
        tokio::time::sleep(SESSIONS_KNOWN_PERIOD).await;
    }
}

impl Connection {
    async fn next(&mut self) -> Result<Option<Request>, ServeError> {
        loop {
            let Some(came) = self.receiver.receive::<Request>().await? else {
                return Ok(None);
            };
            if let Some(whole) = self.unpacker.take(came)? {
                return Ok(Some(whole));
            }
        }
    }

    async fn reply(&self, reply: Reply) -> Result<(), ServeError> {
        for part in parts::pack(self.veiled(reply))? {
            self.sender.send(&part).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, request: Request) -> Result<(), ServeError> {
        if let Err(refusal) = self.may(&request) {
            return self.reply(Reply::Refused(refusal)).await;
        }
        if let Err(refusal) = self.stays(&request).await {
            return self.reply(Reply::Refused(refusal)).await;
        }
        let mut request = request;
        match self.abroad(&mut request) {
            Ok(Some(run)) => return self.ask_abroad(run, request).await,
            Ok(None) => {}
            Err(refusal) => return self.reply(Reply::Refused(refusal)).await,
        }
        if let Some(home) = self.home(&request) {
            return self.ask_home(home, request).await;
        }
        match request {
            Request::Follow { run } => self.follow(run).await,
            Request::Through { machine } => self.through(&machine).await,
            Request::AskPerson { question, choices } => self.ask_person(question, choices).await,
            Request::Machines(MachinesRequest::PairShow { rights }) => self.pair_show(rights).await,
            Request::Attach { session, cols, rows, take } => self.attach(&session, (cols, rows), take).await,
            request => {
                let answer = answer::answer(&self.node, &self.caller, request).await;
                self.reply(answer.unwrap_or_else(Reply::Refused)).await
            }
        }
    }

    /// From inside a session only its own run's words are allowed: no agent approves itself, ends the node or reads
    /// another run.
    fn may(&self, request: &Request) -> Result<(), Refusal> {
        if let Some(visitor) = &self.visitor {
            visitor.may(&self.node, request)?;
        }
        let Caller::Agent(session) = &self.caller else {
            return Ok(());
        };
        let Some(verb) = for_people(request, session.run.as_str()) else { return Ok(()) };
        Err(Refusal {
            code: RefusalCode::NotAllowed,
            message: format!(
                "`niia {verb}` is not for programs inside a session, and this one runs in {session}"
            ),
            help: Some("a person says it from a terminal of their own".to_owned()),
        })
    }
}

/// The verb of a request that no program inside a session may make. All others are about its own run alone, which who
/// answers them looks at. Each is named here, so that a new one is decided on.
fn for_people(request: &Request, own: &str) -> Option<&'static str> {
    Some(match request {
        Request::Approve { .. } | Request::Dialog { allow: true, .. } => "approve",
        Request::Deny { .. } | Request::Dialog { allow: false, .. } => "deny",
        Request::Answer { .. } => "answer",
        Request::Resume { .. } => "resume",
        // Whether another run is one of its own making, who answers it knows.
        Request::Cancel { run, .. } if run.as_deref().is_none_or(|run| run == own) => "cancel",
        Request::Stop { .. } => "daemon stop",
        Request::Write { .. } => "write",
        Request::Turn { .. } => "get-answer",
        Request::Interrupt { .. } => "interrupt",
        Request::Attach { .. }
        | Request::Keys { .. }
        | Request::View { .. }
        | Request::Take
        | Request::Repaint => "attach",
        Request::Kill { .. } => "kill",
        Request::Resize { .. } => "resize",
        Request::Inbox { .. } => "inbox",
        Request::Schedule(_) => "schedule",
        Request::Trigger { .. } => "trigger",
        Request::Machines(_) => "peer",
        Request::Through { .. } => "remote",
        Request::RunAbroad { .. } => "run --home",
        Request::Fetch { .. } => "diff",
        Request::Node
        | Request::Cancel { .. }
        | Request::Run { .. }
        | Request::Runs { .. }
        | Request::Status { .. }
        | Request::Follow { .. }
        | Request::Journal { .. }
        | Request::Sessions { .. }
        | Request::Session { .. }
        | Request::Read { .. }
        | Request::WaitIdle { .. }
        | Request::Printed { .. }
        | Request::OutputSet { .. }
        | Request::OutputGet { .. }
        | Request::Claim { .. }
        | Request::ScratchpadList { .. }
        | Request::ScratchpadCat { .. }
        | Request::ScratchpadPut { .. }
        | Request::MailboxSend { .. }
        | Request::MailboxList { .. }
        | Request::MailboxRead { .. }
        | Request::MailboxCame { .. }
        | Request::MailboxSent { .. }
        | Request::AskPerson { .. }
        | Request::Conclude { .. }
        | Request::Past(_)
        | Request::Part { .. } => return None,
    })
}
