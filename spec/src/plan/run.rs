//! The run's name in a plan: a plan is drawn before its run has one.

use super::Plan;
use crate::name::{RunId, SLUG_BYTES_MAX, Slug};

/// Stands for the run's name in a slug until there is one.
pub(super) const RUN_IN_SLUG: &str = "0run-name0";
/// Stands for the run's name in a prompt until there is one.
pub(super) const RUN_IN_TEXT: &str = "{run}";
/// Stands for a `{run}` that is meant as it is written. `{{run}}` in a document is such a one.
pub(super) const LITERAL_RUN_IN_TEXT: &str = "{{run}}";

/// Writes the run's name wherever the document said `{run}`.
pub fn expand_run(plan: &mut Plan, run: &RunId) {
    for phase in &mut plan.phases {
        let steps = phase.steps.iter_mut().map(|step| &mut step.worker);
        for worker in phase.work.workers_mut().into_iter().chain(steps) {
            if let Some(prompt) = worker.prompt.as_mut().filter(|prompt| prompt.contains(RUN_IN_TEXT)) {
                *prompt = text(prompt, run);
            }
            match &mut worker.tree {
                super::TreePlan::Own { slug: tree } | super::TreePlan::Shared { slug: tree, .. } => {
                    *tree = slug(tree, run)
                }
                _ => {}
            }
        }
    }
}

fn text(prompt: &str, run: &RunId) -> String {
    let literal = prompt.split(LITERAL_RUN_IN_TEXT);
    literal.map(|part| part.replace(RUN_IN_TEXT, run.as_str())).collect::<Vec<_>>().join(RUN_IN_TEXT)
}

/// A slug with the run's name in it. Where that is too long, the name loses its beginning: its end tells runs apart.
fn slug(tree: &Slug, run: &RunId) -> Slug {
    if !tree.as_str().contains(RUN_IN_SLUG) {
        return tree.clone();
    }
    let places = tree.as_str().matches(RUN_IN_SLUG).count();
    let around = tree.as_str().len() - places * RUN_IN_SLUG.len();
    let room = SLUG_BYTES_MAX.saturating_sub(around) / places;
    let kept = &run.as_str()[run.as_str().len().saturating_sub(room)..];
    Slug::nearest(&tree.as_str().replace(RUN_IN_SLUG, kept.trim_start_matches(['-', '.', '_'])))
}
