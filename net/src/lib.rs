//! room
pub mod discovery;
pub mod endpoint;
pub mod frame;
pub mod handover;
pub mod identity;
pub mod lease;
pub mod link;
pub mod pairing;
pub mod peer;
#[cfg(feature = "probe")]
pub mod probe;
pub mod reconnect;
pub mod relay;
pub mod transfer;
pub mod trust;
pub mod wire;

#[cfg(any(test, feature = "probe"))]
pub mod fuzz;

/// A hash of contents, for telling versions apart.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
