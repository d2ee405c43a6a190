//! Pairing this node with another one, whichever end shows the code.

mod search;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use niia_net::endpoint::ConnectError;
use niia_net::pairing::{Closed, Code, NoChance};
use niia_net::peer::{PairError, Paired, PeerError, show, type_in};
use niia_net::trust::{Peer, Rights, TrustError, plain};

use super::{Network, NetworkError, PeerView, boottime, links};

#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("`{machine}` is not found: name it as HOST:PORT where multicast does not reach")]
    NotFound { machine: String },
    #[error("no machine nearby shows a code just now; name it as HOST:PORT where multicast does not reach")]
    NobodyShows,
    #[error("several machines show a code: {}; say which one is meant", machines.join(", "))]
    SeveralShow { machines: Vec<String> },
    #[error(transparent)]
    Chance(#[from] NoChance),
    #[error("it cannot be reached")]
    Connect(#[from] ConnectError),
}

impl From<PeerError> for PairingError {
    fn from(error: PeerError) -> PairingError {
        PairingError::Pair(error.into())
    }
}

/// A code that is shown, and where it can be typed.
#[derive(Clone, Debug)]
pub struct Shown {
    pub code: Code,
    pub port: u16,
}

impl Network {
    /// Shows a code. Whoever types it gets these rights here.
    pub async fn show_code(&self, rights: Rights) -> Result<Shown, PairingError> {
        let open = self.opened().await?;
        let code = Code::random()?;
        self.with_desk(|desk| desk.show(code.clone(), boottime()))?;
        *self.shown_rights.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = rights;
        self.announce(&open);
        Ok(Shown { code, port: open.port })
    }

    /// Told when the code that is shown has led to something.
    pub fn pairings(&self) -> tokio::sync::broadcast::Receiver<Result<PeerView, String>> {
        self.paired.subscribe()
    }

    /// The person has turned away from the code.
    pub async fn hide_code(&self) {
        self.with_desk(niia_net::pairing::Desk::close);
        self.close_unneeded().await;
        self.announce_again().await;
    }

    async fn announce_again(&self) {
        if let Some(open) = &*self.open.lock().await {
            self.announce(open);
        }
    }

    /// Types a code that another machine shows.
    pub async fn type_code(
        &self,
        code: &Code,
        machine: Option<&str>,
        rights: Rights,
    ) -> Result<PeerView, PairingError> {
        let paired = self.typed(code, machine).await;
        if paired.is_err() {
            self.close_unneeded().await;
        }
        let (paired, called) = paired?;
        tracing::info!(peer = %paired.id, name = paired.name, %rights, "paired");
        self.keep(&paired, called.as_deref(), rights)?;
        self.announce_again().await;
        Ok(self.view_of(&paired.id))
    }

    async fn typed(
        &self,
        code: &Code,
        machine: Option<&str>,
    ) -> Result<(Paired, Option<String>), PairingError> {
        let open = self.opened().await?;
        let pairing = match machine {
            Some(machine) => self.shows_at(&open, machine).await?,
            None => self.only_one(&open).await?,
        };
        Ok((type_in(pairing, self.id(), code).await?, machine.map(str::to_owned)))
    }

    /// Trusts a node that had the code.
    fn keep(&self, paired: &Paired, called: Option<&str>, rights: Rights) -> Result<(), TrustError> {
        let mut peer = self.trust.get(&paired.id).unwrap_or_default();
        if peer.name.is_empty() {
            peer.name = self.free_name(&paired.name);
        }
        peer.also_called(&paired.name);
        if let Some(written) = called.filter(|written| written.contains(':')) {
            peer.also_at(written);
        }
        peer.also_at(&links::plain(paired.address).to_string());
        peer.rights = rights;
        peer.added_at_ms = niia_actors::session::wall_ms();
        self.trust.put(paired.id, peer)
    }

    /// What a new peer is called here: its host's name, with a number where another one is called so.
    fn free_name(&self, host: &str) -> String {
        let peers: Vec<Peer> = self.trust.peers().0.into_values().collect();
        let host = plain(host);
        let host = if host.is_empty() { "node".to_owned() } else { host };
        let taken = |name: &str| peers.iter().any(|peer| peer.name == name);
        let numbered = (2..=niia_net::trust::PEERS_MAX + 2).map(|n| format!("{host}-{n}"));
        std::iter::once(host.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(host)
    }
}

/// Somebody came who wants to pair while a code is shown.
pub(super) async fn shown(network: &Network, pairing: niia_net::peer::Pairing, from: SocketAddr) {
    let tried = AtomicBool::new(false);
    let take = || {
        tried.store(true, Ordering::Relaxed);
        network.with_desk(|desk| desk.take(boottime()))
    };
    let told = match show(pairing, network.id(), take).await {
        Ok(paired) => {
            let rights = *network.shown_rights.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            tracing::info!(peer = %paired.id, name = paired.name, %rights, "paired");
            match network.keep(&paired, None, rights) {
                Ok(()) => Ok(network.view_of(&paired.id)),
                Err(error) => Err(niia_actors::ask::chain(&error)),
            }
        }
        // One who only looks who shows a code leaves without a try, and the code stands.
        Err(error) if !tried.load(Ordering::Relaxed) => {
            tracing::info!(%from, error = niia_actors::ask::chain(&error), "somebody asked, and tried no code");
            return;
        }
        Err(error) => {
            tracing::warn!(%from, error = niia_actors::ask::chain(&error), "a pairing failed");
            Err(niia_actors::ask::chain(&error))
        }
    };
    // Nobody may be waiting any more.
    let _ = network.paired.send(told);
    network.announce_again().await;
}
