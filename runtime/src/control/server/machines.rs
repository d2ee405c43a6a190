//! Requests about other machines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use niia_net::identity::NodeId;
use niia_net::link::Link;
use niia_net::pairing::{CODE_LIFE, Code};
use niia_net::trust::Rights;
use niia_net::wire::Hello;

use super::find::{not_found, trouble};
use super::{Connection, ServeError};
use crate::control::SPOKEN;
use crate::control::words::{
    MachinesRequest, NodeView, PeerAnswer, PeersView, Refusal, RefusalCode, Reply, Request,
};
use crate::network::Network;
use crate::node::Node;
use crate::remote::{self, Purpose};
use niia_actors::ask::chain;

/// How long a peer may take to say how it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);

pub(super) fn network(node: &Node) -> Result<&Arc<Network>, Refusal> {
    node.network.as_ref().ok_or_else(|| Refusal {
        help: Some("the node's log says why".to_owned()),
        ..trouble("this node's own key cannot be used, so it reaches nobody".to_owned())
    })
}

pub(super) fn unreachable(message: String) -> Refusal {
    Refusal { code: RefusalCode::State, message, help: None }
}

fn refused(error: &dyn std::error::Error) -> Refusal {
    Refusal { code: RefusalCode::State, message: chain(error), help: None }
}

pub(super) async fn answer(node: &Node, request: MachinesRequest) -> Result<Reply, Refusal> {
    let network = network(node)?;
    match request {
        MachinesRequest::PairType { code, machine, rights } => {
            let code: Code = code.parse().map_err(|error| wrong(&error))?;
            let paired = network.type_code(&code, machine.as_deref(), rights).await;
            Ok(Reply::Peer(Box::new(paired.map_err(|error| refused(&error))?)))
        }
        MachinesRequest::Peers => Ok(Reply::Peers(Box::new(peers(network).await))),
        MachinesRequest::Peer { name } => {
            let id = named(network, &name)?;
            Ok(Reply::Peer(Box::new(network.view_of(&id))))
        }
        MachinesRequest::PeerAdd { name, address, fingerprint, rights } => {
            let id: NodeId = fingerprint.parse().map_err(|error| wrong(&error))?;
            let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
            let name = name.unwrap_or_else(|| niia_net::trust::plain(host));
            let added = network.add(&name, &address, id, rights).await;
            Ok(Reply::Peer(Box::new(added.map_err(|error| refused(&error))?)))
        }
        MachinesRequest::PeerVia { name, via, fingerprint, rights } => {
            let via = named(network, &via)?;
            let id =
                fingerprint.map(|text| text.parse::<NodeId>()).transpose().map_err(|error| wrong(&error))?;
            let added = network.add_via(&name, via, id, rights).await;
            let wrong = |message| Refusal { code: RefusalCode::Wrong, message, help: None };
            Ok(Reply::Peer(Box::new(added.map_err(wrong)?)))
        }
        MachinesRequest::PeerRemove { name } => {
            let id = named(network, &name)?;
            network.remove(&id).await.map_err(|error| refused(&error))?;
            Ok(Reply::Done)
        }
        MachinesRequest::PeerAllow { name, rights, folders, models } => {
            let id = named(network, &name)?;
            let view = network.allow(&id, rights, folders, models).map_err(|error| refused(&error))?;
            Ok(Reply::Peer(Box::new(view)))
        }
        MachinesRequest::Copy { machine, there, here, fetch } => {
            let id = named(network, &machine)?;
            let copied = match fetch {
                true => remote::fetch(network, &id, &there, &here).await,
                false => remote::bring(network, &id, &here, &there).await,
            };
            Ok(Reply::Value(copied.map_err(unreachable)?.into()))
        }
        MachinesRequest::Status { machine } => status(network, machine).await,
        MachinesRequest::PairShow { .. } => Err(trouble("a code is shown in a talk of its own".to_owned())),
    }
}

fn wrong(error: &dyn std::error::Error) -> Refusal {
    Refusal { code: RefusalCode::Wrong, message: chain(error), help: None }
}

fn named(network: &Network, name: &str) -> Result<NodeId, Refusal> {
    network.named(name).map_err(|message| Refusal {
        help: Some("`niia peer ls` lists them".to_owned()),
        ..not_found(message)
    })
}

async fn peers(network: &Network) -> PeersView {
    PeersView { fingerprint: network.id().to_string(), peers: network.views().await, answers: Vec::new() }
}

/// Asks all peers side by side, or the one that is named.
async fn status(network: &Arc<Network>, machine: Option<String>) -> Result<Reply, Refusal> {
    let only = machine.map(|name| named(network, &name)).transpose()?;
    let mut view = peers(network).await;
    view.peers.retain(|peer| peer.rights.is_some());
    view.peers.retain(|peer| only.is_none_or(|id| id.to_string() == peer.fingerprint));
    let mut asking = Vec::new();
    for peer in &view.peers {
        let (network, id) = (Arc::clone(network), peer.fingerprint.parse::<NodeId>());
        asking.push(tokio::spawn(async move {
            let Ok(id) = id else { return down("its fingerprint is damaged".to_owned()) };
            let asked = tokio::time::timeout(ANSWER_WITHIN, ask(&network, &id));
            asked.await.unwrap_or_else(|_| down(format!("no answer within {ANSWER_WITHIN:?}")))
        }));
    }
    for asked in asking {
        view.answers.push(asked.await.unwrap_or_else(|error| down(error.to_string())));
    }
    for (peer, answer) in view.peers.iter_mut().zip(&view.answers) {
        peer.linked = matches!(answer, PeerAnswer::Up { .. });
    }
    Ok(Reply::Peers(Box::new(view)))
}

fn down(reason: String) -> PeerAnswer {
    PeerAnswer::Down { reason }
}

async fn ask(network: &Network, id: &NodeId) -> PeerAnswer {
    match asked(network, id).await {
        Ok((view, round_trip)) => PeerAnswer::Up {
            version: view.version,
            round_trip_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
            sessions_live: view.sessions_live,
            runs_live: view.runs_live,
        },
        Err(reason) => down(reason),
    }
}

/// How a peer's node is.
pub async fn node_of_peer(network: &Network, id: &NodeId) -> Result<NodeView, String> {
    Ok(asked(network, id).await?.0)
}

async fn asked(network: &Network, id: &NodeId) -> Result<(NodeView, Duration), String> {
    let link = network.reach(id).await.map_err(|error| chain(&error))?;
    let (reader, writer) = link.open(&Purpose::Control).await.map_err(|e| chain(&e))?.into_inner();
    let mut far = Link::new(reader, writer);
    far.greet(&Hello::new(SPOKEN, env!("CARGO_PKG_VERSION"))).await.map_err(|e| chain(&e))?;
    let began = Instant::now();
    far.send(&Request::Node).await.map_err(|e| chain(&e))?;
    match far.receive().await.map_err(|e| chain(&e))? {
        Some(Reply::Node(view)) => Ok((*view, began.elapsed())),
        Some(Reply::Refused(refusal)) => Err(refusal.message),
        _ => Err("it went away".to_owned()),
    }
}

impl Connection {
    /// Shows a code until it has been used, has aged, or the person has turned away.
    pub(super) async fn pair_show(&mut self, rights: Rights) -> Result<(), ServeError> {
        let network = match network(&self.node) {
            Ok(network) => Arc::clone(network),
            Err(refusal) => return self.reply(Reply::Refused(refusal)).await,
        };
        let mut pairings = network.pairings();
        let shown = match network.show_code(rights).await {
            Ok(shown) => shown,
            Err(error) => return self.reply(Reply::Refused(refused(&error))).await,
        };
        let fingerprint = network.id().to_string();
        self.reply(Reply::Code { code: shown.code.to_string(), port: shown.port, fingerprint }).await?;
        let came = tokio::select! {
            paired = pairings.recv() => Some(paired.unwrap_or_else(|error| Err(error.to_string()))),
            () = tokio::time::sleep(CODE_LIFE) => Some(Err("nobody typed the code in time".to_owned())),
            gone = self.receiver.receive::<Request>() => {
                drop(gone);
                None
            }
        };
        network.hide_code().await;
        match came {
            Some(Ok(peer)) => self.reply(Reply::Peer(Box::new(peer))).await,
            Some(Err(message)) => self.reply(Reply::Refused(unreachable(message))).await,
            None => Ok(()),
        }
    }
}
