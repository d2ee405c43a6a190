//! The course of one phase: waiting, asking, working, gathering, over.

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
        files: Vec<String>,
        reason: String,
    },
    Closed {
        outcome: PhaseOutcome,
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
        PhaseCourse { state: PhaseState::Waiting, missing: plan.after.len(), crew: Crew::new(plan) }
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

    /// Who starts next when there is a free slot, and on which model.
    pub(super) fn next_start(&self, plan: &PhasePlan) -> Option<(usize, u32)> {
        let seat = match &self.state {
            PhaseState::Open if self.launches(plan) => self.crew.ready()?,
            // The mender is tried once: when it is settled, it has no next attempt.
            PhaseState::Gathered { gathering: Gathering::Conflict { .. }, .. }
                if plan.merge == MergeRule::Agent =>
            {
                self.crew.mender_seat()
            }
            PhaseState::Mending { .. } => self.crew.mender_seat(),
            _ => return None,
        };
        match self.crew.standing(plan, seat)? {
            Standing::Fresh => Some((seat, 0)),
            Standing::Again { model, .. } => Some((seat, model)),
            Standing::Live | Standing::Settled(_) => None,
        }
    }

    pub(super) fn due(&self, plan: &PhasePlan, halt: HaltKind) -> Option<Due> {
        let free = halt == HaltKind::None;
        match &self.state {
            PhaseState::Waiting if self.missing == 0 && free => Some(Due::Begin),
            PhaseState::Approved if free => Some(Due::Open),
            PhaseState::Denied { .. } => Some(Due::Close),
            PhaseState::Open => self.due_to_workers(plan, halt).or_else(|| self.due_at_end(plan, halt)),
            PhaseState::Gathered { .. } if free && self.next_start(plan).is_some() => None,
            PhaseState::Gathered { .. } => Some(Due::Close),
            PhaseState::Mending { .. } => self.due_to_mender(plan, halt),
            PhaseState::Waiting
            | PhaseState::Asked
            | PhaseState::Approved
            | PhaseState::Gathering { .. }
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
        let held = halt == HaltKind::Hold;
        match self.fate(plan) {
            Fate::Enough => Some(Due::Gather { round: 1 }),
            Fate::Going => held.then_some(Due::Close),
            Fate::Attention => Some(Due::Close),
            Fate::Failed if !held && !self.crew.all_settled() => None,
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
        match self.crew.standing(plan, self.crew.mender_seat()) {
            Some(Standing::Settled(Settled::Done)) if !halt.is_hard() => Some(Due::Gather { round: 2 }),
            Some(Standing::Again { .. }) if halt == HaltKind::None => None,
            _ => Some(Due::Close),
        }
    }

    /// How the phase ends; `halted` says why it could not end in its own way.
    pub(super) fn closes_as(&self, plan: &PhasePlan, halt: HaltKind, halted: &str) -> PhaseOutcome {
        match &self.state {
            PhaseState::Denied { reason } => PhaseOutcome::Failed { reason: format!("denied: {reason}") },
            PhaseState::Gathered { gathering, .. } => self.gathered_as(plan, gathering),
            _ => match halt {
                HaltKind::Cancel | HaltKind::StopElsewhere => PhaseOutcome::Cancelled,
                HaltKind::StopHere => PhaseOutcome::Failed { reason: halted.to_owned() },
                HaltKind::None | HaltKind::Hold => self.worked_as(plan, halted),
            },
        }
    }

    fn gathered_as(&self, plan: &PhasePlan, gathering: &Gathering) -> PhaseOutcome {
        match gathering {
            Gathering::Merged { .. } => self.worked_as(plan, ""),
            Gathering::Conflict { .. } if plan.merge == MergeRule::Keep => self.worked_as(plan, ""),
            Gathering::Conflict { files, reason } => {
                PhaseOutcome::NeedsAttention { reason: conflict(files, reason) }
            }
            Gathering::Refused { reason } => PhaseOutcome::NeedsAttention { reason: reason.clone() },
        }
    }

    fn worked_as(&self, plan: &PhasePlan, halted: &str) -> PhaseOutcome {
        if let PhaseState::Mending { files, reason } = &self.state {
            let mender = self.crew.worker(self.crew.mender_seat());
            let tried = mender.map_or(0, |mender| mender.attempts().len());
            let reason = format!("{}; not mended in {tried} attempts", conflict(files, reason));
            return PhaseOutcome::NeedsAttention { reason };
        }
        match self.fate(plan) {
            Fate::Enough => PhaseOutcome::Done,
            Fate::Failed => PhaseOutcome::Failed { reason: self.trouble(plan) },
            Fate::Attention => PhaseOutcome::NeedsAttention { reason: self.trouble(plan) },
            Fate::Going => PhaseOutcome::NeedsAttention { reason: halted.to_owned() },
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

fn conflict(files: &[String], reason: &str) -> String {
    let shown = files.iter().take(FILES_TOLD_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match files.len().saturating_sub(FILES_TOLD_MAX) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("merge conflict in {shown}{more}: {reason}")
}
