//! The steps of a phase: commands in terminals, one after the other, before anybody works.
//!
//! Which comes next is said by rules over what the last one printed and how it ended. What a rule says is looked at
//! where the print is; here only counts which of them hold.

use serde::{Deserialize, Serialize};

use super::PhaseOutputs;
use crate::plan::{PhasePlan, StepPlan, StepRule};

/// How often steps of one phase are run, all together: rules that lead back more often than this lead back for ever.
pub const STEP_RUNS_MAX: u32 = 200;
/// The step that comes after the last one.
const END: &str = "end";

/// How a step's program ended, and which of its rules hold, from 0 in the order of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stepped {
    pub exit: i32,
    pub holds: Vec<u32>,
}

/// Where the steps of a phase stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepsCourse {
    /// The step whose turn it is, from 0.
    at: usize,
    runs: u32,
    consent: Consent,
    end: Option<StepsEnd>,
}

/// Whether a person lets the next step write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Consent {
    #[default]
    None,
    Asked,
    Given,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepsEnd {
    Done,
    Failed {
        reason: String,
    },
    /// A person must look at what the step left.
    Attention {
        reason: String,
    },
}

impl StepsCourse {
    pub(super) fn new(plan: &PhasePlan) -> StepsCourse {
        let end = plan.steps.is_empty().then_some(StepsEnd::Done);
        StepsCourse { end, ..StepsCourse::default() }
    }

    pub(super) fn are_done(&self) -> bool {
        self.end == Some(StepsEnd::Done)
    }

    pub(super) fn end(&self) -> Option<&StepsEnd> {
        self.end.as_ref()
    }

    /// The step that may start now.
    pub(super) fn next(&self, plan: &PhasePlan) -> Option<usize> {
        let step = plan.steps.get(self.at).filter(|_| self.end.is_none())?;
        (!asks(step) || self.consent == Consent::Given).then_some(self.at)
    }

    /// The step whose turn it is, once there is one.
    pub(super) fn next_seat(&self) -> Option<usize> {
        (!self.are_done()).then_some(self.at)
    }

    /// Whether a person has to be asked first, and was not yet.
    pub(super) fn owes_question(&self, plan: &PhasePlan) -> bool {
        let asking = plan.steps.get(self.at).is_some_and(asks);
        self.end.is_none() && asking && self.consent == Consent::None
    }

    /// Whether a person is being asked.
    pub(super) fn is_asking(&self) -> bool {
        self.end.is_none() && self.consent == Consent::Asked
    }

    pub(super) fn ask(&mut self) {
        self.consent = Consent::Asked;
    }

    pub(super) fn answer(&mut self, denied: Option<&str>) {
        match denied {
            None => self.consent = Consent::Given,
            Some(reason) => self.end = Some(StepsEnd::Failed { reason: format!("denied: {reason}") }),
        }
    }

    pub(super) fn begins(&mut self) {
        self.runs += 1;
        self.consent = Consent::None;
    }

    /// The step whose turn it was is over: what its rules set is published, and the next one is known.
    pub(super) fn stepped(&mut self, plan: &PhasePlan, stepped: &Stepped, outputs: &mut PhaseOutputs) {
        let Some(step) = plan.steps.get(self.at) else { return };
        let holding = || stepped.holds.iter().filter_map(|at| step.rules.get(usize::try_from(*at).ok()?));
        let own = outputs.workers.get_mut(plan.work.workers().len() + self.at);
        if let Some(own) = own {
            for (key, value) in holding().flat_map(|rule| &rule.set) {
                own.set(key, value);
            }
        }
        if stepped.exit != 0 && stepped.holds.is_empty() {
            let reason = format!("step `{}` ended with exit code {}", step.name, stepped.exit);
            self.end = Some(StepsEnd::Failed { reason });
            return;
        }
        self.go_to(plan, holding().find_map(|rule| rule.next.as_deref()));
    }

    fn go_to(&mut self, plan: &PhasePlan, next: Option<&str>) {
        let next = match next {
            Some(END) => None,
            // A name that leads nowhere is an error of the document's, found before anything started.
            Some(name) => plan.steps.iter().position(|step| step.name == name),
            None => Some(self.at + 1).filter(|next| *next < plan.steps.len()),
        };
        match next {
            None => self.end = Some(StepsEnd::Done),
            Some(_) if self.runs >= STEP_RUNS_MAX => {
                let reason = format!("the limit of {STEP_RUNS_MAX} runs of steps (step_runs_max) is reached");
                self.end = Some(StepsEnd::Failed { reason });
            }
            Some(next) => self.at = next,
        }
    }

    /// The step did not come to an end of its own.
    pub(super) fn stopped(&mut self, plan: &PhasePlan, told: String, attention: bool) {
        let name = plan.steps.get(self.at).map(|step| step.name.as_str()).unwrap_or_default();
        let reason = format!("step `{name}`: {told}");
        self.end = Some(match attention {
            true => StepsEnd::Attention { reason },
            false => StepsEnd::Failed { reason },
        });
    }

    /// A person has looked: the step is run once more.
    pub(super) fn resume(&mut self) {
        if matches!(self.end, Some(StepsEnd::Attention { .. })) {
            self.end = None;
        }
    }
}

/// Whether a person is asked before a step: it says that it writes, and its session may not do whatever it likes.
fn asks(step: &StepPlan) -> bool {
    step.writes && step.worker.session.permission != crate::plan::Permission::Full
}

impl StepPlan {
    /// Which of its rules hold for what it printed and how it ended.
    #[must_use]
    pub fn stepped(&self, exit: i32, text: &str) -> Stepped {
        let holds = (0..).zip(&self.rules).filter(|(_, rule)| rule.holds(exit, text)).map(|(at, _)| at);
        Stepped { exit, holds: holds.collect() }
    }
}

impl StepRule {
    fn holds(&self, exit: i32, text: &str) -> bool {
        match self.when.split_once(':') {
            Some(("lines_over", count)) => {
                count.parse().is_ok_and(|count: usize| text.trim_end().lines().count() > count)
            }
            Some(("contains", wanted)) => text.contains(wanted),
            Some(("regex", pattern)) => {
                let lines = regex::RegexBuilder::new(pattern).multi_line(true).build();
                lines.is_ok_and(|pattern| pattern.is_match(text))
            }
            Some(("exit", code)) => code.parse() == Ok(exit),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(when: &str, exit: i32, text: &str) -> bool {
        let (next, set) = (None, std::collections::BTreeMap::new());
        StepRule { when: when.to_owned(), next, set }.holds(exit, text)
    }

    #[test]
    fn rules_speak_of_lines_of_words_and_of_the_exit() {
        assert!(holds("lines_over:2", 0, "a\nb\nc\n") && !holds("lines_over:3", 0, "a\nb\nc\n\n"));
        assert!(holds("contains:error: x", 0, "an error: x") && !holds("contains:Error", 0, "error"));
        assert!(holds("regex:^b.$", 0, "ab\nbc") && !holds("regex:^c", 0, "ab\nbc"));
        assert!(holds("exit:3", 3, "") && !holds("exit:3", 0, ""));
    }
}
