//! What carries a plan out on this machine: run, phase, session, and what they stand on.

pub mod ask;
pub mod failpoint;
pub mod git;
pub mod journal;
pub mod mailbox;
pub mod scratchpad;
pub mod state;
pub mod launch;
