//! Finding nodes on the local network by multicast DNS.
//!
//! What is announced is a hint where to dial, never a reason to believe: the key decides. Tables are bounded, whatever
//! is announced, and peers of this node are never pushed out of them by strangers.

mod sighting;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mdns_sd::{IfKind, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::sync::watch;

use crate::identity::NodeId;
pub use sighting::{ADDRESSES_MAX, SIGHTINGS_MAX, Sighting, SightingError, Sightings};

/// What nodes announce themselves as.
pub const SERVICE: &str = "_niia._udp.local.";
/// How long an announcer may take to confirm that he is still there.
const VERIFY_WITHIN: Duration = Duration::from_secs(2);
/// The library repeats a goodbye after 120 ms.
const GOODBYE_REPEATED_AFTER: Duration = Duration::from_millis(150);
/// How often changed addresses of this machine are looked for, in seconds.
const OWN_ADDRESSES_SECONDS: u32 = 2;

#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("multicast DNS cannot be used here")]
    Daemon { source: mdns_sd::Error },
}

impl From<mdns_sd::Error> for DiscoveryError {
    fn from(source: mdns_sd::Error) -> DiscoveryError {
        DiscoveryError::Daemon { source }
    }
}

/// What this node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    pub id: NodeId,
    /// The host's own name.
    pub host: String,
    /// Who it belongs to there, where several nodes share the host.
    pub user: String,
    pub port: u16,
    /// A code is shown just now.
    pub pairs: bool,
}

/// Which of this machine's networks are spoken on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// These alone; nothing said means all.
    pub only: Vec<String>,
    /// Loopback too: for several nodes of one machine.
    pub loopback: bool,
}

/// Listens to the network, and announces this node while it is told to.
pub struct Discovery {
    daemon: ServiceDaemon,
    seen: Arc<Mutex<Sightings>>,
    changes: watch::Receiver<u64>,
    announced: Mutex<Option<String>>,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Discovery {
    /// Begins to listen. `known` says whom this node trusts: those are kept whatever else is announced.
    pub fn start(
        own: NodeId,
        interfaces: &Interfaces,
        known: impl Fn(&NodeId) -> bool + Send + 'static,
    ) -> Result<Discovery, DiscoveryError> {
        let daemon = ServiceDaemon::new()?;
        choose(&daemon, interfaces)?;
        daemon.set_ip_check_interval(OWN_ADDRESSES_SECONDS)?;
        let events = daemon.browse(SERVICE)?;
        let seen = Arc::new(Mutex::new(Sightings::default()));
        let (change, changes) = watch::channel(0u64);
        let table = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok(event) = events.recv_async().await {
                if take(event, own, &table, &known) {
                    change.send_modify(|count| *count = count.wrapping_add(1));
                }
            }
        });
        Ok(Discovery { daemon, seen, changes, announced: Mutex::new(None) })
    }

    /// Announces this node, or what has changed of it.
    pub fn announce(&self, what: &Announcement) -> Result<(), DiscoveryError> {
        let (id, host) = (what.id.to_string(), host_label(&what.host));
        let properties = [
            ("id", id.as_str()),
            ("v", "1"),
            ("user", what.user.as_str()),
            ("pair", if what.pairs { "1" } else { "0" }),
        ];
        let host = format!("{host}.local.");
        let info = ServiceInfo::new(SERVICE, &what.id.short(), &host, "", what.port, &properties[..])?;
        let info = info.enable_addr_auto();
        let name = info.get_fullname().to_owned();
        self.daemon.register(info)?;
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
        Ok(())
    }

    /// Says goodbye, twice, and waits until that has left this machine. Whoever hears neither goes on believing that
    /// this node is there until its announcement ends by itself.
    pub async fn goodbye(&self) {
        let name = self.announced.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(name) = name else { return };
        match self.daemon.unregister(&name) {
            Ok(said) => {
                // The first one leaves before the answer, the second one by the clock of the library.
                let _ = tokio::time::timeout(GOODBYE_REPEATED_AFTER, said.recv_async()).await;
                tokio::time::sleep(GOODBYE_REPEATED_AFTER).await;
            }
            Err(error) => tracing::debug!(%error, "a goodbye could not be said"),
        }
    }

    /// All nodes that were heard of, in the order of their ids.
    pub fn all(&self) -> Vec<Sighting> {
        self.with(|seen| seen.all())
    }

    /// Where a node was heard of last.
    pub fn addresses(&self, id: &NodeId) -> Vec<SocketAddr> {
        self.with(|seen| seen.get(id).map(|sighting| sighting.addresses.clone())).unwrap_or_default()
    }

    /// The nodes that announce this host name, in small or capital letters, with or without suffix.
    pub fn named(&self, host: &str) -> Vec<Sighting> {
        self.with(|seen| seen.named(host))
    }

    /// Counts changes of the table.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// A node did not answer: whoever announced it is asked whether it is still there, instead of waiting until the
    /// announcement ends by itself.
    pub fn doubt(&self, id: &NodeId) {
        if let Err(error) = self.daemon.verify(format!("{}.{SERVICE}", id.short()), VERIFY_WITHIN) {
            tracing::debug!(%error, "an announcement could not be checked");
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Sightings) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        // What is still announced is taken back with that.
        if let Err(error) = self.daemon.shutdown() {
            tracing::debug!(%error, "multicast DNS did not stop");
        }
    }
}

fn choose(daemon: &ServiceDaemon, interfaces: &Interfaces) -> Result<(), mdns_sd::Error> {
    if !interfaces.only.is_empty() {
        daemon.disable_interface(IfKind::All)?;
        for name in &interfaces.only {
            daemon.enable_interface(IfKind::Name(name.clone()))?;
        }
    }
    if interfaces.loopback {
        return daemon.enable_interface(vec![IfKind::LoopbackV4]);
    }
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])
}

/// One label of a host's name, as DNS takes it.
fn host_label(host: &str) -> String {
    const LABEL_BYTES_MAX: usize = 63;
    let first = host.split('.').next().unwrap_or_default();
    let label: String =
        first.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    let label: String = label.chars().take(LABEL_BYTES_MAX).collect();
    if label.is_empty() { "niia".to_owned() } else { label }
}

/// Whether the table changed.
fn take(
    event: ServiceEvent,
    own: NodeId,
    table: &Mutex<Sightings>,
    known: &(impl Fn(&NodeId) -> bool + Send),
) -> bool {
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        ServiceEvent::ServiceResolved(service) => match read(&service) {
            Ok(sighting) if sighting.id == own => false,
            Ok(sighting) => table.put(sighting, Instant::now(), known),
            Err(error) => {
                tracing::debug!(%error, "an announcement that says nothing");
                false
            }
        },
        ServiceEvent::ServiceRemoved(_, name) => table.gone(&name),
        _ => false,
    }
}

fn read(service: &ResolvedService) -> Result<Sighting, SightingError> {
    let text = |key: &str| service.get_property_val(key).flatten();
    let addresses = service.get_addresses().iter().filter_map(|ip| address(ip, service.get_port()));
    Sighting::read(service.get_fullname(), service.get_hostname(), addresses, &text)
}

/// An address to dial; a link-local one of IPv6 is worth nothing without its interface.
fn address(ip: &ScopedIp, port: u16) -> Option<SocketAddr> {
    match ip {
        ScopedIp::V4(v4) => Some(SocketAddr::from((*v4.addr(), port))),
        ScopedIp::V6(v6) => {
            let scope = if v6.addr().is_unicast_link_local() { v6.scope_id().index } else { 0 };
            Some(std::net::SocketAddrV6::new(*v6.addr(), port, 0, scope).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
