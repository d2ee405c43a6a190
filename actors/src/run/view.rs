//! A run as people see it, made from its course: live and ended runs are shown by the same code.

use std::collections::BTreeMap;

use niia_spec::course::{
    Attempt, MENDER, Outcome, PhaseCourse, PhaseOutcome, PhaseState, RunCourse, WorkerCourse,
};
use niia_spec::name::{AttemptId, PhaseName, WorkerId, WorkerName};
use niia_spec::notice::{self, AttemptView, PhaseView, RunState, RunView, WorkerState, WorkerView};
use niia_spec::plan::{PhasePlan, WorkerPlan};
use serde_json::Value;

use super::context::RunContext;
use super::report::report_path;
use super::times::Times;
use crate::session::look::last_line;

/// Characters of an answer that a view shows at most; the words of a talk are kept longer.
const EXCERPT_CHARS_MAX: usize = 400;
/// Characters of a terminal's last line that a table shows at most.
const LAST_LINE_CHARS_MAX: usize = 200;

pub fn view_of(context: &RunContext, course: &RunCourse, times: &Times) -> RunView {
    let (state, reason) = match (course.over(), course.waits(), course.halt()) {
        (Some(outcome), _, _) => RunState::of(outcome),
        (None, Some(reason), _) => (RunState::NeedsAttention, Some(reason)),
        (None, None, Some(halt)) => (RunState::Running, Some(halt.reason().to_owned())),
        (None, None, None) => (RunState::Running, None),
    };
    let report = report_path(&context.folder);
    RunView {
        run: context.run.clone(),
        name: context.plan.name.to_string(),
        parent: context.lineage.last().cloned(),
        state,
        reason,
        begun_at_ms: context.begun_at_ms,
        ended_at_ms: times.over(),
        origin: context.origin.cwd.display().to_string(),
        occasion: context.origin.occasion.clone(),
        repository: context.trees.as_ref().map(|trees| trees.repository().root.display().to_string()),
        folder: context.folder.display().to_string(),
        report: report.is_file().then(|| report.display().to_string()),
        branch: context.trees.as_ref().map(|trees| trees.result_branch()),
        phases: course
            .phases()
            .map(|(plan, phase)| phase_view(context, course, times, plan, phase))
            .collect(),
        usage: *course.spent(),
        warnings: context.origin.warnings.iter().cloned().chain(untaken(course)).collect(),
    }
}

/// Everything that was published, as `phase → worker → key`.
pub(super) fn outputs(course: &RunCourse) -> Value {
    let phases = course.outputs().phases.iter().map(|phase| {
        let workers = phase.workers.iter().map(|worker| {
            let values = worker.values.clone().into_iter().collect();
            (worker.worker.to_string(), Value::Object(values))
        });
        (phase.phase.to_string(), Value::Object(workers.collect()))
    });
    Value::Object(phases.collect())
}

/// What workers said and was not taken.
fn untaken(course: &RunCourse) -> Vec<String> {
    let workers = course.phases().flat_map(|(plan, phase)| {
        let names = plan.everybody().map(move |worker| format!("{}/{}", plan.name, worker.name));
        names.zip(phase.workers().iter().chain(phase.steps()))
    });
    let said = workers.flat_map(|(name, worker)| {
        let endings = worker.attempts().iter().filter_map(|attempt| attempt.ending.as_ref());
        endings
            .flat_map(move |ending| {
                ending.untaken.iter().map({
                    let name = name.clone();
                    move |what| format!("{name}: {what}")
                })
            })
            .collect::<Vec<_>>()
    });
    said.collect()
}

fn phase_view(
    context: &RunContext,
    course: &RunCourse,
    times: &Times,
    plan: &PhasePlan,
    phase: &PhaseCourse,
) -> PhaseView {
    let planned = plan.work.workers();
    let mut workers: Vec<WorkerView> = planned
        .iter()
        .zip(phase.workers())
        .map(|(worker, state)| {
            Worker { context, course, times, phase: &plan.name, plan: worker }.view(&worker.name, state)
        })
        .collect();
    let steps = plan.steps.iter().zip(phase.steps()).map(|(step, state)| {
        let worker = &step.worker;
        Worker { context, course, times, phase: &plan.name, plan: worker }.view(&worker.name, state)
    });
    drop(workers.splice(0..0, steps));
    let mender = Worker::mender(&plan.name);
    if let (Some(first), Some(id)) = (planned.first(), mender)
        && let Some(state) = course.worker(&id).filter(|state| !state.attempts().is_empty())
    {
        workers
            .push(Worker { context, course, times, phase: &plan.name, plan: first }.view(&id.worker, state));
    }
    if phase.outcome().is_some() || course.over().is_some() {
        for worker in workers.iter_mut().filter(|worker| worker.state == WorkerState::Waiting) {
            worker.state = WorkerState::NotStarted;
        }
    }
    PhaseView {
        phase: plan.name.clone(),
        kind: plan.work.word().to_owned(),
        state: if phase.asks() { notice::PhaseState::Asking } else { phase_state(phase.state()) },
        outcome: phase.outcome().cloned().or_else(|| needs_attention(course, &plan.name)),
        workers,
    }
}

/// How a phase stands that a person must help, once all that lived has ended.
fn needs_attention(course: &RunCourse, phase: &PhaseName) -> Option<PhaseOutcome> {
    course.waits()?;
    course.stuck(phase).map(|reason| PhaseOutcome::NeedsAttention { reason })
}

fn phase_state(state: &PhaseState) -> notice::PhaseState {
    match state {
        PhaseState::Waiting | PhaseState::Approved => notice::PhaseState::Waiting,
        PhaseState::Asked => notice::PhaseState::Asking,
        PhaseState::Open | PhaseState::Dismissing | PhaseState::Dismissed => notice::PhaseState::Working,
        PhaseState::Gathering { .. }
        | PhaseState::Gathered { .. }
        | PhaseState::Mending { .. }
        | PhaseState::Ungathered { .. } => notice::PhaseState::Gathering,
        PhaseState::Denied { .. } | PhaseState::Closed { .. } => notice::PhaseState::Over,
    }
}

/// One worker with what there is to know of it.
struct Worker<'a> {
    context: &'a RunContext,
    course: &'a RunCourse,
    times: &'a Times,
    phase: &'a PhaseName,
    plan: &'a WorkerPlan,
}

impl Worker<'_> {
    fn mender(phase: &PhaseName) -> Option<WorkerId> {
        let worker = WorkerName::new(MENDER).ok()?;
        Some(WorkerId { phase: phase.clone(), worker })
    }

    fn view(&self, name: &WorkerName, state: &WorkerCourse) -> WorkerView {
        let attempts: Vec<AttemptView> =
            (1..).zip(state.attempts()).map(|(number, attempt)| self.attempt(number, attempt)).collect();
        let newest = u32::try_from(attempts.len()).ok().filter(|count| *count > 0).map(|attempt| AttemptId {
            worker: WorkerId { phase: self.phase.clone(), worker: name.clone() },
            attempt,
        });
        let model = attempts.last().map(|attempt| attempt.model.clone());
        let live =
            newest.as_ref().and_then(|attempt| self.context.live.get(&self.context.session_id(attempt)));
        let facts = live.as_ref().map(|session| session.facts());
        let asks = facts.and_then(|facts| facts.asked());
        WorkerView {
            worker: name.clone(),
            state: match worker_state(state) {
                WorkerState::Working if asks.is_some() => WorkerState::WaitingInput,
                state => state,
            },
            asks,
            model: model
                .unwrap_or_else(|| self.plan.models.first().map(|m| m.reference.clone()).unwrap_or_default()),
            session: newest.as_ref().map(|attempt| self.context.session_id(attempt)),
            attempts,
            outputs: self.outputs(name),
            begun_at_ms: self.times.begun(self.phase, name),
            ended_at_ms: self.times.ended(self.phase, name).filter(|_| {
                !matches!(
                    worker_state(state),
                    WorkerState::Working | WorkerState::Starting | WorkerState::Ending
                )
            }),
            last_line: facts.and_then(|facts| last_line(facts, LAST_LINE_CHARS_MAX)),
            tree: facts.and_then(|facts| facts.place().cwd).map(|cwd| cwd.display().to_string()),
        }
    }

    fn attempt(&self, number: u32, attempt: &Attempt) -> AttemptView {
        let model = usize::try_from(attempt.model).ok().and_then(|at| self.plan.models.get(at));
        let ending = attempt.ending.as_ref();
        AttemptView {
            attempt: number,
            model: model.map(|model| model.reference.clone()).unwrap_or_default(),
            outcome: ending.map(|ending| ending.outcome.clone()),
            evidence: ending.map(|ending| ending.evidence.clone()),
            commit: ending.and_then(|ending| ending.commit.clone()),
            usage: ending.and_then(|ending| ending.usage),
            kept: ending.and_then(|ending| ending.kept.clone()),
            excerpt: ending
                .map(|ending| ending.excerpt.chars().take(EXCERPT_CHARS_MAX).collect())
                .filter(|text: &String| !text.is_empty()),
        }
    }

    fn outputs(&self, name: &WorkerName) -> BTreeMap<String, Value> {
        let phases = self.course.outputs().phases.iter();
        let phase = phases.filter(|phase| phase.phase == *self.phase);
        let mut workers = phase.flat_map(|phase| &phase.workers);
        workers.find(|worker| worker.worker == *name).map(|worker| worker.values.clone()).unwrap_or_default()
    }
}

fn worker_state(worker: &WorkerCourse) -> WorkerState {
    match worker.attempts().last() {
        None => WorkerState::Waiting,
        Some(Attempt { ending: Some(ending), .. }) => match ending.outcome {
            Outcome::Done => WorkerState::Done,
            _ => WorkerState::Failed,
        },
        Some(Attempt { end_asked: Some(_), .. }) => WorkerState::Ending,
        Some(Attempt { started: true, .. }) => WorkerState::Working,
        Some(_) => WorkerState::Starting,
    }
}
