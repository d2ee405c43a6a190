//! The way between the command line and the node: one protocol over a unix socket.

pub mod client;
pub mod words;
