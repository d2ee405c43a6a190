//! The course of a whole run: what is known of it, and how events and commands become part of that.
//!
//! What is known is a fold over rows of one event and the commands it led to. `note` takes in an event and `take` a
//! command; neither decides. What follows from the facts is decided in `next` alone, one command at a time, so that
//! applying a stored row and deciding it anew lead to the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::crew::Fate;
use super::halt::Halt;
use super::map::{CourseError, Map};
use super::next::Launch;
use super::outputs::{Judge, Outputs, PhaseOutputs, WorkerOutputs};
use super::phase::{PhaseCourse, PhaseState};
use super::{Command, Ending, Event, Gathering, PhaseOutcome, RunOutcome, Wake};
use crate::name::{AttemptId, PhaseName, WorkerId};
use crate::plan::{OnBreach, OnFailure, Plan};

/// Items are claimed one by one, by hand of an agent; more of them in one run is a loop that claims.
pub const CLAIMS_MAX: usize = 10_000;
/// A claim names an item, such as a path; what is longer is its content.
pub const CLAIM_KEY_BYTES_MAX: usize = 1024;

/// Decides for one run. Cloning it copies the state and shares the plan.
#[derive(Clone, Debug)]
pub struct RunCourse {
    pub(super) plan: Arc<Plan>,
    pub(super) judge: Judge,
    pub(super) map: Arc<Map>,
    pub(super) state: RunState,
}

/// What is known of a run: a fold over its rows, equal after a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    pub(super) begun: bool,
    /// In the order of the plan.
    pub(super) phases: Vec<PhaseCourse>,
    pub(super) outputs: Outputs,
    pub(super) claims: BTreeMap<String, WorkerId>,
    pub(super) halt: Option<Halt>,
    pub(super) over: Option<RunOutcome>,
    pub(super) live: u32,
    pub(super) attempts: u32,
    pub(super) closed: usize,
    /// The phases that have workers or a gathering. This set and those below follow from the phases.
    pub(super) underway: BTreeSet<usize>,
    /// The phases for which something is due.
    pub(super) due: BTreeSet<usize>,
    /// The phases that would start an attempt if there is a free slot.
    pub(super) startable: BTreeSet<usize>,
}

impl RunCourse {
    pub fn new(plan: Arc<Plan>, judge: Judge) -> Result<RunCourse, CourseError> {
        let map = Arc::new(Map::new(&plan)?);
        let state = RunState {
            begun: false,
            phases: plan.phases.iter().map(PhaseCourse::new).collect(),
            outputs: empty_outputs(&plan),
            claims: BTreeMap::new(),
            halt: None,
            over: None,
            live: 0,
            attempts: 0,
            closed: 0,
            underway: BTreeSet::new(),
            due: BTreeSet::new(),
            startable: BTreeSet::new(),
        };
        Ok(RunCourse { plan, judge, map, state })
    }

    /// Takes one event and returns what must be done about it.
    #[must_use]
    pub fn on(&mut self, event: &Event) -> Vec<Command> {
        let mut commands = Vec::new();
        if !self.note(event) {
            return commands; // Late, doubled and foreign news changes nothing.
        }
        while let Some(command) = self.next() {
            self.take(&command);
            commands.push(command);
        }
        commands
    }

    /// What `on` would return. It works on a copy: whoever may change the course calls `on`.
    #[must_use]
    pub fn decide(&self, event: &Event) -> Vec<Command> {
        self.clone().on(event)
    }

    /// Takes in a stored row: an event and the commands that were decided about it. Nothing is decided anew.
    pub fn apply(&mut self, event: &Event, commands: &[Command]) {
        self.note(event);
        for command in commands {
            self.take(command);
        }
    }

    /// Whether the event changed anything.
    fn note(&mut self, event: &Event) -> bool {
        if self.state.over.is_some() {
            return false;
        }
        let changed = match event {
            Event::Begun => self.begun(),
            Event::Cancelled { reason } => self.raise(Halt::Cancel { reason: reason.clone() }),
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

    fn take(&mut self, command: &Command) {
        match command {
            Command::Open { phase } => self.take_open(phase),
            Command::Start { attempt, model } => self.take_start(attempt, *model),
            Command::End { attempt, reason } => {
                self.with_seat(attempt, |phase, seat| phase.crew.end_asked(seat, attempt.attempt, *reason));
            }
            Command::Gather { phase, round } => {
                self.take_state(phase, PhaseState::Gathering { round: *round })
            }
            Command::Wake { wake: Wake::Timeout { attempt }, .. } => {
                self.with_seat(attempt, |phase, seat| phase.crew.timed(seat, attempt.attempt));
            }
            Command::Wake { wake: Wake::Backoff { attempt }, .. } => {
                self.with_seat(attempt, |phase, seat| phase.crew.paused(seat, attempt.attempt));
            }
            Command::Ask { phase } => self.take_state(phase, PhaseState::Asked),
            Command::Close { phase, outcome } => self.take_close(phase, outcome),
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

    fn take_open(&mut self, phase: &PhaseName) {
        if let Some(at) = self.map.phase(phase) {
            self.state.phases[at].state = PhaseState::Open;
            self.state.phases[at].crew.open_seats(&self.plan.phases[at]);
            self.state.underway.insert(at);
            self.mark(at);
        }
    }

    fn take_start(&mut self, attempt: &AttemptId, model: u32) {
        let Some((at, seat)) = self.map.seat(&attempt.worker) else {
            return;
        };
        let course = &mut self.state.phases[at];
        if !course.crew.begin(seat, model) {
            return;
        }
        if let PhaseState::Gathered { gathering: Gathering::Conflict { files, reason }, .. } = &course.state {
            course.state = PhaseState::Mending { files: files.clone(), reason: reason.clone() };
        }
        self.state.live += 1;
        self.state.attempts += 1;
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
        match outcome {
            // A person who denies a phase does not want what comes after it either, whatever `on_failure` says.
            PhaseOutcome::Failed { reason }
                if denied || self.plan.phases[at].on_failure == OnFailure::Stop =>
            {
                self.raise(Halt::Stop { phase: at, reason: reason.clone() });
            }
            PhaseOutcome::NeedsAttention { reason } => {
                self.raise(Halt::Hold { phase: at, reason: reason.clone() });
            }
            _ => {}
        }
    }

    /// Halts the run, unless it is halted for a reason as grave.
    fn raise(&mut self, halt: Halt) -> bool {
        if Halt::gravity(self.state.halt.as_ref()) >= Halt::gravity(Some(&halt)) {
            return false;
        }
        self.state.halt = Some(halt);
        self.mark_all();
        true
    }

    fn mark_all(&mut self) {
        for at in 0..self.state.phases.len() {
            self.mark(at);
        }
    }

    /// Keeps the sets of phases true after something about this phase has changed.
    fn mark(&mut self, at: usize) {
        let plan = Arc::clone(&self.plan);
        let plan = &plan.phases[at];
        let state = &mut self.state;
        let course = &state.phases[at];
        let halt = Halt::for_phase(state.halt.as_ref(), at);
        let due = state.begun && course.due(plan, halt).is_some();
        let startable = state.halt.is_none() && course.next_start(plan).is_some();
        keep(&mut state.due, at, due);
        keep(&mut state.startable, at, startable);
        if course.state != PhaseState::Open {
            return;
        }
        match course.fate(plan) {
            Fate::Failed if plan.on_failure == OnFailure::Stop && !halt.is_hard() => {
                let reason = course.trouble(plan);
                self.raise(Halt::Stop { phase: at, reason });
            }
            Fate::Attention if state.halt.is_none() => {
                let reason = course.trouble(plan);
                self.raise(Halt::Hold { phase: at, reason });
            }
            _ => {}
        }
    }

    /// Halts the run when the next attempt would be one too many.
    fn check_limits(&mut self) {
        let Some(Launch::Breach { phase: at, limit }) = self.launch() else {
            return;
        };
        let phase = &self.plan.phases[at];
        let reason = format!("the limit max_total_agents ({limit}) is reached");
        let halt = match phase.limits.on_breach {
            OnBreach::Pause => Halt::Hold { phase: at, reason },
            OnBreach::Stop => Halt::Stop { phase: at, reason },
        };
        self.raise(halt);
    }
}

fn keep(set: &mut BTreeSet<usize>, at: usize, is_in: bool) {
    if is_in {
        set.insert(at);
    } else {
        set.remove(&at);
    }
}

fn empty_outputs(plan: &Plan) -> Outputs {
    let worker = |worker: &crate::plan::WorkerPlan| WorkerOutputs {
        worker: worker.name.clone(),
        values: BTreeMap::new(),
    };
    let phases = plan.phases.iter().map(|phase| PhaseOutputs {
        phase: phase.name.clone(),
        workers: phase.work.workers().into_iter().map(worker).collect(),
    });
    Outputs { phases: phases.collect() }
}
