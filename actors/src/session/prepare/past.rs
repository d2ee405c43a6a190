//! What a session knows of the past: the history of its place to read, the memory to write, the event that began its run.

use std::path::PathBuf;

use niia_spec::plan::{Egress, SessionPlan};

use crate::launch::sandbox::{EVENT_VARIABLE, HISTORY_VARIABLE, MEMORY_VARIABLE};
use crate::place::Place;
use crate::run::RunContext;

/// Where the past lies for a session.
#[derive(Clone, Debug)]
pub struct Past {
    pub history: PathBuf,
    /// The memory, and whether it may be written.
    pub memory: Option<(PathBuf, bool)>,
}

/// The past of a session; nothing for work of another machine's run, whose past stays there.
///
/// What a session says may go on to later ones only as far as its `egress` lets it. Where that is less than all, the
/// memory is for reading, and only a sandbox can hold a program to that: without one there is none.
pub fn past_of(context: &RunContext, plan: &SessionPlan) -> Option<Past> {
    let place = Place::of_run(&context.folder, &context.origin)?;
    if let Err(error) = place.make() {
        tracing::warn!(run = %context.run, %error, "history and memory cannot be made");
        return None;
    }
    let full = place.remembered().map_or(true, |view| view.full);
    if full {
        let folder = place.memory();
        tracing::warn!(run = %context.run, folder = %folder.display(), "the memory is full or unreadable");
    }
    let memory = match (plan.egress, full, &plan.sandbox) {
        (Egress::All, false, _) => Some((place.memory(), true)),
        (_, false, Some(_)) => Some((place.memory(), false)),
        _ => None,
    };
    Some(Past { history: place.history(), memory })
}

/// The same as variables.
pub(super) fn variables(context: &RunContext, plan: &SessionPlan) -> Vec<(String, String)> {
    let mut named = Vec::new();
    if let Some(path) = context.event_path() {
        named.push((EVENT_VARIABLE, path));
    }
    if let Some(past) = past_of(context, plan) {
        named.push((HISTORY_VARIABLE, past.history));
        named.extend(past.memory.map(|(path, _)| (MEMORY_VARIABLE, path)));
    }
    named.into_iter().map(|(name, path)| (name.to_owned(), path.display().to_string())).collect()
}
