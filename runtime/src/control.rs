//! The way between the command line and the node: one protocol over a unix socket.

pub(crate) mod caller;
pub mod client;
pub mod parts;
pub mod ready;
pub mod server;
pub mod words;

/// What is spoken on the node's socket, as both ends say in their greeting.
pub const SPOKEN: &str = "niia control";
