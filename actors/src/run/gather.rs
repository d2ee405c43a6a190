//! Bringing a phase's work together: shared trees are committed once, then branches are merged into the run's line in
//! worker order.

use std::sync::Arc;

use niia_spec::course::{Gathering, RunCourse};
use niia_spec::name::PhaseName;
use niia_spec::plan::TreePlan;

use super::context::RunContext;
use crate::git::{CommitInfo, Committed, Merged, TreeError, TreeName};

/// What is to be gathered, taken from the course before the slow part begins.
pub(super) struct Work {
    context: Arc<RunContext>,
    phase: PhaseName,
    round: u32,
    trees: Trees,
}

#[derive(Default)]
struct Trees {
    /// Trees that several workers shared, or whose slug they named: committed here, once.
    shared: Vec<TreeName>,
    /// In worker order, each once; lines of work are not among them.
    merged: Vec<TreeName>,
}

pub(super) fn work(context: &Arc<RunContext>, course: &RunCourse, phase: &PhaseName, round: u32) -> Work {
    let trees = trees_of(context, course, phase);
    Work { context: Arc::clone(context), phase: phase.clone(), round, trees }
}

fn trees_of(context: &RunContext, course: &RunCourse, phase: &PhaseName) -> Trees {
    let mut work = Trees::default();
    let done = course.done_workers(phase);
    let planned = context.plan.phases.iter().filter(|plan| plan.name == *phase);
    for worker in planned.flat_map(|plan| plan.work.workers()) {
        if !done.contains(&&worker.name) {
            continue;
        }
        let (tree, shared, line) = match &worker.tree {
            TreePlan::Own { slug } => (TreeName::Worker(slug.clone()), false, false),
            TreePlan::Shared { slug, line } => (TreeName::Worker(slug.clone()), true, *line),
            TreePlan::Result => (TreeName::Result, false, false),
            TreePlan::ReadOnly | TreePlan::Checkout | TreePlan::Folder => continue,
        };
        if shared && !work.shared.contains(&tree) {
            work.shared.push(tree.clone());
        }
        if !line && !work.merged.contains(&tree) {
            work.merged.push(tree);
        }
    }
    work
}

/// The trees whose branches a phase brings into the run's line, in worker order.
pub(super) fn merged_trees(context: &RunContext, course: &RunCourse, phase: &PhaseName) -> Vec<TreeName> {
    trees_of(context, course, phase).merged
}

/// Commits and merges. Asked again after a crash, it goes on where it stopped.
pub(super) fn gather(work: &Work) -> Gathering {
    let Some(trees) = &work.context.trees else {
        return Gathering::Merged { commit: None };
    };
    // What was worked in on another machine alone was committed there.
    for tree in work.trees.shared.iter().filter(|tree| trees.is_here(tree)) {
        let info = CommitInfo {
            worker: work.phase.to_string(),
            attempt: work.round,
            message: format!("{}: the phase's shared work", work.phase),
        };
        match trees.commit(tree, &info) {
            Ok(Committed::Commit { .. } | Committed::Nothing) => {}
            Ok(Committed::Refused { reasons }) => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                return Gathering::Refused { reason: reasons.join("; ") };
            }
            Err(error) => return refused(&error),
        }
    }
    match trees.merge(&work.trees.merged) {
        Ok(Merged::Commit { commit }) => Gathering::Merged { commit: Some(commit.as_str().to_owned()) },
        Ok(Merged::Conflict(conflict)) => {
            Gathering::Conflict { files: conflict.files, reason: conflict.reason }
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &TreeError) -> Gathering {
    Gathering::Refused { reason: crate::ask::chain(error) }
}
