//! room
pub mod ask;
pub mod failpoint;
pub mod journal;
pub mod state;
