//! What `niia.toml` says of the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use niia_net::endpoint::{EndpointError, PORT_DEFAULT};
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
        }
    }
}

impl NetworkSettings {
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
    }
}
