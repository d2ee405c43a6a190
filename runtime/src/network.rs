//! The node among others: its identity, whom it trusts, and its links.
//!
//! Nothing is open without need: the node's port is bound while it has peers, while a code is shown, and while its
//! configuration says so. Otherwise there is no socket and nothing is announced.

mod clock;
mod links;
mod pairing;
mod peers;
mod relays;
mod settings;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use niia_net::discovery::{Announcement, Discovery, DiscoveryError, Interfaces};
use niia_net::endpoint::{Endpoint, EndpointError};
use niia_net::identity::{Identity, IdentityError, NodeId};
use niia_net::pairing::Desk;
use niia_net::trust::{Trust, TrustError};

use crate::config::own_hosts;
use crate::node::Node;

pub use clock::now as boottime;
pub use links::ReachError;
pub use pairing::{PairingError, Shown};
pub use peers::{PeerView, names_nobody};
pub use relays::carry as carry_between;
pub use settings::NetworkSettings;

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error("what is said to other nodes cannot be written to {path}, so nothing is said")]
    Capture { path: std::path::PathBuf, source: std::io::Error },
    #[error("the node's address is not known")]
    Address { source: std::io::Error },
}

/// What is bound and announced just now.
#[derive(Debug)]
struct Open {
    endpoint: Endpoint,
    discovery: Option<Discovery>,
    port: u16,
    listening: tokio::task::AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.listening.abort();
        self.endpoint.close("the node goes down");
    }
}

/// The node's network. One a node.
#[derive(Debug)]
pub struct Network {
    settings: NetworkSettings,
    identity: Identity,
    trust: Arc<Trust>,
    /// Which start of this node it is.
    incarnation: u64,
    name: String,
    user: String,
    desk: Mutex<Desk>,
    /// What whoever types the code that is shown may do here.
    shown_rights: Mutex<niia_net::trust::Rights>,
    /// Tells those who wait what came of the code they show.
    paired: tokio::sync::broadcast::Sender<Result<PeerView, String>>,
    links: links::Links,
    open: tokio::sync::Mutex<Option<Arc<Open>>>,
    /// The end of ways that lead over peers; made with the first one.
    relay: tokio::sync::OnceCell<niia_net::relay::Relay>,
    node: OnceLock<Weak<Node>>,
}

/// Pairings told to whoever waits; more than one at a time is rare.
const PAIRED_WAITING_MAX: usize = 8;

impl Network {
    /// What lies in the state folder; nothing is bound yet.
    pub fn load(state_folder: &Path, settings: NetworkSettings) -> Result<Network, NetworkError> {
        let folder = state_folder.join("identity");
        let identity = Identity::open(&folder)?;
        let trust = Arc::new(Trust::open(&folder)?);
        let (paired, _) = tokio::sync::broadcast::channel(PAIRED_WAITING_MAX);
        let name = own_hosts(settings.name.as_deref()).remove(0);
        let user = std::env::var("USER").unwrap_or_else(|_| "niia".to_owned());
        Ok(Network {
            settings,
            identity,
            trust,
            incarnation: fastrand::u64(..),
            name,
            user,
            desk: Mutex::new(Desk::default()),
            shown_rights: Mutex::default(),
            paired,
            links: links::Links::default(),
            open: tokio::sync::Mutex::new(None),
            relay: tokio::sync::OnceCell::new(),
            node: OnceLock::new(),
        })
    }

    /// Lets those in who are served by this node, and opens the port where there is need for it.
    pub async fn serve(&self, node: &Arc<Node>) {
        // A node serves once.
        let _ = self.node.set(Arc::downgrade(node));
        tokio::spawn(crate::remote::doubt(Arc::downgrade(node), self.lease()));
        tokio::spawn(Network::keep_ways(Arc::downgrade(node)));
        if (self.settings.listen.is_some() || !self.trust.is_empty())
            && let Err(error) = self.opened().await
        {
            tracing::error!(error = niia_actors::ask::chain(&error), "other machines cannot be reached");
        }
    }

    pub fn id(&self) -> NodeId {
        self.identity.id()
    }

    /// Without a word for so long nobody knows whether another machine still works.
    pub fn lease(&self) -> std::time::Duration {
        self.settings.lease()
    }

    /// The names under which a document may mean this machine.
    pub fn hosts(&self) -> Vec<String> {
        own_hosts(self.settings.name.as_deref())
    }

    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(super) fn node(&self) -> Option<Arc<Node>> {
        self.node.get().and_then(Weak::upgrade)
    }

    fn with_desk<T>(&self, look: impl FnOnce(&mut Desk) -> T) -> T {
        look(&mut self.desk.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The open port, bound now where it was not.
    async fn opened(&self) -> Result<Arc<Open>, NetworkError> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok(Arc::clone(open));
        }
        let endpoint = self.bind()?;
        let address = endpoint.address().map_err(|source| NetworkError::Address { source })?;
        let discovery = self.discovery();
        let listening = self.listen(endpoint.clone());
        let fresh = Arc::new(Open { endpoint, discovery, port: address.port(), listening });
        tracing::info!(%address, id = %self.id(), "other nodes may come in");
        self.announce(&fresh);
        *open = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// The address that is wanted; the port of niia where none is said, and any other where that one is taken.
    fn bind(&self) -> Result<Endpoint, NetworkError> {
        let mut last = None;
        for address in self.settings.addresses() {
            match Endpoint::bind(&self.identity, address, self.settings.lease()) {
                Ok(endpoint) => return Ok(endpoint.written_down(self.tap()?)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| settings::no_address().into(), NetworkError::from))
    }

    fn tap(&self) -> Result<Option<niia_net::peer::Tap>, NetworkError> {
        let opened = self.settings.capture.as_ref().map(|path| {
            let failed = |source| NetworkError::Capture { path: path.clone(), source };
            niia_net::peer::Tap::open(path).map_err(failed)
        });
        opened.transpose()
    }

    /// Without multicast, peers are still reached by their addresses.
    fn discovery(&self) -> Option<Discovery> {
        if !self.settings.discover {
            return None;
        }
        let trust = Arc::clone(&self.trust);
        let interfaces =
            Interfaces { only: self.settings.interfaces.clone(), loopback: self.settings.loopback };
        match Discovery::start(self.id(), &interfaces, move |id| trust.get(id).is_some()) {
            Ok(discovery) => Some(discovery),
            Err(error) => {
                tracing::warn!(error = niia_actors::ask::chain(&error), "nodes are not found by multicast");
                None
            }
        }
    }

    /// Says on the local network that this node is there, and whether it shows a code.
    fn announce(&self, open: &Open) {
        let Some(discovery) = &open.discovery else { return };
        let pairs = self.with_desk(|desk| desk.is_open(boottime()));
        let what = Announcement {
            id: self.id(),
            host: self.name.clone(),
            user: self.user.clone(),
            port: open.port,
            pairs,
        };
        if let Err(error) = discovery.announce(&what) {
            tracing::warn!(error = niia_actors::ask::chain(&error), "this node is not announced");
        }
    }

    /// Closes what nobody needs any more.
    async fn close_unneeded(&self) {
        let needed = self.settings.listen.is_some()
            || !self.trust.is_empty()
            || self.with_desk(|desk| desk.is_open(boottime()));
        if !needed {
            *self.open.lock().await = None;
        }
    }

    /// Says goodbye to everybody.
    pub async fn close(&self) {
        let open = self.open.lock().await.take();
        if let Some(relay) = self.relay.get() {
            relay.endpoint.close("the node goes down");
        }
        if let Some(open) = open {
            open.endpoint.close("the node goes down");
            let nearby = async {
                if let Some(discovery) = &open.discovery {
                    discovery.goodbye().await;
                }
            };
            // Whoever cannot be told finds out by himself.
            let _ =
                tokio::time::timeout(GOODBYE_WITHIN, async { tokio::join!(nearby, open.endpoint.closed()) })
                    .await;
        }
    }
}

/// How long a node that goes down waits until the others have been told.
const GOODBYE_WITHIN: std::time::Duration = std::time::Duration::from_millis(500);
