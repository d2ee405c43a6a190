//! The sandbox of a session: what it may do, and the helper that makes it so.
//!
//! A [`Policy`] is plain data: what may be written, what is hidden, which network there is. The minder of a session
//! starts, in place of the session's program, this same executable once more as a *helper* ([`helper_main`]), with the
//! policy on descriptor 3. The helper builds the sandbox around itself layer by layer, looks at each layer after it was
//! made, tells the minder what it found, and becomes the program only when the minder says so.
//!
//! | process | where it is | what it does |
//! |---|---|---|
//! | helper | the machine's own process namespace | waits, and ends as the program ended |
//! | first process | number 1 of the new namespaces | makes the layers, buries the dead; when it goes, all go |
//! | program | its child | what the session is about |
//!
//! There is no half: what cannot be made in full is a [`Refusal`], and the program is not started. Tier 1, the only one
//! there is, stands on Linux's namespaces, landlock and seccomp together; each property has at least one of them, most
//! have two.
//!
//! [`begin`] is the other side of the line: what a minder, or a test, says to the helper it starts.

mod helper;
mod kernel;
mod launcher;
mod layers;
mod mounts;
mod policy;
mod probe;
mod refusal;
mod wire;

pub use helper::main as helper_main;
pub use launcher::{Begun, EntryError, Line, begin, clothe, command};
pub use policy::{
    Listen, MEMORY_BYTES_MIN, Network, PIDS_MAX_DEFAULT, PIDS_MIN, POLICY_VERSION, Policy, RunAs,
    TMP_BYTES_MAX_DEFAULT,
};
pub use probe::{Proof, prove};
pub use refusal::Refusal;
pub use wire::{Layers, Made};

/// The hidden verb by which the executable is the helper.
pub const HELPER_VERB: &str = "sandbox-exec";
/// How the helper leaves where it refuses.
pub const EXIT_REFUSED: u8 = 125;
/// How the helper leaves where the program cannot be started in the sandbox that was made.
pub const EXIT_NOT_STARTED: u8 = 127;
/// What the names of the program's variables begin with in the helper's environment.
const ENV_PREFIX: &str = "N_";
/// Where the helper finds the line to whoever started it.
const LINE_DESCRIPTOR: i32 = 3;
