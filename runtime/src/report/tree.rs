//! Runs below the runs they were begun in.

use std::collections::{BTreeMap, BTreeSet};

use niia_spec::notice::{RunView, WorkerState};
use serde::Serialize;

use super::run::{state_tone, state_word};
use super::table::{Table, cell, toned_cell};
use super::{Look, duration, now_ms};

/// A run, and how deep it lies in those that are shown.
#[derive(Clone, Debug, Serialize)]
pub struct Branch {
    pub depth: usize,
    #[serde(flatten)]
    pub run: RunView,
}

/// Each run behind the one it was begun in, the oldest first. One whose parent is not among them stands for itself.
pub fn in_tree(runs: Vec<RunView>) -> Vec<Branch> {
    let known: BTreeSet<String> = runs.iter().map(|run| run.run.to_string()).collect();
    let mut below: BTreeMap<Option<String>, Vec<RunView>> = BTreeMap::new();
    for run in runs {
        let parent = run.parent.as_ref().map(|session| session.run.to_string());
        below.entry(parent.filter(|parent| known.contains(parent))).or_default().push(run);
    }
    let mut tree = Vec::new();
    hang(None, 0, &mut below, &mut tree);
    tree
}

fn hang(
    parent: Option<String>,
    depth: usize,
    below: &mut BTreeMap<Option<String>, Vec<RunView>>,
    tree: &mut Vec<Branch>,
) {
    for run in below.remove(&parent).unwrap_or_default() {
        let name = run.run.to_string();
        tree.push(Branch { depth, run });
        hang(Some(name), depth + 1, below, tree);
    }
}

pub fn tree_text(tree: &[Branch], look: Look) -> String {
    let mut table = Table::new(&["RUN", "STATE", "TOOK", "WORKERS", "BEGUN BY"]);
    for Branch { depth, run } in tree {
        let took = run.ended_at_ms.unwrap_or_else(now_ms).saturating_sub(run.begun_at_ms);
        let workers = || run.phases.iter().flat_map(|phase| &phase.workers);
        let done = workers().filter(|worker| worker.state == WorkerState::Done).count();
        let by = run.parent.as_ref().map_or_else(|| "a person".to_owned(), |by| by.attempt.to_string());
        table.row(vec![
            cell(format!("{}{}", "  ".repeat(*depth), run.run)),
            toned_cell(state_word(run.state), state_tone(run.state)),
            cell(duration(took)),
            cell(format!("{done}/{}", workers().count())),
            cell(by),
        ]);
    }
    table.text(look)
}
