//! What a bystander has seen of a run: it keeps its own books and shares no code with the course.

use std::collections::BTreeMap;
use std::sync::Arc;

use niia_spec::course::{
    Command, EndReason, Event, Gathering, LOST_RESTARTS_MAX, MENDER, Outcome, PhaseOutcome, RunOutcome, Wake,
};
use niia_spec::name::{AttemptId, PhaseName, WorkerId};
use niia_spec::plan::{MergeRule, OnFailure, OnLost, PhasePlan, PhaseWork, Plan, Require, WorkerPlan};
use serde_json::Value;

use super::refused::{self, Then};

#[derive(Clone, Debug, Default)]
pub struct Try {
    pub model: u32,
    pub end_asked: Option<EndReason>,
    pub expired: bool,
    pub outcome: Option<Outcome>,
    /// Its program came to a good end, whatever became of its work.
    pub answered: bool,
    /// A person said that what it left is to be taken once more.
    pub to_settle: bool,
    /// What it left is being taken once more.
    pub settles: bool,
    pub again_in_ms: Option<u64>,
    pub resumable: bool,
}

#[derive(Clone, Debug, Default)]
pub struct PhaseSeen {
    pub asked: bool,
    pub approved: bool,
    pub denied: bool,
    pub opened: bool,
    pub gathers: Vec<(u32, Option<Gathering>)>,
    pub closed: Option<PhaseOutcome>,
    /// A person has looked at what could not be gathered.
    pub gather_again: bool,
    /// The round whose conflict the mender has had its turn at.
    pub turn: Option<u32>,
    /// The branches that were mended since the beginning or the last resumption.
    pub mended: Vec<String>,
    /// How often its bound of agents was raised.
    pub granted: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Fresh,
    Live,
    Ending,
    Pausing,
    Ready,
    Done,
    Failed,
    Attention,
    Dropped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Halted {
    No,
    Held,
    Stopped,
    Cancelled,
}

pub struct Seen {
    pub plan: Arc<Plan>,
    pub begun: bool,
    pub tries: BTreeMap<WorkerId, Vec<Try>>,
    pub phases: BTreeMap<PhaseName, PhaseSeen>,
    /// The pauses that were asked for, and whether they are over.
    pub pauses: BTreeMap<AttemptId, bool>,
    pub pause_ms: BTreeMap<AttemptId, u64>,
    pub outputs: BTreeMap<(WorkerId, String), Value>,
    pub claims: BTreeMap<String, WorkerId>,
    pub halted: Halted,
    /// A person is awaited.
    pub waits: bool,
    /// The run is held because this phase has reached a bound of agents.
    pub breach: Option<PhaseName>,
    /// How often a person was asked for.
    pub holds: u32,
    pub granted: u32,
    /// How often the run was resumed.
    pub resumed: u32,
    /// The first try of each worker that counts for what comes next.
    pub counted_from: BTreeMap<WorkerId, usize>,
    pub finished: Option<RunOutcome>,
}

impl Seen {
    pub fn new(plan: Arc<Plan>) -> Seen {
        let phases = plan.phases.iter().map(|phase| (phase.name.clone(), PhaseSeen::default())).collect();
        Seen {
            plan,
            begun: false,
            tries: BTreeMap::new(),
            phases,
            pauses: BTreeMap::new(),
            pause_ms: BTreeMap::new(),
            outputs: BTreeMap::new(),
            claims: BTreeMap::new(),
            halted: Halted::No,
            waits: false,
            breach: None,
            holds: 0,
            granted: 0,
            resumed: 0,
            counted_from: BTreeMap::new(),
            finished: None,
        }
    }

    pub fn phase_plan(&self, name: &PhaseName) -> &PhasePlan {
        self.plan.phases.iter().find(|phase| phase.name == *name).unwrap_or_else(|| panic!("no phase {name}"))
    }

    pub fn tries(&self, worker: &WorkerId) -> &[Try] {
        self.tries.get(worker).map_or(&[], Vec::as_slice)
    }

    pub fn workers(&self, phase: &PhasePlan) -> Vec<WorkerId> {
        let id = |worker: &WorkerPlan| WorkerId { phase: phase.name.clone(), worker: worker.name.clone() };
        phase.work.workers().into_iter().map(id).collect()
    }

    pub fn live_try(&mut self, attempt: &AttemptId) -> Option<&mut Try> {
        let tries = self.tries.get_mut(&attempt.worker)?;
        if tries.len() != attempt.attempt as usize {
            return None;
        }
        tries.last_mut().filter(|last| last.outcome.is_none())
    }

    pub fn lives(&self, worker: &WorkerId) -> bool {
        self.tries(worker).last().is_some_and(|last| last.outcome.is_none())
    }

    pub fn live(&self, phase: Option<&PhaseName>) -> u32 {
        let of = |worker: &&WorkerId| phase.is_none_or(|phase| worker.phase == *phase) && self.lives(worker);
        self.tries.keys().filter(of).count() as u32
    }

    pub fn attempts(&self, phase: Option<&PhaseName>) -> u32 {
        let of = |(worker, _): &(&WorkerId, &Vec<Try>)| phase.is_none_or(|phase| worker.phase == *phase);
        self.tries.iter().filter(of).map(|(_, tries)| tries.len() as u32).sum()
    }

    pub fn standing(&self, worker: &WorkerId) -> Standing {
        let phase = self.phase_plan(&worker.phase);
        let is_mender = worker.worker.as_str() == MENDER;
        let plans = phase.work.workers();
        let plan = if is_mender { plans[0] } else { refused::by_name(&plans, &worker.worker) };
        let mut retries = if is_mender { 0 } else { phase.retry.max };
        let restarts = phase.on_lost == OnLost::Restart && !is_mender;
        let mut restarts = if restarts { LOST_RESTARTS_MAX } else { 0 };
        let mut standing = Standing::Fresh;
        for (at, tried) in self.tries(worker).iter().enumerate().skip(self.counted_from(worker)) {
            let next = AttemptId { worker: worker.clone(), attempt: at as u32 + 2 };
            let rested = phase.retry.backoff_ms == 0 || is_mender || self.pauses.get(&next) == Some(&true);
            let again = if rested { Standing::Ready } else { Standing::Pausing };
            standing = match (&tried.outcome, tried.end_asked) {
                (None, None) => Standing::Live,
                (None, Some(_)) => Standing::Ending,
                _ if tried.to_settle => Standing::Ready,
                (Some(Outcome::Done), _) => Standing::Done,
                (Some(Outcome::NeedsAttention { .. }), _) => Standing::Attention,
                (Some(_), Some(EndReason::TimedOut)) => Standing::Failed,
                (Some(_), Some(_)) => Standing::Dropped,
                (Some(Outcome::Unavailable { .. }), None) => {
                    let counted = &self.tries(worker)[self.counted_from(worker)..=at];
                    match refused::then(counted, plan.models.len() as u32, is_mender) {
                        Then::Now(_) => Standing::Ready,
                        Then::Later(..) if self.pauses.get(&next) == Some(&true) => Standing::Ready,
                        Then::Later(..) => Standing::Pausing,
                        Then::Nothing => Standing::Failed,
                    }
                }
                (Some(Outcome::Lost { .. }), None) if restarts > 0 => {
                    restarts -= 1;
                    again
                }
                (Some(Outcome::Failed { .. } | Outcome::Lost { .. }), None) if retries > 0 => {
                    retries -= 1;
                    again
                }
                (Some(_), None) => Standing::Failed,
            };
        }
        standing
    }

    pub fn counted_from(&self, worker: &WorkerId) -> usize {
        self.counted_from.get(worker).copied().unwrap_or_default()
    }

    /// Whether what its last try left waits to be taken once more.
    pub fn to_settle(&self, worker: &WorkerId) -> bool {
        self.tries(worker).last().is_some_and(|last| last.to_settle)
    }

    /// Whether all workers of a phase have come to an end of some kind.
    pub fn settled(&self, phase: &PhasePlan) -> bool {
        self.workers(phase).iter().all(|worker| self.standing(worker) >= Standing::Done)
    }

    pub fn count(&self, phase: &PhasePlan, standing: Standing) -> usize {
        self.workers(phase).iter().filter(|worker| self.standing(worker) == standing).count()
    }

    pub fn needed(&self, phase: &PhasePlan) -> usize {
        match phase.require {
            Require::All => phase.work.workers().len(),
            Require::Any => 1,
            Require::AtLeast(n) => n.max(1) as usize,
        }
    }

    pub fn enough(&self, phase: &PhasePlan) -> bool {
        self.count(phase, Standing::Done) >= self.needed(phase)
    }

    /// How many could still be done, with and without a person's help.
    fn possible(&self, phase: &PhasePlan) -> (usize, usize) {
        let gone = self.count(phase, Standing::Failed) + self.count(phase, Standing::Dropped);
        let helped = phase.work.workers().len() - gone;
        (helped, helped - self.count(phase, Standing::Attention))
    }

    pub fn doomed(&self, phase: &PhasePlan) -> bool {
        self.possible(phase).0 < self.needed(phase)
    }

    pub fn needs_person(&self, phase: &PhasePlan) -> bool {
        !self.doomed(phase) && self.possible(phase).1 < self.needed(phase)
    }

    pub fn launches(&self, phase: &PhasePlan) -> bool {
        let decided = self.enough(phase) || self.needs_person(phase);
        !decided && (!self.doomed(phase) || phase.on_failure == OnFailure::Continue)
    }

    /// Whose turn it is in a phase, whether or not there is a slot.
    pub fn may_start(&self, phase: &PhasePlan) -> Vec<WorkerId> {
        let seen = &self.phases[&phase.name];
        if !seen.opened || seen.closed.is_some() {
            return Vec::new();
        }
        let mender = WorkerId { phase: phase.name.clone(), worker: crate::document::slug(MENDER) };
        match seen.gathers.last() {
            None if self.launches(phase) => self.turns(phase),
            Some((round, Some(Gathering::Conflict { branch, .. })))
                if phase.merge == MergeRule::Agent && !seen.gather_again =>
            {
                let first = seen.mended.len() < phase.work.workers().len() && !seen.mended.contains(branch);
                let again = self.standing(&mender) == Standing::Ready;
                if seen.turn == Some(*round) && again || seen.turn != Some(*round) && first {
                    vec![mender]
                } else {
                    Vec::new()
                }
            }
            _ => Vec::new(),
        }
    }

    /// Whether a phase's gathering has failed for good unless a person looks.
    pub fn apart(&self, phase: &PhasePlan) -> bool {
        let seen = &self.phases[&phase.name];
        let mender = WorkerId { phase: phase.name.clone(), worker: crate::document::slug(MENDER) };
        match seen.gathers.last() {
            _ if seen.gather_again || seen.closed.is_some() => false,
            Some((_, Some(Gathering::Refused { .. }))) => true,
            Some((_, Some(Gathering::Conflict { .. }))) if phase.merge != MergeRule::Agent => {
                phase.merge == MergeRule::Stop
            }
            Some((round, Some(Gathering::Conflict { .. }))) if seen.turn == Some(*round) => {
                self.standing(&mender) > Standing::Done
            }
            Some((_, Some(Gathering::Conflict { .. }))) => self.may_start(phase).is_empty(),
            _ => false,
        }
    }

    fn turns(&self, phase: &PhasePlan) -> Vec<WorkerId> {
        let one_by_one = matches!(phase.work, PhaseWork::Workers { parallel: false, .. });
        let mut turns = Vec::new();
        for worker in self.workers(phase) {
            let standing = self.standing(&worker);
            if matches!(standing, Standing::Fresh | Standing::Ready) {
                turns.push(worker);
            }
            if one_by_one && standing < Standing::Done {
                break;
            }
        }
        turns
    }

    pub fn has_slot(&self, phase: &PhasePlan) -> bool {
        let slots = |max: Option<u32>| max.map_or(u32::MAX, |max| max.max(1));
        self.live(None) < slots(self.plan.limits.max_parallel)
            && self.live(Some(&phase.name)) < slots(phase.limits.max_parallel)
    }

    pub fn spent(&self, phase: &PhasePlan) -> bool {
        self.of_run_spent() || self.of_phase_spent(&phase.name)
    }

    fn of_phase_spent(&self, name: &PhaseName) -> bool {
        let granted = self.phases[name].granted;
        self.attempts(Some(name)) >= self.phase_plan(name).limits.max_total_agents * (granted + 1)
    }

    fn of_run_spent(&self) -> bool {
        self.attempts(None) >= self.plan.limits.max_total_agents * (self.granted + 1)
    }

    /// A person has looked at everything.
    fn resumed(&mut self, hold: u32) {
        if !self.waits || hold != self.holds {
            return;
        }
        self.waits = false;
        self.halted = Halted::No;
        self.resumed += 1;
        if let Some(phase) = self.breach.take() {
            let (of_run, of_phase) = (self.of_run_spent(), self.of_phase_spent(&phase));
            self.granted += u32::from(of_run);
            self.at(&phase).granted += u32::from(of_phase);
        }
        self.pauses.retain(|_, over| *over);
        let plan = Arc::clone(&self.plan);
        for phase in &plan.phases {
            let seen = self.at(&phase.name);
            if !seen.opened || seen.closed.is_some() {
                continue;
            }
            seen.mended.clear();
            if !seen.gathers.is_empty() {
                seen.gather_again = true;
                continue;
            }
            for worker in self.workers(phase) {
                if self.standing(&worker) == Standing::Attention {
                    self.helped(worker);
                }
            }
        }
    }

    fn helped(&mut self, worker: WorkerId) {
        let count = self.tries(&worker).len();
        let last = self.tries.get_mut(&worker).and_then(|tries| tries.last_mut());
        match last.filter(|last| last.answered) {
            Some(last) => last.to_settle = true,
            None => drop(self.counted_from.insert(worker, count)),
        }
    }

    /// Takes in an event, if it tells something about what is live, awaited or not yet known.
    pub fn event(&mut self, event: &Event) {
        if self.finished.is_some() {
            return;
        }
        match event {
            Event::Begun => self.begun = true,
            Event::Cancelled { .. } => {
                self.halted = Halted::Cancelled;
                self.waits = false;
            }
            Event::Resumed { hold, .. } => self.resumed(*hold),
            Event::Started { .. } => {}
            Event::Posted { .. }
            | Event::Spawned { .. }
            | Event::Reserved { .. }
            | Event::Withheld(_)
            | Event::Lends { .. }
            | Event::Concluded { .. }
            | Event::Dismissed { .. } => {}
            Event::Ended { attempt, ending } => {
                if let Some(live) = self.live_try(attempt) {
                    live.outcome = Some(ending.outcome.clone());
                    live.answered = ending.answered;
                    (live.again_in_ms, live.resumable) = (ending.again_in_ms, ending.resumable);
                    live.settles = false;
                    for (key, value) in &ending.outputs {
                        self.publish(&attempt.worker, key, value);
                    }
                }
            }
            Event::Published { worker, key, value } if self.lives(worker) => self.publish(worker, key, value),
            Event::Claimed { key, by } if self.lives(by) => {
                self.claims.entry(key.clone()).or_insert_with(|| by.clone());
            }
            Event::Published { .. } | Event::Claimed { .. } => {}
            Event::Gathered { phase, round, gathering } => {
                let awaited = self.phases.get_mut(phase).and_then(|phase| phase.gathers.last_mut());
                if let Some((asked, answer @ None)) = awaited
                    && *asked == *round
                {
                    *answer = Some(gathering.clone());
                }
            }
            Event::Expired { wake } => self.expired(wake),
            Event::Approved { phase } | Event::Denied { phase, .. } => self.answered(phase, event),
        }
    }

    fn publish(&mut self, worker: &WorkerId, key: &str, value: &Value) {
        if worker.worker.as_str() != MENDER {
            self.outputs.insert((worker.clone(), key.to_owned()), value.clone());
        }
    }

    fn expired(&mut self, wake: &Wake) {
        match wake {
            Wake::Timeout { attempt } => {
                // What is only taken once more has no time limit.
                if let Some(live) = self.live_try(attempt).filter(|live| !live.settles) {
                    live.expired = true;
                }
            }
            Wake::Quiet { .. } => {}
            Wake::Backoff { attempt } => {
                if let Some(over) = self.pauses.get_mut(attempt) {
                    *over = true;
                }
            }
        }
    }

    fn answered(&mut self, phase: &PhaseName, event: &Event) {
        let waits = |seen: &&mut PhaseSeen| seen.asked && !seen.approved && !seen.denied;
        if let Some(seen) = self.phases.get_mut(phase).filter(waits) {
            seen.approved = matches!(event, Event::Approved { .. });
            seen.denied = !seen.approved;
        }
    }

    /// Takes in a command as a fact.
    pub fn command(&mut self, command: &Command) {
        match command {
            Command::Open { phase } => self.at(phase).opened = true,
            Command::Ask { phase } => self.at(phase).asked = true,
            Command::Start { attempt, model } => {
                self.mends(&attempt.worker);
                let tried = Try { model: *model, ..Try::default() };
                self.tries.entry(attempt.worker.clone()).or_default().push(tried);
            }
            Command::Settle { attempt } => {
                if let Some(last) = self.tries.get_mut(&attempt.worker).and_then(|tries| tries.last_mut()) {
                    *last = Try { model: last.model, settles: true, ..Try::default() };
                }
            }
            Command::Hold { .. } => {
                self.waits = true;
                self.holds += 1;
            }
            Command::End { attempt, reason } => {
                if let Some(live) = self.live_try(attempt) {
                    live.end_asked = Some(*reason);
                }
            }
            Command::Gather { phase, round } => {
                self.at(phase).gathers.push((*round, None));
                self.at(phase).gather_again = false;
            }
            Command::Wake { wake: Wake::Backoff { attempt }, after_ms } => {
                self.pauses.insert(attempt.clone(), false);
                self.pause_ms.insert(attempt.clone(), *after_ms);
            }
            Command::Wake { .. } | Command::Reserve { .. } | Command::Dismiss { .. } => {}
            Command::Close { phase, outcome } => self.at(phase).closed = Some(outcome.clone()),
            Command::Finish { outcome } => self.finished = Some(outcome.clone()),
        }
    }

    /// The mender's turn at a conflict begins with its first start after it.
    fn mends(&mut self, worker: &WorkerId) {
        let count = self.tries(worker).len();
        let seen = self.at(&worker.phase);
        if let Some((round, Some(Gathering::Conflict { branch, .. }))) = seen.gathers.last()
            && seen.turn != Some(*round)
        {
            seen.turn = Some(*round);
            seen.mended.push(branch.clone());
            self.counted_from.insert(worker.clone(), count);
        }
    }

    pub fn at(&mut self, phase: &PhaseName) -> &mut PhaseSeen {
        self.phases.get_mut(phase).unwrap_or_else(|| panic!("no phase {phase}"))
    }
}
