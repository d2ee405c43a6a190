//! The way from inside a sandbox to the node: a socket of the session's own.
//!
//! A sandboxed session does not see the node's state, its sockets included. It gets one of its own, in a folder of its
//! own, at which whoever knocks is known to be that session, whatever user it runs as.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;

use niia_spec::name::SessionId;

/// An open door; it is shut when this is dropped.
pub type Door = Box<dyn Any + Send + Sync>;

/// Opens doors: the node itself, which alone knows how to answer.
pub trait Doors: fmt::Debug + Send + Sync {
    /// Answers at `socket`, whose folder is there, as long as the door is kept.
    fn open(&self, session: &SessionId, socket: &Path) -> io::Result<Door>;
}
