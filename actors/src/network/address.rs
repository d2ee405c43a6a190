//! Which addresses are the public Internet's.
//!
//! A name can be made to lead anywhere, so what counts is the address it led to: a connection is made to the very
//! address that was looked at, never to the name again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address belongs to that nobody in a sandbox reaches; nothing for a public one.
pub(super) fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

/// Network, bits and what it is.
const V4: [([u8; 4], u32, &str); 13] = [
    ([0, 0, 0, 0], 8, "this machine"),
    ([10, 0, 0, 0], 8, "a private network"),
    ([100, 64, 0, 0], 10, "a provider's inner network"),
    ([127, 0, 0, 0], 8, "this machine"),
    ([169, 254, 0, 0], 16, "the local link, where clouds keep their metadata"),
    ([172, 16, 0, 0], 12, "a private network"),
    ([192, 0, 0, 0], 24, "a protocol's own use"),
    ([192, 88, 99, 0], 24, "a relay to other networks"),
    ([192, 168, 0, 0], 16, "a private network"),
    ([198, 18, 0, 0], 15, "a laboratory's network"),
    ([224, 0, 0, 0], 4, "many machines at once"),
    ([240, 0, 0, 0], 4, "nobody"),
    ([168, 63, 129, 16], 32, "a cloud's inner service"),
];

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let inside =
        |network: [u8; 4], bits: u32| (address.to_bits() ^ u32::from_be_bytes(network)) >> (32 - bits) == 0;
    V4.iter().find(|(network, bits, _)| inside(*network, *bits)).map(|(_, _, what)| *what)
}

/// Only 2000::/3 has been given out for the Internet; within it, these lead elsewhere. First 16 bits, last 16 bits
/// of the first 32, bits.
const V6: [([u16; 2], u32, &str); 2] =
    [([0x2001, 0], 23, "a protocol's own use, or a tunnel"), ([0x2002, 0], 16, "a tunnel to other networks")];

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let words = address.segments();
    if words[0] >> 13 != 1 {
        // Loopback, link-local, unique local, multicast, and all that hide an older address within: mapped,
        // compatible, translated (64:ff9b::/96).
        return Some(if address.is_loopback() || address.is_unspecified() {
            "this machine"
        } else {
            "no public network"
        });
    }
    let first = u32::from(words[0]) << 16 | u32::from(words[1]);
    let inside = |network: [u16; 2], bits: u32| {
        (first ^ (u32::from(network[0]) << 16 | u32::from(network[1]))) >> (32 - bits) == 0
    };
    V6.iter().find(|(network, bits, _)| inside(*network, *bits)).map(|(_, _, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reached() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(forbidden(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "128.0.0.1",
            "169.253.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "192.169.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:200::1",
            "2003::1",
        ] {
            assert_eq!(forbidden(text.parse().unwrap()), None, "{text}");
        }
    }
}
