//! room
pub mod ask;
pub mod failpoint;
pub mod journal;
pub mod state;

pub mod git;
pub mod launch;
