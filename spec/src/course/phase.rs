//! The course of one phase: waiting, asking, working, gathering, over.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::crew::{Crew, Fate};
use super::halt::HaltKind;
use super::worker::{Attempt, Settled, Standing, WorkerCourse};
use super::{EndReason, Gathering, PhaseOutcome};
use crate::plan::{MergeRule, OnFailure, PhasePlan};

/// A message names at most this many files of a conflict; the whole list is in the event.
const FILES_TOLD_MAX: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseCourse {
    pub(super) state: PhaseState,
    /// How many of `after` are not over.
    pub(super) missing: usize,
    pub(super) crew: Crew,
    /// The branches whose conflict the mender has had its turn at, since the phase began or was last resumed.
    pub(super) mended: BTreeSet<String>,
    /// How often the phase was given as many agents again as its limit allows.
    pub(super) granted: u32,
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

/// What a phase wants done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Judge its condition, then open it, skip it or ask.
    Begin,
    Open,
    Timer {
        seat: usize,
    },
    Pause {
        seat: usize,
    },
    End {
        seat: usize,
        reason: EndReason,
    },
    Gather {
        round: u32,
    },
    Close,
}

impl PhaseCourse {
    pub(super) fn new(plan: &PhasePlan) -> PhaseCourse {
        PhaseCourse {
            state: PhaseState::Waiting,
            missing: plan.after.len(),
            crew: Crew::new(plan),
            mended: BTreeSet::new(),
            granted: 0,
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
        self.crew.fate(plan.require)
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
            PhaseState::Open => self.crew.resume(plan),
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

    pub(super) fn due(&self, plan: &PhasePlan, halt: HaltKind) -> Option<Due> {
        let free = halt == HaltKind::None;
        match &self.state {
            PhaseState::Waiting if self.missing == 0 && free => Some(Due::Begin),
            PhaseState::Approved if free => Some(Due::Open),
            PhaseState::Denied { .. } => Some(Due::Close),
            PhaseState::Open => self.due_to_workers(plan, halt).or_else(|| self.due_at_end(plan, halt)),
            PhaseState::Gathered { gathering, .. } if halt.is_hard() || goes_on(plan, gathering) => {
                Some(Due::Close)
            }
            PhaseState::Mending { .. } => self.due_to_mender(plan, halt),
            PhaseState::Ungathered { .. } if halt.is_hard() => Some(Due::Close),
            PhaseState::Ungathered { round } => Some(Due::Gather { round: *round }),
            PhaseState::Waiting
            | PhaseState::Asked
            | PhaseState::Approved
            | PhaseState::Gathering { .. }
            | PhaseState::Gathered { .. }
            | PhaseState::Closed { .. } => None,
        }
    }

    fn due_to_workers(&self, plan: &PhasePlan, halt: HaltKind) -> Option<Due> {
        if let Some(due) = self.due_to_the_live(halt) {
            return Some(due);
        }
        match self.crew.running() {
            Some(seat) if self.fate(plan) == Fate::Enough => {
                Some(Due::End { seat, reason: EndReason::NotNeeded })
            }
            _ if halt != HaltKind::None || !self.launches(plan) => None,
            _ => self.crew.pausing().map(|seat| Due::Pause { seat }),
        }
    }

    fn due_to_the_live(&self, halt: HaltKind) -> Option<Due> {
        if let Some(seat) = self.crew.untimed() {
            return Some(Due::Timer { seat });
        }
        let reason = match halt {
            HaltKind::Cancel | HaltKind::StopElsewhere => EndReason::Cancelled,
            HaltKind::StopHere => EndReason::NotNeeded,
            HaltKind::None | HaltKind::Hold => {
                let seat = self.crew.overdue()?;
                return Some(Due::End { seat, reason: EndReason::TimedOut });
            }
        };
        self.crew.running().map(|seat| Due::End { seat, reason })
    }

    fn due_at_end(&self, plan: &PhasePlan, halt: HaltKind) -> Option<Due> {
        if self.crew.live() > 0 {
            return None;
        }
        if halt.is_hard() {
            return Some(Due::Close);
        }
        match self.fate(plan) {
            Fate::Enough => Some(Due::Gather { round: 1 }),
            Fate::Going | Fate::Attention => None,
            Fate::Failed if !self.crew.all_settled() => None,
            // What is done is merged, for the later phases; the branches of the others are kept.
            Fate::Failed if self.crew.any_done() => Some(Due::Gather { round: 1 }),
            Fate::Failed => Some(Due::Close),
        }
    }

    fn due_to_mender(&self, plan: &PhasePlan, halt: HaltKind) -> Option<Due> {
        if let Some(due) = self.due_to_the_live(halt) {
            return Some(due);
        }
        if self.crew.live() > 0 {
            return None;
        }
        if halt.is_hard() {
            return Some(Due::Close);
        }
        match (&self.state, self.crew.standing(plan, self.crew.mender_seat())) {
            (PhaseState::Mending { round, .. }, Some(Standing::Settled(Settled::Done))) => {
                Some(Due::Gather { round: round + 1 })
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
