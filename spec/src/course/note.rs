//! Taking in what has happened. Late, doubled and foreign news changes nothing.

use serde_json::Value;

use super::halt::Halt;
use super::next::granted;
use super::phase::PhaseState;
use super::{Ending, Event, Gathering, RunCourse, Wake};
use crate::name::{AttemptId, PhaseName, WorkerId};

/// Items are claimed one by one, by hand of an agent; more of them in one run is a loop that claims.
pub const CLAIMS_MAX: usize = 10_000;
/// A claim names an item, such as a path; what is longer is its content.
pub const CLAIM_KEY_BYTES_MAX: usize = 1024;

impl RunCourse {
    /// Whether the event changed anything.
    pub(super) fn note(&mut self, event: &Event) -> bool {
        if self.state.over.is_some() {
            return false;
        }
        let changed = match event {
            Event::Begun => self.begun(),
            Event::Cancelled { reason } => self.raise(Halt::Cancel { reason: reason.clone() }),
            Event::Resumed { hold, .. } => self.resumed(*hold),
            Event::Started { attempt } => self.started(attempt),
            Event::Ended { attempt, ending } => self.ended(attempt, ending),
            Event::Published { worker, key, value } => self.published(worker, key, value),
            Event::Claimed { key, by } => self.claimed(key, by),
            Event::Gathered { phase, round, gathering } => self.gathered(phase, *round, gathering),
            Event::Expired { wake } => self.expired(wake),
            Event::Approved { phase } => self.answered(phase, PhaseState::Approved),
            Event::Denied { phase, reason } => {
                self.answered(phase, PhaseState::Denied { reason: reason.clone() })
            }
        };
        self.check_limits();
        changed
    }

    fn begun(&mut self) -> bool {
        if self.state.begun {
            return false;
        }
        self.state.begun = true;
        self.mark_all();
        true
    }

    /// Every phase that is under way is taken up where it stands; see `PhaseCourse::resume`.
    fn resumed(&mut self, hold: u32) -> bool {
        if !self.state.waits || hold != self.state.holds {
            return false;
        }
        if let Some(Halt::Hold { phase, breach: true, .. }) = self.state.halt.take() {
            self.grant(phase);
        }
        self.state.waits = false;
        for &at in &self.state.underway {
            self.state.phases[at].resume(&self.plan.phases[at]);
        }
        self.mark_all();
        true
    }

    /// Raises the bounds of agents that are reached.
    fn grant(&mut self, at: usize) {
        let (state, limits) = (&mut self.state, &self.plan.phases[at].limits);
        let course = &mut state.phases[at];
        if state.attempts >= granted(self.plan.limits.max_total_agents, state.granted) {
            state.granted = state.granted.saturating_add(1);
        }
        if course.crew.attempts() >= granted(limits.max_total_agents, course.granted) {
            course.granted = course.granted.saturating_add(1);
        }
    }

    fn started(&mut self, attempt: &AttemptId) -> bool {
        let Some((at, seat)) = self.map.seat(&attempt.worker) else {
            return false;
        };
        self.state.phases[at].crew.started(seat, attempt.attempt)
    }

    fn ended(&mut self, attempt: &AttemptId, ending: &Ending) -> bool {
        let Some((at, seat)) = self.map.seat(&attempt.worker) else {
            return false;
        };
        if !self.state.phases[at].crew.ended(&self.plan.phases[at], seat, attempt.attempt, ending) {
            return false;
        }
        self.state.live -= 1;
        if let Some(outputs) = self.state.outputs.phases[at].workers.get_mut(seat) {
            for (key, value) in &ending.outputs {
                outputs.set(key, value);
            }
        }
        self.mark(at);
        true
    }

    fn published(&mut self, worker: &WorkerId, key: &str, value: &Value) -> bool {
        match self.live_seat(worker) {
            Some((at, seat)) => {
                let outputs = self.state.outputs.phases[at].workers.get_mut(seat);
                outputs.is_some_and(|outputs| outputs.set(key, value))
            }
            None => false,
        }
    }

    fn claimed(&mut self, key: &str, by: &WorkerId) -> bool {
        let claims = &self.state.claims;
        let past_bound = claims.len() >= CLAIMS_MAX || key.len() > CLAIM_KEY_BYTES_MAX;
        if past_bound || claims.contains_key(key) || self.live_seat(by).is_none() {
            return false;
        }
        self.state.claims.insert(key.to_owned(), by.clone());
        true
    }

    fn gathered(&mut self, phase: &PhaseName, round: u32, gathering: &Gathering) -> bool {
        let Some(at) = self.map.phase(phase) else {
            return false;
        };
        if self.state.phases[at].state != (PhaseState::Gathering { round }) {
            return false;
        }
        self.state.phases[at].state = PhaseState::Gathered { round, gathering: gathering.clone() };
        self.mark(at);
        true
    }

    fn expired(&mut self, wake: &Wake) -> bool {
        let (Wake::Timeout { attempt } | Wake::Backoff { attempt }) = wake;
        let Some((at, seat)) = self.map.seat(&attempt.worker) else {
            return false;
        };
        let course = &mut self.state.phases[at];
        let changed = match wake {
            Wake::Timeout { .. } => course.crew.expired(seat, attempt.attempt),
            Wake::Backoff { .. } => course.is_underway() && course.crew.rested(seat, attempt.attempt),
        };
        self.mark(at);
        changed
    }

    fn answered(&mut self, phase: &PhaseName, answer: PhaseState) -> bool {
        let Some(at) = self.map.phase(phase) else {
            return false;
        };
        if self.state.phases[at].state != PhaseState::Asked {
            return false;
        }
        self.state.phases[at].state = answer;
        self.mark(at);
        true
    }

    fn live_seat(&self, worker: &WorkerId) -> Option<(usize, usize)> {
        let (at, seat) = self.map.seat(worker)?;
        self.state.phases[at].live_attempt(seat)?;
        Some((at, seat))
    }
}
