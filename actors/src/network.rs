//! What a session that is kept from the network may still reach, and the process that carries it there.
//!
//! A sandboxed program lives in a network namespace in which there is nothing but listeners that were made in it and
//! handed out. Behind them stands the session's *carrier*: a bare fork of its minder, one thread, that accepts, decides
//! by [`Rules`] and carries bytes. It ends with its session, whatever is killed, and lives on when the node dies.
//!
//! | port inside | what it is |
//! |---|---|
//! | [`PROXY_PORT`] | a proxy for `CONNECT host:443`, hosts by rule, the certificate's name compared |
//! | any other | a way to one port of this machine's loopback, through a gateway for models or as it is |
//!
//! Every decision is written into the session's folder ([`decisions`]).

mod address;
mod carrier;
mod connection;
pub mod decisions;
mod dial;
mod flow;
mod gateway;
mod head;
mod hello;
mod lookup;
mod name;
mod process;
pub(crate) mod rehearsal;
mod rules;
mod shared;

#[cfg(test)]
mod tests;

pub use decisions::{Decisions, contacts};
pub use name::{NameError, Pattern};
pub(crate) use process::Carried;
pub use process::carry;
pub use rules::{Forward, Kind, Rules, RulesError};

/// Where the proxy listens inside a session's namespace.
pub const PROXY_PORT: u16 = 3128;
