//! The workers of one phase: who may start, who lives, and how they stand all together.
//!
//! A seat is a worker's place in the plan; the seat after the last worker is the mender's, those behind it are the
//! steps'.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::worker::{Pause, Rules, Settled, Settling, Standing, Timer, WorkerCourse};
use super::{EndReason, Ending};
use crate::plan::{PhasePlan, PhaseWork, Require, WorkerPlan};

/// The sets follow from the workers' attempts; they are kept so that nobody has to look through all workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Crew {
    workers: Vec<WorkerCourse>,
    mender: WorkerCourse,
    /// Those who are no workers, and come before them.
    #[serde(default)]
    steps: Vec<WorkerCourse>,
    /// May start as soon as a slot is free.
    ready: BTreeSet<usize>,
    /// Live and not asked to end.
    running: BTreeSet<usize>,
    /// Live, and its time limit has to be asked for.
    untimed: BTreeSet<usize>,
    /// Past its time limit, and not asked to end.
    overdue: BTreeSet<usize>,
    /// Must pause before its next attempt, and the pause has to be asked for.
    pausing: BTreeSet<usize>,
    live: u32,
    attempts: u32,
    tally: Tally,
}

/// How many workers stand how at their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    done: usize,
    failed: usize,
    attention: usize,
    dropped: usize,
}

impl Tally {
    fn count(&mut self, settled: Settled) {
        match settled {
            Settled::Done => self.done += 1,
            Settled::Failed => self.failed += 1,
            Settled::Attention => self.attention += 1,
            Settled::Dropped => self.dropped += 1,
        }
    }
}

/// What `require` says of the workers so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Going,
    Enough,
    Failed,
    /// It can be reached only if a person helps a worker.
    Attention,
}

/// The worker of one seat.
pub(super) fn seat(work: &PhaseWork, seat: usize) -> Option<&WorkerPlan> {
    match work {
        PhaseWork::Workers { workers, .. } => workers.get(seat),
        PhaseWork::Dialogue { participants, .. } | PhaseWork::Meeting { participants, .. } => {
            participants.get(seat)
        }
        PhaseWork::Mesh { agents, .. } => agents.get(seat).map(|agent| &agent.worker),
        PhaseWork::Session { worker } => (seat == 0).then_some(worker),
        PhaseWork::Connector { worker, .. } => (seat == 0).then_some(&**worker),
        PhaseWork::Steps => None,
    }
}

/// Whoever has a seat, the mender left out.
pub(super) fn occupant(plan: &PhasePlan, at: usize) -> Option<&WorkerPlan> {
    match at.checked_sub(plan.work.workers().len() + 1) {
        Some(step) => plan.steps.get(step).map(|step| &step.worker),
        None => seat(&plan.work, at),
    }
}

/// Whether workers of it have turns, so that no single one settles them.
pub(super) fn talks(work: &PhaseWork) -> bool {
    matches!(work, PhaseWork::Dialogue { .. } | PhaseWork::Meeting { .. } | PhaseWork::Mesh { .. })
}

fn one_by_one(work: &PhaseWork) -> bool {
    matches!(work, PhaseWork::Workers { parallel: false, .. })
}

impl Crew {
    pub fn new(plan: &PhasePlan) -> Crew {
        let fresh = |count| vec![WorkerCourse::default(); count];
        let (workers, steps) = (fresh(plan.work.workers().len()), fresh(plan.steps.len()));
        Crew { workers, steps, ..Crew::default() }
    }

    pub fn worker(&self, seat: usize) -> Option<&WorkerCourse> {
        match seat.checked_sub(self.workers.len()) {
            None => self.workers.get(seat),
            Some(0) => Some(&self.mender),
            Some(behind) => self.steps.get(behind - 1),
        }
    }

    fn worker_mut(&mut self, seat: usize) -> Option<&mut WorkerCourse> {
        match seat.checked_sub(self.workers.len()) {
            None => self.workers.get_mut(seat),
            Some(0) => Some(&mut self.mender),
            Some(behind) => self.steps.get_mut(behind - 1),
        }
    }

    pub fn workers(&self) -> &[WorkerCourse] {
        &self.workers
    }

    pub fn steps(&self) -> &[WorkerCourse] {
        &self.steps
    }

    pub fn mender_seat(&self) -> usize {
        self.workers.len()
    }

    pub fn step_seat(&self, step: usize) -> usize {
        self.workers.len() + 1 + step
    }

    /// How many seats there are.
    pub fn seats(&self) -> usize {
        self.workers.len() + 1 + self.steps.len()
    }

    pub fn rules(&self, plan: &PhasePlan, at: usize) -> Option<Rules> {
        if at == self.mender_seat() {
            return seat(&plan.work, 0).map(|first| Rules::mender(plan, first));
        }
        if at > self.mender_seat() {
            return occupant(plan, at).map(|step| Rules::step(plan, step));
        }
        seat(&plan.work, at).map(|worker| Rules::worker(plan, worker))
    }

    pub fn standing(&self, plan: &PhasePlan, seat: usize) -> Option<Standing> {
        Some(self.worker(seat)?.standing(&self.rules(plan, seat)?))
    }

    pub fn live(&self) -> u32 {
        self.live
    }

    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    pub fn any_done(&self) -> bool {
        self.tally.done > 0
    }

    pub fn all_settled(&self) -> bool {
        self.open() == 0
    }

    pub fn ready(&self) -> Option<usize> {
        self.ready.first().copied()
    }

    pub fn running(&self) -> Option<usize> {
        self.running.first().copied()
    }

    pub fn untimed(&self) -> Option<usize> {
        self.untimed.first().copied()
    }

    pub fn overdue(&self) -> Option<usize> {
        self.overdue.first().copied()
    }

    pub fn pausing(&self) -> Option<usize> {
        self.pausing.first().copied()
    }

    fn open(&self) -> usize {
        let Tally { done, failed, attention, dropped } = self.tally;
        self.workers.len() - done - failed - attention - dropped
    }

    /// How many workers must be done.
    pub fn needed(&self, require: Require) -> usize {
        match require {
            Require::All => self.workers.len(),
            Require::Any => 1,
            Require::AtLeast(n) => usize::try_from(n).unwrap_or(usize::MAX).max(1),
        }
    }

    pub fn fate(&self, require: Require) -> Fate {
        let needed = self.needed(require);
        let Tally { done, attention, .. } = self.tally;
        if done >= needed {
            Fate::Enough
        } else if done + self.open() >= needed {
            Fate::Going
        } else if done + self.open() + attention >= needed {
            Fate::Attention
        } else {
            Fate::Failed
        }
    }

    /// The phase begins: its workers may start, or the first of them.
    pub fn open_seats(&mut self, plan: &PhasePlan) {
        let first = if one_by_one(&plan.work) { self.workers.len().min(1) } else { self.workers.len() };
        self.ready.extend(0..first);
    }

    /// An attempt begins; a further turn of somebody who is there already is no further agent.
    pub fn begin(&mut self, seat: usize, model: u32, further: bool) -> bool {
        let Some(worker) = self.worker_mut(seat) else {
            return false;
        };
        worker.begin(model);
        self.ready.remove(&seat);
        self.running.insert(seat);
        self.untimed.insert(seat);
        self.live += 1;
        self.attempts += u32::from(!further);
        true
    }

    pub fn started(&mut self, seat: usize, number: u32) -> bool {
        let attempt = self.worker_mut(seat).and_then(|worker| worker.live_mut(number));
        attempt.is_some_and(|attempt| !std::mem::replace(&mut attempt.started, true))
    }

    pub fn timed(&mut self, seat: usize, number: u32) {
        if let Some(attempt) = self.worker_mut(seat).and_then(|worker| worker.live_mut(number)) {
            attempt.timer = Timer::Runs;
            self.untimed.remove(&seat);
        }
    }

    /// The attempt's time limit has passed.
    pub fn expired(&mut self, seat: usize, number: u32) -> bool {
        let Some(attempt) = self.worker_mut(seat).and_then(|worker| worker.live_mut(number)) else {
            return false;
        };
        if attempt.timer != Timer::Runs || attempt.end_asked.is_some() {
            return false;
        }
        attempt.timer = Timer::Over;
        self.overdue.insert(seat);
        true
    }

    pub fn end_asked(&mut self, seat: usize, number: u32, reason: EndReason) {
        if let Some(attempt) = self.worker_mut(seat).and_then(|worker| worker.live_mut(number)) {
            attempt.end_asked = Some(reason);
            self.running.remove(&seat);
            self.overdue.remove(&seat);
        }
    }

    pub fn paused(&mut self, seat: usize, number: u32) {
        if let Some(worker) = self.worker_mut(seat).filter(|worker| worker.count() + 1 == number) {
            worker.set_pause(Pause::Runs);
            self.pausing.remove(&seat);
        }
    }

    /// The pause before the attempt of this number has passed.
    pub fn rested(&mut self, seat: usize, number: u32) -> bool {
        let resting =
            |worker: &&mut WorkerCourse| worker.count() + 1 == number && worker.pause() == Pause::Runs;
        let Some(worker) = self.worker_mut(seat).filter(resting) else {
            return false;
        };
        worker.set_pause(Pause::Over);
        self.ready.insert(seat);
        true
    }

    pub fn ended(&mut self, plan: &PhasePlan, seat: usize, number: u32, ending: &Ending) -> bool {
        let Some(attempt) = self.worker_mut(seat).and_then(|worker| worker.live_mut(number)) else {
            return false;
        };
        attempt.ending = Some(ending.clone());
        attempt.settling = Settling::No;
        for set in [&mut self.running, &mut self.untimed, &mut self.overdue] {
            set.remove(&seat);
        }
        self.live -= 1;
        match self.standing(plan, seat) {
            Some(Standing::Again { pause_ms: 0, .. }) => {
                self.ready.insert(seat);
            }
            Some(Standing::Again { .. }) => {
                self.pausing.insert(seat);
            }
            Some(Standing::Settled(settled)) => self.settled(plan, seat, settled),
            Some(Standing::Fresh | Standing::Live | Standing::Unsettled) | None => {}
        }
        true
    }

    /// What the seat's last attempt left is taken once more.
    pub fn settle(&mut self, seat: usize) -> bool {
        if !self.worker_mut(seat).is_some_and(WorkerCourse::settle) {
            return false;
        }
        self.ready.remove(&seat);
        self.running.insert(seat);
        self.live += 1;
        true
    }

    /// The mender gets another turn.
    pub fn renew_mender(&mut self) {
        self.mender.renew();
    }

    /// A person has looked, and nobody lives: who needed that is taken up, pauses begin anew, and the others wait in
    /// line as before.
    pub fn resume(&mut self, plan: &PhasePlan) {
        self.ready.clear();
        self.pausing.clear();
        self.tally = Tally::default();
        let mut in_line = true;
        for seat in 0..self.workers.len() {
            if self.standing(plan, seat) == Some(Standing::Settled(Settled::Attention)) {
                self.workers[seat].resume();
            }
            match self.standing(plan, seat) {
                Some(Standing::Settled(_)) if talks(&plan.work) => {}
                Some(Standing::Settled(settled)) => self.tally.count(settled),
                Some(standing) if in_line => {
                    self.line_up(seat, standing);
                    in_line = !one_by_one(&plan.work);
                }
                Some(_) | None => {}
            }
        }
    }

    fn line_up(&mut self, seat: usize, standing: Standing) {
        let rests = matches!(standing, Standing::Again { pause_ms: 1.., .. });
        if rests && self.workers[seat].pause() != Pause::Over {
            self.workers[seat].set_pause(Pause::None);
            self.pausing.insert(seat);
        } else {
            self.ready.insert(seat);
        }
    }

    /// A turn of a talk is over: the seat's next attempt begins another one.
    pub fn turn_over(&mut self, seat: usize) {
        if let Some(worker) = self.worker_mut(seat) {
            worker.renew();
        }
    }

    /// Whether a person must look at somebody before a talk goes on.
    pub fn anybody_stuck(&self, plan: &PhasePlan) -> bool {
        let stuck = |seat| self.standing(plan, seat) == Some(Standing::Settled(Settled::Attention));
        (0..self.workers.len()).any(stuck)
    }

    fn settled(&mut self, plan: &PhasePlan, seat: usize, settled: Settled) {
        if seat >= self.mender_seat() || talks(&plan.work) {
            return;
        }
        self.tally.count(settled);
        if !one_by_one(&plan.work) {
            return;
        }
        // Who comes after one that was resumed may have had its turn already.
        let mut behind =
            (seat + 1..self.workers.len()).filter_map(|seat| Some((seat, self.standing(plan, seat)?)));
        if let Some((next, standing)) = behind.find(|(_, standing)| !matches!(standing, Standing::Settled(_)))
        {
            self.line_up(next, standing);
        }
    }

    /// Why the phase cannot be done by its workers: the first who stands in its way.
    pub fn trouble(&self, plan: &PhasePlan, kind: Settled) -> String {
        let stands_so = |seat: &usize| self.standing(plan, *seat) == Some(Standing::Settled(kind));
        let mut troubled = (0..self.workers.len()).filter(stands_so);
        let Some(first) = troubled.next() else {
            let (needed, all) = (self.needed(plan.require), self.workers.len());
            return format!("{needed} workers must be done and there are only {all}");
        };
        let others = match troubled.count() {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        let name = seat(&plan.work, first).map(|worker| worker.name.to_string()).unwrap_or_default();
        format!("worker `{name}`: {}{others}", self.told(plan, first))
    }

    /// What became of a seat's tries, one after the other.
    pub fn told(&self, plan: &PhasePlan, at: usize) -> String {
        let Some((worker, course)) = occupant(plan, at).zip(self.worker(at)) else {
            return String::new();
        };
        let told: Vec<String> = course.counted().iter().map(|attempt| attempt.told(worker)).collect();
        told.join(", then ")
    }
}
