//! Peers that are reached over another one, which carries what is said without understanding it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use niia_actors::ask::chain;
use niia_net::endpoint::Shaken;
use niia_net::frame;
use niia_net::identity::NodeId;
use niia_net::peer::Stream;
use niia_net::reconnect;
use niia_net::relay::Relay;
use niia_net::trust::{Peer, Right, Rights};

use super::{Network, NetworkError, PeerView, ReachError};
use crate::node::Node;
use crate::remote::{Purpose, RelaySaid};

/// How long the one in between may take to find the other end.
const JOINED_WITHIN: Duration = Duration::from_secs(15);
/// How often it is looked whether the way to those in between is open.
const LOOK: Duration = Duration::from_secs(3);

impl Network {
    async fn relay(&self) -> Result<&Relay, NetworkError> {
        self.relay
            .get_or_try_init(|| async {
                let mut relay = Relay::new(&self.identity, self.lease())?;
                relay.endpoint = relay.endpoint.written_down(self.tap()?);
                self.listen(relay.endpoint.clone());
                Ok(relay)
            })
            .await
    }

    /// A connection to a peer that another one carries.
    pub(super) async fn relayed(&self, id: &NodeId, via: &NodeId, peer: &Peer) -> Result<Shaken, ReachError> {
        let name = peer.name.clone();
        let between = self.trust.get(via).map_or_else(|| via.short(), |peer| peer.name);
        let failed = |reason: String| ReachError::Relay { name: name.clone(), via: between.clone(), reason };
        let link = self.reach_directly(via).await.map_err(|error| failed(chain(&error)))?;
        let joined = async {
            let mut stream = link.open(&Purpose::Relay { to: *id }).await.map_err(|error| chain(&error))?;
            match frame::read(&mut stream).await.map_err(|error| chain(&error))? {
                RelaySaid::Ready => Ok(stream),
                RelaySaid::Refused { reason } => Err(reason),
            }
        };
        let joined = tokio::time::timeout(JOINED_WITHIN, joined).await;
        let stream = joined.unwrap_or_else(|_| Err("it does not answer".to_owned())).map_err(&failed)?;
        let relay = self.relay().await?;
        let (reader, writer) = stream.into_inner();
        let address =
            relay.join(id, reader, writer).ok_or_else(|| failed("too many ways are open".to_owned()))?;
        let connected = relay.endpoint.connect(&[address], Some(*id)).await;
        connected.map_err(|source| ReachError::Connect { name: name.clone(), source })
    }

    /// The other end of such a way: somebody wants to be let in over the peer whose stream this is.
    pub async fn relayed_in(&self, from: &NodeId, mut stream: Stream) -> Result<(), String> {
        if self.trust.get(from).is_none() {
            let reason = format!("{from} is not paired with {}", self.id());
            tracing::warn!(peer = %from, reason, "refused");
            let refused = frame::write(&mut stream, &RelaySaid::Refused { reason }).await;
            return refused.map_err(|error| chain(&error));
        }
        frame::write(&mut stream, &RelaySaid::Ready).await.map_err(|error| chain(&error))?;
        let relay = self.relay().await.map_err(|error| chain(&error))?;
        let (reader, writer) = stream.into_inner();
        relay.join(from, reader, writer).map(drop).ok_or_else(|| "too many ways are open".to_owned())
    }

    /// Reaches a peer over another one from now on, and is reached by it so. A key that is not known yet must be said:
    /// nobody in between is believed about it.
    pub async fn add_via(
        &self,
        name: &str,
        via: NodeId,
        fingerprint: Option<NodeId>,
        rights: Rights,
    ) -> Result<PeerView, String> {
        let known = self.named(name);
        let (id, mut peer) = match (fingerprint, known) {
            (Some(id), _) => (id, self.trust.get(&id).unwrap_or_default()),
            (None, Ok(id)) => (id, self.trust.get(&id).unwrap_or_default()),
            (None, Err(_)) => {
                return Err(format!(
                    "`{name}` is not known here: say its fingerprint with `--fingerprint`, as `niia peer ls` there shows it"
                ));
            }
        };
        if id == via || id == self.id() {
            return Err("a machine is not reached over itself".to_owned());
        }
        if peer.name.is_empty() {
            name.clone_into(&mut peer.name);
            (peer.rights, peer.added_at_ms) = (rights, niia_actors::session::wall_ms());
        }
        peer.via = Some(via);
        self.trust.put(id, peer).map_err(|error| chain(&error))?;
        tracing::info!(peer = %id, name, %via, "reached over another peer from now on");
        self.opened().await.map_err(|error| chain(&error))?;
        Ok(self.view_of(&id))
    }

    /// Keeps the way open to those over whom this node is reached: it may not be one that can be dialled.
    pub(super) async fn keep_ways(node: Weak<Node>) {
        let mut failures = 0;
        loop {
            let pause = match failures {
                0 => LOOK,
                failures => reconnect::pause(failures, fastrand::u64(..)).max(LOOK),
            };
            tokio::time::sleep(pause).await;
            let Some(node) = node.upgrade() else { return };
            let Some(network) = &node.network else { return };
            failures = if network.ways_are_open().await { 0 } else { failures + 1 };
        }
    }

    async fn ways_are_open(&self) -> bool {
        let vias: std::collections::BTreeSet<NodeId> =
            self.trust.peers().0.values().filter_map(|peer| peer.via).collect();
        let mut open = true;
        for via in vias {
            if self.linked(&via).is_none()
                && let Err(error) = self.reach_directly(&via).await
            {
                tracing::debug!(%via, error = chain(&error), "the way over a peer is not open");
                open = false;
            }
        }
        open
    }
}

/// Carries what two peers of this node say to each other, for as long as both are there.
pub async fn carry(node: Arc<Node>, from: NodeId, mut stream: Stream, to: NodeId) -> Result<(), String> {
    let joined = match other_end(&node, &from, &to).await {
        Ok(joined) => joined,
        Err(reason) => {
            tracing::warn!(peer = %from, %to, reason, "refused");
            let refused = frame::write(&mut stream, &RelaySaid::Refused { reason }).await;
            return refused.map_err(|error| chain(&error));
        }
    };
    frame::write(&mut stream, &RelaySaid::Ready).await.map_err(|error| chain(&error))?;
    tracing::info!(peer = %from, %to, "what they say to each other is carried");
    let mut other = joined;
    // It ends with either of both, and how says nothing to anybody.
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
    Ok(())
}

async fn other_end(node: &Node, from: &NodeId, to: &NodeId) -> Result<Stream, String> {
    let network = node.network.as_ref().ok_or("this node reaches nobody")?;
    let peer = network.trust().get(from).ok_or_else(|| format!("{from} is not paired with this machine"))?;
    if !peer.rights.has(Right::Run) {
        return Err(format!("to be carried needs the right `run` there, and {from} has: {}", peer.rights));
    }
    if network.trust().get(to).is_none() {
        return Err(format!("{to} is not paired with this machine"));
    }
    let link = network.reach_directly(to).await.map_err(|error| chain(&error))?;
    let mut stream = link.open(&Purpose::Relayed { from: *from }).await.map_err(|error| chain(&error))?;
    let said = tokio::time::timeout(JOINED_WITHIN, frame::read(&mut stream)).await;
    match said.map_err(|_| "it does not answer".to_owned())?.map_err(|error| chain(&error))? {
        RelaySaid::Ready => Ok(stream),
        RelaySaid::Refused { reason } => Err(reason),
    }
}
