//! A run's page in the history, as people and agents read it.

use std::fmt::Write as _;

use niia_spec::notice::{PastPhase, PastRun, PastWorker, RunState};

use super::PAGE_BYTES_MAX;

/// Its file's name without an ending: in the order of time, and found by its date.
pub(super) fn stem(past: &PastRun) -> String {
    format!("{}-{}", time(past.begun_at_ms, "%Y-%m-%dT%H-%M-%SZ"), past.run)
}

fn time(at_ms: u64, form: &str) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "unknown".to_owned(), |at| at.strftime(form).to_string())
}

pub(super) fn text(past: &PastRun) -> String {
    let mut text = String::new();
    let form = "%Y-%m-%d %H:%M:%S UTC";
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# {} ({})\n", past.name, past.run);
    let _ = writeln!(text, "- began: {}", time(past.begun_at_ms, form));
    let _ = writeln!(text, "- ended: {}", time(past.ended_at_ms, form));
    let _ = writeln!(text, "- outcome: {}", outcome(past));
    if let Some(occasion) = &past.occasion {
        let _ = writeln!(text, "- begun by: {occasion}");
    }
    if let Some(task) = &past.task {
        let _ = writeln!(text, "\n## Goal\n\n{}", task.trim_end());
    }
    for phase in &past.phases {
        phase_text(&mut text, phase);
    }
    cut(text)
}

fn outcome(past: &PastRun) -> String {
    let word = match past.state {
        RunState::Running => "running",
        RunState::Done => "done",
        RunState::Failed => "failed",
        RunState::NeedsAttention => "needs attention",
        RunState::Cancelled => "cancelled",
        RunState::Quarantined => "quarantined",
    };
    match &past.reason {
        Some(reason) => format!("{word}: {reason}"),
        None => word.to_owned(),
    }
}

fn phase_text(text: &mut String, phase: &PastPhase) {
    let _ = writeln!(text, "\n## Phase {}: {}", phase.phase, phase.outcome);
    if let Some(minutes) = &phase.minutes {
        let _ = writeln!(text, "\n{}", minutes.trim_end());
        return;
    }
    for PastWorker { worker, model, outcome, prompt, answer, outputs, withheld } in &phase.workers {
        let _ = writeln!(text, "\n### {worker} ({model}): {outcome}");
        if let Some(prompt) = prompt {
            let _ = writeln!(text, "\nAsked:\n\n{}", quoted(prompt));
        }
        if *withheld {
            let _ = writeln!(text, "\nWhat it said stays with it (`egress`).");
        }
        if let Some(answer) = answer {
            let _ = writeln!(text, "\nAnswered:\n\n{}", quoted(answer));
        }
        for (key, value) in outputs {
            let _ = writeln!(text, "\nPublished `{key}`: {value}");
        }
    }
}

/// Each line behind a mark, so that no heading of a worker's is taken for one of the page's.
fn quoted(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

fn cut(mut text: String) -> String {
    if text.len() > PAGE_BYTES_MAX {
        let mut end = PAGE_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("\n\n[cut here: the page has no room for more]\n");
    }
    text
}
