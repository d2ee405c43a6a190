//! What of an attempt may leave the machine it was made on.

use super::{Ending, Outcome, PhaseOutcome};
use crate::plan::{Egress, TreePlan, WorkerPlan};

/// Said in the place of what stays.
pub const STAYS: &str = "why, is told on the machine it worked on alone (`egress`)";

impl WorkerPlan {
    /// Whether it works on this machine and gives no more than its result to whoever comes later.
    pub(crate) fn withholds(&self) -> bool {
        self.session.egress != Egress::All && self.machine.is_empty()
    }

    /// Whether what it writes is for nobody else: neither its tree nor what it would put into the scratchpad.
    pub fn writes_for_itself(&self) -> bool {
        self.withholds() && self.tree == TreePlan::ReadOnly
    }
}

impl Ending {
    /// The ending as it is told to another machine. What a program printed that came to no good end is no answer: it may
    /// be anything that it had before its eyes.
    #[must_use]
    pub fn leaving(mut self, egress: Egress) -> Ending {
        if egress == Egress::All {
            return self;
        }
        self.commit = None;
        self.evidence = STAYS.to_owned();
        self.contacts.clear();
        self.untaken.clear();
        if egress == Egress::None || self.outcome != Outcome::Done {
            self.excerpt.clear();
            self.outputs.clear();
        }
        self.outcome = self.outcome.leaving();
        self
    }
}

impl Outcome {
    /// How it ended, without the words that may come from its screen.
    #[must_use]
    pub fn leaving(self) -> Outcome {
        let reason = || STAYS.to_owned();
        match self {
            Outcome::Failed { .. } => Outcome::Failed { reason: reason() },
            Outcome::Unavailable { class, .. } => Outcome::Unavailable { class, reason: reason() },
            Outcome::NeedsAttention { .. } => Outcome::NeedsAttention { reason: reason() },
            Outcome::Lost { .. } => Outcome::Lost { reason: reason() },
            Outcome::Misshapen { .. } => Outcome::Misshapen { reason: reason() },
            plain @ (Outcome::Done | Outcome::TimedOut | Outcome::Cancelled) => plain,
        }
    }
}

impl PhaseOutcome {
    /// The same for a phase: its reasons are made of those of its workers.
    #[must_use]
    pub fn leaving(self) -> PhaseOutcome {
        let reason = STAYS.to_owned();
        match self {
            PhaseOutcome::Failed { .. } => PhaseOutcome::Failed { reason },
            PhaseOutcome::NeedsAttention { .. } => PhaseOutcome::NeedsAttention { reason },
            plain @ (PhaseOutcome::Done | PhaseOutcome::Skipped { .. } | PhaseOutcome::Cancelled) => plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::course::Unavailable;

    fn ending(outcome: Outcome) -> Ending {
        let mut ending = Ending::plain(outcome, "the screen says secret");
        ending.excerpt = "it is 42".to_owned();
        ending.outputs.insert("verdict".to_owned(), "ship".into());
        ending.commit = Some("a".repeat(40));
        ending.untaken.push("secret was too long".to_owned());
        ending
    }

    #[test]
    fn a_result_is_answer_and_outputs_of_a_good_end_and_nothing_is_nothing() {
        let all = ending(Outcome::Done).leaving(Egress::All);
        assert_eq!(all, ending(Outcome::Done));
        let result = ending(Outcome::Done).leaving(Egress::Result);
        assert_eq!((result.excerpt.as_str(), result.outputs.len(), result.commit), ("it is 42", 1, None));
        for outcome in [
            Outcome::Failed { reason: "secret".to_owned() },
            Outcome::Unavailable { class: Unavailable::NotInstalled, reason: "secret".to_owned() },
            Outcome::NeedsAttention { reason: "secret".to_owned() },
            Outcome::Lost { reason: "secret".to_owned() },
        ] {
            let text = serde_json::to_string(&ending(outcome).leaving(Egress::Result)).unwrap();
            assert!(!text.contains("secret") && !text.contains("42") && !text.contains("ship"), "{text}");
        }
        let none = serde_json::to_string(&ending(Outcome::Done).leaving(Egress::None)).unwrap();
        assert!(!none.contains("42") && !none.contains("ship") && !none.contains("secret"), "{none}");
    }
}
