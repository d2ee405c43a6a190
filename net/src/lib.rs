//! room
pub mod discovery;
pub mod endpoint;
pub mod frame;
pub mod identity;
pub mod lease;
pub mod link;
pub mod pairing;
pub mod peer;
pub mod reconnect;
pub mod transfer;
pub mod trust;
pub mod wire;
