//! Why a run goes on no further.

use serde::{Deserialize, Serialize};

use super::RunOutcome;
use crate::plan::Plan;

/// Once a run is halted nothing new starts in it. The graver reason takes the place of the lesser one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Halt {
    /// A person must look; what lives is left to end by itself. Only this one can be lifted again.
    Hold {
        phase: usize,
        reason: String,
        /// A bound of agents is reached; a run that is resumed then has as many again.
        breach: bool,
    },
    /// A phase failed; what lives is ended.
    Stop { phase: usize, reason: String },
    /// A person cancelled the run; what lives is ended.
    Cancel { reason: String },
}

/// What a halt means for one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HaltKind {
    None,
    Hold,
    /// This phase is the one whose failure stopped the run.
    StopHere,
    StopElsewhere,
    Cancel,
}

impl HaltKind {
    /// Whether what lives is ended.
    pub fn is_hard(self) -> bool {
        matches!(self, HaltKind::StopHere | HaltKind::StopElsewhere | HaltKind::Cancel)
    }
}

impl Halt {
    pub(super) fn for_phase(halt: Option<&Halt>, at: usize) -> HaltKind {
        match halt {
            None => HaltKind::None,
            Some(Halt::Hold { .. }) => HaltKind::Hold,
            Some(Halt::Stop { phase, .. }) if *phase == at => HaltKind::StopHere,
            Some(Halt::Stop { .. }) => HaltKind::StopElsewhere,
            Some(Halt::Cancel { .. }) => HaltKind::Cancel,
        }
    }

    pub(super) fn gravity(halt: Option<&Halt>) -> u8 {
        match halt {
            None => 0,
            Some(Halt::Hold { .. }) => 1,
            Some(Halt::Stop { .. }) => 2,
            Some(Halt::Cancel { .. }) => 3,
        }
    }

    /// Why, in the words of the phase that halted the run.
    pub fn reason(&self) -> &str {
        match self {
            Halt::Hold { reason, .. } | Halt::Stop { reason, .. } | Halt::Cancel { reason } => reason,
        }
    }

    /// Why, for the run; a run that was halted so ends with these words.
    pub fn told(&self, plan: &Plan) -> String {
        match self {
            Halt::Hold { phase, reason, .. } => {
                format!("phase `{}` needs attention: {reason}", plan.phases[*phase].name)
            }
            Halt::Stop { phase, reason } => format!("phase `{}` failed: {reason}", plan.phases[*phase].name),
            Halt::Cancel { reason } => reason.clone(),
        }
    }

    /// Why, for one phase that could not end in its own way.
    pub(super) fn told_to(&self, plan: &Plan, at: usize) -> String {
        match self {
            Halt::Hold { phase, reason, .. } | Halt::Stop { phase, reason } if *phase == at => reason.clone(),
            _ => format!("not gone on with: {}", self.told(plan)),
        }
    }

    /// How a run ends that was halted so.
    pub(super) fn outcome(&self, plan: &Plan) -> RunOutcome {
        let reason = self.told(plan);
        match self {
            Halt::Hold { .. } => RunOutcome::NeedsAttention { reason },
            Halt::Stop { .. } => RunOutcome::Failed { reason },
            Halt::Cancel { .. } => RunOutcome::Cancelled { reason },
        }
    }
}
