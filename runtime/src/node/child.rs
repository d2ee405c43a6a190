//! Runs within runs: what a program in a session, or a phase that is a connector, may begin.
//!
//! What the caller says of where it is counts for nothing: repository, folder, variables, profiles and plugins are the
//! parent's, and where its tree stands is looked at by the node itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use niia_actors::ask::chain;
use niia_actors::git::{Repository, RunTrees, TreeName};
use niia_actors::run::{RunMeta, kept_variables};
use niia_spec::course::Event;
use niia_spec::name::{RunId, SessionId, Slug};
use niia_spec::origin::Origin;
use niia_spec::plan::ceiling::Ceiling;
use niia_spec::plan::{Limits, Plan, TreePlan, WorkerPlan};

use super::Node;
use super::accept::{self, Begins, From};
use crate::control::words::{Refusal, RefusalCode};

/// The run a child is begun in, as the journal has it.
#[derive(Debug)]
pub struct Parent {
    pub plan: Plan,
    pub meta: RunMeta,
    session: SessionId,
}

impl Parent {
    pub fn of(node: &Node, session: &SessionId) -> Result<Parent, Refusal> {
        let record = node.journal.load(&session.run).map_err(|error| trouble(chain(&error)))?;
        let broken =
            |error: serde_json::Error| trouble(format!("`{}` cannot be read back: {error}", session.run));
        let plan: Plan = serde_json::from_slice(&record.plan).map_err(broken)?;
        let mut meta: RunMeta = serde_json::from_slice(&record.meta).map_err(broken)?;
        meta.origin.env =
            kept_variables(&node.run_folder(&session.run)).map_err(|error| trouble(chain(&error)))?;
        Ok(Parent { plan, meta, session: session.clone() })
    }

    /// Every session above a child of this one, the outermost first.
    fn lineage(&self) -> Vec<SessionId> {
        self.meta.lineage.iter().chain([&self.session]).cloned().collect()
    }

    fn worker(&self) -> Result<&WorkerPlan, Refusal> {
        let worker = &self.session.attempt.worker;
        let phase = self.plan.phases.iter().find(|phase| phase.name == worker.phase);
        let found = phase.and_then(|phase| phase.everybody().find(|planned| planned.name == worker.worker));
        found.ok_or_else(|| Refusal {
            code: RefusalCode::NotAllowed,
            message: format!("`{}` begins no runs: it is no worker of its document", self.session),
            help: None,
        })
    }

    fn ceiling(&self) -> Result<Ceiling<'_>, Refusal> {
        let worker = &self.session.attempt.worker;
        self.worker()?;
        Ceiling::of(&self.plan, &worker.phase, &worker.worker)
            .ok_or_else(|| trouble(format!("the plan of `{}` knows no worker `{worker}`", self.session.run)))
    }

    fn phase_limits(&self) -> &Limits {
        let worker = &self.session.attempt.worker;
        let phase = self.plan.phases.iter().find(|phase| phase.name == worker.phase);
        phase.map_or(&self.plan.limits, |phase| &phase.limits)
    }
}

/// Begins a run inside a session. When this returns its name it is durable, and its parent knows of it.
pub async fn begin(node: &Node, session: &SessionId, plan: Plan, claimed: Origin) -> Result<RunId, Refusal> {
    is_here(node, session)?;
    let parent = Parent::of(node, session)?;
    let worker = parent.worker()?.clone();
    let trees = trees_of(node, &parent)?;
    let place = trees.as_ref().zip(tree_of(session, &worker));
    let origin = origin(&parent, &worker, claimed, place.as_ref().map(|(trees, name)| trees.path_of(name)));
    let from = match (trees.clone(), tree_of(session, &worker)) {
        (Some(trees), Some(name)) => From::Tree { trees: Box::new(trees), name },
        _ => From::Checkout,
    };
    take_in(node, parent, plan, origin, from, None).await
}

/// A child goes on from its parent's tree, and belongs where its parent's other children are: both are known of sessions of
/// this machine alone.
fn is_here(node: &Node, session: &SessionId) -> Result<(), Refusal> {
    if !node.remotes.as_ref().is_some_and(|remotes| remotes.is_away(session)) {
        return Ok(());
    }
    Err(Refusal {
        code: RefusalCode::NotAllowed,
        message: format!(
            "{session} works on another machine than its run is at home on: no run is begun there"
        ),
        help: Some(
            "make it a phase of the document instead: `connector` names its file, and it runs at home"
                .to_owned(),
        ),
    })
}

/// The same for what a session, or a phase, is: everything that could speak against it is asked first.
pub(super) async fn take_in(
    node: &Node,
    parent: Parent,
    mut plan: Plan,
    origin: Origin,
    from: From,
    name: Option<RunId>,
) -> Result<RunId, Refusal> {
    let handle = node.root.run(&parent.session.run).await.ok_or_else(|| is_over(&parent.session))?;
    may_go_deeper(node, &parent, &plan)?;
    hold_to_ceiling(node, &parent, &plan)?;
    narrow(&mut plan, parent.phase_limits());
    plan.is_inside = true;
    // One after the other: between the look for room and the taking of it nobody else comes.
    let _turn = node.children.lock().await;
    has_room(node, &parent, &plan)?;
    let begins = Begins { lineage: parent.lineage(), from, name };
    let run = accept::accept(node, plan, origin, begins).await?;
    let spawned = Event::Spawned { run: run.clone(), by: parent.session.attempt.clone() };
    let told = handle.record(spawned).await;
    if told.is_ok() && handle.has_child(run.clone()).await.unwrap_or_default() {
        return Ok(run);
    }
    // Its session ended meanwhile; nobody is there any more who would want it.
    if let Some(child) = node.root.run(&run).await {
        child.happened(Event::Cancelled { reason: format!("{} is over", parent.session) });
    }
    Err(is_over(&parent.session))
}

/// After a restart: a child that was taken in and is not known to its parent is told of, and one whose session is over
/// is ended.
pub(super) async fn rejoin(root: &super::RootHandle, run: &RunId, session: &SessionId) {
    let Some(child) = root.run(run).await else { return };
    let spawned = Event::Spawned { run: run.clone(), by: session.attempt.clone() };
    let known = match root.run(&session.run).await {
        Some(parent) => {
            parent.record(spawned).await.is_ok() && parent.has_child(run.clone()).await.unwrap_or_default()
        }
        None => false,
    };
    if !known {
        let reason = format!("the session {session}, in which it was begun, is over");
        child.happened(Event::Cancelled { reason });
    }
}

/// The tree a session works in, where that is one of its run's.
fn tree_of(session: &SessionId, worker: &WorkerPlan) -> Option<TreeName> {
    let attempt = &session.attempt.worker;
    let reading = Slug::nearest(&format!("{}-{}", attempt.phase, attempt.worker));
    TreeName::of_plan(&worker.tree, &reading)
}

fn trees_of(node: &Node, parent: &Parent) -> Result<Option<RunTrees>, Refusal> {
    let (Some(root), Some(_)) = (&parent.meta.origin.repository, &parent.meta.base) else {
        return Ok(None);
    };
    let repository = Repository::discover(root).map_err(|error| trouble(chain(&error)))?;
    let folder = node.run_folder(&parent.session.run).join("git");
    RunTrees::open(&repository, &folder).map(Some).map_err(|error| trouble(chain(&error)))
}

/// Where a child comes from. Only what can do no harm is taken from the caller: the folder, where its session sees all
/// of the machine anyway, the document's name, and values its session's own document gives it.
fn origin(parent: &Parent, worker: &WorkerPlan, claimed: Origin, tree: Option<PathBuf>) -> Origin {
    let above = &parent.meta.origin;
    let walled = worker.session.sandbox.is_some();
    let cwd = if walled { tree.unwrap_or_else(|| above.cwd.clone()) } else { claimed.cwd };
    let bare = matches!(worker.tree, TreePlan::Checkout | TreePlan::Folder);
    let repository = match bare && !walled && above.repository.is_none() {
        true => claimed.repository,
        false => above.repository.clone(),
    };
    Origin {
        cwd,
        document: claimed.document,
        repository,
        include_dirty: true,
        env: environment(parent, worker, claimed.env),
        output: None,
        wrapping: above.wrapping.clone(),
        plugins: above.plugins.clone(),
        profiles: above.profiles.clone(),
        warnings: claimed.warnings,
        occasion: None,
        from: above.from.clone(),
        base: None,
    }
}

/// The variables a child may have: those of its parent's run, with the values they had there, and those the session's own
/// document gives it.
fn environment(
    parent: &Parent,
    worker: &WorkerPlan,
    claimed: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env = parent.meta.origin.env.clone();
    let given = |name: &String| worker.session.env.contains_key(name);
    env.extend(claimed.into_iter().filter(|(name, _)| given(name)));
    env
}

/// How deep runs stand in one another is bounded by every document above.
fn may_go_deeper(node: &Node, parent: &Parent, child: &Plan) -> Result<(), Refusal> {
    let limit = |message: String, help: &str| Refusal {
        code: RefusalCode::Limit,
        message,
        help: Some(help.to_owned()),
    };
    let lineage = parent.lineage();
    for (at, session) in lineage.iter().enumerate() {
        let plan = match session.run == parent.session.run {
            true => parent.plan.limits.clone(),
            false => Parent::of(node, session)?.plan.limits,
        };
        if !plan.may_spawn {
            let message =
                format!("`{}` begins no runs: its document says `capabilities.spawn` is false", session.run);
            return Err(Refusal { code: RefusalCode::NotAllowed, message, help: None });
        }
        let deep = u32::try_from(lineage.len() - at).unwrap_or(u32::MAX);
        if deep > plan.max_depth {
            let message = format!(
                "`{}` is not begun: it would be {deep} deep in `{}`, and the limit max_depth ({}) is reached",
                child.name, session.run, plan.max_depth
            );
            return Err(limit(message, "raise `limits.max_depth` in the outermost document, or end here"));
        }
    }
    Ok(())
}

/// A run inside takes at least one of the sessions its parents may have at a time.
fn has_room(node: &Node, parent: &Parent, child: &Plan) -> Result<(), Refusal> {
    node.live.family.has_room(&parent.lineage()).map_err(|(run, max)| Refusal {
        code: RefusalCode::Limit,
        message: format!(
            "`{}` is not begun: the limit max_parallel ({max}) of `{run}` is reached",
            child.name
        ),
        help: Some("begin it when another session is over".to_owned()),
    })
}

fn hold_to_ceiling(node: &Node, parent: &Parent, child: &Plan) -> Result<(), Refusal> {
    let hosts = node.hosts();
    let variables: Vec<String> = parent.meta.origin.env.keys().cloned().collect();
    let ceiling = parent.ceiling()?.on(&hosts).with(&variables);
    let wider: Vec<String> = ceiling.exceeded_by(child).iter().map(ToString::to_string).collect();
    if wider.is_empty() {
        return Ok(());
    }
    Err(Refusal {
        code: RefusalCode::NotAllowed,
        message: format!(
            "`{}` asks for more than the session {}, in which it is begun, has: {}",
            child.name,
            parent.session,
            wider.join("; ")
        ),
        help: Some("ask for the same or less in its `session`".to_owned()),
    })
}

/// A child's limits are its own or those of the session it is begun in, whichever are tighter.
fn narrow(plan: &mut Plan, above: &Limits) {
    plan.limits.narrow(above);
    for phase in &mut plan.phases {
        phase.limits.narrow(above);
    }
}

fn is_over(session: &SessionId) -> Refusal {
    Refusal {
        code: RefusalCode::State,
        message: format!("the session {session} is over: nothing is begun in it"),
        help: None,
    }
}

pub(super) fn trouble(message: String) -> Refusal {
    Refusal { code: RefusalCode::Trouble, message, help: None }
}
