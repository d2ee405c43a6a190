//! The keeper: what owns the terminals, so that sessions outlive the node.
//!
//! `niia keeper` is a process with a single thread that forks and lists *minders* and does nothing else. A minder is
//! a bare fork of the keeper. It is parent and reaper of the program of one session, owner of the terminal's master
//! and the only reader of it: what the program prints goes to the session's recording first, and only then somebody
//! is told how far the recording has grown. A minder parses nothing and answers nothing.
//!
//! | what is killed | what is lost |
//! |---|---|
//! | the node | nothing: minders record on, [`Terminal::open`] finds them by their folders |
//! | the keeper | nothing: minders record on, the next start of a session starts a new keeper |
//! | a minder | that session; its descendants are ended by the keeper, or by [`sweep`], and it is reported as lost |
//!
//! [`Keeper`] and [`Terminal`] are the node's side. One folder belongs to one session; in it lie the recording
//! ([`crate::recording`]) and the socket of the minder. Messages are in `wire`.

mod client;
mod daemon;
mod descriptors;
pub(crate) mod kernel;
mod made;
mod minder;
mod program;
mod sweep;
mod terminal;
mod tree;
mod wire;

pub use client::Keeper;
pub use daemon::{main, tidy};
pub use descriptors::raise as raise_descriptors;
pub use made::made;
pub use program::{Program, StartError};
pub use sweep::{Swept, is_minded, sweep};
pub use terminal::{Lost, Notice, OpenError, Opened, OrderError, Terminal, release};

pub use crate::recording::{Exit, ExitStatus, Mark, MarkKind, Why};

/// The name, in a session's environment, of what the node calls the session.
pub const SESSION_VARIABLE: &str = "NIIA_SESSION";
/// The name, in a session's environment, of the random number by which its processes are known as its own.
pub const SESSION_MARK_VARIABLE: &str = "NIIA_SESSION_MARK";

/// A terminal is at least so large: programs divide by these numbers.
pub const COLS_MIN: u16 = 2;
pub const ROWS_MIN: u16 = 2;
/// A terminal is at most so large: a screen model allocates by their product.
pub const COLS_MAX: u16 = 1_000;
pub const ROWS_MAX: u16 = 1_000;

/// A size of a terminal within its bounds.
#[must_use]
pub fn clamp_size(cols: u16, rows: u16) -> (u16, u16) {
    (cols.clamp(COLS_MIN, COLS_MAX), rows.clamp(ROWS_MIN, ROWS_MAX))
}
