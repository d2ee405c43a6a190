//! What a connector.json means: text → document → plan → course. Pure: no clock, file, network, thread or async.

pub mod course;
pub mod name;
pub mod notice;
pub mod origin;
pub mod plan;
pub mod profile;
pub mod wrap;
