//! What may be read of a course, and which of its commands have had no answer yet.

use std::collections::{BTreeMap, BTreeSet};

use super::crew::{Fate, talks};
use super::halt::Halt;
use super::phase::{PhaseCourse, PhaseState};
use super::worker::{Pause, Settling, Timer, WorkerCourse};
use super::{Command, Outputs, RunCourse, RunOutcome, RunState, Talk, Wake};
use crate::later::RunsLater;
use crate::name::{AttemptId, PhaseName, RunId, WorkerId, WorkerName};
use crate::plan::{PhasePlan, PhaseWork, Plan};

impl RunCourse {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Every phase in the order of the plan.
    pub fn phases(&self) -> impl Iterator<Item = (&PhasePlan, &PhaseCourse)> {
        self.plan.phases.iter().zip(&self.state.phases)
    }

    pub fn phase(&self, name: &PhaseName) -> Option<&PhaseCourse> {
        self.map.phase(name).map(|at| &self.state.phases[at])
    }

    /// A worker of the plan, or a phase's mender.
    pub fn worker(&self, worker: &WorkerId) -> Option<&WorkerCourse> {
        let (at, seat) = self.map.seat(worker)?;
        self.state.phases[at].crew.worker(seat)
    }

    /// Whose work a phase's `Gather` merges, in worker order: those who are done. The branches of others are kept.
    ///
    /// Who talks has many turns, and what came of the good ones is not undone by the last: a mesh is over while somebody
    /// still works, and takes along what there is.
    pub fn done_workers(&self, phase: &PhaseName) -> Vec<&WorkerName> {
        let Some(at) = self.map.phase(phase) else {
            return Vec::new();
        };
        let work = &self.plan.phases[at].work;
        let workers = work.workers().into_iter().zip(self.state.phases[at].workers());
        let is_done = |course: &WorkerCourse| match work {
            PhaseWork::Mesh { .. } => course.has_spoken() || course.was_cut_short(),
            work if talks(work) => course.has_spoken(),
            _ => course.is_done(),
        };
        workers.filter(|(_, course)| is_done(course)).map(|(plan, _)| &plan.name).collect()
    }

    /// Every attempt that lives, in phase and worker order, menders last in their phase.
    pub fn live(&self) -> Vec<AttemptId> {
        let mut live = Vec::new();
        for &at in &self.state.underway {
            for seat in 0..self.state.phases[at].crew.seats() {
                if let Some((number, _)) = self.state.phases[at].live_attempt(seat) {
                    live.push(self.attempt(at, seat, number));
                }
            }
        }
        live
    }

    pub fn outputs(&self) -> &Outputs {
        &self.state.outputs
    }

    /// What a worker has published so far.
    pub fn outputs_of(&self, worker: &WorkerId) -> Option<&BTreeMap<String, serde_json::Value>> {
        let (at, seat) = self.map.seat(worker)?;
        self.state.outputs.phases[at].workers.get(seat).map(|outputs| &outputs.values)
    }

    /// The talk of a phase, where it is one.
    pub fn talk(&self, phase: &PhaseName) -> Option<&Talk> {
        self.map.phase(phase).and_then(|at| self.state.phases[at].talk.as_ref())
    }

    /// The seat of a worker in its phase.
    pub fn seat(&self, worker: &WorkerId) -> Option<usize> {
        self.map.seat(worker).map(|(_, seat)| seat)
    }

    /// How many letters the run has had.
    pub fn letters(&self) -> u64 {
        self.state.letters
    }

    /// How many letters the run may have, with what a person has granted since.
    pub fn letters_max(&self) -> u32 {
        self.bound(super::Bound::Letters)
    }

    /// Who has claimed this item.
    pub fn holder(&self, key: &str) -> Option<&WorkerId> {
        self.state.claims.get(key)
    }

    /// Every run that was begun inside this one, and by which attempt.
    pub fn children(&self) -> &BTreeMap<RunId, AttemptId> {
        &self.state.children
    }

    /// The runs whose work comes home with a phase: what they are part of is done.
    pub fn children_done(&self, phase: &PhaseName) -> Vec<&RunId> {
        let done = self.done_workers(phase);
        let of_phase = |by: &AttemptId| by.worker.phase == *phase && done.contains(&&by.worker.worker);
        self.state.children.iter().filter(|(_, by)| of_phase(by)).map(|(run, _)| run).collect()
    }

    /// Why the run goes on no further, while it ends.
    pub fn halt(&self) -> Option<&Halt> {
        self.state.halt.as_ref()
    }

    /// Why it waits for a person, once nothing of it lives any more: until it is resumed or cancelled.
    pub fn waits(&self) -> Option<String> {
        let halt = self.state.halt.as_ref().filter(|_| self.state.waits)?;
        Some(halt.told(&self.plan))
    }

    /// What the run has changed that could run something later.
    pub fn runs_later(&self) -> &BTreeSet<RunsLater> {
        &self.state.runs_later
    }

    /// The number of the newest hold, from 1: the one that a person resumes.
    pub fn holds(&self) -> u32 {
        self.state.holds
    }

    /// Why a phase cannot go on without a person.
    pub fn stuck(&self, phase: &PhaseName) -> Option<String> {
        let at = self.map.phase(phase)?;
        let of_run = match &self.state.halt {
            Some(Halt::Hold { phase, reason, .. }) if *phase == at => Some(reason.clone()),
            _ => None,
        };
        of_run.or_else(|| self.state.phases[at].stuck(&self.plan.phases[at]))
    }

    pub fn over(&self) -> Option<&RunOutcome> {
        self.state.over.as_ref()
    }

    /// Every command whose answer is outstanding, in phase and worker order: after a restart each is put to its
    /// owner, who says whether it was done. The time of a `Wake` counts from when it was first asked for.
    #[must_use]
    pub fn open_effects(&self) -> Vec<Command> {
        let mut open = Vec::new();
        if self.state.over.is_some() {
            return open;
        }
        open.extend(self.reserving());
        for (at, course) in self.state.phases.iter().enumerate() {
            let phase = || self.plan.phases[at].name.clone();
            match &course.state {
                PhaseState::Asked if !self.ends() => open.push(Command::Ask { phase: phase() }),
                PhaseState::Gathering { round } => {
                    open.push(Command::Gather { phase: phase(), round: *round })
                }
                PhaseState::Dismissing => open.push(Command::Dismiss { phase: phase() }),
                PhaseState::Open | PhaseState::Mending { .. } => {
                    if course.asks() && !self.ends() {
                        open.push(Command::Ask { phase: phase() });
                    }
                    self.open_in(at, &mut open);
                    open.extend(self.quiet(at).filter(|_| !self.ends()));
                }
                _ => {}
            }
        }
        open
    }

    /// Whether what lives is ended, for good.
    fn ends(&self) -> bool {
        matches!(self.state.halt, Some(Halt::Stop { .. } | Halt::Cancel { .. }))
    }

    /// The quiet that is being timed.
    fn quiet(&self, at: usize) -> Option<Command> {
        let plan = &self.plan.phases[at];
        let (number, after_ms) = self.state.phases[at].talk.as_ref()?.quiet_timed(&plan.work)?;
        Some(Command::Wake { wake: Wake::Quiet { phase: plan.name.clone(), number }, after_ms })
    }

    fn open_in(&self, at: usize, open: &mut Vec<Command>) {
        let course = &self.state.phases[at];
        for seat in 0..course.crew.seats() {
            if let Some((number, attempt)) = course.live_attempt(seat) {
                let id = || self.attempt(at, seat, number);
                open.push(match attempt.settling {
                    Settling::Runs => Command::Settle { attempt: id() },
                    Settling::No | Settling::Owed => Command::Start { attempt: id(), model: attempt.model },
                });
                match attempt.end_asked {
                    Some(reason) => open.push(Command::End { attempt: id(), reason }),
                    None if attempt.timer == Timer::Runs => open.extend(self.timer(at, seat)),
                    None => {}
                }
            } else if !self.ends() && !self.state.waits && course.rests(&self.plan.phases[at], seat) {
                open.extend(self.pause(at, seat));
            }
        }
    }
}

impl PhaseCourse {
    /// Whether the seat's next attempt waits for the end of a pause.
    fn rests(&self, plan: &PhasePlan, seat: usize) -> bool {
        // Where a person is needed, the end of another worker may still make them needless.
        let may_go_on = self.launches(plan) || self.fate(plan) == Fate::Attention;
        may_go_on && self.crew.worker(seat).is_some_and(|worker| worker.pause() == Pause::Runs)
    }
}
