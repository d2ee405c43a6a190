//! Phases that are a document of their own: the run of that document stands in the place of a session.
//!
//! The child's name follows from its parent's attempt, so that a node that comes back finds the run it began, and one
//! that was never taken in is begun once.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use niia_actors::git::{Repository, RunTrees};
use niia_actors::machine::{Assignment, Machine, StartError, Starting};
use niia_actors::phase::PhaseHandle;
use niia_actors::run::{LiveSessions, OVER, RunHandle, RunMeta};
use niia_actors::session::SessionHandle;
use niia_actors::session::elsewhere::{Away, Carried};
use niia_actors::session::finish::came_home;
use niia_spec::course::{EndReason, Ending, Event, Outcome};
use niia_spec::name::{RunId, SessionId, Slug};
use niia_spec::notice::{RunState, RunView};
use niia_spec::origin::Origin;
use serde_json::Value;
use tokio::sync::watch;

use super::accept::From;
use super::child::{self, Parent};
use super::{Node, past};
use crate::control::words::Refusal;
use niia_actors::ask::chain;

/// The node, once it can be asked.
pub type Nodes = watch::Receiver<Option<Weak<Node>>>;

/// Names tried for a child: one whose folder was made and never came into the journal is left alone.
const NAMES_MAX: u32 = 16;

/// A run without an actor that is not over is looked at again this much later.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Where runs are begun by phases.
#[derive(Debug)]
pub struct Connectors {
    pub nodes: Nodes,
    pub live: LiveSessions,
}

impl Machine for Connectors {
    fn start(&self, assignment: Assignment, parent: PhaseHandle) -> Starting<'_> {
        let nodes = self.nodes.clone();
        Box::pin(async move {
            let carried = SessionHandle::away(assignment, self.live.clone(), parent, |away| async move {
                Carried { ending: carry(nodes, away).await, afterwards: None }
            });
            carried.await.map_err(StartError::Actor)
        })
    }
}

async fn carry(mut nodes: Nodes, mut away: Away) -> Ending {
    let node = nodes.wait_for(Option::is_some).await;
    let Some(node) = node.ok().and_then(|node| node.as_ref().and_then(Weak::upgrade)) else {
        let reason = "the node is going down".to_owned();
        return Ending::plain(Outcome::Lost { reason }, "niia");
    };
    let run = match child_of(&node, &away.assignment).await {
        Ok(run) => run,
        Err(refusal) => {
            let reason =
                refusal.help.map_or(refusal.message.clone(), |help| format!("{}; {help}", refusal.message));
            return Ending::plain(Outcome::Failed { reason }, "its run was not begun");
        }
    };
    away.started();
    away.does(&format!("is the run {run}"));
    let view = follow(&node, &run, &mut away).await;
    let ordered = *away.ended.borrow();
    match view {
        Ok(view) => ending(&node, &away.assignment, &view, ordered),
        Err(refusal) => {
            let reason = format!("the run {run}: {}", refusal.message);
            Ending::plain(Outcome::Lost { reason }, "its journal")
        }
    }
}

/// The run of this attempt: the one that is there already, one that waited for a person, or a new one.
async fn child_of(node: &Node, assignment: &Assignment) -> Result<RunId, Refusal> {
    let session = &assignment.session;
    let plan =
        assignment.connector.as_deref().ok_or_else(|| child::trouble("it is no document".to_owned()))?;
    let parent = node.root.run(&session.run).await;
    if let Some(parent) = &parent
        && let Ok(Some(known)) = parent.child_of(session.attempt.clone()).await
    {
        return Ok(known);
    }
    let name = match named(node, &plan.name, session)? {
        Named::There(run) => return Ok(run),
        Named::Free(name) => name,
    };
    if let Some((run, handle)) = held(node, session).await {
        let by = session.attempt.clone();
        let known = handle.resume("its parent was resumed".to_owned()).await;
        if known.is_ok_and(|resumed| resumed)
            && let Some(parent) = parent
        {
            let spawned = Event::Spawned { run: run.clone(), by };
            parent.record(spawned).await.map_err(|error| child::trouble(chain(&error)))?;
            return Ok(run);
        }
    }
    let parent = Parent::of(node, session)?;
    let trees = parent_line(assignment)?;
    let origin = Origin { output: None, base: None, ..parent.meta.origin.clone() };
    let from = trees.map_or(From::Checkout, |trees| From::Result { trees: Box::new(trees) });
    child::take_in(node, parent, plan.clone(), origin, from, Some(name)).await
}

/// The parent's line, on which the child begins.
fn parent_line(assignment: &Assignment) -> Result<Option<RunTrees>, Refusal> {
    let context = &assignment.context;
    let (Some(_), Some(root)) = (&context.trees, &context.origin.repository) else { return Ok(None) };
    let repository = Repository::discover(root).map_err(|error| child::trouble(chain(&error)))?;
    let trees = RunTrees::open(&repository, &context.folder.join("git"));
    trees.map(Some).map_err(|error| child::trouble(chain(&error)))
}

enum Named {
    There(RunId),
    Free(RunId),
}

/// What the run of an attempt is called.
fn named(node: &Node, document: &Slug, session: &SessionId) -> Result<Named, Refusal> {
    for number in 0..NAMES_MAX {
        let name = super::accept::name_for(document, &format!("{session}#{number}"));
        if !node.run_folder(&name).exists() {
            return Ok(Named::Free(name));
        }
        let lineage =
            node.journal.load(&name).ok().and_then(|record| {
                serde_json::from_slice::<RunMeta>(&record.meta).ok().map(|meta| meta.lineage)
            });
        if lineage.is_some_and(|lineage| lineage.last() == Some(session)) {
            return Ok(Named::There(name));
        }
    }
    Err(child::trouble(format!("{NAMES_MAX} runs of {session} were begun and never taken in")))
}

/// A run of an earlier attempt of the same worker that waits for a person.
async fn held(node: &Node, session: &SessionId) -> Option<(RunId, RunHandle)> {
    let earlier = (1..session.attempt.attempt).rev().map(|attempt| {
        let mut earlier = session.clone();
        earlier.attempt.attempt = attempt;
        earlier
    });
    let mut held = earlier.flat_map(|earlier| node.live.family.members(&earlier));
    held.next()
}

/// Waits until the run rests, and ends it where that is asked.
async fn follow(node: &Node, run: &RunId, away: &mut Away) -> Result<RunView, Refusal> {
    let mut cancelled = false;
    loop {
        let Some((handle, mut changes)) = watched(node, run).await else {
            let view = over(node, run)?;
            if view.state.is_over() {
                return Ok(view);
            }
            // Its actor is being replaced, or its end is being written down.
            tokio::time::sleep(LOOK_PAUSE).await;
            continue;
        };
        if away.ended.borrow_and_update().is_some() && !cancelled {
            cancelled = true;
            handle.happened(Event::Cancelled { reason: "its parent was ended".to_owned() });
        }
        match handle.look().await {
            Ok(view) if view.state == RunState::NeedsAttention && !cancelled => return Ok(view),
            Ok(_) if *changes.borrow_and_update() == OVER => return over(node, run),
            Ok(_) => {}
            Err(_) => continue,
        }
        tokio::select! {
            _ = changes.changed() => {}
            gone = away.ended.changed(), if !cancelled => if gone.is_err() {
                // Its phase is gone; the next one follows the same run.
                return Err(child::trouble("its phase is gone".to_owned()));
            },
        }
    }
}

async fn watched(node: &Node, run: &RunId) -> Option<(RunHandle, watch::Receiver<u64>)> {
    let handle = node.root.run(run).await?;
    let changes = handle.watch().await.ok()?;
    Some((handle, changes))
}

fn over(node: &Node, run: &RunId) -> Result<RunView, Refusal> {
    let record = node.journal.load(run).map_err(|error| child::trouble(chain(&error)))?;
    past::view(&node.state, &record).map_err(child::trouble)
}

/// What a run came to, as the end of the attempt it stands for.
fn ending(node: &Node, assignment: &Assignment, view: &RunView, ordered: Option<EndReason>) -> Ending {
    let told = || view.reason.clone().unwrap_or_default();
    let run = &view.run;
    let outcome = match (view.state, ordered) {
        (RunState::Done, _) => Outcome::Done,
        (_, Some(EndReason::TimedOut)) => Outcome::TimedOut,
        (RunState::Cancelled, _) | (_, Some(_)) => Outcome::Cancelled,
        (RunState::NeedsAttention, None) => {
            Outcome::NeedsAttention { reason: format!("the run {run} waits: {}", told()) }
        }
        _ => Outcome::Failed { reason: format!("the run {run} failed: {}", told()) },
    };
    let report = view.report.as_ref().map(std::fs::read_to_string);
    let answer = match report {
        Some(Ok(text)) => text,
        None => String::new(),
        Some(Err(error)) => {
            let reason = format!("the report of {run} cannot be read: {error}");
            return Ending::plain(Outcome::NeedsAttention { reason }, "its report");
        }
    };
    let mut ending = came_home(assignment, outcome, &answer, outputs(view));
    ending.evidence = format!("the run {run}");
    ending.commit = commit(node, view);
    ending
}

/// What the child's workers published; the later phase's word counts.
fn outputs(view: &RunView) -> BTreeMap<String, Value> {
    let workers = view.phases.iter().flat_map(|phase| phase.workers.iter().rev());
    workers.flat_map(|worker| worker.outputs.clone()).collect()
}

fn commit(node: &Node, view: &RunView) -> Option<String> {
    let repository = Repository::discover(std::path::Path::new(view.repository.as_ref()?)).ok()?;
    let trees = RunTrees::open(&repository, &node.run_folder(&view.run).join("git")).ok()?;
    trees.result().ok().map(|commit| commit.as_str().to_owned())
}
