//! The course of a whole run: what is known of it, and how events and commands become part of that.
//!
//! What is known is a fold over rows of one event and the commands it led to. `note` takes in an event and `take` a
//! command; neither decides. What follows from the facts is decided in `next` alone, one command at a time, so that
//! applying a stored row and deciding it anew lead to the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::budget::Budget;
use super::crew::Fate;
use super::halt::Halt;
use super::map::{CourseError, Map};
use super::next::Launch;
use super::outputs::{Judge, Outputs, PhaseOutputs, WorkerOutputs};
use super::phase::{PhaseCourse, PhaseState};
use super::share::{Bound, Promise, Share};
use super::{Command, Event, RunOutcome};
use crate::later::RunsLater;
use crate::name::{AttemptId, RunId, WorkerId};
use crate::plan::{OnBreach, OnFailure, Plan};

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
    /// Runs that were begun inside this one, and by which attempt.
    #[serde(default)]
    pub(super) children: BTreeMap<RunId, AttemptId>,
    /// What was promised to runs inside this one.
    #[serde(default)]
    pub(super) lent: BTreeMap<RunId, Share>,
    /// What the runs above have promised; nothing where there are none.
    #[serde(default)]
    pub(super) promise: Option<Promise>,
    pub(super) halt: Option<Halt>,
    /// A person is awaited: all that lived has ended.
    pub(super) waits: bool,
    /// How often a person was asked for.
    pub(super) holds: u32,
    /// How often the run was given as many agents again as its limit allows.
    pub(super) granted: u32,
    pub(super) over: Option<RunOutcome>,
    pub(super) live: u32,
    pub(super) attempts: u32,
    /// Turns of talks that have begun.
    pub(super) turns: u32,
    /// The number of the newest letter.
    pub(super) letters: u64,
    /// How often the run was given as many turns again as its limit allows; the same for letters.
    pub(super) granted_turns: u32,
    pub(super) granted_letters: u32,
    pub(super) closed: usize,
    #[serde(default)]
    pub(super) budget: Budget,
    /// What the run changed that could run something later.
    #[serde(default)]
    pub(super) runs_later: BTreeSet<RunsLater>,
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
            children: BTreeMap::new(),
            lent: BTreeMap::new(),
            promise: plan.is_inside.then(Promise::default),
            halt: None,
            waits: false,
            holds: 0,
            granted: 0,
            over: None,
            live: 0,
            attempts: 0,
            turns: 0,
            letters: 0,
            granted_turns: 0,
            granted_letters: 0,
            runs_later: BTreeSet::new(),
            budget: Budget::default(),
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

    /// Halts the run, unless it is halted for a reason as grave.
    pub(super) fn raise(&mut self, halt: Halt) -> bool {
        if Halt::gravity(self.state.halt.as_ref()) >= Halt::gravity(Some(&halt)) {
            return false;
        }
        self.state.halt = Some(halt);
        self.state.waits = false;
        self.mark_all();
        true
    }

    pub(super) fn mark_all(&mut self) {
        for at in 0..self.state.phases.len() {
            self.mark(at);
        }
    }

    /// Keeps the sets of phases true after something about this phase has changed.
    pub(super) fn mark(&mut self, at: usize) {
        let plan = Arc::clone(&self.plan);
        let plan = &plan.phases[at];
        let state = &mut self.state;
        let course = &state.phases[at];
        let halt = Halt::for_phase(state.halt.as_ref(), at);
        let due = state.begun && course.due(plan, halt).is_some();
        let startable = state.halt.is_none() && course.next_turn(plan).is_some();
        keep(&mut state.due, at, due);
        keep(&mut state.startable, at, startable);
        if self.is_moot(at) {
            self.state.halt = None;
            return self.mark_all();
        }
        let course = &self.state.phases[at];
        let failed = course.state == PhaseState::Open && course.fate(plan) == Fate::Failed;
        if failed && plan.on_failure == OnFailure::Stop && !halt.is_hard() {
            let reason = course.trouble(plan);
            self.raise(Halt::Stop { phase: at, reason });
        } else if self.state.halt.is_none()
            && let Some(reason) = course.stuck(plan)
        {
            self.raise(Halt::Hold { phase: at, reason, breach: false });
        }
    }

    /// Whether the run is held for the sake of a phase that needs nobody any more, before a person was asked for: it has
    /// failed meanwhile, or who could not start turned out not to be needed.
    fn is_moot(&self, at: usize) -> bool {
        let course = &self.state.phases[at];
        match &self.state.halt {
            Some(Halt::Hold { phase, breach, .. }) if *phase == at && !self.state.waits => match breach {
                true => course.outcome().is_some(),
                false => course.stuck(&self.plan.phases[at]).is_none(),
            },
            _ => false,
        }
    }

    /// The phase that stands at a bound, and the bound in words.
    fn breach(&self) -> Option<(usize, String)> {
        if self.state.halt.is_some() {
            return None;
        }
        if let Some(withheld) = self.state.promise.as_ref().and_then(|promise| promise.withheld.as_ref()) {
            let at = self.state.underway.first()?;
            let limit = withheld.of.told(withheld.limit);
            let told = format!("{} ({limit}) of `{}`", withheld.of.word(), withheld.by);
            return Some((*at, told));
        }
        if let Some(Launch::Breach { phase, limit, of }) = self.launch() {
            return Some((phase, format!("{of} ({limit})")));
        }
        let limit = self.bound(Bound::Letters);
        if self.had(Bound::Letters) < limit {
            return None;
        }
        let talks = |at: &&usize| {
            let phase = &self.state.phases[**at];
            phase.talk.is_some() && phase.state == PhaseState::Open
        };
        let at = self.state.underway.iter().find(talks)?;
        Some((*at, format!("{} ({limit})", Bound::Letters.word())))
    }

    /// Halts the run when the next attempt would be one too many, or the next letter.
    pub(super) fn check_limits(&mut self) {
        let Some((at, bound)) = self.breach() else {
            return;
        };
        let phase = &self.plan.phases[at];
        let reason = format!("the limit {bound} is reached");
        let halt = match phase.limits.on_breach {
            OnBreach::Pause => {
                let reason = format!("{reason}; once resumed it may have as many again");
                Halt::Hold { phase: at, reason, breach: true }
            }
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
        workers: phase.everybody().map(worker).collect(),
    });
    let event = plan.event.as_ref().map_or(serde_json::Value::Null, |event| event.payload.clone());
    Outputs { phases: phases.collect(), event }
}
