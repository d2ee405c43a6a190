//! The course of a run: transcripts, laws over random runs, what they reach, and how long it takes.

mod document;
mod transcript;

mod transcripts;
