//! One line for each change of a run, for a pipe.

use std::collections::BTreeMap;

use niia_spec::notice::{PhaseState, RunState, RunView};

use super::run::{outcome_reason, phase_reason, phase_word, state_word, worker_word};
use super::{duration, neutral};

/// Remembers what it told, so that each change is told once; also across a reconnection.
#[derive(Debug, Default)]
pub struct Changes {
    told: BTreeMap<String, String>,
    warnings_told: usize,
}

impl Changes {
    /// The lines for what is new in this view.
    pub fn of(&mut self, run: &RunView) -> Vec<String> {
        let mut lines = Vec::new();
        for warning in run.warnings.iter().skip(self.warnings_told) {
            lines.push(format!("warning: {}", neutral(warning)));
        }
        self.warnings_told = self.warnings_told.max(run.warnings.len());
        for phase in &run.phases {
            if phase.state != PhaseState::Waiting || phase.outcome.is_some() {
                let reason = phase_reason(phase).map(|reason| format!(": {reason}")).unwrap_or_default();
                let said = format!("phase {}: {}{reason}", phase.phase, phase_word(phase));
                self.tell(phase.phase.to_string(), said, &mut lines);
            }
            self.workers(phase, &mut lines);
        }
        if run.state != RunState::Running {
            let took = run.ended_at_ms.unwrap_or(run.begun_at_ms).saturating_sub(run.begun_at_ms);
            let reason = run.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let said = format!("run {}: {} after {}{reason}", run.run, state_word(run.state), duration(took));
            self.tell("run".to_owned() + "\n", said, &mut lines);
        }
        lines
    }

    fn workers(&mut self, phase: &niia_spec::notice::PhaseView, lines: &mut Vec<String>) {
        for worker in &phase.workers {
            let name = format!("{}/{}", phase.phase, worker.worker);
            // Of each attempt that ended the reason, also when the next one has begun already.
            for attempt in &worker.attempts {
                let Some(reason) = attempt.outcome.as_ref().and_then(outcome_reason) else { continue };
                let said = format!("{name}: attempt {} with {} {reason}", attempt.attempt, attempt.model);
                self.tell(format!("{name}/{}", attempt.attempt), said, lines);
            }
            if worker.session.is_none() && worker.attempts.is_empty() {
                continue;
            }
            let said = format!("{name}: {} ({})", worker_word(worker.state), worker.model);
            self.tell(name, said, lines);
        }
    }

    fn tell(&mut self, about: String, said: String, lines: &mut Vec<String>) {
        let said = neutral(&said);
        if self.told.get(&about) != Some(&said) {
            self.told.insert(about, said.clone());
            lines.push(said);
        }
    }
}
