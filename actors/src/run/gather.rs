//! Bringing a phase's work together: shared trees are committed once, then branches are merged into the run's line in
//! worker order.

use std::sync::Arc;

use niia_spec::course::{Gathering, RUNS_LATER_MAX, RunCourse};
use niia_spec::later::RunsLater;
use niia_spec::name::{PhaseName, WorkerId};
use niia_spec::plan::{MergeRule, TreePlan};

use super::context::RunContext;
use crate::git::{CommitInfo, Committed, Conflict, Mended, Merged, RunTrees, TreeError, TreeName};

/// What is to be gathered, taken from the course before the slow part begins.
pub(super) struct Work {
    context: Arc<RunContext>,
    phase: PhaseName,
    round: u32,
    trees: Trees,
    merge: MergeRule,
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
    let plan = context.plan.phases.iter().find(|plan| plan.name == *phase);
    let merge = plan.map_or(MergeRule::Stop, |plan| plan.merge);
    Work { context: Arc::clone(context), phase: phase.clone(), round, trees, merge }
}

impl Work {
    /// Shared trees are committed here, once. Gathered anew, every tree is: a person may have worked in any of them.
    fn to_commit(&self) -> Vec<(TreeName, CommitInfo)> {
        let info = |worker: String, what: &str| CommitInfo {
            worker,
            attempt: self.round,
            message: format!("{}: {what}", self.phase),
        };
        let shared = self.trees.shared.iter();
        let shared =
            shared.map(|tree| (tree.clone(), info(self.phase.to_string(), "the phase's shared work")));
        let own = self.trees.merged.iter().filter(|tree| self.round > 1 && !self.trees.shared.contains(tree));
        let own = own.filter(|tree| !matches!(tree, TreeName::Child(_)));
        let by_hand = |tree: &TreeName| info(format!("{}/{}/by-hand", self.phase, tree.file()), "by hand");
        shared.chain(own.map(|tree| (tree.clone(), by_hand(tree)))).collect()
    }
}

fn trees_of(context: &RunContext, course: &RunCourse, phase: &PhaseName) -> Trees {
    let mut work = Trees::default();
    let done = course.done_workers(phase);
    let planned = context.plan.phases.iter().filter(|plan| plan.name == *phase);
    for (worker, is_step) in planned.flat_map(|plan| {
        let steps = plan.steps.iter().map(|step| (&step.worker, true));
        plan.work.workers().into_iter().map(|worker| (worker, false)).chain(steps)
    }) {
        let id = WorkerId { phase: phase.clone(), worker: worker.name.clone() };
        let was_run = || course.worker(&id).is_some_and(|step| !step.attempts().is_empty());
        if !(done.contains(&&worker.name) || is_step && was_run()) {
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
    // What runs inside it did comes after the work of those who began them.
    work.merged.extend(course.children_done(phase).into_iter().cloned().map(TreeName::Child));
    work
}

/// The trees whose branches a phase brings into the run's line, in worker order.
pub(super) fn merged_trees(context: &RunContext, course: &RunCourse, phase: &PhaseName) -> Vec<TreeName> {
    trees_of(context, course, phase).merged
}

/// Commits and merges. Asked again after a crash, it goes on where it stopped.
pub(super) fn gather(work: &Work) -> Gathering {
    let Some(trees) = &work.context.trees else {
        return Gathering::nothing();
    };
    // What was worked in on another machine alone was committed there.
    for (tree, info) in work.to_commit().into_iter().filter(|(tree, _)| trees.is_here(tree)) {
        match trees.commit(&tree, &info) {
            Ok(Committed::Commit { .. } | Committed::Nothing) => {}
            Ok(Committed::Refused { reasons }) => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                return Gathering::Refused { reason: reasons.join("; ") };
            }
            Err(error) => return refused(&error),
        }
    }
    if work.round > 1 {
        take_mended(work, trees);
    }
    match trees.merge(&work.trees.merged) {
        Ok(Merged::Commit { commit }) => {
            let commit = Some(commit.as_str().to_owned());
            Gathering::Merged { commit, runs_later: later(work, trees) }
        }
        Ok(Merged::Conflict(conflict)) => conflicting(work, trees, conflict),
        Err(error) => refused(&error),
    }
}

/// What the run has changed by now that could run something later, in its line and in trees that are never merged.
fn later(work: &Work, trees: &RunTrees) -> Vec<RunsLater> {
    match trees.runs_later(&work.trees.shared) {
        Ok(mut found) => {
            found.truncate(RUNS_LATER_MAX);
            found
        }
        Err(error) => {
            let error = crate::ask::chain(&error);
            tracing::error!(run = %work.context.run, error, "what could run later is not known");
            Vec::new()
        }
    }
}

/// What a person mended by hand in the mending tree is taken. Where that is not fit, the merge says what still stands
/// in its way.
fn take_mended(work: &Work, trees: &RunTrees) {
    let info = CommitInfo {
        worker: format!("{}/by-hand", work.phase),
        attempt: work.round,
        message: format!("{}: mended by hand", work.phase),
    };
    match trees.finish_mending_by_hand(&info) {
        Ok(None | Some(Mended::Commit { .. })) => {}
        Ok(Some(Mended::Refused { reasons })) => {
            tracing::warn!(phase = %work.phase, ?reasons, "what was mended by hand is not taken");
        }
        Err(error) => {
            tracing::warn!(phase = %work.phase, %error, "what was mended by hand is not taken");
        }
    }
}

/// A conflict that waits for a person is laid out for it, as after a `git merge`.
fn conflicting(work: &Work, trees: &RunTrees, conflict: Conflict) -> Gathering {
    let mut reason = conflict.reason.clone();
    if work.merge == MergeRule::Stop {
        match trees.begin_mending(&conflict) {
            Ok(tree) => reason.push_str(&format!("; it is laid out in {}", tree.path.display())),
            Err(error) => {
                tracing::warn!(phase = %work.phase, %error, "a conflict could not be laid out");
            }
        }
    }
    Gathering::Conflict { branch: conflict.tree.file(), files: conflict.files, reason }
}

fn refused(error: &TreeError) -> Gathering {
    Gathering::Refused { reason: crate::ask::chain(error) }
}
