//! The node.
pub mod attach;
