//! The end of a run: its report, and what is let go of.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use niia_spec::course::{Outcome, PhaseOutcome, RunCourse, RunOutcome};
use niia_spec::name::{AttemptId, WorkerId};
use niia_spec::notice::PastRun;
use niia_spec::plan::PhasePlan;

use super::context::{RunContext, forget_variables};
use super::history;
use super::minutes::{decisions_path, transcript_path};
use crate::git::TreeName;
use crate::journal::Journal;
use crate::session::finish::kept_answer;

/// Where a run's report lies.
pub fn report_path(folder: &Path) -> PathBuf {
    folder.join("report.md")
}

/// A run's end, ready to be written down.
pub(super) struct End {
    past: PastRun,
    outcome: RunOutcome,
    text: String,
    outputs: Vec<(PathBuf, String)>,
}

impl End {
    pub(super) fn of(context: &RunContext, course: &RunCourse, outcome: RunOutcome) -> End {
        let text = report(context, course, &outcome);
        let mut outputs: Vec<(PathBuf, String)> = course
            .phases()
            .filter(|(_, phase)| phase.outcome() == Some(&PhaseOutcome::Done))
            .filter_map(|(plan, _)| {
                let path = context.origin.cwd.join(plan.output.as_ref()?);
                let talked = talk_result(context, course, plan).map(|(_, text)| text);
                let text =
                    talked.or_else(|| Some(answers(context, course, &plan.name).into_iter().next()?.1));
                Some((path, text?))
            })
            .collect();
        if let Some(path) = &context.origin.output {
            outputs.push((context.origin.cwd.join(path), text.clone()));
        }
        End { past: history::past(context, course, &outcome), outcome, text, outputs }
    }

    /// Writes the report and the files that were asked for. May be called again after a crash in its middle.
    pub(super) fn tell(&self, context: &RunContext) {
        crate::failpoint::hit("run.before_report");
        if let Err(error) = replace(&report_path(&context.folder), &self.text) {
            tracing::error!(run = %context.run, %error, "the report could not be written");
        }
        for (path, text) in &self.outputs {
            if let Err(error) = replace(path, text) {
                tracing::error!(run = %context.run, path = %path.display(), %error, "an output could not be written");
            }
        }
    }

    /// As `tell`, and lets go of the run; the journal has the last word.
    pub(super) fn write(&self, context: &RunContext, journal: &Journal) {
        self.tell(context);
        history::keep(context, &self.past);
        forget_variables(&context.folder);
        let outcome = serde_json::to_vec(&self.outcome).unwrap_or_default();
        crate::failpoint::hit("run.before_finish");
        if let Err(error) = journal.finish(&context.run, outcome).wait() {
            tracing::error!(run = %context.run, %error, "the end of a run could not be written down");
        }
        crate::failpoint::hit("run.after_finish");
    }
}

/// Whole or not at all: beside it first, then in its place.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".niia-new");
    let mut file = fs::File::create(&beside)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    // The run's end is recorded next: it must not say of a report that a loss of power can take.
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// The answer of the last phase that came to one; what went wrong stands above it.
fn report(context: &RunContext, course: &RunCourse, outcome: &RunOutcome) -> String {
    let mut text = String::new();
    let trouble = match outcome {
        RunOutcome::Done => None,
        RunOutcome::Failed { reason } => Some(("failed", reason)),
        RunOutcome::NeedsAttention { reason } => Some(("needs attention", reason)),
        RunOutcome::Cancelled { reason } => Some(("was cancelled", reason)),
    };
    if let Some((word, reason)) = trouble {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# `{}` {word}\n\n{reason}\n", context.run);
    }
    if let RunOutcome::NeedsAttention { .. } = outcome {
        text.push_str(&what_to_do(context));
    }
    text.push_str(&last_answers(context, course));
    text.push_str(&later(course));
    text
}

/// Files that act when they are opened, entered or pushed are told of, so that nobody does so unawares.
fn later(course: &RunCourse) -> String {
    let found = course.runs_later();
    let mut text = String::new();
    if found.is_empty() {
        return text;
    }
    text.push_str("\n## Changed files that could run something by themselves\n\n");
    for file in found {
        let how = if file.new { "new" } else { "changed" };
        let path: String =
            file.path.chars().map(|c| if c.is_control() || c == '`' { '\u{fffd}' } else { c }).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "- `{path}` ({how}): {}", file.by);
    }
    text
}

/// What the last phase that came to an end answered.
fn last_answers(context: &RunContext, course: &RunCourse) -> String {
    let mut text = String::new();
    let last = course.phases().filter(|(_, phase)| phase.outcome() == Some(&PhaseOutcome::Done)).last();
    let Some((plan, _)) = last else {
        return text;
    };
    if let Some((_, result)) = talk_result(context, course, plan) {
        text.push_str(&result);
        return text;
    }
    let answers = answers(context, course, &plan.name);
    match &answers[..] {
        [(_, answer)] => text.push_str(answer),
        answers => {
            for (worker, answer) in answers {
                let _ = writeln!(text, "## {worker}\n\n{}\n", answer.trim_end());
            }
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// What a person can do about a run that waits.
fn what_to_do(context: &RunContext) -> String {
    let run = &context.run;
    let mut text = String::new();
    if let Some(trees) = &context.trees {
        let mending = trees.path_of(&TreeName::Mending);
        if trees.is_mending().unwrap_or_default() && mending.is_dir() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "The conflict is laid out in `{}`: what is mended there is taken.",
                mending.display()
            );
        }
    }
    let _ = writeln!(
        text,
        "`niia explain {run}` says more, `niia resume {run}` goes on, `niia cancel {run}` ends it. Nothing of it runs \
         meanwhile, and all its work is kept.\n"
    );
    text
}

/// What a talk came to, and where it lies in the scratchpad: a meeting's decisions, else all that was said.
pub(super) fn talk_result(
    context: &RunContext,
    course: &RunCourse,
    phase: &PhasePlan,
) -> Option<(String, String)> {
    course.talk(&phase.name).filter(|talk| !talk.spoken().is_empty())?;
    let decisions = decisions_path(&phase.name);
    let paths = [decisions, transcript_path(&phase.name)];
    paths.into_iter().find_map(|path| {
        let bytes = context.scratchpad.cat(&path).ok()?;
        Some((path, String::from_utf8_lossy(&bytes).into_owned()))
    })
}

/// The answers of a phase's workers that are done, in worker order.
fn answers(
    context: &RunContext,
    course: &RunCourse,
    phase: &niia_spec::name::PhaseName,
) -> Vec<(WorkerId, String)> {
    let done = course.done_workers(phase).into_iter();
    let ids = done.map(|worker| WorkerId { phase: phase.clone(), worker: worker.clone() });
    ids.filter_map(|worker| {
        let attempt = done_attempt(course, &worker)?;
        let folder = context.session_folder(&attempt);
        match kept_answer(&folder, excerpt(course, &attempt)) {
            Ok(answer) => Some((worker, answer)),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "an answer cannot be read");
                None
            }
        }
    })
    .collect()
}

/// As much of an attempt's answer as the journal has.
pub(super) fn excerpt<'a>(course: &'a RunCourse, attempt: &AttemptId) -> &'a str {
    let at = usize::try_from(attempt.attempt).unwrap_or_default().checked_sub(1);
    let found = course.worker(&attempt.worker).zip(at).and_then(|(worker, at)| worker.attempts().get(at));
    found.and_then(|attempt| attempt.ending.as_ref()).map_or("", |ending| &ending.excerpt)
}

/// The attempt in which a worker came to its end.
pub(super) fn done_attempt(course: &RunCourse, worker: &WorkerId) -> Option<AttemptId> {
    let attempts = course.worker(worker)?.attempts();
    let is_done = |ending: &niia_spec::course::Ending| ending.outcome == Outcome::Done;
    let at = attempts.iter().rposition(|attempt| attempt.ending.as_ref().is_some_and(is_done))?;
    Some(AttemptId { worker: worker.clone(), attempt: u32::try_from(at + 1).ok()? })
}
