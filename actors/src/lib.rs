//! room

pub mod git;
pub mod launch;
