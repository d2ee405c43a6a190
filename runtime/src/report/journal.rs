//! A run's journal as an account people can read: what happened, and what was done about it.

use niia_spec::course::{
    Command, Contact, EndReason, Event, Gathering, Outcome, PhaseOutcome, RunOutcome, Unavailable, Wake,
};
use niia_spec::name::AttemptId;
use niia_spec::notice::{AttemptView, JournalLine, RunView};
use serde_json::Value;

use super::{duration, moment, neutral};

/// The account: one paragraph for each event. The run says which model an attempt was given.
pub fn account(lines: &[JournalLine], run: &RunView) -> String {
    let begun = lines.first().map_or(0, |line| line.at_ms);
    let mut text = String::new();
    for line in lines {
        let after = duration(line.at_ms.saturating_sub(begun));
        let when = if line.at_ms == begun { moment(begun) } else { format!("+{after}") };
        text.push_str(&neutral(&format!("{:>4}  {when}  {}", line.seq, event_text(&line.event))));
        text.push('\n');
        for contact in contacts(&line.event) {
            text.push_str(&neutral(&format!("        · {}", contact.sentence())));
            text.push('\n');
        }
        for command in command_texts(&line.commands, run) {
            text.push_str(&neutral(&format!("        → {command}")));
            text.push('\n');
        }
    }
    text
}

/// An event of another version is shown as it is stored: an account leaves nothing out.
fn event_text(stored: &Value) -> String {
    match serde_json::from_value::<Event>(stored.clone()) {
        Ok(event) => event_sentence(&event),
        Err(_) => stored.to_string(),
    }
}

/// Whom the programs of an attempt asked for that was kept from the network.
fn contacts(stored: &Value) -> Vec<Contact> {
    match serde_json::from_value::<Event>(stored.clone()) {
        Ok(Event::Ended { ending, .. }) => ending.contacts,
        _ => Vec::new(),
    }
}

fn command_texts(stored: &Value, run: &RunView) -> Vec<String> {
    let each = |one: &Value| match serde_json::from_value::<Command>(one.clone()) {
        Ok(command) => command_sentence(&command, run),
        Err(_) => one.to_string(),
    };
    match stored {
        Value::Array(commands) => commands.iter().map(each).collect(),
        Value::Null => Vec::new(),
        one => vec![each(one)],
    }
}

fn event_sentence(event: &Event) -> String {
    match event {
        Event::Begun => "the run began".to_owned(),
        Event::Started { attempt } => format!("{attempt} runs in its terminal"),
        Event::Ended { attempt, ending } => {
            let commit =
                ending.commit.as_ref().map(|commit| format!(", its work is {commit}")).unwrap_or_default();
            let untaken: String = ending.untaken.iter().map(|what| format!("; {what}")).collect();
            format!(
                "{attempt} ended: {} ({}){commit}{untaken}",
                outcome_words(&ending.outcome),
                ending.evidence
            )
        }
        Event::Published { worker, key, value } => format!("{worker} published {key} = {value}"),
        Event::Claimed { key, by } => format!("{by} claimed {key}"),
        Event::Gathered { phase, round, gathering } => {
            format!("the work of {phase} was gathered (round {round}): {}", gathering_words(gathering))
        }
        Event::Posted { number, to: Some(to) } => format!("letter {number} waits for {to}"),
        Event::Posted { number, to: None } => format!("letter {number} was sent"),
        Event::Reserved { of, total } => format!("the runs above promise {total} of {}", of.word()),
        Event::Withheld(withheld) => {
            format!("{} has no more of {} than {}", withheld.by, withheld.of.word(), withheld.limit)
        }
        Event::Lends { to, of, total } => format!("{to} inside it asks for {total} of {}", of.word()),
        Event::Spawned { run, by } => format!("{by} began the run {run}"),
        Event::Concluded { phase, by } => format!("{by} said that {phase} is done"),
        Event::Dismissed { phase } => format!("nobody of {phase} is there any more"),
        Event::Expired { wake } => format!("{} has passed", wake_words(wake)),
        Event::Approved { phase } => format!("{phase} was approved"),
        Event::Denied { phase, reason } => format!("{phase} was denied: {reason}"),
        Event::Cancelled { reason } => format!("the run was cancelled: {reason}"),
        Event::Resumed { hold, reason } => format!("the run was resumed after hold {hold}: {reason}"),
    }
}

/// By the name the document gives the model; by its place in the plan where the run does not say.
fn start_sentence(attempt: &AttemptId, model: u32, run: &RunView) -> String {
    let phase = run.phases.iter().find(|view| view.phase == attempt.worker.phase);
    let worker =
        phase.and_then(|phase| phase.workers.iter().find(|view| view.worker == attempt.worker.worker));
    let view = worker.and_then(|worker| worker.attempts.iter().find(|view| view.attempt == attempt.attempt));
    match view.map(|view: &AttemptView| view.model.as_str()).filter(|name| !name.is_empty()) {
        Some(name) => format!("start {attempt} on {name}"),
        None => format!("start {attempt} on model {}", model + 1),
    }
}

fn command_sentence(command: &Command, run: &RunView) -> String {
    match command {
        Command::Open { phase } => format!("open phase {phase}"),
        Command::Start { attempt, model } => start_sentence(attempt, *model, run),
        Command::Settle { attempt } => format!("take the answer and the work of {attempt} once more"),
        Command::Hold { reason } => format!("wait for a person: {reason}"),
        Command::End { attempt, reason } => {
            let why = match reason {
                EndReason::TimedOut => "its time is over",
                EndReason::Cancelled => "cancelled",
                EndReason::NotNeeded => "enough others are done",
            };
            format!("end {attempt}: {why}")
        }
        Command::Reserve { of, total } => format!("ask the runs above for {total} of {}", of.word()),
        Command::Dismiss { phase } => format!("end what the workers of {phase} keep open"),
        Command::Gather { phase, round } => format!("gather the work of {phase} (round {round})"),
        Command::Wake { wake, after_ms } => format!("wait {} for {}", duration(*after_ms), wake_words(wake)),
        Command::Ask { phase } => format!("ask a person whether {phase} may begin"),
        Command::Close { phase, outcome } => format!("close phase {phase}: {}", phase_words(outcome)),
        Command::Finish { outcome } => format!("finish: {}", run_words(outcome)),
    }
}

fn wake_words(wake: &Wake) -> String {
    match wake {
        Wake::Timeout { attempt } => format!("the time limit of {attempt}"),
        Wake::Backoff { attempt } => format!("the pause before {attempt}"),
        Wake::Quiet { phase, .. } => format!("the quiet of {phase}"),
    }
}

fn gathering_words(gathering: &Gathering) -> String {
    match gathering {
        Gathering::Merged { commit: Some(commit), runs_later } if runs_later.is_empty() => {
            format!("merged into {commit}")
        }
        Gathering::Merged { commit: Some(commit), runs_later } => {
            let files: Vec<String> =
                runs_later.iter().map(|file| format!("{} ({})", file.path, file.by)).collect();
            format!("merged into {commit}; could run something later: {}", files.join(", "))
        }
        Gathering::Merged { commit: None, .. } => "nothing to merge".to_owned(),
        Gathering::Conflict { files, reason, .. } => format!("conflict in {}: {reason}", files.join(", ")),
        Gathering::Refused { reason } => format!("refused: {reason}"),
    }
}

pub fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::TimedOut => "timed out".to_owned(),
        Outcome::Cancelled => "cancelled".to_owned(),
        Outcome::Failed { reason } => format!("failed: {reason}"),
        Outcome::Unavailable { class, reason } => {
            format!("{} ({}): {reason}", unavailable_words(*class), class.word())
        }
        Outcome::NeedsAttention { reason } => format!("needs attention: {reason}"),
        Outcome::Misshapen { reason } => format!("answered in another shape: {reason}"),
        Outcome::Lost { reason } => format!("lost: {reason}"),
    }
}

fn unavailable_words(class: Unavailable) -> &'static str {
    match class {
        Unavailable::NotInstalled => "not installed",
        Unavailable::NotLoggedIn => "not logged in",
        Unavailable::RateLimited => "rate limited",
        Unavailable::Quota => "out of quota",
        Unavailable::Overloaded => "overloaded",
        Unavailable::Network => "unreachable",
        Unavailable::BadModel => "no such model",
        Unavailable::Crashed => "crashed before an answer",
        Unavailable::Hangs => "said nothing any more",
    }
}

fn phase_words(outcome: &PhaseOutcome) -> String {
    match outcome {
        PhaseOutcome::Done => "done".to_owned(),
        PhaseOutcome::Cancelled => "cancelled".to_owned(),
        PhaseOutcome::Skipped { reason } => format!("skipped: {reason}"),
        PhaseOutcome::Failed { reason } => format!("failed: {reason}"),
        PhaseOutcome::NeedsAttention { reason } => format!("needs attention: {reason}"),
    }
}

fn run_words(outcome: &RunOutcome) -> String {
    match outcome {
        RunOutcome::Done => "done".to_owned(),
        RunOutcome::Failed { reason } => format!("failed: {reason}"),
        RunOutcome::NeedsAttention { reason } => format!("needs attention: {reason}"),
        RunOutcome::Cancelled { reason } => format!("cancelled: {reason}"),
    }
}
