//! The command line as people and programs use it: the real program, beside a node that plays a part.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agents;
mod documents;
mod following;
mod place;
mod recordings;
mod runs;
mod terminal;
mod usage;
mod work;
