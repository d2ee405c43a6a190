//! What a session's program is doing, with the evidence for it. What matches nothing is `unknown`, never idle.

use super::view::Seen;
use crate::machine::Assignment;

pub(super) struct State {
    pub word: String,
    pub rule: String,
    pub excerpt: String,
}

pub(super) fn state(_assignment: &Assignment, seen: &Seen) -> State {
    let last = seen.screen.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    State { word: "unknown".to_owned(), rule: "no rule of the profile matches".to_owned(), excerpt: last.to_owned() }
}
