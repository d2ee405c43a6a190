//! What later runs are told of one that is over: what was asked, answered and decided, as far as `egress` lets it go on.

use std::collections::BTreeMap;

use niia_spec::course::{Outcome, PhaseOutcome, RunCourse, RunOutcome};
use niia_spec::name::WorkerId;
use niia_spec::notice::{PastPhase, PastRun, PastWorker, RunState};
use niia_spec::plan::{Egress, PhasePlan, WorkerPlan};

use super::context::RunContext;
use super::report::{done_attempt, excerpt, talk_result};
use crate::place::Place;
use crate::session::finish::kept_answer;

/// Bytes of one prompt or answer in the history: who wants more reads the run itself.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Writes a run's page into the history of its place. The history is for reading; that it lacks a page is said and holds
/// up nothing.
pub(super) fn keep(context: &RunContext, past: &PastRun) {
    let Some(place) = Place::of_run(&context.folder, &context.origin) else { return };
    if let Err(error) = place.keep(past) {
        tracing::warn!(run = %context.run, %error, "the history has no page of this run");
    }
}

pub(super) fn past(context: &RunContext, course: &RunCourse, outcome: &RunOutcome) -> PastRun {
    let (state, reason) = RunState::of(outcome);
    let phases = course.phases();
    PastRun {
        run: context.run.clone(),
        name: context.plan.name.to_string(),
        occasion: context.origin.occasion.clone(),
        begun_at_ms: context.begun_at_ms,
        ended_at_ms: crate::clock::wall_ms(),
        state,
        reason,
        repository: context.origin.repository.as_ref().map(|path| path.display().to_string()),
        task: context.plan.task.clone(),
        phases: phases.map(|(plan, phase)| phase_of(context, course, plan, phase.outcome())).collect(),
    }
}

fn phase_of(
    context: &RunContext,
    course: &RunCourse,
    plan: &PhasePlan,
    outcome: Option<&PhaseOutcome>,
) -> PastPhase {
    let workers = plan.work.workers();
    // A talk is told as a whole, so that the narrowest of its participants decides for all.
    let told = workers.iter().all(|worker| worker.session.egress != Egress::None);
    let minutes = talk_result(context, course, plan).filter(|_| told).map(|(_, text)| short(&text));
    PastPhase {
        phase: plan.name.to_string(),
        outcome: match outcome {
            Some(PhaseOutcome::Done) => "done".to_owned(),
            Some(PhaseOutcome::Skipped { reason }) => format!("skipped: {reason}"),
            Some(PhaseOutcome::Failed { reason }) => format!("failed: {reason}"),
            Some(PhaseOutcome::NeedsAttention { reason }) => format!("needs attention: {reason}"),
            Some(PhaseOutcome::Cancelled) => "cancelled".to_owned(),
            None => "not begun".to_owned(),
        },
        minutes,
        workers: workers.iter().map(|worker| worker_of(context, course, plan, worker)).collect(),
    }
}

fn worker_of(context: &RunContext, course: &RunCourse, phase: &PhasePlan, plan: &WorkerPlan) -> PastWorker {
    let id = WorkerId { phase: phase.name.clone(), worker: plan.name.clone() };
    let state = course.worker(&id);
    let last = state.and_then(|state| state.attempts().last());
    let model = last.and_then(|attempt| plan.models.get(usize::try_from(attempt.model).ok()?));
    let told = plan.session.egress != Egress::None;
    let done = done_attempt(course, &id).filter(|_| told);
    let answer = done.and_then(|attempt| {
        let folder = context.session_folder(&attempt);
        kept_answer(&folder, excerpt(course, &attempt)).ok()
    });
    PastWorker {
        worker: plan.name.to_string(),
        model: model.or(plan.models.first()).map(|model| model.reference.clone()).unwrap_or_default(),
        outcome: match last.map(|attempt| attempt.ending.as_ref().map(|ending| &ending.outcome)) {
            None => "not started".to_owned(),
            Some(None) => "unknown".to_owned(),
            Some(Some(outcome)) => outcome_words(outcome),
        },
        prompt: plan.prompt.as_deref().filter(|_| told).map(short),
        answer: answer.as_deref().map(short),
        outputs: if told { outputs_of(course, &id) } else { BTreeMap::new() },
        withheld: !told,
    }
}

fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Failed { reason } => format!("failed: {reason}"),
        Outcome::Unavailable { reason, .. } => format!("unavailable: {reason}"),
        Outcome::Lost { reason } => format!("lost: {reason}"),
        Outcome::NeedsAttention { reason } => format!("needs attention: {reason}"),
        Outcome::TimedOut => "timed out".to_owned(),
        Outcome::Cancelled => "cancelled".to_owned(),
    }
}

fn outputs_of(course: &RunCourse, id: &WorkerId) -> BTreeMap<String, serde_json::Value> {
    let phases = course.outputs().phases.iter().filter(|phase| phase.phase == id.phase);
    let mut workers = phases.flat_map(|phase| &phase.workers).filter(|worker| worker.worker == id.worker);
    workers.next().map(|worker| worker.values.clone()).unwrap_or_default()
}

fn short(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end == text.len() { text.to_owned() } else { format!("{}\n[cut here]", &text[..end]) }
}
