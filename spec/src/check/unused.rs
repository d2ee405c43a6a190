//! Fields that say nothing where they stand.

use crate::diagnostic::Code;
use crate::document::{Document, Phase, Topology};
use crate::read::Span;
use crate::read::field::Reader;

/// The fields of these names that are there, each with its place.
macro_rules! present {
    ($of:expr, [$($field:ident),*]) => {
        [$((stringify!($field), $of.$field.as_ref().map(|field| field.span))),*]
            .into_iter()
            .filter_map(|(name, span)| Some((name, span?)))
            .collect::<Vec<(&'static str, Span)>>()
    };
}

pub(super) fn check(document: &Document, reader: &mut Reader) {
    if document.fragment.is_none() {
        let topology = document.topology();
        let idle = match topology {
            Topology::Pipeline => present!(
                document,
                [
                    agents,
                    communication,
                    participants,
                    agenda,
                    rounds,
                    until,
                    moderator,
                    quiet_ms,
                    persistent,
                    watch
                ]
            ),
            Topology::Dialogue => {
                present!(
                    document,
                    [pipeline, agents, communication, agenda, moderator, quiet_ms, persistent, watch]
                )
            }
            Topology::Meeting => {
                present!(document, [pipeline, agents, communication, until, quiet_ms, persistent, watch])
            }
            Topology::Mesh => present!(document, [pipeline, participants, agenda, rounds, until, moderator]),
            Topology::Session => present!(
                document,
                [
                    pipeline,
                    agents,
                    communication,
                    participants,
                    agenda,
                    rounds,
                    until,
                    moderator,
                    quiet_ms,
                    persistent,
                    watch
                ]
            ),
        };
        report(idle, &format!("a document of type `{}`", topology.word()), reader);
    }
    for phase in document.phases() {
        check_phase(phase, reader);
    }
}

fn check_phase(phase: &Phase, reader: &mut Reader) {
    if phase.connector.is_some() {
        let idle = present!(
            phase,
            [
                kind,
                model,
                prompt,
                workers,
                parallel,
                failover,
                participants,
                agenda,
                rounds,
                until,
                moderator,
                agents,
                communication,
                quiet_ms,
                persistent
            ]
        );
        report(idle, "a phase that is a document of its own", reader);
        return;
    }
    let topology = phase.topology();
    let idle = match topology {
        Topology::Pipeline => {
            present!(
                phase,
                [agents, communication, participants, agenda, rounds, until, moderator, quiet_ms, persistent]
            )
        }
        Topology::Dialogue => present!(
            phase,
            [workers, parallel, agents, communication, agenda, moderator, quiet_ms, persistent]
        ),
        Topology::Meeting => {
            present!(phase, [workers, parallel, agents, communication, until, quiet_ms, persistent])
        }
        Topology::Mesh => {
            present!(phase, [workers, parallel, participants, agenda, rounds, until, moderator])
        }
        Topology::Session => present!(
            phase,
            [
                workers,
                parallel,
                agents,
                communication,
                participants,
                agenda,
                rounds,
                until,
                moderator,
                quiet_ms,
                persistent
            ]
        ),
    };
    report(idle, &format!("a phase of type `{}`", topology.word()), reader);
}

fn report(idle: Vec<(&'static str, Span)>, place: &str, reader: &mut Reader) {
    for (name, span) in idle {
        let name = if name == "kind" { "type" } else { name };
        let message = format!("`{name}` says nothing in {place}");
        reader.findings.warning(Code::UnusedField, span, message);
    }
}
