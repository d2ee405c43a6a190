//! The network: none but a loopback of the session's own, or the machine's.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::sandbox::kernel;
use crate::sandbox::policy::Network;
use crate::sandbox::refusal::at;
use crate::sandbox::wire::Layers;
use crate::sandbox::{Policy, Refusal};

const CURE: &str = "please report this with the output of `niia doctor`";

/// Raises the loopback and makes the listeners that are handed out.
pub(in super::super) fn make(policy: &Policy, layers: &mut Layers) -> Result<Vec<OwnedFd>, Refusal> {
    if policy.network == Network::Open {
        layers.insert("network".to_owned(), "open: the machine's own".to_owned());
        return Ok(Vec::new());
    }
    raise_loopback()
        .map_err(|error| Refusal::new("network", at("the loopback cannot be raised", error), CURE))?;
    let devices = devices().map_err(|error| Refusal::new("network", at("devices", error), CURE))?;
    // Some kernels give every new namespace the ends of tunnels, which are down and lead nowhere.
    if !devices.iter().any(|device| device == "lo") {
        return Err(Refusal::new("network", "there is no loopback", CURE));
    }
    let routes = std::fs::read_to_string("/proc/self/net/route").unwrap_or_default();
    if routes.lines().count() > 1 {
        return Err(Refusal::new("network", "there is a route out", CURE));
    }
    let mut listeners = Vec::with_capacity(policy.listen.len());
    for listen in &policy.listen {
        let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, listen.port));
        listeners.push(OwnedFd::from(listener.map_err(|error| {
            Refusal::new("network", at(format!("port {} cannot be listened on", listen.port), error), CURE)
        })?));
    }
    let ports: Vec<String> = policy.listen.iter().map(|listen| listen.port.to_string()).collect();
    layers.insert(
        "network".to_owned(),
        format!(
            "closed: devices {}, no route, ports that are answered: {}",
            devices.join(" "),
            if ports.is_empty() { "none".to_owned() } else { ports.join(" ") }
        ),
    );
    Ok(listeners)
}

fn raise_loopback() -> io::Result<()> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let flags = kernel::raise_device(socket.as_fd(), c"lo")?;
    if flags & libc::IFF_UP == 0 { Err(io::Error::other("it stays down")) } else { Ok(()) }
}

fn devices() -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string("/proc/self/net/dev")?;
    Ok(text.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect())
}
