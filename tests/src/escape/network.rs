//! The network: leaving by any protocol a plain user has, and being visited from outside.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::sys::ask;
use super::{Attempt, Claim, Scene, missed, reached};

/// How long an answer may take, and how long a visitor is waited for.
const WAIT: Duration = Duration::from_secs(2);

/// The protocol numbers the C library has no names for here.
const UDPLITE: i32 = 136;
const MPTCP: i32 = 262;

fn connect(address: impl Into<SocketAddr>) -> Claim {
    let mut stream = TcpStream::connect_timeout(&address.into(), WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.write_all(b"knock\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    reached(answer)
}

fn send(from: &str, to: impl Into<SocketAddr>) -> Claim {
    UdpSocket::bind(from)?.send_to(b"knock", to.into())?;
    reached("sent")
}

/// `struct sockaddr_in` of this machine.
fn address(port: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = 2;
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    bytes[4..8].copy_from_slice(&[127, 0, 0, 1]);
    bytes
}

/// Connects by a socket of this kind.
fn by(domain: i32, kind: i32, protocol: i32, port: u16) -> Claim {
    let fd = ask!(libc::SYS_socket, domain, kind, protocol)?;
    ask!(libc::SYS_connect, fd, address(port).as_ptr(), 16)?;
    ask!(libc::SYS_write, fd, b"knock".as_ptr(), 5)?;
    reached("sent")
}

/// Waits for a visitor from outside and hears what it says.
fn host(scene: &Scene, at: &str) -> Claim {
    let listener = TcpListener::bind(at)?;
    scene.ready(&format!("visit {}", listener.local_addr()?.port()))?;
    listener.set_nonblocking(true)?;
    let begun = Instant::now();
    while begun.elapsed() < WAIT {
        if let Ok((mut stream, _)) = listener.accept() {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(WAIT))?;
            let mut said = String::new();
            stream.read_to_string(&mut said)?;
            return reached(said);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    missed("nobody came")
}

/// A question for the address of `example.com`.
const QUESTION: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("tcp", "connects to a port of the machine", |s| connect((Ipv4Addr::LOCALHOST, s.tcp))),
    Attempt::outside("tcp-any", "connects to the address of nobody, which is this machine", |s| {
        connect((Ipv4Addr::UNSPECIFIED, s.tcp))
    }),
    Attempt::outside("tcp-127-x", "connects to another address of the loop", |s| {
        connect((Ipv4Addr::new(127, 9, 9, 9), s.tcp))
    }),
    Attempt::outside("tcp6", "connects by the newer protocol", |s| connect((Ipv6Addr::LOCALHOST, s.tcp6))),
    Attempt::outside("tcp-mapped", "connects to the old address written as a new one", |s| {
        connect((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), s.tcp))
    }),
    Attempt::outside("tcp-bound", "connects from a port chosen before", |s| {
        let fd = ask!(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0)?;
        ask!(libc::SYS_bind, fd, address(0).as_ptr(), 16)?;
        ask!(libc::SYS_connect, fd, address(s.tcp).as_ptr(), 16)?;
        reached("connected")
    }),
    Attempt::outside("tcp-fast", "connects by sending its first bytes", |s| {
        let fd = ask!(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0)?;
        let to = address(s.tcp);
        ask!(libc::SYS_sendto, fd, b"knock".as_ptr(), 5, libc::MSG_FASTOPEN, to.as_ptr(), 16)?;
        reached("sent")
    }),
    Attempt::outside("tcp-nonblocking", "connects without waiting", |s| {
        let fd = ask!(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0)?;
        let _begun = ask!(libc::SYS_connect, fd, address(s.tcp).as_ptr(), 16);
        std::thread::sleep(Duration::from_millis(100));
        ask!(libc::SYS_write, fd, b"knock".as_ptr(), 5)?;
        reached("sent")
    }),
    Attempt::outside("mptcp", "connects by several ways at once", |s| {
        by(libc::AF_INET, libc::SOCK_STREAM, MPTCP, s.tcp)
    }),
    Attempt::outside("udp", "sends a datagram", |s| send("0.0.0.0:0", (Ipv4Addr::LOCALHOST, s.udp))),
    Attempt::outside("udp6", "sends a datagram by the newer protocol", |s| {
        send("[::]:0", (Ipv6Addr::LOCALHOST, s.udp6))
    }),
    Attempt::outside("udp-connected", "connects before it sends a datagram", |s| {
        by(libc::AF_INET, libc::SOCK_DGRAM, 0, s.udp)
    }),
    Attempt::told("udp-lite", "opens a socket of the lighter datagrams", |_| {
        ask!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, UDPLITE)?;
        reached("open")
    }),
    Attempt::outside("udp-many", "sends several datagrams by one call", |s| {
        let fd = ask!(libc::SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        let to = address(s.udp);
        let piece = [b"knock".as_ptr() as u64, 5];
        // `struct mmsghdr`: name, its length, pieces, their number, control, its length, flags, what was sent.
        let message = [to.as_ptr() as u64, 16, piece.as_ptr() as u64, 1, 0, 0, 0, 0];
        ask!(libc::SYS_sendmmsg, fd, message.as_ptr(), 1, 0)?;
        reached("sent")
    }),
    Attempt::outside("dns", "asks a name server", |s| {
        let server: SocketAddr = s.dns.parse().map_err(std::io::Error::other)?;
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.send_to(QUESTION, server)?;
        reached("asked")
    }),
    Attempt::outside("dns-tcp", "asks a name server over a connection", |s| {
        let server: SocketAddr = s.dns.parse().map_err(std::io::Error::other)?;
        connect(server)
    }),
    Attempt::outside("multicast", "sends to whoever listens", |s| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.send_to(b"knock", (Ipv4Addr::new(127, 255, 255, 255), s.udp)).or_else(|_| {
            ask!(libc::SYS_setsockopt, std::os::fd::AsRawFd::as_raw_fd(&socket), 1, 6, &raw const ONE, 4)?;
            socket.send_to(b"knock", (Ipv4Addr::LOCALHOST, s.udp))
        })?;
        reached("sent")
    }),
    Attempt::outside("be-visited", "lets somebody outside in at a port", |s| host(s, "127.0.0.1:0")),
    Attempt::outside("be-visited-anywhere", "lets somebody in at every address", |s| host(s, "0.0.0.0:0")),
    Attempt::outside("be-visited-by-6", "lets somebody in by the newer protocol", |s| host(s, "[::]:0")),
    Attempt::told("list-connections", "reads which ports of the machine are open", |s| {
        let list = std::fs::read_to_string("/proc/net/tcp")?;
        let port = format!(":{:04X}", s.tcp);
        if list.contains(&port) { reached("listed") } else { missed("the scene's port is not listed") }
    }),
];

static ONE: i32 = 1;
