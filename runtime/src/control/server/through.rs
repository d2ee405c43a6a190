//! A caller who speaks with another node through this one: the words are handed on as they are.

use niia_net::identity::NodeId;
use niia_net::link::Link;
use niia_net::reconnect;
use niia_net::wire::Hello;
use niia_spec::name::SessionId;
use niia_spec::plan::Egress;

use super::find::not_found;
use super::{Connection, ServeError, machines};
use crate::control::SPOKEN;
use crate::control::caller::Caller;
use crate::control::parts::{self, Unpacker};
use crate::control::words::{Refusal, RefusalCode, Reply, Request};
use crate::network::boottime;
use crate::node::Node;
use crate::remote::Purpose;
use niia_actors::ask::chain;

/// What a program may say to its run's home: under `result` what it publishes and writes to others, which is as much its
/// answer as what it prints at the end; under `none` only questions.
fn may_be_said(egress: Egress, request: &Request) -> bool {
    let asks = matches!(
        request,
        Request::OutputGet { .. }
            | Request::MailboxList { .. }
            | Request::MailboxRead { .. }
            | Request::Status { .. }
            | Request::Runs { .. }
            | Request::Conclude { .. }
    );
    let publishes =
        matches!(request, Request::OutputSet { .. } | Request::MailboxSend { .. } | Request::Claim { .. });
    match egress {
        Egress::All => true,
        Egress::Result => asks || publishes,
        Egress::None => asks,
    }
}
/// A program waits so long for the machine its run is at home on: a lost machine's grace time.
const HOME_ASKED_WITHIN: std::time::Duration = std::time::Duration::from_secs(60);

impl Connection {
    /// Until one of both goes away.
    pub(super) async fn through(&mut self, machine: &str) -> Result<(), ServeError> {
        let stream = match self.stream_to(machine).await {
            Ok(stream) => stream,
            Err(refusal) => return self.reply(Reply::Refused(refusal)).await,
        };
        let (reader, writer) = stream.into_inner();
        let mut far = Link::new(reader, writer);
        if let Err(error) = far.greet(&Hello::new(SPOKEN, env!("CARGO_PKG_VERSION"))).await {
            let refusal = machines::unreachable(format!("`{machine}` does not answer: {}", chain(&error)));
            return self.reply(Reply::Refused(refusal)).await;
        }
        self.reply(Reply::Done).await?;
        let (to_far, mut from_far) = far.split();
        loop {
            tokio::select! {
                request = self.receiver.receive::<Request>() => match request? {
                    Some(request) => to_far.send(&request).await?,
                    None => return Ok(()),
                },
                reply = from_far.receive::<Reply>() => match reply {
                    Ok(Some(reply)) => self.sender.send(&reply).await?,
                    Ok(None) => return Ok(()),
                    Err(error) => {
                        let message = format!("the link to `{machine}` broke: {}", chain(&error));
                        return self.reply(Reply::Refused(machines::unreachable(message))).await;
                    }
                },
            }
        }
    }

    /// Where a program's words belong that runs in a session of another machine's run. The scratchpad is here, too.
    pub(super) fn home(&self, request: &Request) -> Option<(NodeId, SessionId)> {
        let Caller::Agent(session) = &self.caller else { return None };
        let here = matches!(
            request,
            Request::ScratchpadList { .. }
                | Request::ScratchpadCat { .. }
                | Request::ScratchpadPut { .. }
                | Request::Node
                | Request::Sessions { .. }
                | Request::Session { .. }
                | Request::Read { .. }
        );
        let home = self.node.guests.home_of(session).filter(|_| !here)?;
        Some((home, session.clone()))
    }

    /// Asks the run's own node, and hands its answer on. Where the way there breaks it is asked again: what is said to a
    /// run counts once however often it is said, and a letter has a number of its own.
    pub(super) async fn ask_home(
        &mut self,
        (home, session): (NodeId, SessionId),
        mut request: Request,
    ) -> Result<(), ServeError> {
        let egress = self.node.guests.egress_of(&session).unwrap_or(Egress::All);
        if !may_be_said(egress, &request) {
            let message =
                format!("this stays on the machine {session} works on: its `egress` does not let it go");
            let refusal = Refusal { code: RefusalCode::NotAllowed, message, help: None };
            return self.reply(Reply::Refused(refusal)).await;
        }
        if let Request::MailboxSend { id: id @ None, .. } = &mut request {
            *id = Some(format!("far-{:032x}", fastrand::u128(..)));
        }
        let began = boottime();
        let mut failures = 0;
        let reply = loop {
            let refusal = match asked(&self.node, &home, &session, request.clone()).await {
                Ok(reply) => break reply,
                Err(refusal) => refusal,
            };
            if boottime().saturating_sub(began) > HOME_ASKED_WITHIN {
                break Reply::Refused(refusal);
            }
            failures += 1;
            tokio::time::sleep(reconnect::pause(failures, fastrand::u64(..))).await;
        };
        self.reply(reply).await
    }

    async fn stream_to(&self, machine: &str) -> Result<niia_net::peer::Stream, Refusal> {
        let network = machines::network(&self.node)?;
        let id = network.named(machine).map_err(|message| Refusal {
            help: Some("`niia peer ls` lists them, `niia pair` adds one".to_owned()),
            ..not_found(message)
        })?;
        let unreachable = |error: &dyn std::error::Error| machines::unreachable(chain(error));
        let link = network.reach(&id).await.map_err(|error| unreachable(&error))?;
        link.open(&Purpose::Control)
            .await
            .map_err(|error| Refusal { code: RefusalCode::State, ..unreachable(&error) })
    }
}

async fn asked(node: &Node, home: &NodeId, session: &SessionId, request: Request) -> Result<Reply, Refusal> {
    let network = machines::network(node)?;
    let unreachable = |error: &dyn std::error::Error| {
        machines::unreachable(format!("the run's own machine is not reached: {}", chain(error)))
    };
    let link = network.reach(home).await.map_err(|error| unreachable(&error))?;
    let purpose = Purpose::Agent { session: session.clone() };
    let stream = link.open(&purpose).await.map_err(|error| unreachable(&error))?;
    let (reader, writer) = stream.into_inner();
    let mut far = Link::new(reader, writer);
    let hello = Hello::new(SPOKEN, env!("CARGO_PKG_VERSION"));
    far.greet(&hello).await.map_err(|error| unreachable(&error))?;
    for part in parts::pack(request).map_err(|error| unreachable(&error))? {
        far.send(&part).await.map_err(|error| unreachable(&error))?;
    }
    let mut unpacker = Unpacker::default();
    loop {
        let came = far.receive::<Reply>().await.map_err(|error| unreachable(&error))?;
        let came = came.ok_or_else(|| machines::unreachable("the run's own machine went away".to_owned()))?;
        if let Some(reply) = unpacker.take(came).map_err(|error| unreachable(&error))? {
            return Ok(reply);
        }
    }
}
