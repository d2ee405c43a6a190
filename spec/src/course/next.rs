//! The one place where a run decides: the next command that follows from what is known.

use super::budget::{Afford, Bound};
use super::halt::Halt;
use super::outputs::Verdict;
use super::phase::{Due, PhaseState, Turn};
use super::share;
use super::worker::{MENDER, Standing};
use super::{Command, PhaseOutcome, RunCourse, RunOutcome, Wake};
use crate::name::{AttemptId, Slug, WorkerId};

/// What may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Launch {
    Start {
        phase: usize,
        seat: usize,
        model: u32,
    },
    /// What an attempt left is taken once more.
    Settle {
        phase: usize,
        seat: usize,
    },
    /// A slot is free and a worker wants it, but the run has had all of these that it may have.
    Breach {
        phase: usize,
        limit: Bound,
        of: &'static str,
    },
    /// The runs above are asked first; nothing where they have been.
    Owed(Option<(share::Bound, u32)>),
}

impl RunCourse {
    /// The next command; nothing when everything that follows from the facts has been said.
    pub(super) fn next(&self) -> Option<Command> {
        if self.state.over.is_some() {
            return None;
        }
        if let Some(&at) = self.state.due.first() {
            return self.due(at);
        }
        match self.launch() {
            Some(Launch::Start { phase, seat, model }) => {
                let attempt = self.attempt_after(phase, seat)?;
                Some(Command::Start { attempt, model })
            }
            Some(Launch::Settle { phase, seat }) => {
                let attempt = self.state.phases[phase].crew.worker(seat)?.count();
                Some(Command::Settle { attempt: self.attempt(phase, seat, attempt) })
            }
            Some(Launch::Owed(Some((of, total)))) => Some(Command::Reserve { of, total }),
            Some(Launch::Breach { .. } | Launch::Owed(None)) | None => self.finish(),
        }
    }

    /// The first phase's first worker that may start now.
    pub(super) fn launch(&self) -> Option<Launch> {
        if let Some(question @ Some(_)) = self.owes(share::Bound::Letters) {
            return Some(Launch::Owed(question));
        }
        let run = &self.plan.limits;
        if self.state.live >= slots(run.max_parallel) {
            return None;
        }
        for &at in &self.state.startable {
            let limits = &self.plan.phases[at].limits;
            let course = &self.state.phases[at];
            if course.crew.live() >= slots(limits.max_parallel) {
                continue;
            }
            let (seat, model) = match course.next_turn(&self.plan.phases[at])? {
                Turn::Settle { seat } => return Some(Launch::Settle { phase: at, seat }),
                Turn::Start { seat, model } => (seat, model),
            };
            let of_run = self.bound(share::Bound::Agents);
            let of_phase = granted(limits.max_total_agents, course.granted);
            let breach = |limit, of: share::Bound| {
                Some(Launch::Breach { phase: at, limit: Bound::Count(limit), of: of.word() })
            };
            let (turn, further) = course.begins_turn(&self.plan.phases[at], seat);
            if !further && self.had(share::Bound::Agents) >= of_run {
                return breach(of_run, share::Bound::Agents);
            } else if !further && course.crew.attempts() >= of_phase {
                return breach(of_phase, share::Bound::Agents);
            } else if turn && let Some(limit) = self.turns_over(at) {
                return breach(limit, share::Bound::Turns);
            }
            let owed = [(!further, share::Bound::Agents), (turn, share::Bound::Turns)];
            if let Some(question) = owed.into_iter().filter(|(is, _)| *is).find_map(|(_, of)| self.owes(of)) {
                return Some(Launch::Owed(question));
            }
            match self.affords(at, seat, model) {
                Afford::Yes => {}
                Afford::Wait => return None,
                Afford::No(limit, of) => return Some(Launch::Breach { phase: at, limit, of }),
            }
            let (next, _) = self.reserve(at, seat, model);
            if let Some(question) = self.owes_cost(next) {
                return Some(Launch::Owed(question));
            }
            return Some(Launch::Start { phase: at, seat, model });
        }
        None
    }

    /// The bound of turns that is reached, of the run or of this phase.
    fn turns_over(&self, at: usize) -> Option<u32> {
        let course = &self.state.phases[at];
        let of_run = self.bound(share::Bound::Turns);
        let of_phase = granted(self.plan.phases[at].limits.max_turns, course.granted_turns);
        let had = course.talk.as_ref().map_or(0, super::talk::Talk::turns);
        [(self.had(share::Bound::Turns), of_run), (had, of_phase)]
            .into_iter()
            .find_map(|(had, limit)| (had >= limit).then_some(limit))
    }

    fn due(&self, at: usize) -> Option<Command> {
        let (plan, course) = (&self.plan.phases[at], &self.state.phases[at]);
        let phase = plan.name.clone();
        let halt = Halt::for_phase(self.state.halt.as_ref(), at);
        Some(match course.due(plan, halt)? {
            Due::Begin => self.begin(at),
            Due::Open => Command::Open { phase },
            Due::Timer { seat } => self.timer(at, seat)?,
            Due::Pause { seat } => self.pause(at, seat)?,
            Due::End { seat, reason } => Command::End { attempt: self.live_attempt(at, seat)?, reason },
            Due::Quiet { number, after_ms } => {
                Command::Wake { wake: Wake::Quiet { phase, number }, after_ms }
            }
            Due::Ask => Command::Ask { phase },
            Due::Dismiss => Command::Dismiss { phase },
            Due::Gather { round } => Command::Gather { phase, round },
            Due::Close => {
                let halted = self.state.halt.as_ref().map(|halt| halt.told_to(&self.plan, at));
                Command::Close { phase, outcome: course.closes_as(plan, halt, &halted.unwrap_or_default()) }
            }
        })
    }

    fn begin(&self, at: usize) -> Command {
        let plan = &self.plan.phases[at];
        let phase = plan.name.clone();
        let verdict = match &plan.condition {
            Some(condition) => (self.judge)(condition, &self.state.outputs),
            None => Verdict::Holds,
        };
        let condition = plan.condition.as_deref().unwrap_or_default();
        let outcome = match verdict {
            Verdict::Holds if plan.approve => return Command::Ask { phase },
            Verdict::Holds => return Command::Open { phase },
            Verdict::DoesNotHold => {
                PhaseOutcome::Skipped { reason: format!("condition is false: {condition}") }
            }
            Verdict::NeverSet(keys) => {
                PhaseOutcome::Skipped { reason: format!("output never set: {}", keys.join(", ")) }
            }
            Verdict::Broken(reason) => {
                PhaseOutcome::Failed { reason: format!("condition cannot be judged: {condition}: {reason}") }
            }
        };
        Command::Close { phase, outcome }
    }

    pub(super) fn timer(&self, at: usize, seat: usize) -> Option<Command> {
        let rules = self.state.phases[at].crew.rules(&self.plan.phases[at], seat)?;
        let wake = Wake::Timeout { attempt: self.live_attempt(at, seat)? };
        Some(Command::Wake { wake, after_ms: rules.timeout_ms })
    }

    pub(super) fn pause(&self, at: usize, seat: usize) -> Option<Command> {
        let Standing::Again { pause_ms, .. } =
            self.state.phases[at].crew.standing(&self.plan.phases[at], seat)?
        else {
            return None;
        };
        let wake = Wake::Backoff { attempt: self.attempt_after(at, seat)? };
        Some(Command::Wake { wake, after_ms: pause_ms })
    }

    fn attempt_after(&self, at: usize, seat: usize) -> Option<AttemptId> {
        let count = self.state.phases[at].crew.worker(seat)?.count();
        Some(self.attempt(at, seat, count + 1))
    }

    fn live_attempt(&self, at: usize, seat: usize) -> Option<AttemptId> {
        let (number, _) = self.state.phases[at].live_attempt(seat)?;
        Some(self.attempt(at, seat, number))
    }

    pub(super) fn attempt(&self, at: usize, seat: usize, attempt: u32) -> AttemptId {
        AttemptId { worker: self.worker_id(at, seat), attempt }
    }

    pub(super) fn worker_id(&self, at: usize, seat: usize) -> WorkerId {
        let plan = &self.plan.phases[at];
        let worker = super::crew::occupant(plan, seat);
        let worker = worker.map_or_else(|| Slug::nearest(MENDER), |worker| worker.name.clone());
        WorkerId { phase: plan.name.clone(), worker }
    }

    fn finish(&self) -> Option<Command> {
        let last = self.last_word()?;
        match self.unsettled() {
            Some(question) => question,
            None => Some(last),
        }
    }

    fn last_word(&self) -> Option<Command> {
        if let Some(halt @ Halt::Hold { .. }) = &self.state.halt {
            return self.rests().then(|| Command::Hold { reason: halt.told(&self.plan) });
        }
        if !self.state.underway.is_empty() {
            return None;
        }
        let outcome = match &self.state.halt {
            Some(halt) => halt.outcome(&self.plan),
            None if self.state.begun && self.state.closed == self.state.phases.len() => self.outcome(),
            None => return None,
        };
        Some(Command::Finish { outcome })
    }

    /// Whether nothing is awaited of a held run any more and that has not been said yet.
    fn rests(&self) -> bool {
        let gathers = |&at: &usize| {
            matches!(self.state.phases[at].state, PhaseState::Gathering { .. } | PhaseState::Dismissing)
        };
        !self.state.waits && self.state.live == 0 && !self.state.underway.iter().any(gathers)
    }

    /// How a run ends whose phases are all over and which nothing has halted.
    ///
    /// Its last phases count. Skipped phases are left out; of the others, those that no other comes after must be
    /// done. A failure that the document goes on from (`on_failure: continue`) is thus made good by what follows it,
    /// and one that nothing follows is the run's own.
    fn outcome(&self) -> RunOutcome {
        let phases = &self.state.phases;
        let skipped = |at: usize| matches!(phases[at].outcome(), Some(PhaseOutcome::Skipped { .. }));
        let mut followed = vec![false; phases.len()];
        for &at in self.map.order.iter().rev() {
            followed[at] = self.map.followers[at].iter().any(|&next| !skipped(next) || followed[next]);
        }
        let last = phases.iter().zip(&self.plan.phases).zip(followed).filter(|(_, followed)| !followed);
        for ((course, plan), _) in last {
            if let Some(PhaseOutcome::Failed { reason }) = course.outcome() {
                let reason = format!("phase `{}` failed: {reason}", plan.name);
                return RunOutcome::Failed { reason };
            }
        }
        RunOutcome::Done
    }
}

/// A bound of agents that was raised so often by as many as it was at first.
pub(super) fn granted(max: u32, times: u32) -> u32 {
    max.saturating_mul(times.saturating_add(1))
}

/// A bound of nothing would let no run end, so one slot is the least.
fn slots(max: Option<u32>) -> u32 {
    max.map_or(u32::MAX, |max| max.max(1))
}
