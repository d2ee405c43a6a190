//! Phases: names, order, conditions, workers.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::{conditions, missing_field, speakers, steps};
use crate::condition::Read;
use crate::diagnostic::Code;
use crate::document::{Document, Phase, RequireSpec, Topology, Worker, Workers};
use crate::name::WorkerName;
use crate::plan::draw::worker_names;
use crate::read::At;
use crate::read::field::Reader;

/// Checks all phases and gives the outputs their conditions read.
pub(super) fn check(document: &Document, reader: &mut Reader) -> Vec<Read> {
    let Some(pipeline) = &document.pipeline else { return Vec::new() };
    let phases = document.phases();
    if pipeline.phases.as_ref().is_some_and(|phases| phases.is_empty()) && !reader.broken("phases") {
        reader.findings.error(Code::NothingToRun, pipeline.span, "the pipeline has no phases");
    }
    let graph = Graph::new(phases, reader);
    graph.cycles(phases, reader);
    let mut reads = Vec::new();
    for (at, phase) in phases.iter().enumerate() {
        if let Some(condition) = &phase.condition {
            reads.extend(conditions::condition(condition, at, &graph, reader));
        }
        if let Some(schema) = &phase.output_schema
            && let Some(wrong) = crate::shape::unfit(&schema.0)
        {
            let message = format!("`output_schema` is no JSON Schema: {wrong}");
            reader.findings.error(Code::BadForm, schema.span, message);
        }
        work(phase, reader);
        steps::check(phase, reader);
        speakers::check_phase(phase, reader);
    }
    reads
}

fn work(phase: &At<Phase>, reader: &mut Reader) {
    if let Some(kind) = &phase.kind {
        let missing = match kind.value {
            Topology::Mesh if phase.agents.is_none() => Some("agents"),
            Topology::Dialogue | Topology::Meeting if phase.participants.is_none() => Some("participants"),
            _ => None,
        };
        if let Some(missing) = missing.filter(|missing| !reader.broken(missing)) {
            missing_field(reader, kind.span, kind.value, missing);
        }
    }
    let count = match phase.workers.as_ref().map(|workers| (&workers.value, workers.span)) {
        Some((Workers::List(list), span)) => {
            if list.is_empty() && !reader.broken("workers") {
                let message = "`workers` is empty: nobody would work in this phase";
                reader.findings.error(Code::WrongLength, span, message);
            }
            names(list, reader);
            list.len()
        }
        Some((Workers::Count(count), _)) => usize::try_from(count.0).unwrap_or(usize::MAX),
        None if reader.broken("workers") => return,
        None => 1,
    };
    if let Some(require) = &phase.require
        && let RequireSpec::AtLeast(least) = &require.value
        && phase.topology() == Topology::Pipeline
        && usize::try_from(least.0).unwrap_or(usize::MAX) > count
    {
        let message = format!("`require` asks for {} workers and the phase has {count}", least.0);
        reader.findings.error(Code::OutOfBounds, require.span, message);
    }
}

fn names(list: &[At<Worker>], reader: &mut Reader) {
    let names = worker_names(list.iter().map(|worker| worker.id.as_ref().map(|id| &id.value)));
    let mut taken: BTreeSet<&WorkerName> = BTreeSet::new();
    for (worker, name) in list.iter().zip(&names) {
        if !taken.insert(name) {
            let span = worker.id.as_ref().map_or(worker.span, |id| id.span);
            let message = format!("two workers of this phase are named `{name}`");
            let help = "a worker without `id` is named by its number";
            reader.findings.error(Code::DuplicateName, span, message).help(help);
        }
    }
}
