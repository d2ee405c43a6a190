//! A run as people read it.

use niia_spec::course::{Outcome, PhaseOutcome};
use niia_spec::notice::{PhaseState, PhaseView, RunState, RunView, WorkerState, WorkerView};
use niia_spec::usage::Total;

use super::table::{Cell, Table, cell, toned_cell};
use super::{Look, Tone, duration, fit, moment, neutral, now_ms, toned};

/// How many warnings are shown; the rest is counted.
const WARNINGS_SHOWN: usize = 5;

/// The word for a run's state.
pub fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Done => "done",
        RunState::Failed => "failed",
        RunState::NeedsAttention => "needs attention",
        RunState::Cancelled => "cancelled",
        RunState::Quarantined => "quarantined",
    }
}

pub fn state_tone(state: RunState) -> Tone {
    match state {
        RunState::Running => Tone::Busy,
        RunState::Done => Tone::Good,
        RunState::NeedsAttention => Tone::Asking,
        RunState::Failed | RunState::Quarantined => Tone::Bad,
        RunState::Cancelled => Tone::Faint,
    }
}

pub fn phase_word(phase: &PhaseView) -> &'static str {
    match (&phase.outcome, phase.state) {
        (Some(PhaseOutcome::Done), _) => "done",
        (Some(PhaseOutcome::Skipped { .. }), _) => "skipped",
        (Some(PhaseOutcome::Failed { .. }), _) => "failed",
        (Some(PhaseOutcome::NeedsAttention { .. }), _) => "needs attention",
        (Some(PhaseOutcome::Cancelled), _) => "cancelled",
        (None, PhaseState::Waiting) => "waiting",
        (None, PhaseState::Asking) => "asks to begin",
        (None, PhaseState::Working) => "working",
        (None, PhaseState::Gathering) => "gathering",
        (None, PhaseState::Over) => "over",
    }
}

/// Why a phase ended as it did, where it says.
pub fn phase_reason(phase: &PhaseView) -> Option<&str> {
    match phase.outcome.as_ref()? {
        PhaseOutcome::Skipped { reason }
        | PhaseOutcome::Failed { reason }
        | PhaseOutcome::NeedsAttention { reason } => Some(reason),
        PhaseOutcome::Done | PhaseOutcome::Cancelled => None,
    }
}

pub fn worker_word(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Waiting => "waiting",
        WorkerState::Starting => "starting",
        WorkerState::Working => "working",
        WorkerState::WaitingInput => "waiting_input",
        WorkerState::Ending => "ending",
        WorkerState::Done => "done",
        WorkerState::Failed => "failed",
        WorkerState::NotStarted => "not started",
    }
}

fn worker_tone(state: WorkerState) -> Tone {
    match state {
        WorkerState::Waiting | WorkerState::NotStarted => Tone::Faint,
        WorkerState::Starting | WorkerState::Working | WorkerState::Ending => Tone::Busy,
        WorkerState::WaitingInput => Tone::Asking,
        WorkerState::Done => Tone::Good,
        WorkerState::Failed => Tone::Bad,
    }
}

/// Why an attempt ended as it did, where that is not simply done.
pub fn outcome_reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Done => None,
        Outcome::TimedOut => Some("timed out".to_owned()),
        Outcome::Cancelled => Some("cancelled".to_owned()),
        Outcome::Failed { reason } => Some(format!("failed: {reason}")),
        Outcome::Unavailable { reason, .. } => Some(format!("unavailable: {reason}")),
        Outcome::NeedsAttention { reason } => Some(format!("needs attention: {reason}")),
        Outcome::Misshapen { reason } => Some(format!("answered in another shape: {reason}")),
        Outcome::Lost { reason } => Some(format!("lost: {reason}")),
    }
}

/// Everything about one run.
pub fn run_text(run: &RunView, look: Look) -> String {
    let mut lines = vec![headline(run, look)];
    if let Some(reason) = &run.reason {
        lines.push(fit(&format!("  {}", neutral(reason)), usize::from(look.cols)));
    }
    lines.extend(worker_lines(run, look));
    lines.extend(attention_lines(run));
    lines.extend(facts(run).lines(look));
    lines.extend(warning_lines(&run.warnings, look));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Everything a run waits for a person for, whole, and what to do; nothing where it does not wait.
pub fn attention_lines(run: &RunView) -> Vec<String> {
    if run.state != RunState::NeedsAttention || run.ended_at_ms.is_some() {
        return Vec::new();
    }
    let mut lines = vec!["  it is held and waits for you:".to_owned()];
    for phase in &run.phases {
        let mut asked = false;
        for worker in &phase.workers {
            let last = worker.attempts.last().and_then(|attempt| attempt.outcome.as_ref());
            if let Some(Outcome::NeedsAttention { reason }) = last {
                asked = true;
                lines.push(format!("  - {}/{}: {}", phase.phase, worker.worker, neutral(reason)));
            }
        }
        if let (false, Some(PhaseOutcome::NeedsAttention { reason })) = (asked, &phase.outcome) {
            lines.push(format!("  - {}: {}", phase.phase, neutral(reason)));
        }
    }
    lines.push(format!("  then `niia resume {0}` goes on, `niia cancel {0}` ends it", run.run));
    lines
}

/// The run, its state and how long it took.
pub fn headline(run: &RunView, look: Look) -> String {
    let took = run.ended_at_ms.unwrap_or_else(now_ms).saturating_sub(run.begun_at_ms);
    let state = toned(state_word(run.state), state_tone(run.state), look.coloured);
    format!("run {}  {state}  {}", run.run, duration(took))
}

/// A line for each worker, in the order of the document, phases without workers included.
pub fn worker_lines(run: &RunView, look: Look) -> Vec<String> {
    let mut table = Table::new(&["WORKER", "STATE", "MODEL", "TIME", "LAST LINE"]).indented(2);
    for phase in &run.phases {
        if phase.workers.is_empty() || phase.state == PhaseState::Waiting || phase.outcome.is_some() {
            add_phase(&mut table, phase);
        }
        if phase.state == PhaseState::Asking {
            add_asking(&mut table, phase);
        }
        for worker in &phase.workers {
            table.row(worker_row(phase, worker));
        }
    }
    table.lines(look)
}

fn add_phase(table: &mut Table, phase: &PhaseView) {
    let plain = matches!(phase.outcome, None | Some(PhaseOutcome::Done));
    if plain && !phase.workers.is_empty() {
        return;
    }
    let tone = match phase.outcome {
        Some(PhaseOutcome::Done) => Tone::Good,
        Some(PhaseOutcome::Failed { .. }) => Tone::Bad,
        Some(PhaseOutcome::NeedsAttention { .. }) => Tone::Asking,
        Some(PhaseOutcome::Skipped { .. } | PhaseOutcome::Cancelled) => Tone::Faint,
        None => Tone::Busy,
    };
    let reason = phase_reason(phase).unwrap_or_default();
    table.row(vec![
        cell(&phase.phase),
        toned_cell(phase_word(phase), tone),
        cell(""),
        cell(""),
        cell(reason),
    ]);
}

fn add_asking(table: &mut Table, phase: &PhaseView) {
    let cure = format!("niia approve --phase {} or niia deny", phase.phase);
    table.row(vec![
        cell(&phase.phase),
        toned_cell("asks to begin", Tone::Asking),
        cell(""),
        cell(""),
        cell(cure),
    ]);
}

fn worker_row(phase: &PhaseView, worker: &WorkerView) -> Vec<Cell> {
    let failed = worker.attempts.last().and_then(|attempt| attempt.outcome.as_ref()).and_then(outcome_reason);
    let asks = worker.asks.as_ref().map(|what| format!("{what} (niia approve or niia deny)"));
    let line = failed.or(asks).or_else(|| worker.last_line.clone()).unwrap_or_default();
    let time = worker
        .begun_at_ms
        .map(|begun| duration(worker.ended_at_ms.unwrap_or_else(now_ms).saturating_sub(begun)));
    let model = match worker.attempts.len() {
        0 | 1 => worker.model.clone(),
        tries => format!("{} (try {tries})", worker.model),
    };
    vec![
        cell(format!("{}/{}", phase.phase, worker.worker)),
        toned_cell(worker_word(worker.state), worker_tone(worker.state)),
        cell(model),
        cell(time.unwrap_or_default()),
        toned_cell(line, Tone::Faint),
    ]
}

/// What the run used of its models; nothing before anything has ended.
fn used(run: &RunView) -> Option<String> {
    let usage = &run.usage;
    if usage == &Total::default() {
        return None;
    }
    let tokens = match usage.input_tokens + usage.cached_tokens + usage.output_tokens {
        0 => String::new(),
        _ => format!(
            "{} tokens in, {} from the cache, {} out; ",
            usage.input_tokens, usage.cached_tokens, usage.output_tokens
        ),
    };
    Some(format!("{tokens}cost {}", usage.cost()))
}

fn facts(run: &RunView) -> Table {
    let mut table = Table::headless().indented(2);
    let mut fact = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            table.row(vec![toned_cell(name, Tone::Faint), cell(value)]);
        }
    };
    fact("begun", Some(&moment(run.begun_at_ms)));
    fact("by", run.occasion.as_deref());
    fact("folder", Some(&run.folder));
    fact("branch", run.branch.as_deref());
    fact("report", run.report.as_deref());
    fact("used", used(run).as_deref());
    table
}

/// The warnings, the first few of them.
pub fn warning_lines(warnings: &[String], look: Look) -> Vec<String> {
    let one = |warning: &String| fit(&format!("  warning: {}", neutral(warning)), usize::from(look.cols));
    let mut lines: Vec<String> = warnings.iter().take(WARNINGS_SHOWN).map(one).collect();
    if warnings.len() > WARNINGS_SHOWN {
        lines.push(format!("  … and {} more warnings", warnings.len() - WARNINGS_SHOWN));
    }
    lines
}

/// A list of runs.
pub fn runs_text(runs: &[RunView], look: Look) -> String {
    let mut table = Table::new(&["RUN", "STATE", "BEGUN", "TOOK", "WORKERS", "WHERE"]);
    for run in runs {
        let took = run.ended_at_ms.unwrap_or_else(now_ms).saturating_sub(run.begun_at_ms);
        let workers = || run.phases.iter().flat_map(|phase| &phase.workers);
        let done = workers().filter(|worker| worker.state == WorkerState::Done).count();
        table.row(vec![
            cell(&run.run),
            toned_cell(state_word(run.state), state_tone(run.state)),
            cell(moment(run.begun_at_ms)),
            cell(duration(took)),
            cell(format!("{done}/{}", workers().count())),
            cell(&run.origin),
        ]);
    }
    table.text(look)
}
