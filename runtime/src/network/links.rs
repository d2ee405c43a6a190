//! Links to peers: one for each, dialled when somebody needs it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use niia_net::endpoint::{ConnectError, Endpoint, Shaken};
use niia_net::identity::NodeId;
use niia_net::peer::{CloseCode, Greeting, PeerError, PeerLink, Welcomed, admit_work, greet};
use niia_net::trust::{Admission, Peer, Want, admit};

use super::{Network, NetworkError, Open, boottime, pairing};

/// How long a name may take to become addresses.
const RESOLVE_WITHIN: Duration = Duration::from_secs(3);
/// Links of one peer and strangers at the door together; QUIC has its own bounds below.
const LINKS_MAX: usize = 1_024;

#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error("`{name}` is not paired with this node")]
    Unknown { name: String },
    #[error("`{name}` cannot be reached")]
    Connect { name: String, source: ConnectError },
    #[error("`{name}` cannot be reached: no address of it is known just now")]
    NoAddress { name: String },
    #[error("`{name}` does not work with this node")]
    Peer { name: String, source: PeerError },
    #[error("`{name}` cannot be reached over `{via}`: {reason}")]
    Relay { name: String, via: String, reason: String },
    #[error("the network cannot be used")]
    Network(#[from] NetworkError),
}

/// The links that live, and who is being dialled.
#[derive(Debug, Default)]
pub(super) struct Links {
    live: Mutex<HashMap<NodeId, PeerLink>>,
    dialling: Mutex<HashMap<NodeId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Links {
    pub(super) fn get(&self, id: &NodeId) -> Option<PeerLink> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(id).filter(|link| !link.is_over()).cloned()
    }

    fn put(&self, link: PeerLink) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, link| !link.is_over());
        if live.len() < LINKS_MAX {
            live.insert(link.id, link);
        }
    }

    pub(super) fn close(&self, id: &NodeId, code: CloseCode, reason: &str) {
        let link = self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(link) = link {
            link.close(code, reason);
        }
    }

    fn turn(&self, id: &NodeId) -> Arc<tokio::sync::Mutex<()>> {
        let mut dialling = self.dialling.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits holds a second one.
        dialling.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(dialling.entry(*id).or_default())
    }
}

impl Network {
    pub(super) fn greeting(&self, want: Want) -> Greeting {
        Greeting::new(&self.name, self.incarnation, env!("CARGO_PKG_VERSION"), want)
    }

    /// The link that lives, if one does.
    pub fn linked(&self, id: &NodeId) -> Option<PeerLink> {
        self.links.get(id)
    }

    /// A link to a peer: the one that lives, or a new one.
    pub async fn reach(&self, id: &NodeId) -> Result<PeerLink, ReachError> {
        let turn = self.links.turn(id);
        let _turn = turn.lock().await;
        if let Some(link) = self.links.get(id) {
            return Ok(link);
        }
        let peer = self.trust.get(id).ok_or_else(|| ReachError::Unknown { name: id.short() })?;
        let Some(via) = peer.via.filter(|via| via != id) else {
            let shaken = self.dialled(id, &peer).await?;
            return self.greeted(id, &peer, shaken).await;
        };
        // A peer that is heard of nearby needs nobody in between.
        let open = self.opened().await?;
        let nearby = open.discovery.as_ref().is_some_and(|seen| !seen.addresses(id).is_empty());
        let shaken = match nearby {
            true => match self.dialled(id, &peer).await {
                Ok(shaken) => shaken,
                Err(_) => self.relayed(id, &via, &peer).await?,
            },
            false => self.relayed(id, &via, &peer).await?,
        };
        self.greeted(id, &peer, shaken).await
    }

    /// The same without anybody in between.
    pub async fn reach_directly(&self, id: &NodeId) -> Result<PeerLink, ReachError> {
        let turn = self.links.turn(id);
        let _turn = turn.lock().await;
        if let Some(link) = self.links.get(id) {
            return Ok(link);
        }
        let peer = self.trust.get(id).ok_or_else(|| ReachError::Unknown { name: id.short() })?;
        let shaken = self.dialled(id, &peer).await?;
        self.greeted(id, &peer, shaken).await
    }

    async fn dialled(&self, id: &NodeId, peer: &Peer) -> Result<Shaken, ReachError> {
        let name = peer.name.clone();
        let open = self.opened().await?;
        let addresses = self.addresses_of(&open, id, peer).await;
        if addresses.is_empty() {
            return Err(ReachError::NoAddress { name });
        }
        open.endpoint.connect(&addresses, Some(*id)).await.map_err(|source| {
            if let Some(discovery) = &open.discovery {
                discovery.doubt(id);
            }
            ReachError::Connect { name, source }
        })
    }

    /// Whoever announced this node is asked whether it is still there.
    async fn doubt(&self, id: &NodeId) {
        if let Some(open) = &*self.open.lock().await
            && let Some(discovery) = &open.discovery
        {
            discovery.doubt(id);
        }
    }

    async fn greeted(&self, id: &NodeId, peer: &Peer, shaken: Shaken) -> Result<PeerLink, ReachError> {
        let name = peer.name.clone();
        let greeted = greet(shaken, self.id(), Some(*id), self.greeting(Want::Work), peer.rights).await;
        match greeted.map_err(|source| ReachError::Peer { name: name.clone(), source })? {
            Welcomed::Work(link) => {
                self.linked_with(link.clone());
                Ok(link)
            }
            Welcomed::Pair(_) => Err(ReachError::Unknown { name }),
        }
    }

    /// Everything that is known of where a peer is.
    async fn addresses_of(&self, open: &Open, id: &NodeId, peer: &Peer) -> Vec<SocketAddr> {
        let mut found = open.discovery.as_ref().map(|seen| seen.addresses(id)).unwrap_or_default();
        for written in peer.addresses.iter().rev() {
            for address in resolved(open, written).await {
                if !found.contains(&address) {
                    found.push(address);
                }
            }
        }
        found
    }

    fn linked_with(&self, link: PeerLink) {
        tracing::info!(peer = %link.id, name = link.name, address = %link.address(), "linked");
        let (name, address) = (link.name.clone(), plain(link.address()));
        let carried = address == niia_net::relay::address_of(&link.id);
        let seen = self.trust.update(&link.id, |peer| {
            peer.also_called(&name);
            if !carried {
                peer.also_at(&address.to_string());
            }
        });
        if let Err(error) = seen {
            tracing::warn!(%error, "where a peer was seen is not remembered");
        }
        self.links.put(link.clone());
        if let Some(node) = self.node() {
            let seen_by = Arc::downgrade(&node);
            tokio::spawn(async move {
                crate::remote::serve(node, link.clone()).await;
                let reason = link.closed().await;
                tracing::info!(peer = %link.id, reason, "a link is over");
                if let Some(network) = seen_by.upgrade().as_ref().and_then(|node| node.network.clone()) {
                    network.doubt(&link.id).await;
                }
            });
        }
    }

    /// Lets in whoever comes, each in a task of his own.
    pub(super) fn listen(&self, endpoint: Endpoint) -> tokio::task::AbortHandle {
        let node = self.node.get().cloned().unwrap_or_default();
        let listening = tokio::spawn(async move {
            let admit = move |shaken: Shaken, place: tokio::sync::OwnedSemaphorePermit| {
                let node = node.clone();
                async move {
                    if let Some(node) = node.upgrade()
                        && let Some(network) = &node.network
                    {
                        network.let_in(shaken, place).await;
                    }
                }
            };
            endpoint.accept_each(admit).await;
        });
        listening.abort_handle()
    }

    async fn let_in(&self, shaken: Shaken, place: tokio::sync::OwnedSemaphorePermit) {
        let (came, from) = (shaken.id, shaken.connection.remote_address());
        let decide = |came, want| -> Admission {
            let open = self.with_desk(|desk| desk.is_open(boottime()));
            admit(&self.trust.peers(), self.id(), came, want, open)
        };
        match admit_work(shaken, self.id(), self.greeting(Want::Work), decide).await {
            Ok(Welcomed::Work(link)) => {
                drop(place);
                let echoing = link.clone();
                tokio::spawn(async move { echoing.echo().await });
                self.linked_with(link);
            }
            Ok(Welcomed::Pair(pairing)) => pairing::shown(self, *pairing, from).await,
            Err(refusing) => {
                let refused = refusing.tell().await;
                tracing::warn!(%came, %from, %refused, "refused");
            }
        }
    }

    /// Where a machine may be that is no peer yet: by what it announces, or as it is written.
    pub(super) async fn whereabouts(&self, open: &Open, machine: &str) -> Vec<SocketAddr> {
        resolved(open, machine).await
    }
}

/// The addresses of `HOST:PORT` or `HOST`. A name of the local network is whoever announces it; of any other one an
/// announcement is only one more hint.
async fn resolved(open: &Open, written: &str) -> Vec<SocketAddr> {
    if let Ok(address) = written.parse() {
        return vec![address];
    }
    let (host, port) = match written.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().unwrap_or_default()),
        _ => (written, niia_net::endpoint::PORT_DEFAULT),
    };
    let announced = open.discovery.as_ref().map(|seen| seen.named(host)).unwrap_or_default();
    let local = host.to_lowercase().ends_with(".local") || !host.contains('.');
    let mut found: Vec<SocketAddr> = announced.into_iter().flat_map(|sighting| sighting.addresses).collect();
    if local && !found.is_empty() {
        return found;
    }
    let looked = tokio::time::timeout(RESOLVE_WITHIN, tokio::net::lookup_host((host, port)));
    match looked.await {
        // What is known by its name comes first: so many are tried, and strangers may announce many.
        Ok(Ok(addresses)) => found = addresses.chain(std::mem::take(&mut found)).collect(),
        Ok(Err(error)) => tracing::debug!(host, %error, "a name is not known"),
        Err(_) => {}
    }
    found
}

/// An address of the old kind that a socket of the new kind shows as one of its own.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
