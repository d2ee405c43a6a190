//! The table of what was announced. Pure but for the time that comes in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::identity::NodeId;
use crate::trust::{plain, shown};

/// Nodes remembered at a time: more than a network of people has, and no flood fills more.
pub const SIGHTINGS_MAX: usize = 256;
/// Addresses remembered of one node.
pub const ADDRESSES_MAX: usize = 16;
/// Hexadecimal digits of an id as it is announced.
const ID_BYTES: usize = 64;

/// A node that was heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub id: NodeId,
    /// The name of its host, fit to be shown.
    pub host: String,
    pub user: String,
    pub addresses: Vec<SocketAddr>,
    pub pairs: bool,
    /// Which announcement it comes from.
    pub instance: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SightingError {
    #[error("it names no node")]
    NoId,
    #[error("it names no address that can be dialled")]
    NoAddress,
    #[error("it is announced under another node's name")]
    Foreign,
}

impl Sighting {
    /// Reads an announcement; every part of it may be anything.
    pub fn read<'a>(
        instance: &str,
        host: &str,
        addresses: impl Iterator<Item = SocketAddr>,
        text: &dyn Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<Sighting, SightingError> {
        let id = text("id").filter(|id| id.len() == ID_BYTES).ok_or(SightingError::NoId)?;
        let id = std::str::from_utf8(id).ok().and_then(|id| id.parse::<NodeId>().ok());
        let id = id.ok_or(SightingError::NoId)?;
        // One announcement for each node, so that a goodbye concerns the node that says it.
        if !instance.to_lowercase().starts_with(&format!("{}.", id.short())) {
            return Err(SightingError::Foreign);
        }
        let mut addresses: Vec<SocketAddr> = addresses.filter(can_be_dialled).take(ADDRESSES_MAX).collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(SightingError::NoAddress);
        }
        let words = |key| text(key).map(|bytes| shown(&String::from_utf8_lossy(bytes))).unwrap_or_default();
        Ok(Sighting {
            id,
            host: shown(host.trim_end_matches('.')),
            user: words("user"),
            addresses,
            pairs: text("pair") == Some(b"1"),
            instance: instance.to_lowercase(),
        })
    }
}

fn can_be_dialled(address: &SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}

/// All that was heard of.
#[derive(Debug, Default)]
pub struct Sightings(BTreeMap<NodeId, (Sighting, Instant)>);

impl Sightings {
    /// Remembers a node. A full table forgets whoever of the strangers was heard of longest ago. Whether anything changed.
    pub fn put(&mut self, sighting: Sighting, now: Instant, known: impl Fn(&NodeId) -> bool) -> bool {
        if !self.0.contains_key(&sighting.id) && self.0.len() >= SIGHTINGS_MAX {
            let strangers = self.0.iter().filter(|(id, _)| !known(id));
            let Some(oldest) = strangers.min_by_key(|(_, (_, at))| *at).map(|(id, _)| *id) else {
                return false;
            };
            self.0.remove(&oldest);
        }
        let before = self.0.insert(sighting.id, (sighting.clone(), now));
        before.is_none_or(|(before, _)| before != sighting)
    }

    /// An announcement has ended. Whether anything changed.
    pub fn gone(&mut self, instance: &str) -> bool {
        let before = self.0.len();
        let instance = instance.to_lowercase();
        self.0.retain(|_, (sighting, _)| sighting.instance != instance);
        self.0.len() != before
    }

    #[must_use]
    pub fn all(&self) -> Vec<Sighting> {
        self.0.values().map(|(sighting, _)| sighting.clone()).collect()
    }

    #[must_use]
    pub fn get(&self, id: &NodeId) -> Option<&Sighting> {
        self.0.get(id).map(|(sighting, _)| sighting)
    }

    #[must_use]
    pub fn named(&self, host: &str) -> Vec<Sighting> {
        let (user, host) = match host.split_once('@') {
            Some((user, host)) => (Some(user), plain(host)),
            None => (None, plain(host)),
        };
        let fits = |s: &&Sighting| plain(&s.host) == host && user.is_none_or(|user| s.user == user);
        self.0.values().map(|(sighting, _)| sighting).filter(fits).cloned().collect()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> NodeId {
        NodeId::of_key(&n.to_le_bytes())
    }

    fn seen(n: u64, host: &str) -> Sighting {
        let id = id(n);
        Sighting {
            id,
            host: host.to_owned(),
            user: format!("u{n}"),
            addresses: vec!["10.0.0.1:6442".parse().unwrap()],
            pairs: false,
            instance: format!("{}.{}", id.short(), super::super::SERVICE),
        }
    }

    fn read(instance: &str, id: &[u8], addresses: &[&str]) -> Result<Sighting, SightingError> {
        let addresses = addresses.iter().map(|a| a.parse().unwrap());
        Sighting::read(instance, "A\x1b[2J.local.", addresses, &|key| (key == "id").then_some(id))
    }

    #[test]
    fn an_announcement_counts_for_the_node_it_names_and_for_no_other() {
        let text = id(1).to_string();
        let instance = format!("{}._niia._udp.local.", id(1).short());
        let good = read(&instance, text.as_bytes(), &["10.0.0.2:1", "0.0.0.0:1", "10.0.0.2:1", "10.0.0.3:0"]);
        let good = good.unwrap();
        assert_eq!(good.addresses, ["10.0.0.2:1".parse().unwrap()]);
        assert_eq!(good.host, "A[2J.local");
        let other = format!("{}._niia._udp.local.", id(2).short());
        assert_eq!(read(&other, text.as_bytes(), &["10.0.0.2:1"]), Err(SightingError::Foreign));
        assert_eq!(read(&instance, text.as_bytes(), &["224.0.0.1:1"]), Err(SightingError::NoAddress));
        for junk in [&b""[..], b"abc", &[0xff; 64], &[b'g'; 64]] {
            assert_eq!(read(&instance, junk, &["10.0.0.2:1"]), Err(SightingError::NoId));
        }
    }

    #[test]
    fn a_flood_of_strangers_fills_no_more_than_the_table_and_pushes_out_no_peer() {
        let (mut table, began) = (Sightings::default(), Instant::now());
        let known = |node: &NodeId| *node == id(3);
        for n in 0..10_000 {
            let at = began + std::time::Duration::from_millis(n);
            table.put(seen(n, "flood.local"), at, known);
            assert!(table.len() <= SIGHTINGS_MAX);
        }
        assert!(table.get(&id(3)).is_some(), "a peer stays");
        assert!(table.get(&id(9_999)).is_some(), "the newest stranger is there");
        assert!(table.get(&id(4)).is_none(), "the oldest is not");
    }

    #[test]
    fn two_hosts_of_one_name_are_both_shown_and_a_goodbye_concerns_its_own_node() {
        let (mut table, now) = (Sightings::default(), Instant::now());
        assert!(table.put(seen(1, "Build-Server.local"), now, |_| false));
        assert!(table.put(seen(2, "build-server.local"), now, |_| false));
        assert!(!table.put(seen(2, "build-server.local"), now, |_| false), "nothing new");
        assert_eq!(table.named("BUILD-SERVER").len(), 2);
        assert_eq!(table.named("u2@build-server.local"), [seen(2, "build-server.local")]);
        assert!(table.gone(&seen(1, "").instance.to_uppercase()));
        assert!(!table.gone("nobody._niia._udp.local."));
        assert_eq!(table.named("build-server").len(), 1);
    }
}
