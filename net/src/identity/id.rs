//! The name of a node that nobody else can bear: a hash of its public key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the hash is for, so that the same key hashed for anything else gives something else.
const CONTEXT: &str = "niia 2026 node id";
/// Hexadecimal digits of a whole id.
const DIGITS: usize = 64;
/// Digits that stand for a node in lists; nothing is decided by them.
const SHORT_DIGITS: usize = 16;

/// A node, by its key. Also its fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId([u8; 32]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has {DIGITS} hexadecimal digits; `niia peer ls` on that machine shows its own")]
pub struct NodeIdError;

impl NodeId {
    /// The node of a public key, given as its SubjectPublicKeyInfo.
    pub fn of_key(public_key: &[u8]) -> NodeId {
        NodeId(blake3::derive_key(CONTEXT, public_key))
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Enough to tell the nodes of a list apart.
    pub fn short(&self) -> String {
        let mut whole = self.to_string();
        whole.truncate(SHORT_DIGITS);
        whole
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<NodeId, NodeIdError> {
        let digits: Vec<u8> = text.bytes().filter(|b| !matches!(b, b' ' | b':' | b'-')).collect();
        if digits.len() != DIGITS {
            return Err(NodeIdError);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(NodeIdError);
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
            // Two digits of four bits each fit a byte.
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(NodeId(id))
    }
}

impl TryFrom<String> for NodeId {
    type Error = NodeIdError;
    fn try_from(text: String) -> Result<NodeId, NodeIdError> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown_however_it_is_grouped() {
        let id = NodeId::of_key(b"some key");
        assert_eq!(id.to_string().parse(), Ok(id));
        let grouped: Vec<String> =
            id.to_string().as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c).to_uppercase()).collect();
        assert_eq!(grouped.join(":").parse(), Ok(id));
        for wrong in ["", "abcd", &id.to_string()[1..], &format!("g{}", &id.to_string()[1..])] {
            assert_eq!(wrong.parse::<NodeId>(), Err(NodeIdError), "{wrong}");
        }
    }
}
