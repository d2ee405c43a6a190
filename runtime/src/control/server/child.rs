//! Runs that were begun inside a session: whose business they are.

use niia_actors::ask::chain;
use niia_actors::run::RunMeta;
use niia_spec::name::{RunId, SessionId};
use niia_spec::plan::Plan;

use super::find::trouble;
use crate::control::words::Refusal;
use crate::node::Node;

/// Whether a run was begun, at whatever depth, inside a run that this session belongs to.
pub(super) fn is_below(node: &Node, run: &RunId, session: &SessionId) -> bool {
    lineage(node, run).iter().any(|above| above.run == session.run)
}

/// The sessions a run was begun in, the outermost first.
pub(super) fn lineage(node: &Node, run: &RunId) -> Vec<SessionId> {
    if let Some(lineage) = node.live.family.lineage(run) {
        return lineage;
    }
    let meta = node.journal.load(run).ok().map(|record| record.meta);
    meta.and_then(|meta| serde_json::from_slice::<RunMeta>(&meta).ok())
        .map(|meta| meta.lineage)
        .unwrap_or_default()
}

/// The plan of the run a session belongs to.
pub(super) fn plan_of(node: &Node, session: &SessionId) -> Result<Plan, Refusal> {
    let record = node.journal.load(&session.run).map_err(|error| trouble(chain(&error)))?;
    serde_json::from_slice(&record.plan)
        .map_err(|error| trouble(format!("the plan of `{}` cannot be read: {error}", session.run)))
}
