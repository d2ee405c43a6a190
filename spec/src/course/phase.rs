//! The course of one phase: waiting, asking, working, gathering, over.

mod due;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::crew::{Crew, Fate};
use super::halt::HaltKind;
use super::steps::{StepsCourse, StepsEnd};
use super::talk::{Talk, TalkEnd};
use super::worker::{Attempt, Pause, Settled, Standing, WorkerCourse};
pub(super) use due::Due;

use super::{Ending, Gathering, PhaseOutcome, PhaseOutputs};
use crate::plan::{MergeRule, OnFailure, PhasePlan, PhaseWork};

/// A message names at most this many files of a conflict; the whole list is in the event.
const FILES_TOLD_MAX: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseCourse {
    pub(super) state: PhaseState,
    /// How many of `after` are not over.
    pub(super) missing: usize,
    pub(super) crew: Crew,
    pub(super) talk: Option<Talk>,
    #[serde(default)]
    pub(super) steps: StepsCourse,
    /// The branches whose conflict the mender has had its turn at, since the phase began or was last resumed.
    pub(super) mended: BTreeSet<String>,
    /// How often the phase was given as many agents again as its limit allows.
    pub(super) granted: u32,
    /// The same for turns.
    pub(super) granted_turns: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseState {
    Waiting,
    /// A person has been asked whether it may begin.
    Asked,
    Approved,
    Denied {
        reason: String,
    },
    Open,
    /// What a talk's workers keep open is being ended.
    Dismissing,
    /// Nothing of a talk lives any more.
    Dismissed,
    Gathering {
        round: u32,
    },
    Gathered {
        round: u32,
        gathering: Gathering,
    },
    /// The mender joins what conflicts.
    Mending {
        round: u32,
        files: Vec<String>,
        reason: String,
    },
    /// A person has looked at what kept its work apart: it is gathered once more.
    Ungathered {
        round: u32,
    },
    Closed {
        outcome: PhaseOutcome,
    },
}

/// Whose turn it is when there is a free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Start {
        seat: usize,
        model: u32,
    },
    /// Its last attempt's work is taken once more.
    Settle {
        seat: usize,
    },
}

impl PhaseCourse {
    pub(super) fn new(plan: &PhasePlan) -> PhaseCourse {
        PhaseCourse {
            state: PhaseState::Waiting,
            missing: plan.after.len(),
            crew: Crew::new(plan),
            talk: Talk::new(&plan.work),
            steps: StepsCourse::new(plan),
            mended: BTreeSet::new(),
            granted: 0,
            granted_turns: 0,
        }
    }

    pub fn state(&self) -> &PhaseState {
        &self.state
    }

    /// In the order of the plan.
    pub fn workers(&self) -> &[WorkerCourse] {
        self.crew.workers()
    }

    /// Whether workers of it may live or its work is being brought together.
    pub fn is_underway(&self) -> bool {
        matches!(
            self.state,
            PhaseState::Open
                | PhaseState::Dismissing
                | PhaseState::Dismissed
                | PhaseState::Gathering { .. }
                | PhaseState::Gathered { .. }
                | PhaseState::Mending { .. }
                | PhaseState::Ungathered { .. }
        )
    }

    pub fn outcome(&self) -> Option<&PhaseOutcome> {
        match &self.state {
            PhaseState::Closed { outcome } => Some(outcome),
            _ => None,
        }
    }

    pub(super) fn fate(&self, plan: &PhasePlan) -> Fate {
        match self.steps.end() {
            None => return Fate::Going,
            Some(StepsEnd::Failed { .. }) => return Fate::Failed,
            Some(StepsEnd::Attention { .. }) => return Fate::Attention,
            Some(StepsEnd::Done) => {}
        }
        let Some(talk) = &self.talk else {
            return self.crew.fate(plan.require);
        };
        match talk.end() {
            Some(TalkEnd::Done { .. }) => Fate::Enough,
            Some(TalkEnd::Failed { .. }) => Fate::Failed,
            None if self.crew.anybody_stuck(plan) => Fate::Attention,
            None => Fate::Going,
        }
    }

    /// Whether workers may still be started: not once the phase is decided.
    ///
    /// After `on_failure: continue` the others go on even when the phase has failed: later phases want their work.
    pub(super) fn launches(&self, plan: &PhasePlan) -> bool {
        match self.fate(plan) {
            Fate::Going => true,
            Fate::Failed => plan.on_failure == OnFailure::Continue,
            Fate::Enough | Fate::Attention => false,
        }
    }

    /// Whose turn it is when there is a free slot.
    pub(super) fn next_turn(&self, plan: &PhasePlan) -> Option<Turn> {
        let seat = match &self.state {
            PhaseState::Open if !self.steps.are_done() => {
                let seat = self.crew.step_seat(self.steps.next(plan)?);
                let fresh = self.crew.standing(plan, seat)? == Standing::Fresh;
                return fresh.then_some(Turn::Start { seat, model: 0 });
            }
            PhaseState::Open if self.talk.is_some() => return self.next_speaker(plan),
            PhaseState::Open if self.launches(plan) => self.crew.ready()?,
            PhaseState::Gathered { gathering: Gathering::Conflict { branch, .. }, .. }
                if self.may_mend(plan, branch) =>
            {
                return Some(Turn::Start { seat: self.crew.mender_seat(), model: 0 });
            }
            // It goes on to its next model; a turn that has failed is not tried again.
            PhaseState::Mending { .. } => self.crew.mender_seat(),
            _ => return None,
        };
        match self.crew.standing(plan, seat)? {
            Standing::Fresh => Some(Turn::Start { seat, model: 0 }),
            Standing::Again { model, .. } => Some(Turn::Start { seat, model }),
            Standing::Unsettled => Some(Turn::Settle { seat }),
            Standing::Live | Standing::Settled(_) => None,
        }
    }

    /// Who speaks next: first whoever has the floor and lost its model or its terminal.
    fn next_speaker(&self, plan: &PhasePlan) -> Option<Turn> {
        let talk = self.talk.as_ref().filter(|talk| talk.end().is_none())?;
        let again = |seat: usize| match self.crew.standing(plan, seat)? {
            Standing::Fresh => Some(Turn::Start { seat, model: 0 }),
            Standing::Again { model, pause_ms } => {
                let rested = || self.crew.worker(seat).is_some_and(|worker| worker.pause() == Pause::Over);
                (pause_ms == 0 || rested()).then_some(Turn::Start { seat, model })
            }
            Standing::Unsettled => Some(Turn::Settle { seat }),
            Standing::Live | Standing::Settled(_) => None,
        };
        let next = || {
            let (seat, _) = talk.next(&plan.work)?;
            let model = self.crew.worker(seat).and_then(WorkerCourse::last_model).unwrap_or(0);
            Some(Turn::Start { seat, model })
        };
        talk.open().find_map(again).or_else(next)
    }

    /// Whether a start of this seat begins a turn, and whether it is somebody's who has had one before.
    pub(super) fn begins_turn(&self, plan: &PhasePlan, seat: usize) -> (bool, bool) {
        if seat > self.crew.mender_seat() {
            return (false, true);
        }
        // The run of a document is no agent: those in it are.
        if matches!(plan.work, PhaseWork::Connector { .. }) {
            return (false, true);
        }
        let Some(talk) = self.talk.as_ref().filter(|_| seat < self.workers().len()) else {
            return (false, false);
        };
        let begins = !talk.is_open(seat);
        let known = self.crew.worker(seat).is_some_and(|worker| worker.count() > 0);
        (begins, begins && known)
    }

    /// A step is over: the rules say which comes next.
    pub(super) fn stepped(
        &mut self,
        plan: &PhasePlan,
        seat: usize,
        ending: &Ending,
        outputs: &mut PhaseOutputs,
    ) {
        if seat <= self.crew.mender_seat() {
            return;
        }
        match (self.crew.standing(plan, seat), &ending.step) {
            (Some(Standing::Settled(Settled::Done)), Some(stepped)) => {
                self.steps.stepped(plan, stepped, outputs);
                if let Some(next) = self.steps.next_seat() {
                    self.crew.turn_over(self.crew.step_seat(next));
                }
            }
            (Some(Standing::Settled(Settled::Dropped)), _) => {}
            (standing, _) => {
                let attention = standing == Some(Standing::Settled(Settled::Attention));
                self.steps.stopped(plan, self.crew.told(plan, seat), attention);
            }
        }
    }

    /// Whether a person is asked whether it, or its next step, may begin.
    pub fn asks(&self) -> bool {
        self.state == PhaseState::Asked || (self.state == PhaseState::Open && self.steps.is_asking())
    }

    /// Its steps, in the order of the plan.
    pub fn steps(&self) -> &[WorkerCourse] {
        self.crew.steps()
    }

    /// An attempt of a talk is over: what was said is heard, or somebody is missed.
    pub(super) fn heard(
        &mut self,
        plan: &PhasePlan,
        (seat, attempt): (usize, u32),
        ending: &Ending,
        outputs: &PhaseOutputs,
    ) {
        let standing = self.crew.standing(plan, seat);
        let Some(talk) = self.talk.as_mut().filter(|talk| talk.is_open(seat)) else {
            return;
        };
        match standing {
            Some(Standing::Settled(Settled::Done)) => {
                talk.spoke(&plan.work, (seat, attempt), &ending.excerpt, outputs);
                self.crew.turn_over(seat);
            }
            Some(Standing::Settled(Settled::Failed)) => {
                let reason = self.crew.told(plan, seat);
                talk.fell_silent(&plan.work, seat, &reason);
            }
            _ => {}
        }
    }

    /// Each branch that conflicts has one turn of the mender, and there are no more branches than workers.
    fn may_mend(&self, plan: &PhasePlan, branch: &str) -> bool {
        let bounded = self.mended.len() < self.workers().len();
        plan.merge == MergeRule::Agent && bounded && !self.mended.contains(branch)
    }

    /// The mender's turn begins, if what was gathered does not go together.
    pub(super) fn begin_mending(&mut self) {
        let PhaseState::Gathered { round, gathering: Gathering::Conflict { branch, files, reason } } =
            &self.state
        else {
            return;
        };
        self.mended.insert(branch.clone());
        self.state = PhaseState::Mending { round: *round, files: files.clone(), reason: reason.clone() };
        self.crew.renew_mender();
    }

    /// Takes it up where it stands, after a person has looked.
    ///
    /// Who needed the person: an attempt whose program came to a good end has what it left taken once more, another
    /// worker makes a new attempt, on its first model. What could not be gathered is gathered in the next round, and
    /// each branch that conflicts may be mended once more. Pauses begin anew.
    pub(super) fn resume(&mut self, plan: &PhasePlan) {
        self.mended.clear();
        match &self.state {
            PhaseState::Open => {
                if let Some(seat) = self.steps.next_seat() {
                    self.crew.turn_over(self.crew.step_seat(seat));
                }
                self.steps.resume();
                self.crew.resume(plan);
            }
            PhaseState::Gathered { round, .. } | PhaseState::Mending { round, .. } => {
                self.state = PhaseState::Ungathered { round: round + 1 };
            }
            _ => {}
        }
    }

    /// Why it cannot go on without a person.
    pub(super) fn stuck(&self, plan: &PhasePlan) -> Option<String> {
        match &self.state {
            PhaseState::Open if self.fate(plan) == Fate::Attention => Some(self.trouble(plan)),
            PhaseState::Gathered { gathering: Gathering::Refused { reason }, .. } => Some(reason.clone()),
            PhaseState::Gathered { gathering: Gathering::Conflict { branch, files, reason }, .. } => {
                let goes_on = plan.merge == MergeRule::Keep || self.may_mend(plan, branch);
                (!goes_on).then(|| conflict(files, reason))
            }
            PhaseState::Mending { files, reason, .. } => {
                let mender = self.crew.mender_seat();
                match self.crew.standing(plan, mender) {
                    Some(Standing::Settled(Settled::Done)) => None,
                    Some(Standing::Settled(_)) => {
                        let tried = self.crew.worker(mender).map_or(0, |mender| mender.counted().len());
                        Some(format!("{}; not mended in {tried} attempts", conflict(files, reason)))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// How the phase ends; `halted` says why it could not end in its own way.
    pub(super) fn closes_as(&self, plan: &PhasePlan, halt: HaltKind, halted: &str) -> PhaseOutcome {
        match &self.state {
            PhaseState::Denied { reason } => PhaseOutcome::Failed { reason: format!("denied: {reason}") },
            PhaseState::Gathered { gathering, .. } if goes_on(plan, gathering) => self.worked_as(plan),
            _ => match halt {
                HaltKind::Cancel | HaltKind::StopElsewhere => PhaseOutcome::Cancelled,
                HaltKind::StopHere => PhaseOutcome::Failed { reason: halted.to_owned() },
                HaltKind::None | HaltKind::Hold => self.worked_as(plan),
            },
        }
    }

    fn worked_as(&self, plan: &PhasePlan) -> PhaseOutcome {
        match self.fate(plan) {
            Fate::Enough => PhaseOutcome::Done,
            _ => PhaseOutcome::Failed { reason: self.trouble(plan) },
        }
    }

    /// Why the phase cannot be done.
    pub(super) fn trouble(&self, plan: &PhasePlan) -> String {
        if let Some(StepsEnd::Failed { reason } | StepsEnd::Attention { reason }) = self.steps.end() {
            return reason.clone();
        }
        if let Some(TalkEnd::Failed { reason }) = self.talk.as_ref().and_then(Talk::end) {
            return reason.clone();
        }
        let kind = if self.fate(plan) == Fate::Attention { Settled::Attention } else { Settled::Failed };
        self.crew.trouble(plan, kind)
    }

    /// The attempt of this seat that lives, with its number.
    pub(super) fn live_attempt(&self, seat: usize) -> Option<(u32, &Attempt)> {
        let worker = self.crew.worker(seat)?;
        Some((worker.live()?, worker.attempts().last()?))
    }
}

/// Whether a phase whose work was gathered so needs nothing more.
fn goes_on(plan: &PhasePlan, gathering: &Gathering) -> bool {
    match gathering {
        Gathering::Merged { .. } => true,
        Gathering::Conflict { .. } => plan.merge == MergeRule::Keep,
        Gathering::Refused { .. } => false,
    }
}

fn conflict(files: &[String], reason: &str) -> String {
    let shown = files.iter().take(FILES_TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match files.len().saturating_sub(FILES_TOLD_MAX) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("merge conflict in {shown}{more}: {reason}")
}
