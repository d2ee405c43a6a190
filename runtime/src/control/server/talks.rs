//! Requests about talks: who may write to whom, what reaches everybody, what is there for people, and the end.

use niia_actors::ask::chain;
use niia_actors::journal::Fate;
use niia_actors::mailbox::{self, Party};
use niia_spec::course::Event;
use niia_spec::name::{PhaseName, RunId, Slug, WorkerId};
use niia_spec::notice::{InboxView, PhaseState, RunView};
use niia_spec::plan::{PhasePlan, PhaseWork, Plan};

use super::agents::shown;
use super::find::{live_run, not_found, run_id, trouble};
use crate::control::caller::Caller;
use crate::control::words::{Refusal, RefusalCode, Reply, RunName};
use crate::node::Node;

/// The name under which everybody is written to.
pub(super) const ALL: &str = "all";

/// Whose letters these become: those of everybody else for `all`, who are told apart by nobody but the mailbox.
pub(super) fn everybody(plan: &Plan, view: &RunView, from: &Party) -> Result<Vec<Party>, Refusal> {
    let mut readers = Vec::new();
    for phase in meshes(plan, view, from) {
        let PhaseWork::Mesh { broadcast, .. } = &phase.work else { continue };
        if !broadcast && matches!(from, Party::Worker(_)) {
            return Err(not_allowed(
                format!("phase `{}` has no broadcast channel", phase.name),
                "write to one agent by its name, or set `communication.broadcast_channel` in the document",
            ));
        }
        let workers = phase.work.workers().into_iter();
        readers.extend(workers.map(|worker| {
            Party::Worker(WorkerId { phase: phase.name.clone(), worker: worker.name.clone() })
        }));
    }
    if readers.is_empty() {
        return Err(not_found("there is no mesh at work whose agents could be written to".to_owned()));
    }
    if matches!(from, Party::Worker(_)) {
        readers.push(Party::Person);
    }
    readers.retain(|reader| reader != from);
    Ok(readers)
}

/// The meshes that somebody's word for all is for: the writer's own, or for a person all that are at work.
fn meshes<'a>(plan: &'a Plan, view: &RunView, from: &Party) -> Vec<&'a PhasePlan> {
    let at_work = |name: &PhaseName| {
        view.phases.iter().any(|phase| phase.phase == *name && phase.state == PhaseState::Working)
    };
    let mine = |phase: &&PhasePlan| match from {
        Party::Worker(worker) => worker.phase == phase.name,
        Party::Person | Party::Niia => at_work(&phase.name),
    };
    plan.phases.iter().filter(|phase| matches!(phase.work, PhaseWork::Mesh { .. })).filter(mine).collect()
}

/// Whether one agent may write to another: in a star only its hub hears and speaks to everybody.
pub(super) fn may_write(plan: &Plan, from: &Party, to: &Party) -> Result<(), Refusal> {
    let (Party::Worker(from), Party::Worker(to)) = (from, to) else {
        return Ok(());
    };
    let phase = plan.phases.iter().find(|phase| phase.name == from.phase && phase.name == to.phase);
    let Some(PhaseWork::Mesh { agents, star, any_to_any, .. }) = phase.map(|phase| &phase.work) else {
        return Ok(());
    };
    let hub = agents.first().map(|agent| &agent.worker.name);
    let through_hub = hub == Some(&from.worker) || hub == Some(&to.worker);
    match (star, any_to_any, hub) {
        (true, _, Some(hub)) if !through_hub => Err(not_allowed(
            format!("in a star `{}` writes to its hub alone", from.worker),
            &format!("write to `{hub}`, who can pass it on"),
        )),
        (false, false, _) => Err(not_allowed(
            format!("agents of `{}` do not write to one another", from.phase),
            "set `communication.any_to_any` in the document, or write to `all`",
        )),
        _ => Ok(()),
    }
}

/// Ends a talk: by a person, or by an agent whose document lets it.
pub(super) async fn conclude(
    node: &Node,
    caller: &Caller,
    run: &RunName,
    phase: Option<String>,
) -> Result<Reply, Refusal> {
    let live = live_run(node, caller, run).await?;
    let plan = live.plan().await.map_err(|error| trouble(chain(&error)))?;
    let name = run_id(node, caller, run).await?;
    let view = super::runs::view(node, &name).await?;
    let by = match caller {
        Caller::Agent(session) if !plan.limits.may_end => {
            return Err(not_allowed(
                format!("{session} may not end its talk"),
                "the document allows it with `\"capabilities\": {\"end\": true}`",
            ));
        }
        Caller::Agent(session) => format!("`{}`", session.attempt.worker.worker),
        Caller::Person => "a person".to_owned(),
    };
    let wanted = match (phase, caller) {
        (Some(phase), _) => Some(phase),
        (None, Caller::Agent(session)) => Some(session.attempt.worker.phase.to_string()),
        (None, Caller::Person) => None,
    };
    let talks = plan.phases.iter().filter(|phase| {
        matches!(phase.work, PhaseWork::Mesh { .. } | PhaseWork::Dialogue { .. } | PhaseWork::Meeting { .. })
    });
    let at_work = |phase: &&PhasePlan| {
        let works =
            view.phases.iter().any(|seen| seen.phase == phase.name && seen.state == PhaseState::Working);
        works && wanted.as_ref().is_none_or(|wanted| phase.name.as_str() == wanted)
    };
    let phases: Vec<PhaseName> = talks.filter(at_work).map(|phase| phase.name.clone()).collect();
    if phases.is_empty() {
        let message = format!("nobody talks in `{name}` just now");
        return Err(Refusal { code: RefusalCode::State, message, help: None });
    }
    for phase in phases {
        let event = Event::Concluded { phase, by: by.clone() };
        live.record(event).await.map_err(|error| trouble(chain(&error)))?;
    }
    Ok(Reply::Done)
}

/// What is there for people, in every run, the oldest first; taking them marks them as read where the run goes on.
pub(super) async fn inbox(node: &Node, caller: &Caller, all: bool, take: bool) -> Result<Reply, Refusal> {
    if let Caller::Agent(session) = caller {
        return Err(not_allowed(
            format!("the inbox is for people, not for {session}"),
            "read your own letters",
        ));
    }
    let summaries = node.journal.runs().map_err(|error| trouble(chain(&error)))?;
    let mut found = Vec::new();
    for summary in summaries {
        let Ok(run) = Slug::new(&summary.run) else { continue };
        found.extend(letters_for_people(node, &run, all, take).await?);
    }
    found.extend(node.letters.inbox(all, take));
    found.sort_by_key(|view: &InboxView| view.letter.at_ms);
    Ok(Reply::Inbox(found))
}

async fn letters_for_people(
    node: &Node,
    run: &RunId,
    all: bool,
    take: bool,
) -> Result<Vec<InboxView>, Refusal> {
    let (journal, name) = (node.journal.clone(), run.clone());
    let listed = tokio::task::spawn_blocking(move || mailbox::list(&journal, &name));
    let (letters, _) =
        listed.await.map_err(|error| trouble(error.to_string()))?.map_err(|error| trouble(chain(&error)))?;
    let letters: Vec<_> = letters
        .into_iter()
        .filter(|letter| letter.to == Party::Person && (all || letter.fate.waits()))
        .collect();
    let unread = letters.iter().any(|letter| letter.fate.waits());
    if take && unread {
        read_for_people(node, run, &letters).await?;
    }
    let view = |letter: mailbox::Letter| InboxView { run: run.clone(), letter: shown(letter) };
    Ok(letters.into_iter().map(view).collect())
}

/// Marks them as read: by the run's mailbox while that lives, else in the journal itself.
async fn read_for_people(node: &Node, run: &RunId, letters: &[mailbox::Letter]) -> Result<(), Refusal> {
    let unread = letters.iter().filter(|letter| letter.fate.waits());
    let numbers: Vec<u64> = unread.map(|letter| letter.number).collect();
    let up_to = numbers.iter().copied().max().unwrap_or_default();
    if let Some(live) = node.root.run(run).await
        && let Ok(mailbox) = live.mailbox().await
    {
        let taken = mailbox.take_up_to(Party::Person, up_to).await;
        return taken.map(drop).map_err(|error| trouble(chain(&error)));
    }
    let marked = node.journal.mark(run, numbers, Fate::Read).await;
    marked.map(drop).map_err(|error| trouble(chain(&error)))
}

fn not_allowed(message: String, help: &str) -> Refusal {
    Refusal { code: RefusalCode::NotAllowed, message, help: Some(help.to_owned()) }
}
