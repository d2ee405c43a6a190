//! What a phase wants done next, from how it stands alone.

use super::{PhaseCourse, PhaseState, goes_on};
use crate::course::EndReason;
use crate::course::crew::{Fate, talks};
use crate::course::halt::HaltKind;
use crate::course::steps::StepsEnd;
use crate::course::worker::{Settled, Standing};
use crate::plan::PhasePlan;

/// What a phase wants done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::course) enum Due {
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
    Quiet {
        number: u32,
        after_ms: u64,
    },
    /// A person, about the next step.
    Ask,
    Dismiss,
    Gather {
        round: u32,
    },
    Close,
}

impl PhaseCourse {
    pub(in crate::course) fn due(&self, plan: &PhasePlan, halt: HaltKind) -> Option<Due> {
        let free = halt == HaltKind::None;
        match &self.state {
            PhaseState::Waiting if self.missing == 0 && free => Some(Due::Begin),
            PhaseState::Approved if free => Some(Due::Open),
            PhaseState::Denied { .. } => Some(Due::Close),
            PhaseState::Open if !self.steps.are_done() => self.due_to_steps(plan, halt),
            PhaseState::Open if self.talk.is_some() => {
                self.due_to_workers(plan, halt).or_else(|| self.due_to_talk(plan, halt))
            }
            PhaseState::Open => self.due_to_workers(plan, halt).or_else(|| self.due_at_end(plan, halt)),
            PhaseState::Dismissed => self.due_at_end(plan, halt),
            PhaseState::Gathered { gathering, .. } if halt.is_hard() || goes_on(plan, gathering) => {
                Some(Due::Close)
            }
            PhaseState::Mending { .. } => self.due_to_mender(plan, halt),
            PhaseState::Ungathered { .. } if halt.is_hard() => Some(Due::Close),
            PhaseState::Ungathered { round } => Some(Due::Gather { round: *round }),
            PhaseState::Waiting
            | PhaseState::Asked
            | PhaseState::Approved
            | PhaseState::Dismissing
            | PhaseState::Gathering { .. }
            | PhaseState::Gathered { .. }
            | PhaseState::Closed { .. } => None,
        }
    }

    fn due_to_steps(&self, plan: &PhasePlan, halt: HaltKind) -> Option<Due> {
        if let Some(due) = self.due_to_the_live(halt) {
            return Some(due);
        }
        if self.crew.live() > 0 {
            return None;
        }
        let failed = matches!(self.steps.end(), Some(StepsEnd::Failed { .. }));
        if halt.is_hard() || failed {
            return Some(Due::Close);
        }
        (halt == HaltKind::None && self.steps.owes_question(plan)).then_some(Due::Ask)
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

    /// A talk that is over is dismissed once nobody speaks; one that may fall quiet is listened to.
    fn due_to_talk(&self, plan: &PhasePlan, halt: HaltKind) -> Option<Due> {
        if self.crew.live() > 0 {
            return None;
        }
        let talk = self.talk.as_ref()?;
        if halt.is_hard() || talk.end().is_some() {
            return Some(Due::Dismiss);
        }
        let (number, after_ms) = talk.quiet(&plan.work).filter(|_| halt == HaltKind::None)?;
        Some(Due::Quiet { number, after_ms })
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
            Fate::Failed if !talks(&plan.work) && !self.crew.all_settled() => None,
            // What is done is merged, for the later phases; the branches of the others are kept.
            Fate::Failed if self.anything_done() => Some(Due::Gather { round: 1 }),
            Fate::Failed => Some(Due::Close),
        }
    }

    fn anything_done(&self) -> bool {
        self.crew.any_done() || self.talk.as_ref().is_some_and(|talk| !talk.spoken().is_empty())
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
}
