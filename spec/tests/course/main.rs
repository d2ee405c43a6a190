//! The course of a run: transcripts, laws over random runs, what they reach, and how long it takes.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests take seeds from outside and time themselves, and one that cannot go on has failed"
)]

mod document;
mod laws;
mod plans;
mod size;
mod talk;
mod transcript;
mod tree;

/// What a run does, told as transcripts.
mod told {
    mod endings;
    mod gathering;
    mod limits;
    mod models;
    mod outputs;
    mod phases;
    mod recovery;
    mod require;
    mod resume;
    mod talks;
}
