//! room

pub mod git;
