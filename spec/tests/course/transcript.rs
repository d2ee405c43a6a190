//! Transcripts: events on the left, what must be done about them on the right.
//!
//! Time limits of the length no test asked for are left out on the right; a worker is meant by its last attempt unless
//! a number follows its name (`work/1/2`).

use std::collections::BTreeMap;
use std::sync::Arc;

use niia_spec::course::{
    Command, EndReason, Ending, Event, Gathering, MENDER, Outcome, PhaseOutcome, RunCourse, RunOutcome,
    Unavailable, Wake,
};
use niia_spec::name::{AttemptId, WorkerId};
use niia_spec::plan::Plan;
use niia_spec::usage::Usage;
use serde_json::Value;

use crate::document::{TIMEOUT_MS, judge, plan, slug};

/// Plays the events of a transcript to the course of a plan and compares what it says.
pub fn check(document: &str, transcript: &str) {
    let plan = plan(document);
    let course = RunCourse::new(Arc::clone(&plan), judge).unwrap_or_else(|error| panic!("{error}"));
    let mut stage = Stage { plan, replayed: course.clone(), course };
    let mut expected = String::new();
    let mut actual = String::new();
    for (event, wanted) in lines(transcript) {
        expected.push_str(&format!("{event} => {wanted}\n"));
        actual.push_str(&format!("{event} => {}\n", stage.play(&event)));
    }
    if expected != actual {
        panic!("\n--- the transcript\n{expected}\n--- what was said\n{actual}");
    }
}

/// Lines of `event => commands`; a line that begins with `;` goes on with the commands of the one before.
fn lines(transcript: &str) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for line in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let (true, Some((_, wanted))) = (line.starts_with(';'), lines.last_mut()) {
            wanted.push_str(line);
            continue;
        }
        let (event, wanted) = line.split_once("=>").unwrap_or_else(|| panic!("no `=>` in `{line}`"));
        lines.push((event.trim().to_owned(), wanted.trim().to_owned()));
    }
    lines
}

struct Stage {
    plan: Arc<Plan>,
    course: RunCourse,
    replayed: RunCourse,
}

impl Stage {
    fn play(&mut self, text: &str) -> String {
        if text == "restart" {
            return self.tell(&self.course.open_effects());
        }
        if let Some(key) = text.strip_prefix("who holds ") {
            return self.course.holder(key).map_or("nobody".to_owned(), WorkerId::to_string);
        }
        if let Some(phase) = text.strip_prefix("who is merged in ") {
            let done = self.course.done_workers(&slug(phase));
            return done.iter().map(|worker| worker.as_str()).collect::<Vec<_>>().join(", ");
        }
        let event = self.event(text).unwrap_or_else(|| panic!("no event: {text}"));
        let commands = self.course.on(&event);
        self.replayed.apply(&event, &commands);
        assert_eq!(self.course.state(), self.replayed.state(), "replay differs after {text}");
        self.tell(&commands)
    }

    fn tell(&self, commands: &[Command]) -> String {
        let told = commands.iter().filter_map(|command| self.told(command));
        told.collect::<Vec<_>>().join("; ")
    }

    fn event(&self, text: &str) -> Option<Event> {
        let (text, reason) = text.split_once(": ").unwrap_or((text, "it failed"));
        let reason = reason.to_owned();
        let (who, what) = text.split_once(' ').unwrap_or((text, ""));
        if who.contains('/') {
            return self.event_of_worker(&self.attempt(who), what, reason);
        }
        let phase = slug(if what.is_empty() { "none" } else { who });
        let words: Vec<&str> = what.split_whitespace().collect();
        let (round, words) = match &words[..] {
            ["in", "round", round, words @ ..] => (round.parse().ok()?, words),
            [verb, "again", files @ ..] => (2, &[&[*verb], files].concat()[..]),
            words => (1, words),
        };
        let gathered = |gathering| Some(Event::Gathered { phase: phase.clone(), round, gathering });
        match (who, words) {
            ("begun", []) => Some(Event::Begun),
            ("cancelled", []) => Some(Event::Cancelled { reason }),
            ("resumed", []) => Some(Event::Resumed { hold: self.course.holds(), reason }),
            (_, ["dismissed"]) => Some(Event::Dismissed { phase }),
            (_, ["concluded", "by", by]) => Some(Event::Concluded { phase, by: (*by).to_owned() }),
            (_, ["quiet", number]) => {
                Some(Event::Expired { wake: Wake::Quiet { phase, number: number.parse().ok()? } })
            }
            ("letter", [number, "to", to]) => {
                let to = to.contains('/').then(|| self.attempt(to).worker);
                Some(Event::Posted { number: number.parse().ok()?, to })
            }
            ("resumed", ["hold", hold]) => Some(Event::Resumed { hold: hold.parse().ok()?, reason }),
            (_, ["approved"]) => Some(Event::Approved { phase }),
            (_, ["denied"]) => Some(Event::Denied { phase, reason }),
            (_, ["merged"]) => gathered(Gathering::nothing()),
            (_, ["refused"]) => gathered(Gathering::Refused { reason }),
            (_, ["conflict", "of", branch, files @ ..]) => gathered(conflict(branch, files, reason)),
            (_, ["conflict", files @ ..]) => gathered(conflict("work-2", files, reason)),
            _ => None,
        }
    }

    fn event_of_worker(&self, attempt: &AttemptId, what: &str, reason: String) -> Option<Event> {
        let attempt = attempt.clone();
        let worker = attempt.worker.clone();
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        let outcome = match verb {
            "started" => return Some(Event::Started { attempt }),
            "expired" => return Some(Event::Expired { wake: Wake::Timeout { attempt } }),
            "rested" => {
                let attempt = AttemptId { attempt: attempt.attempt + 1, ..attempt };
                return Some(Event::Expired { wake: Wake::Backoff { attempt } });
            }
            "claims" => return Some(Event::Claimed { key: rest.to_owned(), by: worker }),
            "publishes" => {
                let (key, value) = rest.split_once('=')?;
                return Some(Event::Published { worker, key: key.to_owned(), value: value.into() });
            }
            "done" | "says" | "costs" => Outcome::Done,
            "failed" => Outcome::Failed { reason },
            "unavailable" => Outcome::Unavailable { class: Unavailable::NotLoggedIn, reason },
            "throttled" => Outcome::Unavailable { class: Unavailable::RateLimited, reason },
            "crashed" | "cut" => Outcome::Unavailable { class: Unavailable::Crashed, reason },
            "timed" => Outcome::TimedOut,
            "cancelled" => Outcome::Cancelled,
            "asks" | "stuck" => Outcome::NeedsAttention { reason },
            "lost" => Outcome::Lost { reason },
            _ => return None,
        };
        let outputs = rest.strip_prefix("with ").and_then(|output| output.split_once('='));
        let mut ending = ending(outcome, outputs.map(|(key, value)| (key, value.into())));
        ending.answered = verb == "stuck";
        ending.resumable = verb == "cut";
        if verb == "costs" {
            let cost = rest.parse::<u64>().ok().map(|usd| usd * 1_000_000);
            ending.usage = Some(Usage { cost_usd_millionths: cost, ..Usage::default() });
        }
        ending.again_in_ms = rest.strip_prefix("for ").and_then(|ms| ms.parse().ok());
        if verb == "says" {
            ending.excerpt = rest.to_owned();
        }
        Some(Event::Ended { attempt, ending })
    }

    fn attempt(&self, text: &str) -> AttemptId {
        let parts: Vec<&str> = text.split('/').collect();
        let worker = WorkerId { phase: slug(parts[0]), worker: slug(parts[1]) };
        let number = || parts.get(2).and_then(|number| number.parse().ok());
        let last = || self.course.worker(&worker).map(|course| course.attempts().len() as u32);
        let attempt = number().or_else(last).unwrap_or(1).max(1);
        AttemptId { worker, attempt }
    }

    fn told(&self, command: &Command) -> Option<String> {
        Some(match command {
            Command::Open { phase } => format!("open {phase}"),
            Command::Ask { phase } => format!("ask {phase}"),
            Command::Start { attempt, model } => {
                format!("start {} on {}", short(attempt), self.model(&attempt.worker, *model))
            }
            Command::Settle { attempt } => format!("settle {}", short(attempt)),
            Command::Hold { reason } => format!("hold: {reason}"),
            Command::End { attempt, reason } => format!("end {}: {}", short(attempt), end_reason(*reason)),
            Command::Gather { phase, round: 1 } => format!("gather {phase}"),
            Command::Gather { phase, round } => format!("gather {phase} in round {round}"),
            Command::Wake { wake: Wake::Timeout { .. }, after_ms: TIMEOUT_MS } => return None,
            Command::Wake { wake: Wake::Timeout { attempt }, after_ms } => {
                format!("{} has {after_ms} ms", short(attempt))
            }
            Command::Wake { wake: Wake::Backoff { attempt }, after_ms } => {
                format!("{} in {after_ms} ms", short(attempt))
            }
            Command::Wake { wake: Wake::Quiet { phase, number }, after_ms } => {
                format!("quiet {number} of {phase} for {after_ms} ms")
            }
            Command::Reserve { of, total } => format!("reserve {total} of {}", of.word()),
            Command::Dismiss { phase } => format!("dismiss {phase}"),
            Command::Close { phase, outcome } => format!("close {phase} {}", phase_outcome(outcome)),
            Command::Finish { outcome } => format!("finish {}", run_outcome(outcome)),
        })
    }

    fn model(&self, worker: &WorkerId, model: u32) -> &str {
        let phase = self.plan.phases.iter().find(|phase| phase.name == worker.phase);
        let workers = phase.map(|phase| phase.work.workers()).unwrap_or_default();
        let of = |plan: &&niia_spec::plan::WorkerPlan| {
            plan.name == worker.worker || worker.worker.as_str() == MENDER
        };
        let found = workers.into_iter().find(of).and_then(|worker| worker.models.get(model as usize));
        found.map_or("?", |model| &model.reference)
    }
}

pub fn ending(outcome: Outcome, output: Option<(&str, Value)>) -> Ending {
    Ending {
        outcome,
        excerpt: String::new(),
        outputs: output.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>(),
        commit: None,
        evidence: "exit".to_owned(),
        contacts: Vec::new(),
        answered: false,
        again_in_ms: None,
        resumable: false,
        usage: None,
        kept: None,
        untaken: Vec::new(),
        step: None,
    }
}

fn conflict(branch: &str, files: &[&str], reason: String) -> Gathering {
    let branch = branch.to_owned();
    Gathering::Conflict { branch, files: files.iter().map(|file| (*file).to_owned()).collect(), reason }
}

fn short(attempt: &AttemptId) -> String {
    if attempt.attempt == 1 { attempt.worker.to_string() } else { attempt.to_string() }
}

fn end_reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::TimedOut => "timed out",
        EndReason::Cancelled => "cancelled",
        EndReason::NotNeeded => "not needed",
    }
}

fn phase_outcome(outcome: &PhaseOutcome) -> String {
    match outcome {
        PhaseOutcome::Done => "done".to_owned(),
        PhaseOutcome::Skipped { reason } => format!("skipped: {reason}"),
        PhaseOutcome::Failed { reason } => format!("failed: {reason}"),
        PhaseOutcome::NeedsAttention { reason } => format!("needs attention: {reason}"),
        PhaseOutcome::Cancelled => "cancelled".to_owned(),
    }
}

fn run_outcome(outcome: &RunOutcome) -> String {
    match outcome {
        RunOutcome::Done => "done".to_owned(),
        RunOutcome::Failed { reason } => format!("failed: {reason}"),
        RunOutcome::NeedsAttention { reason } => format!("needs attention: {reason}"),
        RunOutcome::Cancelled { reason } => format!("cancelled: {reason}"),
    }
}
