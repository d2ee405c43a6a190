//! The phases of a pipeline, and what every kind of phase has.

use super::sessions::{Levels, Standing};
use super::trees::Place;
use super::variables::Variables;
use super::{Drawer, limits, machines};
use crate::document::{
    Failover, MachineSpec, ModelRef, Phase, RequireSpec, RequireWord, Session, Topology, Workers,
};
use crate::name::{PhaseName, Slug, WorkerName};
use crate::plan::{MergeRule, OnFailure, OnLost, PhasePlan, PhaseWork, Require, Retry, StepPlan, WorkerPlan};
use crate::read::At;
use crate::read::finding::Span;

const BACKOFF_MS_DEFAULT: u64 = 1_000;
const GRACE_MS_DEFAULT: u64 = 60_000;
const ORPHAN_AFTER_MS_DEFAULT: u64 = 24 * 60 * 60 * 1000;

/// Everything a document says of one worker, wherever it says it.
pub(super) struct Draft<'d> {
    pub name: WorkerName,
    pub workers: usize,
    pub model: Option<&'d At<ModelRef>>,
    pub failover: Option<&'d At<Failover>>,
    pub prompt: Option<String>,
    pub machine: Option<&'d At<MachineSpec>>,
    pub session: Option<&'d Session>,
    pub place: Place,
    pub span: Span,
}

impl<'d> Drawer<'d> {
    pub(super) fn pipeline(&mut self) -> Vec<PhasePlan> {
        let document = self.document;
        let names: Vec<PhaseName> = phase_names(document.phases());
        let mut plans: Vec<PhasePlan> = Vec::with_capacity(names.len());
        for (at, phase) in document.phases().iter().enumerate() {
            let work = (self.work(&names[at], &phase.value), self.steps(&names[at], &phase.value));
            let before = at.checked_sub(1).map(|before| names[before].clone());
            plans.push(self.phase(names[at].clone(), before, &phase.value, work));
        }
        plans
    }

    fn phase(
        &mut self,
        name: PhaseName,
        before: Option<PhaseName>,
        phase: &Phase,
        (work, steps): (PhaseWork, Vec<StepPlan>),
    ) -> PhasePlan {
        let pipeline = self.document.pipeline.as_ref().map(|pipeline| &pipeline.value);
        let merge = phase.merge.as_ref().or_else(|| pipeline?.merge.as_ref());
        let mailbox = phase.mailbox.as_ref().map_or_else(|| self.mailbox(), |mailbox| mailbox.value);
        let retry = phase.retry.as_ref();
        PhasePlan {
            name,
            after: match &phase.after {
                Some(after) => after.0.iter().map(|phase| phase.value.clone()).collect(),
                None => before.into_iter().collect(),
            },
            condition: phase.condition.as_ref().map(|condition| condition.value.clone()),
            steps,
            require: require(phase.require.as_ref()),
            on_failure: phase.on_failure.as_ref().map_or(OnFailure::Stop, |rule| rule.value),
            retry: Retry {
                max: retry
                    .and_then(|retry| retry.max.as_ref())
                    .and_then(|max| u32::try_from(max.0).ok())
                    .unwrap_or(0),
                backoff_ms: retry
                    .and_then(|retry| retry.backoff_ms.as_ref())
                    .map_or(BACKOFF_MS_DEFAULT, |ms| ms.0),
            },
            approve: phase.approve.as_ref().is_some_and(|approve| approve.value),
            merge: match merge.map_or(MergeRule::Agent, |rule| rule.value) {
                // Where no agent works nobody can mend.
                MergeRule::Agent if agentless(&work) => MergeRule::Stop,
                rule => rule,
            },
            on_lost: phase.on_lost.as_ref().map_or(OnLost::Wait, |rule| rule.value),
            grace_ms: phase.grace_ms.as_ref().map_or(GRACE_MS_DEFAULT, |ms| ms.0),
            orphan_after_ms: phase.orphan_after_ms.as_ref().map_or(ORPHAN_AFTER_MS_DEFAULT, |ms| ms.0),
            output: phase.output.as_ref().map(|path| path.0.clone()),
            output_schema: phase.output_schema.as_ref().map(|schema| schema.0.clone()),
            publishes: Vec::new(),
            scratchpad: self.scratchpad(phase),
            mailbox,
            limits: limits::phase(&self.limits, phase.limits.as_ref().map(|limits| &limits.value)),
            mcp: self.mcp(phase.tools.as_ref()),
            work,
        }
    }

    /// A phase that the top of the document is.
    pub(super) fn lone_phase(&mut self) -> PhasePlan {
        let (name, work) = self.lone_work();
        self.phase(name, None, &Phase::default(), (work, Vec::new()))
    }

    fn scratchpad(&self, phase: &Phase) -> bool {
        let pipeline = self.document.pipeline.as_ref().and_then(|pipeline| pipeline.scratchpad.as_ref());
        phase.scratchpad.as_ref().or(pipeline).is_none_or(|on| on.value)
    }

    fn work(&mut self, name: &PhaseName, phase: &'d Phase) -> PhaseWork {
        if let Some(path) = &phase.connector {
            return self.connector(name, phase, &path.0);
        }
        match phase.topology() {
            Topology::Pipeline if phase.is_steps_alone() => PhaseWork::Steps,
            Topology::Pipeline => PhaseWork::Workers {
                workers: self.workers(name, phase),
                parallel: phase.parallel.as_ref().is_none_or(|parallel| parallel.value),
            },
            Topology::Session => self.session_work(name, Some(phase)),
            Topology::Dialogue => self.dialogue(name, &phase.into(), Some(phase)),
            Topology::Meeting => self.meeting(name, &phase.into(), Some(phase)),
            Topology::Mesh => self.mesh(name, &phase.into(), Some(phase)),
        }
    }

    fn workers(&mut self, name: &PhaseName, phase: &'d Phase) -> Vec<WorkerPlan> {
        let template = phase.prompt.as_ref().map(|prompt| prompt.value.clone());
        let draft = |name: Slug, workers: usize| Draft {
            name,
            workers,
            model: phase.model.as_ref(),
            failover: phase.failover.as_ref(),
            prompt: template.clone(),
            machine: phase.machine.as_ref(),
            session: None,
            place: if workers == 1 { Place::Alone } else { Place::OneOfSeveral },
            span: phase.span,
        };
        match phase.workers.as_ref().map(|workers| &workers.value) {
            None => vec![self.worker(name, Some(phase), draft(numbered(1), 1))],
            Some(Workers::Count(count)) => {
                let count = usize::try_from(count.0).unwrap_or(usize::MAX);
                (1..=count)
                    .map(|number| self.worker(name, Some(phase), draft(numbered(number), count)))
                    .collect()
            }
            Some(Workers::List(list)) => {
                let names = worker_names(list.iter().map(|worker| worker.id.as_ref().map(|id| &id.value)));
                let drafts = list.iter().zip(names).map(|(worker, name)| Draft {
                    model: worker.model.as_ref().or(phase.model.as_ref()),
                    failover: worker.failover.as_ref().or(phase.failover.as_ref()),
                    prompt: worker
                        .prompt
                        .as_ref()
                        .map(|prompt| prompt.value.clone())
                        .or_else(|| template.clone()),
                    machine: worker.machine.as_ref().or(phase.machine.as_ref()),
                    session: worker.session.as_ref().map(|session| &session.value),
                    span: worker.span,
                    ..draft(name, list.len())
                });
                drafts
                    .collect::<Vec<_>>()
                    .into_iter()
                    .map(|draft| self.worker(name, Some(phase), draft))
                    .collect()
            }
        }
    }

    /// One worker with everything filled in.
    pub(super) fn worker(
        &mut self,
        phase_name: &PhaseName,
        phase: Option<&'d Phase>,
        draft: Draft<'d>,
    ) -> WorkerPlan {
        let machine = machines::choices(draft.machine);
        let elsewhere = self.elsewhere(&machine);
        let models = self.models.chosen(draft.model, draft.failover, draft.span, !elsewhere);
        let levels = Levels {
            own: draft.session,
            phase: phase.and_then(|phase| phase.session.as_ref()).map(|session| &session.value),
            document: self.document.session.as_ref().map(|session| &session.value),
        };
        let profile = models.first().and_then(|model| self.around.profile(&model.profile));
        let own_limit = phase.and_then(|phase| phase.limits.as_ref()).map(|limits| &limits.value);
        let standing = Standing {
            scratchpad: phase.map_or_else(|| true, |phase| self.scratchpad(phase))
                && self.session_scratchpad(phase),
            local_model: profile.is_some_and(|profile| profile.local),
            elsewhere,
            reads_only: draft.place == Place::Participant,
            timeout_ms_max: limits::phase(&self.limits, own_limit).timeout_per_agent_ms,
        };
        self.timeout(levels, standing.timeout_ms_max);
        let document_name = self.name.clone();
        let machine_word = machines::word(&machine);
        let variables = Variables {
            worker: draft.name.as_str(),
            workers: draft.workers,
            phase: phase_name.as_str(),
            name: document_name.as_str(),
            model: models.first().map_or("", |model| &model.reference),
            machine: &machine_word,
        };
        WorkerPlan {
            prompt: draft.prompt.map(|prompt| variables.text(&prompt)),
            session: levels.plan(standing),
            tree: self.tree(levels, draft.place, elsewhere, &variables),
            name: draft.name.clone(),
            models,
            machine,
        }
    }

    /// What `session.scratchpad` of the document says, where nothing nearer says more.
    fn session_scratchpad(&self, phase: Option<&Phase>) -> bool {
        let pipeline = self.document.pipeline.as_ref().and_then(|pipeline| pipeline.scratchpad.as_ref());
        let nearer = phase.and_then(|phase| phase.scratchpad.as_ref()).or(pipeline);
        let outer = self.document.session.as_ref().and_then(|session| session.scratchpad.as_ref());
        nearer.or(outer).is_none_or(|on| on.value)
    }

    /// A time a document asks for and does not allow itself.
    fn timeout(&mut self, levels: Levels<'_>, allowed: Option<u64>) {
        if let (Some(asked), Some(allowed)) = (levels.timeout(), allowed)
            && asked.0 > allowed
        {
            let message =
                format!("`timeout_ms` is {}, the limits allow {allowed} (timeout_per_agent_ms)", asked.0);
            self.models.complain_of_limit(asked.span, message);
        }
    }
}

fn agentless(work: &PhaseWork) -> bool {
    matches!(work, PhaseWork::Connector { .. } | PhaseWork::Steps)
}

/// The names of phases: their own, else `phase-<n>`.
pub(crate) fn phase_names(phases: &[At<Phase>]) -> Vec<PhaseName> {
    let own = |phase: &At<Phase>| phase.name.as_ref().map(|name| name.value.0.clone());
    let named = phases.iter().enumerate();
    named
        .map(|(at, phase)| own(phase).unwrap_or_else(|| Slug::nearest(&format!("phase-{}", at + 1))))
        .collect()
}

pub(super) fn numbered(number: usize) -> Slug {
    Slug::nearest(&number.to_string())
}

/// The names of workers: their ids, else their numbers.
pub(crate) fn worker_names<'a>(ids: impl Iterator<Item = Option<&'a Slug>>) -> Vec<WorkerName> {
    ids.enumerate().map(|(at, id)| id.cloned().unwrap_or_else(|| numbered(at + 1))).collect()
}

fn require(spec: Option<&At<RequireSpec>>) -> Require {
    match spec.map(|spec| &spec.value) {
        None | Some(RequireSpec::Word(RequireWord::All)) => Require::All,
        Some(RequireSpec::Word(RequireWord::Any)) => Require::Any,
        Some(RequireSpec::AtLeast(count)) => Require::AtLeast(u32::try_from(count.0).unwrap_or(u32::MAX)),
    }
}
