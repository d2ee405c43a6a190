//! What agents are told: variables that are none, and nobody told anything.

use super::within;
use crate::diagnostic::{Code, did_you_mean, excerpt};
use crate::document::{Document, Fragment, Phase, Topology, Workers};
use crate::read::At;
use crate::read::field::Reader;
use crate::read::template::{VARIABLES, stranger};

pub(super) fn check(document: &Document, reader: &mut Reader) {
    let mut told = false;
    let mut see = |text: Option<&At<String>>, reader: &mut Reader| {
        if let Some(text) = text {
            told = true;
            variables(text, reader);
        }
    };
    for phase in document.phases() {
        told_in_phase(phase, &mut |text| see(text, reader));
    }
    for agent in document.agents.iter().flat_map(|agents| &agents.value) {
        see(agent.prompt.as_ref(), reader);
    }
    for participant in document.participants.iter().flat_map(|participants| &participants.value) {
        see(participant.role.as_ref(), reader);
    }
    let agenda = document.agenda.as_ref().is_some_and(|agenda| !agenda.is_empty());
    let alone = document.topology() == Topology::Session || document.fragment == Some(Fragment::Pipeline);
    let self_told =
        |phase: &At<Phase>| phase.connector.is_some() || phase.is_steps_alone() || phase.agenda.is_some();
    let all_self_told = !document.phases().is_empty() && document.phases().iter().all(self_told);
    let broken = ["prompt", "task", "phases", "workers", "agents", "participants", "role"];
    if told
        || agenda
        || alone
        || all_self_told
        || document.task.is_some()
        || broken.iter().any(|name| reader.broken(name))
    {
        return;
    }
    let message = "no phase has a prompt and the document has no task: nobody is told what to do";
    let help = "write \"task\", or name the task when it is run: niia run FILE \"task\"";
    reader.findings.warning(Code::NoTask, document.span, message).help(help);
}

fn told_in_phase<'p>(phase: &'p Phase, see: &mut dyn FnMut(Option<&'p At<String>>)) {
    see(phase.prompt.as_ref());
    if let Some(Workers::List(list)) = phase.workers.as_ref().map(|workers| &workers.value) {
        list.iter().for_each(|worker| see(worker.prompt.as_ref()));
    }
    let agents = phase.agents.iter().flat_map(|agents| &agents.value);
    agents.for_each(|agent| see(agent.prompt.as_ref()));
    let participants = phase.participants.iter().flat_map(|participants| &participants.value);
    participants.for_each(|participant| see(participant.role.as_ref()));
}

fn variables(text: &At<String>, reader: &mut Reader) {
    if let Some(whole) = stranger(&text.value) {
        let place = within(text, text.value.find(whole).unwrap_or(0));
        let message = format!("`{}` is no variable and stays as it is", excerpt(whole));
        let meant = did_you_mean(whole.trim_matches(['{', '}']), VARIABLES);
        let help = meant.unwrap_or_else(|| "write {{ and }} for braces".to_owned());
        reader.findings.warning(Code::UnknownVariable, place, message).help(help);
    }
}
