//! How many would be started, against what the document allows.

use crate::diagnostic::Code;
use crate::document::{Document, Phase, Topology, Workers};
use crate::plan::draw::MAX_TOTAL_AGENTS_DEFAULT;
use crate::read::Span;
use crate::read::field::Reader;

/// The most text a plan may come to: what a phase says is written out for each of its workers.
const PLAN_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(super) fn check(document: &Document, reader: &mut Reader) {
    size(document, reader);
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

/// What the plan would come to, from above: each worker has what its phase, the document's session and the models say.
fn size(document: &Document, reader: &mut Reader) {
    let length = |span: Span| (span.end - span.start) as u64;
    let session = document.session.as_ref().map_or(0, |session| length(session.span));
    let models = document.models.as_ref().map_or(0, |models| length(models.span));
    let mut bytes = 0_u64;
    for phase in document.phases() {
        let own = length(phase.span) - phase.workers.as_ref().map_or(0, |workers| length(workers.span));
        let turns = phase.failover.as_ref().map_or(1, |failover| failover.0.len() as u64 + 1);
        let each = own.saturating_add(session).saturating_add(models.saturating_mul(turns));
        bytes = bytes.saturating_add(each.saturating_mul(workers(phase)));
    }
    if bytes > PLAN_BYTES_MAX {
        let message = format!(
            "written out for every worker the plan would have some {bytes} bytes, it may have {PLAN_BYTES_MAX} (plan_bytes_max)"
        );
        let help = "put long texts into a file of the repository and name it in the prompt";
        reader.findings.error(Code::LimitExceeded, document.span, message).help(help);
    }
}
