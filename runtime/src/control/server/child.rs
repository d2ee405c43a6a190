//! A run that is begun from inside a session.

use niia_actors::ask::chain;
use niia_spec::name::SessionId;
use niia_spec::plan::Plan;
use niia_spec::plan::ceiling::Ceiling;

use super::find::trouble;
use crate::control::caller::Caller;
use crate::control::words::{Refusal, RefusalCode};
use crate::node::Node;

/// Whether the caller may begin this run. A person may; a program in a session is told what it asks wider than that
/// session has.
pub(super) fn may_begin(node: &Node, caller: &Caller, child: &Plan) -> Result<(), Refusal> {
    let Caller::Agent(session) = caller else {
        return Ok(());
    };
    let parent = plan_of(node, session)?;
    let worker = &session.attempt.worker;
    let Some(ceiling) = Ceiling::of(&parent, &worker.phase, &worker.worker) else {
        return Err(trouble(format!("the plan of `{}` knows no worker `{worker}`", session.run)));
    };
    let wider: Vec<String> = ceiling.exceeded_by(child).iter().map(ToString::to_string).collect();
    if !wider.is_empty() {
        return Err(Refusal {
            code: RefusalCode::NotAllowed,
            message: format!(
                "`{}` asks for more than the session {session}, in which it is begun, has: {}",
                child.name,
                wider.join("; ")
            ),
            help: Some("ask for the same or less in its `session`".to_owned()),
        });
    }
    Err(Refusal {
        code: RefusalCode::NotAllowed,
        message: format!("`niia run` is not for programs inside a session, and this one runs in {session}"),
        help: Some("a person says it from a terminal of their own".to_owned()),
    })
}

pub(super) fn plan_of(node: &Node, session: &SessionId) -> Result<Plan, Refusal> {
    let record = node.journal.load(&session.run).map_err(|error| trouble(chain(&error)))?;
    serde_json::from_slice(&record.plan)
        .map_err(|error| trouble(format!("the plan of `{}` cannot be read: {error}", session.run)))
}
