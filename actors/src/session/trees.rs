//! What kind of tree a session works in.

use niia_spec::plan::{Plan, TreePlan, WorkerPlan};

use crate::git::RunTrees;
use crate::machine::Assignment;

/// The run's trees as this session is to have them.
pub(super) fn trees_for(assignment: &Assignment) -> Option<RunTrees> {
    let trees = assignment.context.trees.as_ref()?;
    let private = needs_private(&assignment.context.plan, &assignment.worker);
    Some(if private { trees.privately() } else { trees.clone() })
}

/// A sandboxed session's tree has a private repository. One that others share with it has one from the beginning, so
/// that nobody's git changes while somebody works.
fn needs_private(plan: &Plan, worker: &WorkerPlan) -> bool {
    let sandboxed = |worker: &WorkerPlan| worker.session.sandbox.is_some();
    let shared = |other: &WorkerPlan| match (&worker.tree, &other.tree) {
        (TreePlan::Shared { slug, .. }, TreePlan::Shared { slug: other, .. }) => slug == other,
        (TreePlan::Result, TreePlan::Result) => true,
        _ => false,
    };
    let mut all = plan.phases.iter().flat_map(|phase| phase.everybody());
    sandboxed(worker) || all.any(|other| sandboxed(other) && shared(other))
}
