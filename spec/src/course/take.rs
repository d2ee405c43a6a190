//! Taking in what was decided: each command as a fact, whether it was decided just now or read from a stored row.

use std::sync::Arc;

use super::halt::Halt;
use super::phase::{PhaseCourse, PhaseState};
use super::{Command, PhaseOutcome, RunCourse, Wake};
use crate::name::{AttemptId, PhaseName};
use crate::plan::OnFailure;

impl RunCourse {
    pub(super) fn take(&mut self, command: &Command) {
        match command {
            Command::Open { phase } => self.take_open(phase),
            Command::Start { attempt, model } => self.take_start(attempt, *model),
            Command::Settle { attempt } => self.take_settle(attempt),
            Command::End { attempt, reason } => {
                self.with_seat(attempt, |phase, seat| phase.crew.end_asked(seat, attempt.attempt, *reason));
            }
            Command::Wake { wake: Wake::Quiet { phase, number }, .. } => {
                if let Some(at) = self.map.phase(phase) {
                    if let Some(talk) = &mut self.state.phases[at].talk {
                        talk.quiet_begins(*number);
                    }
                    self.mark(at);
                }
            }
            Command::Dismiss { phase } => self.take_state(phase, PhaseState::Dismissing),
            Command::Gather { phase, round } => {
                self.take_state(phase, PhaseState::Gathering { round: *round })
            }
            Command::Wake { wake: Wake::Timeout { attempt }, .. } => {
                self.with_seat(attempt, |phase, seat| phase.crew.timed(seat, attempt.attempt));
            }
            Command::Wake { wake: Wake::Backoff { attempt }, .. } => {
                self.with_seat(attempt, |phase, seat| phase.crew.paused(seat, attempt.attempt));
            }
            Command::Reserve { of, total } => self.take_reserve(*of, *total),
            Command::Ask { phase } => self.take_ask(phase),
            Command::Close { phase, outcome } => self.take_close(phase, outcome),
            Command::Hold { .. } => {
                self.state.waits = true;
                self.state.holds = self.state.holds.saturating_add(1);
            }
            Command::Finish { outcome } => self.state.over = Some(outcome.clone()),
        }
        self.check_limits();
    }

    fn with_seat(&mut self, attempt: &AttemptId, change: impl FnOnce(&mut PhaseCourse, usize)) {
        if let Some((at, seat)) = self.map.seat(&attempt.worker) {
            change(&mut self.state.phases[at], seat);
            self.mark(at);
        }
    }

    fn take_state(&mut self, phase: &PhaseName, state: PhaseState) {
        if let Some(at) = self.map.phase(phase) {
            self.state.phases[at].state = state;
            self.mark(at);
        }
    }

    /// A phase that is open already asks for its next step.
    fn take_ask(&mut self, phase: &PhaseName) {
        match self.map.phase(phase).filter(|at| self.state.phases[*at].state == PhaseState::Open) {
            Some(at) => {
                self.state.phases[at].steps.ask();
                self.mark(at);
            }
            None => self.take_state(phase, PhaseState::Asked),
        }
    }

    fn take_open(&mut self, phase: &PhaseName) {
        if let Some(at) = self.map.phase(phase) {
            self.state.phases[at].state = PhaseState::Open;
            self.state.phases[at].crew.open_seats(&self.plan.phases[at]);
            if let Some(talk) = &mut self.state.phases[at].talk {
                talk.opens(&self.plan.phases[at].work);
            }
            self.state.underway.insert(at);
            self.mark(at);
        }
    }

    fn take_start(&mut self, attempt: &AttemptId, model: u32) {
        let Some((at, seat)) = self.map.seat(&attempt.worker) else {
            return;
        };
        let course = &mut self.state.phases[at];
        course.begin_mending();
        if seat > course.crew.mender_seat() {
            course.steps.begins();
        }
        let (turn, further) = course.begins_turn(&self.plan.phases[at], seat);
        if !course.crew.begin(seat, model, further) {
            return;
        }
        if let Some(talk) = course.talk.as_mut().filter(|_| turn) {
            talk.begins(&self.plan.phases[at].work, seat);
        }
        self.reserves(at, seat, model);
        self.state.live += 1;
        self.state.attempts += u32::from(!further);
        self.state.turns += u32::from(turn);
        self.mark(at);
    }

    fn take_settle(&mut self, attempt: &AttemptId) {
        let Some((at, seat)) = self.map.seat(&attempt.worker) else {
            return;
        };
        if self.state.phases[at].crew.settle(seat) {
            self.state.live += 1;
        }
        self.mark(at);
    }

    fn take_close(&mut self, phase: &PhaseName, outcome: &PhaseOutcome) {
        let Some(at) = self.map.phase(phase) else {
            return;
        };
        if self.state.phases[at].outcome().is_some() {
            return;
        }
        let denied = matches!(self.state.phases[at].state, PhaseState::Denied { .. });
        self.state.phases[at].state = PhaseState::Closed { outcome: outcome.clone() };
        self.state.underway.remove(&at);
        self.state.closed += 1;
        let map = Arc::clone(&self.map);
        for &follower in &map.followers[at] {
            self.state.phases[follower].missing -= 1;
            self.mark(follower);
        }
        self.mark(at);
        // A person who denies a phase does not want what comes after it either, whatever `on_failure` says.
        if let PhaseOutcome::Failed { reason } = outcome
            && (denied || self.plan.phases[at].on_failure == OnFailure::Stop)
        {
            self.raise(Halt::Stop { phase: at, reason: reason.clone() });
        }
    }
}
