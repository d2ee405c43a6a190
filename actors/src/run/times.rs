//! When things happened, by the wall clock, for people; nothing is decided by it.

use std::collections::HashMap;

use niia_spec::course::{Command, Event};
use niia_spec::name::{PhaseName, WorkerId, WorkerName};

#[derive(Clone, Debug, Default)]
pub struct Times {
    workers: HashMap<WorkerId, Span>,
    /// When a person was last asked for.
    held: Option<u64>,
    /// When the run was over.
    over: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    begun: Option<u64>,
    ended: Option<u64>,
}

impl Times {
    /// Notes what an event and its commands say of workers.
    pub fn note(&mut self, event: &Event, commands: &[Command], at_ms: u64) {
        if let Event::Ended { attempt, .. } = event {
            self.workers.entry(attempt.worker.clone()).or_default().ended = Some(at_ms);
        }
        for command in commands {
            if let Command::Hold { .. } = command {
                self.held = Some(at_ms);
            }
            if let Command::Finish { .. } = command {
                self.over = Some(at_ms);
            }
            if let Command::Start { attempt, .. } = command {
                self.workers.entry(attempt.worker.clone()).or_default().begun.get_or_insert(at_ms);
            }
        }
    }

    pub(super) fn held(&self) -> Option<u64> {
        self.held
    }

    pub(super) fn over(&self) -> Option<u64> {
        self.over
    }

    pub(super) fn begun(&self, phase: &PhaseName, worker: &WorkerName) -> Option<u64> {
        self.span(phase, worker).begun
    }

    pub(super) fn ended(&self, phase: &PhaseName, worker: &WorkerName) -> Option<u64> {
        self.span(phase, worker).ended
    }

    fn span(&self, phase: &PhaseName, worker: &WorkerName) -> Span {
        let id = WorkerId { phase: phase.clone(), worker: worker.clone() };
        self.workers.get(&id).copied().unwrap_or_default()
    }
}
