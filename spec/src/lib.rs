//! What a connector.json means: text → document → plan → course. Pure: no clock, file, network, thread or async.

pub mod breaker;
mod check;
pub mod condition;
pub mod course;
pub mod detect;
pub mod diagnostic;
pub mod document;
pub mod event;
pub mod later;
pub mod name;
pub mod notice;
pub mod origin;
pub mod permission;
pub mod plan;
pub mod profile;
pub mod read;
pub mod rehearsal;
pub mod schedule;
mod schema;
pub mod shape;
pub mod usage;
pub mod wrap;

pub use plan::draw::draw;
pub use read::read;
pub use schema::schema;
