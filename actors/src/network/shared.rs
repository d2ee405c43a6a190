//! What all connections of a session have in common.

use std::net::IpAddr;

use super::decisions::Log;
use super::flow;
use super::lookup::Resolve;
use super::rules::{Kind, Rules};

/// The only port a proxy leads to: what is spoken there is TLS, and the name in it can be compared.
pub(super) const PORT: u16 = 443;

/// How names become connections.
pub(super) struct Reach {
    pub resolve: Box<dyn Resolve + Send>,
    /// Why an address is nobody's to reach.
    pub forbidden: fn(IpAddr) -> Option<&'static str>,
    /// Where the port that is asked for really lies.
    pub port: u16,
}

impl Reach {
    /// The Internet, by the system's resolver.
    pub fn public() -> Reach {
        Reach { resolve: Box::new(super::lookup::System), forbidden: super::address::forbidden, port: PORT }
    }
}

/// What all connections of a session share.
pub(super) struct Shared {
    pub rules: Rules,
    pub reach: Reach,
    pub log: Log,
    pub piece: Option<Box<[u8]>>,
    /// Bytes of unfinished requests.
    pub unfinished_bytes: usize,
    /// Whether one more name may be looked up now.
    pub may_look_up: bool,
}

impl Shared {
    pub fn piece(&mut self) -> &mut [u8] {
        self.piece.get_or_insert_with(|| vec![0; flow::PIECE_BYTES].into_boxed_slice())
    }
}

/// Where a client came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Proxy,
    Forward { port: u16, kind: Kind },
}
