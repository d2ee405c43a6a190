//! What `niia.toml` says of the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use niia_net::endpoint::{EndpointError, IDLE, PORT_DEFAULT};
use serde::Deserialize;

/// `[network]` of `niia.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSettings {
    /// Listen here from the start, with peers or without; otherwise everywhere, while there is need.
    pub listen: Option<SocketAddr>,
    /// Find nodes by multicast DNS, and be found.
    pub discover: bool,
    /// Find and be found on these networks alone.
    pub interfaces: Vec<String>,
    /// Be found by other nodes of this machine, too.
    pub loopback: bool,
    /// What this node is called among others; the host's name where nothing is said.
    pub name: Option<String>,
    /// Further names by which documents may mean this machine.
    pub names: Vec<String>,
    /// Without a word for so long another machine counts as not reached, in milliseconds.
    #[serde(deserialize_with = "bounded")]
    pub lease_ms: u64,
    /// Write down in this file everything that is said to other nodes, before it is encrypted: for whoever wants to see
    /// what leaves this machine.
    pub capture: Option<std::path::PathBuf>,
}

/// Shorter than this a busy machine is taken for one that is gone.
const LEASE_MS_MIN: u64 = 500;
/// Longer than this nobody waits to hear that a machine is gone.
const LEASE_MS_MAX: u64 = 10 * 60 * 1_000;

fn bounded<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let lease = u64::deserialize(from)?;
    if (LEASE_MS_MIN..=LEASE_MS_MAX).contains(&lease) {
        return Ok(lease);
    }
    let why = format!("lease_ms is {lease}; it lies between {LEASE_MS_MIN} and {LEASE_MS_MAX}");
    Err(serde::de::Error::custom(why))
}

impl Default for NetworkSettings {
    fn default() -> NetworkSettings {
        NetworkSettings {
            listen: None,
            discover: true,
            interfaces: Vec::new(),
            loopback: false,
            name: None,
            names: Vec::new(),
            lease_ms: IDLE.as_millis() as u64,
            capture: None,
        }
    }
}

impl NetworkSettings {
    pub(super) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// Where to listen, the best first.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        if let Some(listen) = self.listen {
            return vec![listen];
        }
        let everywhere = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        let ports = [PORT_DEFAULT, 0];
        ports.iter().flat_map(|port| everywhere.map(|ip| SocketAddr::new(ip, *port))).collect()
    }
}

pub(super) fn no_address() -> EndpointError {
    EndpointError::Bind {
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        source: std::io::ErrorKind::AddrNotAvailable.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_listens_where_it_is_told_and_else_at_the_port_of_niia_first() {
        let told: NetworkSettings = toml::from_str("listen = \"127.0.0.1:7000\"").unwrap();
        assert_eq!(told.addresses(), ["127.0.0.1:7000".parse().unwrap()]);
        let first = NetworkSettings::default().addresses();
        assert_eq!(first[0], "[::]:6442".parse().unwrap());
        assert_eq!(first.last().unwrap(), &"0.0.0.0:0".parse().unwrap());
        assert!(toml::from_str::<NetworkSettings>("listens = 3").is_err());
        assert_eq!(told.lease(), Duration::from_secs(8));
        let hasty = toml::from_str::<NetworkSettings>("lease_ms = 3").unwrap_err();
        assert!(hasty.to_string().contains("between 500 and 600000"), "{hasty}");
    }
}
