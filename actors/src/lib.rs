//! What carries a plan out on this machine.
pub mod keeper;
pub mod recording;
