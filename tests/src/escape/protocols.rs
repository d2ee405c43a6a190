//! Kinds of sockets few programs need: each is a way out, or a piece of the kernel few people look at.

use super::sys::ask;
use super::{Attempt, Claim, missed, reached};

fn opens(domain: i32, kind: i32, protocol: i32) -> Claim {
    let fd = ask!(libc::SYS_socket, domain, kind, protocol)?;
    reached(format!("descriptor {fd}"))
}

/// `struct nlmsghdr` and the body of a question about all interfaces.
fn interfaces() -> Claim {
    let fd = ask!(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
    let mut question = [0_u8; 32];
    question[0] = 32;
    question[4] = 18;
    question[6..8].copy_from_slice(&0x301_u16.to_ne_bytes());
    ask!(libc::SYS_sendto, fd, question.as_ptr(), 32, 0, 0, 0)?;
    let mut answer = vec![0_u8; 32 * 1024];
    let count = ask!(libc::SYS_recvfrom, fd, answer.as_mut_ptr(), 32 * 1024, 0, 0, 0)?;
    let count = usize::try_from(count).unwrap_or(0);
    // Each interface says its name; beside the loop there is nothing in an empty network.
    let mut names = 0;
    let mut rest = &answer[..count];
    while rest.len() >= 16 {
        let length = usize::try_from(u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]])).unwrap_or(0);
        if length < 16 || length > rest.len() {
            break;
        }
        names += usize::from(rest[4] == 16);
        rest = &rest[length.next_multiple_of(4).min(rest.len())..];
    }
    if names > 1 { reached(format!("{names} interfaces")) } else { missed("only the loop is there") }
}

const RAW_WHY: &str = "the kernel asks for a capability";
const NOT_BUILT: &str = "this kernel was built without it";

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::told("raw", "opens a socket that makes its own packets", |_| {
        opens(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
    })
    .root(RAW_WHY),
    Attempt::told("raw6", "opens one of the newer protocol", |_| {
        opens(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6)
    })
    .root(RAW_WHY),
    Attempt::told("packet", "opens a socket that sees every packet", |_| {
        opens(libc::AF_PACKET, libc::SOCK_RAW, 0)
    })
    .root(RAW_WHY),
    Attempt::told("ping", "opens a socket for echoes", |_| {
        opens(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP)
    })
    .never("the range of groups that may is empty here"),
    Attempt::told("vsock", "opens a socket to the machine's host", |_| {
        opens(libc::AF_VSOCK, libc::SOCK_STREAM, 0)
    }),
    Attempt::told("vsock-letters", "opens one for datagrams to the host", |_| {
        opens(libc::AF_VSOCK, libc::SOCK_SEQPACKET, 0)
    }),
    Attempt::told("xdp", "opens a socket on a card's own queue", |_| opens(libc::AF_XDP, libc::SOCK_RAW, 0))
        .root(RAW_WHY),
    Attempt::told("interfaces", "lists the machine's network cards", |_| interfaces()),
    Attempt::told("netlink-diagnose", "asks the kernel about all sockets", |_| {
        opens(libc::AF_NETLINK, libc::SOCK_RAW, 4)
    }),
    Attempt::told("netlink-devices", "hears of every device that comes and goes", |_| {
        opens(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_KOBJECT_UEVENT)
    }),
    Attempt::told("netlink-generic", "speaks to any part of the kernel that listens", |_| {
        opens(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_GENERIC)
    }),
    Attempt::told("netlink-filter", "speaks to the packet filter", |_| {
        opens(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)
    }),
    Attempt::told("netlink-audit", "speaks to the audit", |_| {
        opens(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT)
    }),
    Attempt::told("crypto", "opens the kernel's cryptography", |_| {
        opens(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
    })
    .never(NOT_BUILT),
    Attempt::told("bluetooth", "opens a socket to the radio", |_| {
        opens(libc::AF_BLUETOOTH, libc::SOCK_RAW, 1)
    })
    .never(NOT_BUILT),
    Attempt::told("can", "opens a socket to a car's bus", |_| opens(libc::AF_CAN, libc::SOCK_RAW, 1))
        .never(NOT_BUILT),
    Attempt::told("tipc", "opens a socket to a cluster", |_| opens(libc::AF_TIPC, libc::SOCK_STREAM, 0))
        .never(NOT_BUILT),
    Attempt::told("key-management", "opens the tables of encrypted links", |_| {
        opens(libc::AF_KEY, libc::SOCK_RAW, 2)
    })
    .never(NOT_BUILT),
    Attempt::told("sctp", "opens a socket of streams of letters", |_| {
        opens(libc::AF_INET, libc::SOCK_SEQPACKET, 132)
    })
    .never(NOT_BUILT),
    Attempt::told("rds", "opens a socket to other memories", |_| opens(21, libc::SOCK_SEQPACKET, 0))
        .never(NOT_BUILT),
    Attempt::told("smc", "opens a socket that shares memory", |_| opens(43, libc::SOCK_STREAM, 0))
        .never(NOT_BUILT),
    Attempt::told("rxrpc", "opens a socket for distant calls", |_| opens(33, libc::SOCK_DGRAM, 2))
        .never(NOT_BUILT),
    Attempt::told("router", "opens a socket to a modem", |_| opens(42, libc::SOCK_DGRAM, 0)).never(NOT_BUILT),
];
