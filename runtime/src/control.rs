//! The way between the command line and the node: one protocol over a unix socket.

pub(crate) mod caller;
pub mod client;
pub mod parts;
pub mod ready;
pub mod server;
pub mod words;

/// A new name for a letter. It is made by whoever sends it, so that sending it again is no second letter.
pub fn letter_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// What is spoken on the node's socket, as both ends say in their greeting.
pub const SPOKEN: &str = "niia control";
