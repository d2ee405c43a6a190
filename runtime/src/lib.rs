//! The node and the command line of niia.

pub mod appointments;
mod attach;
pub mod cli;
pub mod command;
pub mod config;
pub mod control;
pub mod failure;
pub mod line_agent;
pub mod mcp;
pub mod network;
pub mod node;
pub mod notify;
pub mod remote;
pub mod report;
pub mod trace;
pub mod webhook;
