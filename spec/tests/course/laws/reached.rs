//! Which event has met which state.

use std::collections::BTreeMap;

use niia_spec::course::{Event, Gathering, Outcome, PhaseState, RunCourse, Wake};
use niia_spec::name::PhaseName;

use super::seen::{Halted, Seen, Standing};

const OF_WORKERS: [&str; 14] = [
    "resumed",
    "started",
    "done",
    "failed",
    "unavailable",
    "timed out",
    "cancelled",
    "attention",
    "lost",
    "old news",
    "expired",
    "rested",
    "published",
    "claimed",
];
const OF_PHASES: [&str; 7] = ["worker's", "merged", "conflict", "refused", "approved", "denied", "resumed"];
const OF_RUNS: [&str; 7] = ["begun", "cancelled", "worker's", "gathered", "approved", "denied", "resumed"];
const WORKERS: [&str; 9] =
    ["fresh", "live", "ending", "pausing", "ready", "is done", "has failed", "needs person", "dropped"];
const PHASES: [&str; 6] = ["waiting", "asked", "open", "gathering", "mending", "closed"];
const RUNS: [&str; 7] = ["not begun", "going", "held", "waits", "stopped", "cancelled", "over"];

#[derive(Default)]
pub struct Reached {
    cells: BTreeMap<(&'static str, &'static str, &'static str), u64>,
}

impl Reached {
    pub fn record(&mut self, seen: &Seen, course: &RunCourse, event: &Event) {
        let of_run = match event {
            Event::Begun => "begun",
            Event::Cancelled { .. } => "cancelled",
            Event::Gathered { .. } => "gathered",
            Event::Approved { .. } => "approved",
            Event::Denied { .. } => "denied",
            Event::Resumed { .. } => "resumed",
            _ => "worker's",
        };
        self.count("run", run_state(seen), of_run);
        let (phase, of_phase) = match event {
            Event::Begun | Event::Cancelled { .. } => return,
            Event::Resumed { .. } => return self.record_resumption(seen, course),
            Event::Approved { phase } => (phase, "approved"),
            Event::Denied { phase, .. } => (phase, "denied"),
            Event::Gathered { phase, gathering: Gathering::Merged { .. }, .. } => (phase, "merged"),
            Event::Gathered { phase, gathering: Gathering::Conflict { .. }, .. } => (phase, "conflict"),
            Event::Gathered { phase, gathering: Gathering::Refused { .. }, .. } => (phase, "refused"),
            other => return self.record_worker(seen, course, other),
        };
        self.record_phase(course, phase, of_phase);
    }

    /// It is about every phase and every worker.
    fn record_resumption(&mut self, seen: &Seen, course: &RunCourse) {
        for phase in &seen.plan.phases {
            self.record_phase(course, &phase.name, "resumed");
            for worker in seen.workers(phase) {
                self.count("worker", worker_state(seen.standing(&worker)), "resumed");
            }
        }
    }

    fn record_phase(&mut self, course: &RunCourse, phase: &PhaseName, event: &'static str) {
        let state = match course.phase(phase).map(|phase| phase.state()) {
            Some(PhaseState::Waiting) => "waiting",
            Some(PhaseState::Asked) => "asked",
            Some(PhaseState::Open) => "open",
            Some(PhaseState::Gathering { .. }) => "gathering",
            Some(PhaseState::Gathered { .. } | PhaseState::Mending { .. }) => "mending",
            Some(PhaseState::Closed { .. }) => "closed",
            // These are passed through within one event.
            // Only talks come here; they have laws of their own.
            Some(PhaseState::Dismissing | PhaseState::Dismissed) => return,
            Some(PhaseState::Approved | PhaseState::Denied { .. } | PhaseState::Ungathered { .. }) | None => {
                return;
            }
        };
        self.count("phase", state, event);
    }

    fn record_worker(&mut self, seen: &Seen, course: &RunCourse, event: &Event) {
        let (worker, number) = match event {
            Event::Started { attempt } | Event::Ended { attempt, .. } => (&attempt.worker, attempt.attempt),
            Event::Expired { wake: Wake::Timeout { attempt } } => (&attempt.worker, attempt.attempt),
            Event::Expired { wake: Wake::Backoff { attempt } } => {
                (&attempt.worker, attempt.attempt.saturating_sub(1))
            }
            Event::Published { worker, .. } | Event::Claimed { by: worker, .. } => {
                (worker, seen.tries(worker).len() as u32)
            }
            _ => return,
        };
        if course.worker(worker).is_none() {
            return;
        }
        self.record_phase(course, &worker.phase, "worker's");
        let old = number as usize != seen.tries(worker).len();
        let state = worker_state(seen.standing(worker));
        self.count("worker", state, if old { "old news" } else { of_worker(event) });
    }

    fn count(&mut self, of: &'static str, state: &'static str, event: &'static str) {
        *self.cells.entry((of, state, event)).or_default() += 1;
    }

    /// Takes in what others have reached.
    pub fn join(&mut self, other: Reached) {
        for (cell, times) in other.cells {
            *self.cells.entry(cell).or_default() += times;
        }
    }

    /// The whole table, and the cells that were never reached.
    pub fn table(&self) -> (String, Vec<String>) {
        let mut table = String::new();
        let mut missing = Vec::new();
        let parts: [(&'static str, &[&'static str], &[&'static str]); 3] =
            [("worker", &WORKERS, &OF_WORKERS), ("phase", &PHASES, &OF_PHASES), ("run", &RUNS, &OF_RUNS)];
        for (of, states, events) in parts {
            table.push_str(&format!("\n{of:<13}"));
            events.iter().for_each(|event| table.push_str(&format!("{event:>12}")));
            for state in states {
                table.push_str(&format!("\n{state:<13}"));
                for event in events {
                    let times = self.cells.get(&(of, *state, *event)).copied().unwrap_or_default();
                    table.push_str(&format!("{times:>12}"));
                    if times == 0 {
                        missing.push(format!("{of} {state}: {event}"));
                    }
                }
            }
            table.push('\n');
        }
        (table, missing)
    }
}

fn of_worker(event: &Event) -> &'static str {
    match event {
        Event::Started { .. } => "started",
        Event::Ended { ending, .. } => match ending.outcome {
            Outcome::Done => "done",
            Outcome::Failed { .. } => "failed",
            Outcome::Unavailable { .. } => "unavailable",
            Outcome::TimedOut => "timed out",
            Outcome::Cancelled => "cancelled",
            Outcome::NeedsAttention { .. } => "attention",
            Outcome::Misshapen { .. } => "misshapen",
            Outcome::Lost { .. } => "lost",
        },
        Event::Expired { wake: Wake::Timeout { .. } } => "expired",
        Event::Expired { wake: Wake::Backoff { .. } } => "rested",
        Event::Published { .. } => "published",
        _ => "claimed",
    }
}

fn worker_state(standing: Standing) -> &'static str {
    match standing {
        Standing::Fresh => "fresh",
        Standing::Live => "live",
        Standing::Ending => "ending",
        Standing::Pausing => "pausing",
        Standing::Ready => "ready",
        Standing::Done => "is done",
        Standing::Failed => "has failed",
        Standing::Attention => "needs person",
        Standing::Dropped => "dropped",
    }
}

fn run_state(seen: &Seen) -> &'static str {
    match seen.halted {
        _ if seen.finished.is_some() => "over",
        _ if !seen.begun => "not begun",
        Halted::No => "going",
        Halted::Held if seen.waits => "waits",
        Halted::Held => "held",
        Halted::Stopped => "stopped",
        Halted::Cancelled => "cancelled",
    }
}
