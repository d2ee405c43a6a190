//! The node and the command line of niia.

pub mod control;
