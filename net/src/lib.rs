//! room
pub mod link;
pub mod wire;
