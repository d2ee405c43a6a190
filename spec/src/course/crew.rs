//! The workers of one phase: who may start, who lives, and how they stand all together.
//!
//! A seat is a worker's place in the plan; the seat after the last worker is the mender's.

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

/// The workers of a phase that has a crew.
pub(super) fn seats(work: &PhaseWork) -> &[WorkerPlan] {
    match work {
        PhaseWork::Workers { workers, .. } => workers,
        PhaseWork::Session { worker } => std::slice::from_ref(worker),
        PhaseWork::Dialogue { .. }
        | PhaseWork::Meeting { .. }
        | PhaseWork::Mesh { .. }
        | PhaseWork::Connector { .. }
        | PhaseWork::Steps => &[],
    }
}

fn one_by_one(work: &PhaseWork) -> bool {
    matches!(work, PhaseWork::Workers { parallel: false, .. })
}

impl Crew {
    pub fn new(plan: &PhasePlan) -> Crew {
        Crew { workers: vec![WorkerCourse::default(); seats(&plan.work).len()], ..Crew::default() }
    }

    pub fn worker(&self, seat: usize) -> Option<&WorkerCourse> {
        if seat == self.workers.len() { Some(&self.mender) } else { self.workers.get(seat) }
    }

    fn worker_mut(&mut self, seat: usize) -> Option<&mut WorkerCourse> {
        if seat == self.workers.len() { Some(&mut self.mender) } else { self.workers.get_mut(seat) }
    }

    pub fn workers(&self) -> &[WorkerCourse] {
        &self.workers
    }

    pub fn mender_seat(&self) -> usize {
        self.workers.len()
    }

    pub fn rules(&self, plan: &PhasePlan, seat: usize) -> Option<Rules> {
        let seats = seats(&plan.work);
        if seat == self.mender_seat() {
            return seats.first().map(|first| Rules::mender(plan, first));
        }
        seats.get(seat).map(|worker| Rules::worker(plan, worker))
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

    pub fn begin(&mut self, seat: usize, model: u32) -> bool {
        let Some(worker) = self.worker_mut(seat) else {
            return false;
        };
        worker.begin(model);
        self.ready.remove(&seat);
        self.running.insert(seat);
        self.untimed.insert(seat);
        self.live += 1;
        self.attempts += 1;
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

    fn settled(&mut self, plan: &PhasePlan, seat: usize, settled: Settled) {
        if seat == self.mender_seat() {
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
        let seats = seats(&plan.work);
        let stands_so = |seat: &usize| self.standing(plan, *seat) == Some(Standing::Settled(kind));
        let mut troubled = (0..self.workers.len()).filter(stands_so);
        let Some(first) = troubled.next() else {
            let (needed, all) = (self.needed(plan.require), self.workers.len());
            return format!("{needed} workers must be done and there are only {all}");
        };
        let told: Vec<String> =
            self.workers[first].counted().iter().map(|attempt| attempt.told(&seats[first])).collect();
        let others = match troubled.count() {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        format!("worker `{}`: {}{others}", seats[first].name, told.join(", then "))
    }
}
