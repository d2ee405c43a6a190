//! Runs as the journal has them: taken up again after a restart, or shown after their end.

use std::sync::Arc;

use niia_actors::journal::{Journal, RunRecord};
use niia_actors::run::{LiveSessions, RunContext, RunMeta, Times, kept_variables, view_of};
use niia_actors::state::StateFolder;
use niia_spec::course::{COURSE_VERSION, Command, Event, RunCourse, RunOutcome};
use niia_spec::name::{RunId, SessionId};
use niia_spec::notice::{JournalLine, RunState, RunView};
use niia_spec::plan::{PLAN_VERSION, Plan};

use super::accept::judge;
use super::root::RootHandle;

/// Runs that were begun inside others come before those: a session that is over meanwhile finds what was begun in it.
pub(crate) fn inner_first(records: Vec<RunRecord>) -> Vec<(RunRecord, Vec<SessionId>)> {
    let lineage = |record: &RunRecord| {
        // What cannot be read is complained of when the run is taken up.
        serde_json::from_slice::<RunMeta>(&record.meta).map(|meta| meta.lineage).unwrap_or_default()
    };
    let known = records.into_iter().map(|record| {
        let lineage = lineage(&record);
        (record, lineage)
    });
    let mut known: Vec<(RunRecord, Vec<SessionId>)> = known.collect();
    known.sort_by_key(|(_, lineage)| std::cmp::Reverse(lineage.len()));
    known
}

/// Brings a run of the journal back to life.
pub(crate) async fn take_up(
    state: &StateFolder,
    live: &LiveSessions,
    root: &RootHandle,
    record: &RunRecord,
) -> Result<(), (RunId, String)> {
    let failed = |reason| (record.run.clone(), reason);
    let (course, times, context) = revived(state, live, record).map_err(failed)?;
    // A node that ended between the acceptance and the first step has left a run that has not begun.
    root.adopt(Arc::new(context), course, times, record.steps.is_empty())
        .await
        .map_err(|error| failed(error.to_string()))
}

/// The course of a run, from its rows alone, and whether it has yet to begin.
pub(super) fn restored(journal: &Journal, run: &RunId) -> Result<((RunCourse, Times), bool), String> {
    let record = journal.load(run).map_err(|error| error.to_string())?;
    Ok((replayed(&record)?, record.steps.is_empty()))
}

fn revived(
    state: &StateFolder,
    live: &LiveSessions,
    record: &RunRecord,
) -> Result<(RunCourse, Times, RunContext), String> {
    let (course, times) = replayed(record)?;
    let mut meta: RunMeta = serde_json::from_slice(&record.meta).map_err(|e| format!("its origin: {e}"))?;
    let folder = state.run(&record.run);
    meta.origin.env = kept_variables(&folder).map_err(|error| error.to_string())?;
    let plan = Arc::new(plan_of(record)?);
    let context = RunContext::open(&record.run, folder, plan, meta, live.clone());
    Ok((course, times, context.map_err(|error| niia_actors::ask::chain(&error))?))
}

fn plan_of(record: &RunRecord) -> Result<Plan, String> {
    let plan: Plan = serde_json::from_slice(&record.plan).map_err(|error| format!("its plan: {error}"))?;
    if plan.version > PLAN_VERSION {
        return Err(format!("its plan has version {}, this niia knows {PLAN_VERSION}", plan.version));
    }
    Ok(plan)
}

/// Applies what was stored; nothing is decided again.
fn replayed(record: &RunRecord) -> Result<(RunCourse, Times), String> {
    let mut times = Times::default();
    let plan = Arc::new(plan_of(record)?);
    let mut course = RunCourse::new(plan, judge).map_err(|error| error.to_string())?;
    for step in &record.steps {
        if step.version > COURSE_VERSION {
            return Err(format!(
                "row {} has version {}, this niia knows {COURSE_VERSION}",
                step.seq, step.version
            ));
        }
        let event: Event = serde_json::from_slice(&step.event)
            .map_err(|error| format!("the event of row {}: {error}", step.seq))?;
        let commands: Vec<Command> = serde_json::from_slice(&step.commands)
            .map_err(|error| format!("the commands of row {}: {error}", step.seq))?;
        course.apply(&event, &commands);
        times.note(&event, &commands, millis(&step.at).unwrap_or_default());
    }
    Ok((course, times))
}

/// A run that is over, or that cannot go on, as the journal alone shows it.
pub(crate) fn view(state: &StateFolder, record: &RunRecord) -> Result<RunView, String> {
    let (course, times, context) = revived(state, &LiveSessions::default(), record)?;
    let mut view = view_of(&context, &course, &times);
    if let Some(finish) = &record.finish {
        view.ended_at_ms = millis(&finish.at);
        if let Ok(outcome) = serde_json::from_slice::<RunOutcome>(&finish.outcome) {
            (view.state, view.reason) = RunState::of(&outcome);
        }
    }
    Ok(view)
}

/// The journal's rows as they are told to people and programs.
pub(crate) fn lines(record: &RunRecord, from_seq: u64) -> Vec<JournalLine> {
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or(serde_json::Value::Null);
    let steps = record.steps.iter().filter(|step| step.seq >= from_seq);
    steps
        .map(|step| JournalLine {
            seq: step.seq,
            at_ms: millis(&step.at).unwrap_or_default(),
            event: json(&step.event),
            commands: json(&step.commands),
        })
        .collect()
}

pub(crate) fn millis(at: &str) -> Option<u64> {
    let at: jiff::Timestamp = at.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}
