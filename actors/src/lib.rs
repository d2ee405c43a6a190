//! room
pub mod ask;
pub mod failpoint;
pub mod journal;
pub mod mailbox;
pub mod scratchpad;
pub mod state;
