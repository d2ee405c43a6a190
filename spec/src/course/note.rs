//! Taking in what has happened. Late, doubled and foreign news changes nothing.

use serde_json::Value;

use super::halt::Halt;
use super::next::granted;
use super::phase::PhaseState;
use super::share::Bound;
use super::worker::Settling;
use super::{Ending, Event, Gathering, RunCourse, Wake, WorkerOutputs};
use crate::name::{AttemptId, PhaseName, RunId, WorkerId};

/// Items are claimed one by one, by hand of an agent; more of them in one run is a loop that claims.
pub const CLAIMS_MAX: usize = 10_000;
/// A claim names an item, such as a path; what is longer is its content.
pub const CLAIM_KEY_BYTES_MAX: usize = 1024;

/// Runs begun inside one run, one by one; what begins more is a loop that no limit of agents stops, since none starts.
pub const CHILDREN_MAX: usize = 1_000;

/// Files that could run something later; a person who is told of so many looks at all of them.
pub const RUNS_LATER_MAX: usize = 200;

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
            Event::Posted { number, to } => self.posted(*number, to.as_ref()),
            Event::Reserved { of, total } => self.reserved(*of, *total),
            Event::Withheld(withheld) => self.withheld(withheld),
            Event::Lends { to, of, total } => self.lends(to, *of, *total),
            Event::Spawned { run, by } => self.spawned(run, by),
            Event::Concluded { phase, by } => self.concluded(phase, by),
            Event::Dismissed { phase } => self.dismissed(phase),
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
            self.grant_budget();
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
        let reached = |of: Bound| self.had(of) >= self.bound(of);
        let (agents, turns, letters) =
            (reached(Bound::Agents), reached(Bound::Turns), reached(Bound::Letters));
        if let Some(promise) = &mut self.state.promise {
            promise.withheld = None;
        }
        let (state, limits) = (&mut self.state, &self.plan.phases[at].limits);
        let course = &mut state.phases[at];
        if agents {
            state.granted = state.granted.saturating_add(1);
        }
        if course.crew.attempts() >= granted(limits.max_total_agents, course.granted) {
            course.granted = course.granted.saturating_add(1);
        }
        if turns {
            state.granted_turns = state.granted_turns.saturating_add(1);
        }
        if course
            .talk
            .as_ref()
            .is_some_and(|talk| talk.turns() >= granted(limits.max_turns, course.granted_turns))
        {
            course.granted_turns = course.granted_turns.saturating_add(1);
        }
        if letters {
            state.granted_letters = state.granted_letters.saturating_add(1);
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
        let last = self.state.phases[at].crew.worker(seat).and_then(|worker| worker.attempts().last());
        let (model, settles) = last.map_or((0, false), |last| (last.model, last.settling == Settling::Runs));
        if !self.state.phases[at].crew.ended(&self.plan.phases[at], seat, attempt.attempt, ending) {
            return false;
        }
        self.state.live -= 1;
        // What is only taken once more has been paid for.
        if !settles {
            self.pays(at, seat, model, ending);
        }
        if let Some(outputs) = self.outputs_mut(at, seat) {
            for (key, value) in &ending.outputs {
                outputs.set(key, value);
            }
        }
        let outputs = &mut self.state.outputs.phases[at];
        self.state.phases[at].stepped(&self.plan.phases[at], seat, ending, outputs);
        let spoken = (seat, attempt.attempt);
        self.state.phases[at].heard(&self.plan.phases[at], spoken, ending, outputs);
        self.mark(at);
        true
    }

    /// What the occupant of a seat has published: a mender publishes nothing, steps stand behind the workers.
    fn outputs_mut(&mut self, at: usize, seat: usize) -> Option<&mut WorkerOutputs> {
        let mender = self.state.phases[at].crew.mender_seat();
        let place = match seat.cmp(&mender) {
            std::cmp::Ordering::Less => seat,
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Greater => seat - 1,
        };
        self.state.outputs.phases[at].workers.get_mut(place)
    }

    fn posted(&mut self, number: u64, to: Option<&WorkerId>) -> bool {
        let newest = number > self.state.letters;
        self.state.letters = self.state.letters.max(number);
        let Some((at, seat)) = to.and_then(|worker| self.map.seat(worker)) else {
            return newest;
        };
        let course = &mut self.state.phases[at];
        let over = course.outcome().is_some();
        let waits = course.talk.as_mut().is_some_and(|talk| !over && talk.posted(seat, number));
        self.mark(at);
        newest || waits
    }

    /// Only who lives begins a run; whose session is over by then has none.
    fn spawned(&mut self, run: &RunId, by: &AttemptId) -> bool {
        let lives = self.map.seat(&by.worker).is_some_and(|(at, seat)| {
            self.state.phases[at].live_attempt(seat).is_some_and(|(number, _)| number == by.attempt)
        });
        let known = self.state.children.get(run);
        let its_own = known.is_none_or(|before| before.worker == by.worker && before != by);
        if !lives || !its_own || (known.is_none() && self.state.children.len() >= CHILDREN_MAX) {
            return false;
        }
        self.state.children.insert(run.clone(), by.clone());
        true
    }

    fn concluded(&mut self, phase: &PhaseName, by: &str) -> bool {
        let Some(at) = self.map.phase(phase) else {
            return false;
        };
        let course = &mut self.state.phases[at];
        let goes_on = course.state == PhaseState::Open;
        let changed = course.talk.as_mut().is_some_and(|talk| goes_on && talk.conclude(by));
        self.mark(at);
        changed
    }

    fn dismissed(&mut self, phase: &PhaseName) -> bool {
        let Some(at) = self.map.phase(phase) else {
            return false;
        };
        if self.state.phases[at].state != PhaseState::Dismissing {
            return false;
        }
        self.state.phases[at].state = PhaseState::Dismissed;
        self.mark(at);
        true
    }

    fn fell_quiet(&mut self, phase: &PhaseName, number: u32) -> bool {
        let Some(at) = self.map.phase(phase) else {
            return false;
        };
        let course = &mut self.state.phases[at];
        let open = course.state == PhaseState::Open;
        let changed = course.talk.as_mut().is_some_and(|talk| open && talk.was_quiet(number));
        self.mark(at);
        changed
    }

    fn published(&mut self, worker: &WorkerId, key: &str, value: &Value) -> bool {
        match self.live_seat(worker) {
            Some((at, seat)) => self.outputs_mut(at, seat).is_some_and(|outputs| outputs.set(key, value)),
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
        if let Gathering::Merged { runs_later, .. } = gathering {
            let room = RUNS_LATER_MAX.saturating_sub(self.state.runs_later.len());
            self.state.runs_later.extend(runs_later.iter().take(room).cloned());
        }
        self.state.phases[at].state = PhaseState::Gathered { round, gathering: gathering.clone() };
        self.mark(at);
        true
    }

    fn expired(&mut self, wake: &Wake) -> bool {
        let attempt = match wake {
            Wake::Timeout { attempt } | Wake::Backoff { attempt } => attempt,
            Wake::Quiet { phase, number } => return self.fell_quiet(phase, *number),
        };
        let Some((at, seat)) = self.map.seat(&attempt.worker) else {
            return false;
        };
        let course = &mut self.state.phases[at];
        let changed = match wake {
            Wake::Timeout { .. } => course.crew.expired(seat, attempt.attempt),
            _ => course.is_underway() && course.crew.rested(seat, attempt.attempt),
        };
        self.mark(at);
        changed
    }

    fn answered(&mut self, phase: &PhaseName, answer: PhaseState) -> bool {
        let Some(at) = self.map.phase(phase) else {
            return false;
        };
        if !self.state.phases[at].asks() {
            return false;
        }
        let course = &mut self.state.phases[at];
        match (&course.state, &answer) {
            (PhaseState::Open, PhaseState::Denied { reason }) => course.steps.answer(Some(reason)),
            (PhaseState::Open, _) => course.steps.answer(None),
            _ => course.state = answer,
        }
        self.mark(at);
        true
    }

    fn live_seat(&self, worker: &WorkerId) -> Option<(usize, usize)> {
        let (at, seat) = self.map.seat(worker)?;
        self.state.phases[at].live_attempt(seat)?;
        Some((at, seat))
    }
}
