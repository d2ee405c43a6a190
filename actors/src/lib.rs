//! What carries a plan out on this machine: run, phase, session, and what they stand on.

pub mod ask;
pub mod bounded;
pub mod clock;
pub mod failpoint;
pub mod git;
pub mod journal;
pub mod keeper;
pub mod launch;
pub mod machine;
pub mod mailbox;
pub mod network;
pub mod phase;
pub mod place;
pub mod recording;
pub mod run;
pub mod sandbox;
pub mod scratchpad;
pub mod session;
pub mod state;
pub mod tool;
