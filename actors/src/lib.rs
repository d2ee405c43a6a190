//! room
pub mod session;
