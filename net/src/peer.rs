//! Another node, once it is let in: the greeting on the control stream, and the streams of a link.
//!
//! The handshake proves a key. What that key may do is said in the first frames of the first stream, and the end that
//! dialled believes in the connection only when it has read them: a refusal shows there, in words, to both sides.

mod greeting;
mod link;
mod outgoing;
mod pair;
mod tap;

pub use greeting::{Greeting, Pairing, Refused, RefusedWhy, Refusing, Welcomed, admit_work, greet};
pub use link::{CloseCode, PeerLink, Stream};
pub use outgoing::Outgoing;
pub use pair::{PairError, Paired, show, type_in};
pub use tap::{CAPTURE_BYTES_MAX, Tap};

use crate::identity::NodeId;
use crate::link::LinkError;

/// Why two nodes do not work together.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error(
        "the machine that answers is not the one that was paired: its fingerprint is {came}, the known one is {wanted}. If it was set up anew, `niia peer rm` it and pair again"
    )]
    WrongKey { wanted: NodeId, came: NodeId },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the connection broke: {reason}")]
    Connection { reason: String },
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the other end did not greet in time")]
    Silent,
}

#[cfg(test)]
mod tests;
