//! Dialogues, meetings and meshes: enough of them, told apart, and named where they are referred to.

use std::collections::{BTreeMap, BTreeSet};

use super::{conditions, graph};
use crate::diagnostic::Code;
use crate::document::{Agent, Document, ModelRef, Participant, Phase, Topology};
use crate::name::{Slug, WorkerName};
use crate::plan::draw::speaker_names;
use crate::read::At;
use crate::read::field::Reader;

pub(super) fn check_top(document: &Document, reader: &mut Reader) {
    let topology = document.topology();
    if let Some(participants) = &document.participants {
        check_participants(participants, topology, document.moderator.as_ref(), None, reader);
    }
    if let Some(agents) = &document.agents {
        check_agents(agents, None, reader);
    }
    if let Some(until) = &document.until {
        conditions::until(until, reader);
    }
}

pub(super) fn check_phase(phase: &Phase, reader: &mut Reader) {
    let topology = phase.topology();
    if let Some(participants) = &phase.participants {
        check_participants(participants, topology, phase.moderator.as_ref(), phase.model.as_ref(), reader);
    }
    if let Some(agents) = &phase.agents {
        check_agents(agents, phase.model.as_ref(), reader);
    }
    if let Some(until) = &phase.until {
        conditions::until(until, reader);
    }
}

fn check_participants(
    participants: &At<Vec<At<Participant>>>,
    topology: Topology,
    moderator: Option<&At<Slug>>,
    model: Option<&At<ModelRef>>,
    reader: &mut Reader,
) {
    let count = participants.len();
    let wrong = match topology {
        Topology::Dialogue if count != 2 => {
            Some(format!("a dialogue has two participants, this one has {count}"))
        }
        Topology::Meeting if count < 2 => {
            Some(format!("a meeting has at least two participants, this one has {count}"))
        }
        _ => None,
    };
    if let Some(message) = wrong.filter(|_| !reader.broken("participants")) {
        let more = (count > 2).then(|| "in a `meeting` more than two can talk".to_owned());
        reader.findings.error(Code::WrongLength, participants.span, message).help_if(more);
    }
    duplicates(participants.iter().filter_map(|one| one.id.as_ref()), "participants", reader);
    let named = participants.iter().map(|one| {
        (
            one.id.as_ref().map(|id| &id.value),
            one.model.as_ref().or(model).map(|model| model.value.0.as_str()),
        )
    });
    let names = speaker_names(named, "participant");
    if let Some(moderator) = moderator {
        let index = names.iter().enumerate().map(|(at, name)| (name, at)).collect();
        known(moderator, &index, "participant", reader);
    }
}

fn check_agents(agents: &At<Vec<At<Agent>>>, model: Option<&At<ModelRef>>, reader: &mut Reader) {
    if agents.is_empty() && !reader.broken("agents") {
        reader.findings.error(Code::NothingToRun, agents.span, "the mesh has no agents");
    }
    duplicates(agents.iter().filter_map(|one| one.id.as_ref()), "agents", reader);
    let named = agents.iter().map(|one| {
        (
            one.id.as_ref().map(|id| &id.value),
            one.model.as_ref().or(model).map(|model| model.value.0.as_str()),
        )
    });
    let names = speaker_names(named, "agent");
    let index: BTreeMap<&WorkerName, usize> = names.iter().enumerate().map(|(at, name)| (name, at)).collect();
    let mut after: Vec<Vec<usize>> = Vec::with_capacity(names.len());
    for agent in &agents.value {
        let list = agent.after.iter().flat_map(|after| &after.value.0);
        let found = list.filter_map(|name| known(name, &index, "agent", reader));
        after.push(found.collect());
    }
    for circle in graph::circles(&after) {
        let first = circle.iter().copied().min().unwrap_or_default();
        let span = agents[first].after.as_ref().map_or(agents[first].span, |after| after.span);
        let told: Vec<&str> = circle.iter().map(|at| names[*at].as_str()).take(20).collect();
        let message = format!("agents wait for each other: {}", told.join(" → "));
        reader.findings.error(Code::AfterCycle, span, message);
    }
}

fn duplicates<'a>(ids: impl Iterator<Item = &'a At<Slug>>, whose: &str, reader: &mut Reader) {
    let mut taken: BTreeSet<&Slug> = BTreeSet::new();
    for id in ids {
        if !taken.insert(&id.value) {
            let message = format!("two {whose} have the id `{}`", id.value);
            reader.findings.error(Code::DuplicateName, id.span, message);
        }
    }
}

/// The one that is meant, or a finding that there is none.
fn known(
    name: &At<Slug>,
    index: &BTreeMap<&WorkerName, usize>,
    what: &str,
    reader: &mut Reader,
) -> Option<usize> {
    let found = index.get(&name.value).copied();
    if found.is_none() && !reader.broken("id") && !reader.broken("model") {
        let message = format!("no {what} is named `{}`", name.value);
        let help = reader.hint(name.value.as_str(), index.keys().map(|name| name.as_str()));
        reader.findings.error(Code::UnknownWorker, name.span, message).help_if(help);
    }
    found
}
