//! Dialogues, meetings, meshes and lone sessions, in a phase or at the top of a document.

use std::collections::{BTreeMap, BTreeSet};

use super::Drawer;
use super::phases::Draft;
use super::trees::Place;
use crate::document::{
    Agenda, Agent, Communication, Document, DurationMs, Participant, Phase, Rounds, Shape, Topology,
    WatchSpec,
};
use crate::name::{PhaseName, Slug, WorkerName};
use crate::plan::{AgendaPlan, AgentPlan, PhaseWork, WatchPlan, WorkerPlan};
use crate::read::At;

const ROUNDS_DEFAULT: u32 = 3;
const AGENDA_ROUNDS_DEFAULT: u32 = 1;
const QUIET_MS_DEFAULT: u64 = 30_000;
const SETTLE_MS_DEFAULT: u64 = 5_000;

/// The fields of conversations, which a phase and the top of a document have alike.
pub(super) struct Conversation<'d> {
    participants: &'d [At<Participant>],
    agenda: &'d [At<Agenda>],
    rounds: Option<&'d At<Rounds>>,
    until: Option<&'d At<String>>,
    moderator: Option<&'d At<Slug>>,
    agents: &'d [At<Agent>],
    communication: Option<&'d At<Communication>>,
    quiet_ms: Option<&'d At<DurationMs>>,
    persistent: bool,
    watch: Option<&'d At<Vec<At<WatchSpec>>>>,
    at_top: bool,
}

macro_rules! conversation {
    ($of:ident, $persistent:expr, $watch:expr, $at_top:expr) => {
        Conversation {
            participants: $of.participants.as_ref().map_or(&[], |list| list.value.as_slice()),
            agenda: $of.agenda.as_ref().map_or(&[], |list| list.value.as_slice()),
            rounds: $of.rounds.as_ref(),
            until: $of.until.as_ref(),
            moderator: $of.moderator.as_ref(),
            agents: $of.agents.as_ref().map_or(&[], |list| list.value.as_slice()),
            communication: $of.communication.as_ref(),
            quiet_ms: $of.quiet_ms.as_ref(),
            persistent: $of.persistent.as_ref().map_or($persistent, |persistent| persistent.value),
            watch: $watch,
            at_top: $at_top,
        }
    };
}

impl<'d> From<&'d Phase> for Conversation<'d> {
    fn from(phase: &'d Phase) -> Conversation<'d> {
        conversation!(phase, false, None, false)
    }
}

impl<'d> From<&'d Document> for Conversation<'d> {
    fn from(document: &'d Document) -> Conversation<'d> {
        conversation!(document, true, document.watch.as_ref(), true)
    }
}

impl<'d> Drawer<'d> {
    /// The work of a document without a pipeline, and its phase's name.
    pub(super) fn lone_work(&mut self) -> (PhaseName, PhaseWork) {
        let document = self.document;
        let topology = document.topology();
        let name = Slug::nearest(topology.word());
        let work = match topology {
            Topology::Dialogue => self.dialogue(&name, &document.into(), None),
            Topology::Meeting => self.meeting(&name, &document.into(), None),
            Topology::Mesh => self.mesh(&name, &document.into(), None),
            Topology::Session | Topology::Pipeline => self.session_work(&name, None),
        };
        (name, work)
    }

    pub(super) fn session_work(&mut self, name: &PhaseName, phase: Option<&'d Phase>) -> PhaseWork {
        let draft = Draft {
            name: Slug::nearest("1"),
            workers: 1,
            model: phase.and_then(|phase| phase.model.as_ref()),
            failover: phase.and_then(|phase| phase.failover.as_ref()),
            prompt: phase.and_then(|phase| phase.prompt.as_ref()).map(|prompt| prompt.value.clone()),
            machine: phase.and_then(|phase| phase.machine.as_ref()),
            session: None,
            place: Place::Alone,
            span: phase.map_or(self.document.span, |phase| phase.span),
        };
        PhaseWork::Session { worker: self.worker(name, phase, draft) }
    }

    pub(super) fn dialogue(
        &mut self,
        name: &PhaseName,
        said: &Conversation<'d>,
        phase: Option<&'d Phase>,
    ) -> PhaseWork {
        PhaseWork::Dialogue {
            participants: self.participants(name, said.participants, phase),
            rounds: rounds(said.rounds, ROUNDS_DEFAULT),
            until: said.until.map(|until| until.value.clone()),
        }
    }

    pub(super) fn meeting(
        &mut self,
        name: &PhaseName,
        said: &Conversation<'d>,
        phase: Option<&'d Phase>,
    ) -> PhaseWork {
        let agenda = said.agenda.iter().map(|entry| AgendaPlan {
            topic: entry.topic.as_ref().map(|topic| topic.value.clone()).unwrap_or_default(),
            rounds: rounds(entry.rounds.as_ref().or(said.rounds), AGENDA_ROUNDS_DEFAULT),
        });
        let mut agenda: Vec<AgendaPlan> = agenda.collect();
        if agenda.is_empty() {
            // A meeting without an agenda is about its task.
            let rounds = rounds(said.rounds, AGENDA_ROUNDS_DEFAULT);
            agenda.push(AgendaPlan { topic: String::new(), rounds });
        }
        PhaseWork::Meeting {
            participants: self.participants(name, said.participants, phase),
            agenda,
            moderator: said.moderator.map(|moderator| moderator.value.clone()),
        }
    }

    fn participants(
        &mut self,
        name: &PhaseName,
        participants: &'d [At<Participant>],
        phase: Option<&'d Phase>,
    ) -> Vec<WorkerPlan> {
        let asked = phase.and_then(|phase| phase.model.as_ref());
        let named = participants.iter().map(|one| {
            (
                one.id.as_ref().map(|id| &id.value),
                one.model.as_ref().or(asked).map(|model| model.value.0.as_str()),
            )
        });
        let names = speaker_names(named, "participant");
        let task = phase.and_then(|phase| phase.prompt.as_ref()).map(|prompt| prompt.value.as_str());
        let drafts: Vec<Draft<'d>> = participants
            .iter()
            .zip(names)
            .map(|(one, name)| Draft {
                name,
                workers: participants.len(),
                model: one.model.as_ref().or(asked),
                failover: one.failover.as_ref().or(phase.and_then(|phase| phase.failover.as_ref())),
                prompt: joined(task, one.role.as_ref().map(|role| role.value.as_str())),
                machine: one.machine.as_ref().or(phase.and_then(|phase| phase.machine.as_ref())),
                session: one.session.as_ref().map(|session| &session.value),
                place: Place::Participant,
                span: one.span,
            })
            .collect();
        drafts.into_iter().map(|draft| self.worker(name, phase, draft)).collect()
    }

    pub(super) fn mesh(
        &mut self,
        name: &PhaseName,
        said: &Conversation<'d>,
        phase: Option<&'d Phase>,
    ) -> PhaseWork {
        let asked = phase.and_then(|phase| phase.model.as_ref());
        let named = said.agents.iter().map(|one| {
            (
                one.id.as_ref().map(|id| &id.value),
                one.model.as_ref().or(asked).map(|model| model.value.0.as_str()),
            )
        });
        let names = speaker_names(named, "agent");
        let task = phase.and_then(|phase| phase.prompt.as_ref()).map(|prompt| prompt.value.as_str());
        let lone = said.agents.len() == 1;
        let mut agents = Vec::with_capacity(said.agents.len());
        for (one, worker_name) in said.agents.iter().zip(names) {
            let draft = Draft {
                name: worker_name,
                workers: said.agents.len(),
                model: one.model.as_ref().or(asked),
                failover: one.failover.as_ref().or(phase.and_then(|phase| phase.failover.as_ref())),
                prompt: joined(task, one.prompt.as_ref().map(|prompt| prompt.value.as_str())),
                machine: one.machine.as_ref().or(phase.and_then(|phase| phase.machine.as_ref())),
                session: one.session.as_ref().map(|session| &session.value),
                place: Place::Agent,
                span: one.span,
            };
            let worker = self.worker(name, phase, draft);
            let after =
                one.after.iter().flat_map(|after| &after.value.0).map(|id| id.value.clone()).collect();
            agents.push(AgentPlan { worker, after, watch: self.watch(one, said, lone) });
        }
        let talk = said.communication.map(|communication| &communication.value);
        PhaseWork::Mesh {
            agents,
            star: talk
                .and_then(|talk| talk.topology.as_ref())
                .is_some_and(|shape| shape.value == Shape::Star),
            any_to_any: talk.and_then(|talk| talk.any_to_any.as_ref()).map_or_else(
                || {
                    !talk
                        .and_then(|talk| talk.topology.as_ref())
                        .is_some_and(|shape| shape.value == Shape::Star)
                },
                |any| any.value,
            ),
            broadcast: talk.and_then(|talk| talk.broadcast_channel.as_ref()).is_some_and(|on| on.value),
            quiet_ms: said.quiet_ms.map_or(QUIET_MS_DEFAULT, |ms| ms.0),
            persistent: said.persistent,
        }
    }

    /// What wakes an agent: its own word, the document's, else at the top its tree, or the repository for a lone one.
    fn watch(&self, agent: &Agent, said: &Conversation<'_>, lone: bool) -> Vec<WatchPlan> {
        let written = agent.watch.as_ref().or(said.watch);
        if let Some(written) = written {
            let plan = |watch: &At<WatchSpec>| {
                let git = watch.git.as_ref()?.value.0.clone();
                Some(WatchPlan {
                    git,
                    settle_ms: watch.settle_ms.as_ref().map_or(SETTLE_MS_DEFAULT, |ms| ms.0),
                })
            };
            return written.value.iter().filter_map(plan).collect();
        }
        if !said.at_top || self.around.repository.is_none() {
            return Vec::new();
        }
        let git = if lone { "refs" } else { "worktree" };
        vec![WatchPlan { git: git.to_owned(), settle_ms: SETTLE_MS_DEFAULT }]
    }
}

fn rounds(written: Option<&At<Rounds>>, default: u32) -> u32 {
    written.and_then(|rounds| u32::try_from(rounds.0).ok()).unwrap_or(default)
}

/// What all are told, and what one of them is.
fn joined(task: Option<&str>, own: Option<&str>) -> Option<String> {
    match (task, own) {
        (Some(task), Some(own)) => Some(format!("{task}\n\n{own}")),
        (task, own) => task.or(own).map(str::to_owned),
    }
}

/// The names of those who speak: their ids, else their models, else what they are; a second one of a name gets `-2`.
pub(crate) fn speaker_names<'a>(
    named: impl Iterator<Item = (Option<&'a Slug>, Option<&'a str>)> + Clone,
    otherwise: &str,
) -> Vec<WorkerName> {
    let mut taken: BTreeSet<Slug> = named.clone().filter_map(|(id, _)| id.cloned()).collect();
    let mut numbers: BTreeMap<Slug, u32> = BTreeMap::new();
    named
        .map(|(id, model)| {
            if let Some(id) = id {
                return id.clone();
            }
            let wanted = Slug::nearest(model.unwrap_or(otherwise));
            let number = numbers.entry(wanted.clone()).or_insert(1);
            let mut name = wanted.clone();
            while !taken.insert(name.clone()) {
                *number += 1;
                name = super::variables::short(&format!("{wanted}-{number}"));
            }
            name
        })
        .collect()
}
