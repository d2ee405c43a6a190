//! How many would be started, against what the document allows.

use crate::diagnostic::Code;
use crate::document::{Document, Phase, Topology, Workers};
use crate::plan::draw::MAX_TOTAL_AGENTS_DEFAULT;
use crate::read::field::Reader;

pub(super) fn check(document: &Document, reader: &mut Reader) {
    let top = match document.topology() {
        Topology::Pipeline => {
            document.phases().iter().fold(0_u64, |sum, phase| sum.saturating_add(workers(phase)))
        }
        Topology::Mesh => document.agents.as_ref().map_or(0, |agents| agents.len() as u64),
        Topology::Dialogue | Topology::Meeting => {
            document.participants.as_ref().map_or(0, |all| all.len() as u64)
        }
        Topology::Session => 1,
    };
    let limits = document.limits.as_ref();
    let written = limits.and_then(|limits| limits.max_total_agents.as_ref());
    if reader.broken("max_total_agents") || reader.broken("limits") {
        return;
    }
    let allowed = written.map_or(u64::from(MAX_TOTAL_AGENTS_DEFAULT), |limit| limit.0);
    if top > allowed {
        let span = written.map_or(document.span, |limit| limit.span);
        let message = format!("{top} agents are planned and {allowed} are allowed (max_total_agents)");
        let help = format!("write \"limits\": {{ \"max_total_agents\": {top} }}, or plan fewer");
        reader.findings.error(Code::LimitExceeded, span, message).help(help);
    }
}

fn workers(phase: &Phase) -> u64 {
    if phase.connector.is_some() || phase.is_steps_alone() {
        return 0;
    }
    match phase.topology() {
        Topology::Mesh => phase.agents.as_ref().map_or(0, |agents| agents.len() as u64),
        Topology::Dialogue | Topology::Meeting => {
            phase.participants.as_ref().map_or(0, |all| all.len() as u64)
        }
        Topology::Session => 1,
        Topology::Pipeline => match phase.workers.as_ref().map(|workers| &workers.value) {
            None => 1,
            Some(Workers::Count(count)) => count.0,
            Some(Workers::List(list)) => list.len() as u64,
        },
    }
}
