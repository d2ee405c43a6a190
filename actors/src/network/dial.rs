//! Ways out of a session: sockets and their addresses.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// What is done once a server is there.
pub(super) enum Wanted {
    Tls { host: String, early: Vec<u8> },
    Plain { name: String },
    Question { name: String, request: Vec<u8> },
}

impl Wanted {
    pub fn name(&self) -> &str {
        match self {
            Wanted::Tls { host, .. } => host,
            Wanted::Plain { name } | Wanted::Question { name, .. } => name,
        }
    }
}

/// Of an address of a page only the part before its path: behind it there may be secrets.
pub(super) fn site_of(target: &str) -> &str {
    let after_scheme = target.find("://").map_or(0, |at| at + 3);
    let end = target[after_scheme..].find(['/', '?', '#']).map_or(target.len(), |at| after_scheme + at);
    let site = &target[..end];
    if site.contains('@') || site.is_empty() { "(a page)" } else { site }
}

/// This machine itself, in both of its forms: some servers listen at one of them only.
pub(super) fn loopback(port: u16) -> VecDeque<SocketAddr> {
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()
}

pub(super) fn begin_connect(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}
