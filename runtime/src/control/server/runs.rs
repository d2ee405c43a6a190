//! Requests about runs.

use std::time::{Duration, Instant};

use niia_spec::course::Event;
use niia_spec::name::{PhaseName, RunId, SessionId, Slug};
use niia_spec::notice::{JournalLine, PhaseState, RunState, RunView};

use super::child::is_below;
use super::find::{live_run, not_found, run_id, trouble};
use super::{Connection, ServeError};
use crate::control::caller::Caller;
use crate::control::words::{Refusal, RefusalCode, Reply, RunName};
use crate::node::{Node, past};
use niia_actors::ask::chain;
use niia_actors::run::OVER;

/// A follower is told at most so often; what happens in between comes with the next view.
const VIEW_PAUSE: Duration = Duration::from_millis(50);
/// A view of a thousand workers takes a while to make: a follower costs a tenth of one core at most.
const VIEW_PAUSE_TIMES: u32 = 9;

impl Connection {
    /// Sends the run's view after each change until it is over, waits for a person, or the caller leaves.
    pub(super) async fn follow(&mut self, name: RunName) -> Result<(), ServeError> {
        let run = match run_id(&self.node, &self.caller, &name).await {
            Ok(run) => run,
            Err(refusal) => return self.reply(Reply::Refused(refusal)).await,
        };
        // A program in a session tells no person.
        let person = self.caller == Caller::Person;
        let mut follower = person.then(|| self.node.followers.enter(&run));
        loop {
            let changes = match self.node.root.run(&run).await {
                Some(handle) => handle.watch().await.ok(),
                None => None,
            };
            let began = Instant::now();
            let view = match view(&self.node, &run).await {
                Ok(view) => view,
                Err(refusal) => return self.reply(Reply::Refused(refusal)).await,
            };
            let rests = view.state.rests();
            if let Some(follower) = &mut follower {
                follower.told = rests;
            }
            self.reply(Reply::Run(Box::new(view))).await?;
            let Some(mut changes) = changes.filter(|_| !rests) else {
                return self.reply(Reply::End { outcome: None }).await;
            };
            let pause = VIEW_PAUSE.max(began.elapsed() * VIEW_PAUSE_TIMES);
            tokio::select! {
                // A run that ended meanwhile is looked at once more.
                _ = changes.changed() => {}
                // A table shows the last lines of terminals too, which are no change of the run.
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                gone = self.next() => if gone?.is_none() { return Ok(()) },
            }
            // The end is never kept waiting; a counter that is gone tells of it too.
            let _ = tokio::time::timeout(pause, changes.wait_for(|version| *version == OVER)).await;
        }
    }
}

/// A run as it stands: asked of its actor while it lives, else read in the journal.
pub(crate) async fn view(node: &Node, run: &RunId) -> Result<RunView, Refusal> {
    if let Some(handle) = node.root.run(run).await
        && let Ok(mut view) = handle.look().await
        && !view.state.is_over()
    {
        node.asks.told(&mut view);
        return Ok(view);
    }
    let (journal, state, run) = (node.journal.clone(), node.state.clone(), run.clone());
    blocking(move || {
        let record = journal.load(&run).map_err(|error| not_found(chain(&error)))?;
        past::view(&state, &record)
            .map_err(|reason| trouble(format!("the run `{run}` cannot be shown: {reason}")))
    })
    .await
}

/// When the newest run of this node was begun; 0 where there is none.
pub(super) fn newest_at_ms(node: &Node) -> Result<u64, Refusal> {
    let summaries = node.journal.runs().map_err(|error| trouble(chain(&error)))?;
    let Some(newest) = summaries.last() else { return Ok(0) };
    let run = Slug::new(&newest.run).map_err(|error| trouble(error.to_string()))?;
    let Ok(record) = node.journal.load(&run) else { return Ok(0) };
    let meta: Option<niia_actors::run::RunMeta> = serde_json::from_slice(&record.meta).ok();
    Ok(meta.map_or(0, |meta| meta.begun_at_ms))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| trouble(error.to_string()))?
}

pub(super) async fn status(node: &Node, caller: &Caller, name: &RunName) -> Result<RunView, Refusal> {
    view(node, &run_id(node, caller, name).await?).await
}

/// The newest runs, the newest last; a program inside a session sees its own and those that were begun in it.
pub(super) async fn list(node: &Node, caller: &Caller, limit: u32) -> Result<Vec<RunView>, Refusal> {
    let mut summaries = node.journal.runs().map_err(|error| trouble(chain(&error)))?;
    if let Caller::Agent(session) = caller {
        let seen = |run: &str| {
            run == session.run.as_str() || Slug::new(run).is_ok_and(|run| is_below(node, &run, session))
        };
        summaries.retain(|summary| seen(&summary.run));
    }
    // What lives elsewhere is a person's own.
    let abroad = if *caller == Caller::Person { node.abroad.all_seen() } else { Vec::new() };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let newest = summaries.len().saturating_sub(limit);
    let mut views = Vec::new();
    for summary in &summaries[newest..] {
        let shown = match Slug::new(&summary.run) {
            Ok(run) => view(node, &run).await,
            Err(error) => Err(trouble(error.to_string())),
        };
        views.push(shown.unwrap_or_else(|refusal| quarantined(&summary.run, refusal.message)));
    }
    views.extend(abroad);
    views.sort_by_key(|view| view.begun_at_ms);
    views.drain(..views.len().saturating_sub(limit));
    Ok(views)
}

/// A run of which nothing more can be said than that it is damaged.
fn quarantined(run: &str, reason: String) -> RunView {
    RunView {
        run: Slug::nearest(run),
        name: run.to_owned(),
        parent: None,
        state: RunState::Quarantined,
        reason: Some(reason),
        begun_at_ms: 0,
        ended_at_ms: None,
        origin: String::new(),
        occasion: None,
        repository: None,
        folder: String::new(),
        report: None,
        branch: None,
        phases: Vec::new(),
        warnings: Vec::new(),
        usage: niia_spec::usage::Total::default(),
    }
}

pub(super) async fn journal(
    node: &Node,
    caller: &Caller,
    name: &RunName,
    from_seq: u64,
) -> Result<Vec<JournalLine>, Refusal> {
    let run = run_id(node, caller, name).await?;
    let journal = node.journal.clone();
    blocking(move || {
        let record = journal.load(&run).map_err(|error| not_found(chain(&error)))?;
        Ok(past::lines(&record, from_seq))
    })
    .await
}

pub(super) async fn cancel(
    node: &Node,
    caller: &Caller,
    name: &RunName,
    reason: String,
) -> Result<Reply, Refusal> {
    if let Caller::Agent(session) = caller
        && run_id(node, caller, name).await? == session.run
    {
        let message = format!("{session} cannot end the run it is part of");
        return Err(Refusal { code: RefusalCode::NotAllowed, message, help: None });
    }
    record(node, caller, name, Event::Cancelled { reason }).await
}

pub(super) async fn approve(
    node: &Node,
    caller: &Caller,
    name: &RunName,
    phase: Option<String>,
) -> Result<Reply, Refusal> {
    let phase = asking(node, caller, name, phase).await?;
    record(node, caller, name, Event::Approved { phase }).await
}

pub(super) async fn deny(
    node: &Node,
    caller: &Caller,
    name: &RunName,
    phase: Option<String>,
    reason: String,
) -> Result<Reply, Refusal> {
    let phase = asking(node, caller, name, phase).await?;
    record(node, caller, name, Event::Denied { phase, reason }).await
}

/// The phase that waits for a person; the only one where none is named.
async fn asking(
    node: &Node,
    caller: &Caller,
    name: &RunName,
    phase: Option<String>,
) -> Result<PhaseName, Refusal> {
    let view = status(node, caller, name).await?;
    let asking = view.phases.iter().filter(|phase| phase.state == PhaseState::Asking);
    let mut fits =
        asking.map(|phase| &phase.phase).filter(|name| phase.as_ref().is_none_or(|p| p == name.as_str()));
    match (fits.next(), fits.next()) {
        (Some(only), None) => Ok(only.clone()),
        (Some(_), Some(_)) => Err(Refusal {
            code: RefusalCode::Ambiguous,
            message: format!("several phases of `{}` wait for approval: name one", view.run),
            help: None,
        }),
        (None, _) => Err(Refusal {
            code: RefusalCode::State,
            message: format!("nothing of `{}` waits for approval", view.run),
            help: None,
        }),
    }
}

async fn record(node: &Node, caller: &Caller, name: &RunName, event: Event) -> Result<Reply, Refusal> {
    let run = live_run(node, caller, name).await?;
    run.record(event).await.map_err(|error| trouble(chain(&error)))?;
    Ok(Reply::Done)
}

/// Goes on with a run that waits for a person, and takes one up again that holds still because its actor broke.
pub(super) async fn resume(node: &Node, caller: &Caller, name: &RunName) -> Result<Reply, Refusal> {
    let run = run_id(node, caller, name).await?;
    if let Some(handle) = node.root.run(&run).await {
        let reason = "a person said so".to_owned();
        return match handle.resume(reason).await.map_err(|error| trouble(chain(&error)))? {
            true => Ok(Reply::Done),
            false => Err(not_waiting(node, &run).await),
        };
    }
    let record = node.journal.load(&run).map_err(|error| not_found(chain(&error)))?;
    if record.finish.is_some() {
        return Err(not_waiting(node, &run).await);
    }
    past::take_up(&node.state, &node.live, &node.root, &record)
        .await
        .map_err(|(_, reason)| trouble(reason))?;
    Ok(Reply::Done)
}

/// Why a run is not resumed, in words that fit how it stands.
async fn not_waiting(node: &Node, run: &RunId) -> Refusal {
    let view = match view(node, run).await {
        Ok(view) => view,
        Err(refusal) => return refusal,
    };
    let (message, help) = match (view.state, &view.reason) {
        (RunState::Running, Some(reason)) => (
            format!("the run `{run}` is still coming to rest: {reason}"),
            "`niia status -f` shows when the last of it has ended; then it can be resumed",
        ),
        (RunState::Running, None) => (format!("the run `{run}` is under way"), "`niia status -f` follows it"),
        (state, _) => (
            format!("the run `{run}` is over ({}) and recorded", crate::report::run::state_word(state)),
            "begin a new one; `session.resume` takes up its work trees",
        ),
    };
    Refusal { code: RefusalCode::State, message, help: Some(help.to_owned()) }
}

/// Cancels what lives and waits until all of it has ended, before a node goes down for good. Runs that wait for a
/// person have nothing that lives; they wait on.
pub(super) async fn cancel_all(node: &Node) {
    for run in lively(node).await {
        if let Some(handle) = node.root.run(&run).await {
            // A run that ended by itself meanwhile needs no cancel.
            let _ = handle.record(Event::Cancelled { reason: "the node was stopped".to_owned() }).await;
        }
    }
    while !lively(node).await.is_empty() {
        tokio::time::sleep(VIEW_PAUSE).await;
    }
}

async fn lively(node: &Node) -> Vec<RunId> {
    let mut lively = Vec::new();
    for run in node.root.runs().await {
        let waits = match node.root.run(&run).await {
            Some(handle) => handle.look().await.is_ok_and(|view| view.state == RunState::NeedsAttention),
            None => true,
        };
        if !waits {
            lively.push(run);
        }
    }
    lively
}

/// Every session a run has had, in the order of the plan.
pub(super) fn sessions_of(view: &RunView) -> Vec<SessionId> {
    let workers = view.phases.iter().flat_map(|phase| &phase.workers);
    workers
        .flat_map(|worker| {
            let newest = worker.session.clone();
            newest.into_iter().flat_map(|newest| {
                (1..=newest.attempt.attempt).map(move |attempt| {
                    let mut session = newest.clone();
                    session.attempt.attempt = attempt;
                    session
                })
            })
        })
        .collect()
}

/// What a run's workers published, as `phase → worker → key`.
pub(super) fn outputs_of(view: &RunView) -> serde_json::Value {
    let phases = view.phases.iter().map(|phase| {
        let workers = phase.workers.iter().map(|worker| {
            let values = worker.outputs.clone().into_iter().collect();
            (worker.worker.to_string(), serde_json::Value::Object(values))
        });
        (phase.phase.to_string(), serde_json::Value::Object(workers.collect()))
    });
    serde_json::Value::Object(phases.collect())
}
