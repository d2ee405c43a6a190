//! What a connector.json means: text → document → plan → course. Pure: no clock, file, network, thread or async.

pub mod course;
pub mod detect;
pub mod name;
pub mod plan;
pub mod profile;
