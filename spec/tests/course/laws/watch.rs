//! The laws of a run, held against every command by a bystander.

use std::sync::Arc;

use niia_spec::course::{
    BACKOFF_MS_MAX, Command, EndReason, Event, Gathering, MEND_MS_MAX, MENDER, Outcome, PhaseOutcome,
    RunCourse, RunOutcome, Verdict, Wake,
};
use niia_spec::name::{AttemptId, PhaseName, WorkerId};
use niia_spec::plan::{MergeRule, OnBreach, OnFailure, PhasePlan, Plan};

use super::refused::{self, Then};
use super::seen::{Halted, Seen, Standing, Try};
use crate::document::{judge, slug};

pub struct Watch {
    pub seen: Seen,
    /// Every start is followed by its time limit before the row ends.
    untimed: Vec<AttemptId>,
}

impl Watch {
    pub fn new(plan: Arc<Plan>) -> Watch {
        Watch { seen: Seen::new(plan), untimed: Vec::new() }
    }

    pub fn row(&mut self, event: &Event, commands: &[Command], course: &RunCourse) {
        self.seen.event(event);
        self.see_halt();
        for command in commands {
            assert!(self.seen.finished.is_none(), "after the end: {command:?}");
            self.hold(command, course);
            self.seen.command(command);
            self.see_halt();
        }
        assert_eq!(self.untimed, [], "started without a time limit");
    }

    /// A run is halted by a cancel, a failed phase, a phase that needs a person, or a limit. Where a person is needed it
    /// goes on when it is resumed, else never again.
    fn see_halt(&mut self) {
        let plan = Arc::clone(&self.seen.plan);
        let over = |phase: &PhaseName| self.seen.phases[phase].closed.is_some();
        if self.seen.halted == Halted::Held && !self.seen.waits {
            // Who could not start was not needed, or whom a person should help can no longer be helped.
            self.seen.breach = self.seen.breach.take().filter(|phase| !over(phase));
            self.seen.halted = if self.seen.breach.is_some() { Halted::Held } else { Halted::No };
        }
        for phase in &plan.phases {
            let halted = self.halt_by(phase);
            self.seen.halted = self.seen.halted.max(halted);
        }
        let next = plan.phases.iter().find(|phase| self.wants_start(phase) && self.seen.has_slot(phase));
        let free = self.seen.halted == Halted::No;
        if let Some(phase) = next.filter(|phase| free && self.starts_next(phase) && self.seen.spent(phase)) {
            let stop = phase.limits.on_breach == OnBreach::Stop;
            self.seen.halted = if stop { Halted::Stopped } else { Halted::Held };
            self.seen.breach = Some(phase.name.clone());
        }
        if self.seen.halted != Halted::Held {
            self.seen.waits = false;
        }
    }

    /// Whether the next turn in a phase is a start, which needs an agent.
    fn starts_next(&self, phase: &PhasePlan) -> bool {
        self.seen.may_start(phase).first().is_some_and(|worker| !self.seen.to_settle(worker))
    }

    fn halt_by(&self, phase: &PhasePlan) -> Halted {
        let seen = &self.seen.phases[&phase.name];
        let stops = seen.denied || phase.on_failure == OnFailure::Stop;
        match &seen.closed {
            Some(PhaseOutcome::Failed { .. }) if stops => Halted::Stopped,
            None if self.seen.apart(phase) => Halted::Held,
            None if !seen.opened || !seen.gathers.is_empty() => Halted::No,
            None if self.seen.doomed(phase) && stops => Halted::Stopped,
            None if self.seen.needs_person(phase) => Halted::Held,
            _ => Halted::No,
        }
    }

    fn wants_start(&self, phase: &PhasePlan) -> bool {
        !self.seen.may_start(phase).is_empty()
    }

    fn hold(&mut self, command: &Command, course: &RunCourse) {
        match command {
            Command::Open { phase } => self.hold_open(phase, course),
            Command::Ask { phase } => self.hold_ask(phase, course),
            Command::Start { attempt, model } => self.hold_start(attempt, *model),
            Command::Settle { attempt } => self.hold_settle(attempt),
            Command::Hold { .. } => self.hold_hold(),
            Command::Wake { wake: Wake::Timeout { attempt }, after_ms } => {
                let started = self.untimed.iter().position(|untimed| untimed == attempt);
                self.untimed.remove(started.unwrap_or_else(|| panic!("a time limit for nobody: {attempt}")));
                assert_eq!(*after_ms, self.time_limit(&attempt.worker), "time limit of {attempt}");
            }
            Command::Wake { wake: Wake::Backoff { attempt }, after_ms } => {
                self.hold_pause(attempt, *after_ms)
            }
            Command::End { attempt, reason } => self.hold_end(attempt, *reason),
            Command::Gather { phase, round } => self.hold_gather(phase, *round),
            Command::Close { phase, outcome } => self.hold_close(phase, outcome, course),
            Command::Finish { outcome } => self.hold_finish(outcome),
            Command::Reserve { .. } => panic!("a run of a person's asks nobody"),
            Command::Dismiss { .. } | Command::Wake { wake: Wake::Quiet { .. }, .. } => {
                panic!("nobody talks here: {command:?}")
            }
        }
    }

    fn hold_begin(&self, name: &PhaseName) {
        let seen = &self.seen.phases[name];
        assert!(self.seen.begun, "{name} begins before the run");
        assert!(!seen.opened && seen.closed.is_none(), "{name} begins twice");
        for before in &self.seen.phase_plan(name).after {
            assert!(self.seen.phases[before].closed.is_some(), "{name} begins before {before} is over");
        }
    }

    fn hold_open(&self, name: &PhaseName, course: &RunCourse) {
        self.hold_begin(name);
        assert_eq!(self.seen.halted, Halted::No, "{name} opens in a halted run");
        let phase = self.seen.phase_plan(name);
        if phase.approve {
            assert!(self.seen.phases[name].approved, "{name} opens without approval");
        } else {
            assert_eq!(verdict(phase, course), Verdict::Holds, "{name} opens");
        }
    }

    fn hold_ask(&self, name: &PhaseName, course: &RunCourse) {
        self.hold_begin(name);
        assert_eq!(self.seen.halted, Halted::No, "{name} is asked about in a halted run");
        let phase = self.seen.phase_plan(name);
        assert!(phase.approve && !self.seen.phases[name].asked, "{name} is asked about");
        assert_eq!(verdict(phase, course), Verdict::Holds, "{name} is asked about");
    }

    fn hold_start(&mut self, attempt: &AttemptId, model: u32) {
        let seen = &self.seen;
        assert_eq!(seen.halted, Halted::No, "{attempt} starts in a halted run");
        let eligible = |phase: &&PhasePlan| self.wants_start(phase) && seen.has_slot(phase);
        let phase = seen.plan.phases.iter().find(eligible);
        let turn = phase.and_then(|phase| seen.may_start(phase).into_iter().next());
        assert_eq!(turn.as_ref(), Some(&attempt.worker), "it is not the turn of {attempt}");
        assert!(!phase.is_some_and(|phase| seen.spent(phase)), "{attempt} is one too many");
        let tries = seen.tries(&attempt.worker);
        assert_eq!(attempt.attempt as usize, tries.len() + 1, "number of {attempt}");
        let turn = &seen.phases[&attempt.worker.phase];
        let anew =
            attempt.worker.worker.as_str() == MENDER && turn.turn != turn.gathers.last().map(|(n, _)| *n);
        let counted = &tries[if anew { tries.len() } else { seen.counted_from(&attempt.worker) }..];
        let expected = match counted.last() {
            None => 0,
            Some(last) if matches!(last.outcome, Some(Outcome::Unavailable { .. })) => {
                match self.after_refusal(attempt, counted) {
                    Then::Now(model) | Then::Later(model, _) => model,
                    Then::Nothing => panic!("{attempt} starts though no model is left"),
                }
            }
            Some(last) => last.model,
        };
        assert_eq!(model, expected, "model of {attempt}");
        self.untimed.push(attempt.clone());
    }

    /// Only what a person has looked at is taken once more, when it is its turn, and it has no number of its own.
    fn hold_settle(&self, attempt: &AttemptId) {
        let seen = &self.seen;
        assert_eq!(seen.halted, Halted::No, "{attempt} is settled in a halted run");
        let eligible = |phase: &&PhasePlan| self.wants_start(phase) && seen.has_slot(phase);
        let phase = seen.plan.phases.iter().find(eligible);
        let turn = phase.and_then(|phase| seen.may_start(phase).into_iter().next());
        assert_eq!(turn.as_ref(), Some(&attempt.worker), "it is not the turn of {attempt}");
        assert!(seen.to_settle(&attempt.worker), "{attempt} left nothing to settle");
        assert_eq!(attempt.attempt as usize, seen.tries(&attempt.worker).len(), "number of {attempt}");
    }

    /// A person is asked for once for every hold, when nothing lives and nothing is awaited any more.
    fn hold_hold(&self) {
        let seen = &self.seen;
        assert_eq!(seen.halted, Halted::Held, "nobody is needed");
        assert!(!seen.waits, "the run waits twice");
        assert_eq!(seen.live(None), 0, "the run waits while somebody works");
        let gathers = seen.phases.values().any(|phase| matches!(phase.gathers.last(), Some((_, None))));
        assert!(!gathers, "the run waits while a phase is gathered");
    }

    pub fn time_limit(&self, worker: &WorkerId) -> u64 {
        let phase = self.seen.phase_plan(&worker.phase);
        let workers = phase.work.workers();
        let plan = workers.iter().find(|plan| plan.name == worker.worker);
        let own = plan.map_or(workers[0].session.timeout_ms.min(MEND_MS_MAX), |plan| plan.session.timeout_ms);
        own.min(phase.limits.timeout_per_agent_ms.unwrap_or(own))
    }

    fn hold_pause(&self, attempt: &AttemptId, after_ms: u64) {
        let phase = self.seen.phase_plan(&attempt.worker.phase);
        let tries = self.seen.tries(&attempt.worker);
        assert_eq!(attempt.attempt as usize, tries.len() + 1, "pause before {attempt}");
        assert_eq!(self.seen.standing(&attempt.worker), Standing::Pausing, "{attempt} pauses");
        assert!(!self.seen.pauses.contains_key(attempt), "{attempt} pauses twice");
        assert!(self.seen.launches(phase) && self.seen.halted == Halted::No, "{attempt} pauses for nothing");
        let counted = &tries[self.seen.counted_from(&attempt.worker)..];
        let refused = |last: &Try| matches!(last.outcome, Some(Outcome::Unavailable { .. }));
        if counted.last().is_some_and(refused) {
            let Then::Later(_, least) = self.after_refusal(attempt, counted) else {
                panic!("{attempt} pauses though a model is left")
            };
            assert!((least..least + least.div_ceil(4)).contains(&after_ms), "{after_ms} before {attempt}");
            return;
        }
        assert_eq!(after_ms, self.pause_of(attempt), "pause before {attempt}");
    }

    fn after_refusal(&self, attempt: &AttemptId, counted: &[Try]) -> Then {
        let phase = self.seen.phase_plan(&attempt.worker.phase);
        let workers = phase.work.workers();
        let is_mender = attempt.worker.worker.as_str() == MENDER;
        let plan = workers.iter().find(|plan| is_mender || plan.name == attempt.worker.worker);
        let models = plan.map_or(1, |plan| plan.models.len() as u32);
        refused::then(counted, models, is_mender)
    }

    /// Doubled with every failure.
    pub fn pause_of(&self, attempt: &AttemptId) -> u64 {
        let bad = |outcome: &Outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Lost { .. });
        let from = self.seen.counted_from(&attempt.worker);
        let tries = self.seen.tries(&attempt.worker)[from..].iter();
        let repeated = tries.filter(|tried| tried.outcome.as_ref().is_some_and(bad)).count() as u32;
        let backoff_ms = self.seen.phase_plan(&attempt.worker.phase).retry.backoff_ms;
        (backoff_ms * 2_u64.pow(repeated - 1)).min(BACKOFF_MS_MAX)
    }

    fn hold_end(&mut self, attempt: &AttemptId, reason: EndReason) {
        let live = self.seen.live_try(attempt).cloned();
        let Some(live) = live.filter(|live| live.end_asked.is_none()) else {
            panic!("{attempt} is ended though it does not live or ends already");
        };
        let phase = self.seen.phase_plan(&attempt.worker.phase);
        let decided = self.seen.enough(phase) || self.seen.doomed(phase);
        let hard = self.seen.halted >= Halted::Stopped;
        match reason {
            EndReason::TimedOut => assert!(live.expired && !hard, "{attempt} has not run out of time"),
            EndReason::NotNeeded => assert!(decided || hard, "{attempt} is needed"),
            EndReason::Cancelled => assert!(hard, "nobody has cancelled {attempt}"),
        }
    }

    fn hold_gather(&self, name: &PhaseName, round: u32) {
        let (phase, seen) = (self.seen.phase_plan(name), &self.seen.phases[name]);
        assert!(seen.opened && seen.closed.is_none(), "{name} is gathered though it is not open");
        assert_eq!(self.seen.live(Some(name)), 0, "{name} is gathered while somebody works");
        assert!(self.seen.halted < Halted::Stopped, "{name} is gathered in a run that ends");
        match seen.gathers.last() {
            None => {
                let some = self.seen.doomed(phase) && self.seen.count(phase, Standing::Done) > 0;
                let continues = phase.on_failure == OnFailure::Continue;
                let nobody_else = continues && self.seen.settled(phase);
                assert!(self.seen.enough(phase) || (some && nobody_else), "{name} is gathered too early");
                assert_eq!(round, 1, "first gathering of {name}");
            }
            Some((last, Some(gathering))) => {
                let mended = matches!(gathering, Gathering::Conflict { .. })
                    && seen.turn == Some(*last)
                    && self.seen.standing(&mender(name)) == Standing::Done;
                assert!(mended || seen.gather_again, "{name} is not mended");
                assert_eq!(round, last + 1, "another gathering of {name}");
            }
            other => panic!("{name} is gathered after {other:?}"),
        }
    }

    fn hold_close(&self, name: &PhaseName, outcome: &PhaseOutcome, course: &RunCourse) {
        let (phase, seen) = (self.seen.phase_plan(name), &self.seen.phases[name]);
        assert!(seen.closed.is_none(), "{name} closes twice");
        assert_eq!(self.seen.live(Some(name)), 0, "{name} closes while somebody works");
        if !seen.opened {
            return self.hold_refusal(phase, outcome, course);
        }
        let halted = self.seen.halted;
        let gathering = seen.gathers.last().map(|(_, gathering)| gathering);
        assert_ne!(gathering, Some(&None), "{name} closes while it is gathered");
        let gathering = gathering.cloned().flatten();
        let kept = matches!(gathering, Some(Gathering::Conflict { .. })) && phase.merge == MergeRule::Keep;
        let merged = kept || matches!(gathering, Some(Gathering::Merged { .. }));
        let nobody_done = self.seen.count(phase, Standing::Done) == 0;
        match outcome {
            PhaseOutcome::Done => assert!(self.seen.enough(phase) && merged, "{name} is not done"),
            PhaseOutcome::Failed { .. } if halted >= Halted::Stopped && !merged => {
                assert_eq!(halted, Halted::Stopped, "{name} fails in a cancelled run");
            }
            PhaseOutcome::Failed { .. } => {
                assert_eq!(phase.on_failure, OnFailure::Continue, "{name} fails without stopping the run");
                assert!(self.seen.doomed(phase) && (merged || nobody_done), "{name} has not failed");
            }
            PhaseOutcome::NeedsAttention { .. } => panic!("{name} ends though a person may help it"),
            PhaseOutcome::Cancelled => {
                assert!(halted >= Halted::Stopped && !merged, "{name} is not cancelled")
            }
            PhaseOutcome::Skipped { .. } => panic!("{name} is skipped though it was open"),
        }
    }

    fn hold_refusal(&self, phase: &PhasePlan, outcome: &PhaseOutcome, course: &RunCourse) {
        self.hold_begin(&phase.name);
        if self.seen.phases[&phase.name].denied {
            assert!(matches!(outcome, PhaseOutcome::Failed { .. }), "a denied phase ends as {outcome:?}");
            return;
        }
        assert_eq!(self.seen.halted, Halted::No, "{} is skipped in a halted run", phase.name);
        match (verdict(phase, course), outcome) {
            (Verdict::DoesNotHold | Verdict::NeverSet(_), PhaseOutcome::Skipped { .. })
            | (Verdict::Broken(_), PhaseOutcome::Failed { .. }) => {}
            (verdict, _) => panic!("{} ends as {outcome:?} where its condition {verdict:?}", phase.name),
        }
    }

    fn hold_finish(&self, outcome: &RunOutcome) {
        let seen = &self.seen;
        assert_eq!(seen.live(None), 0, "the run finishes while somebody works");
        let underway = seen.phases.iter().find(|(_, phase)| phase.opened && phase.closed.is_none());
        assert!(underway.is_none(), "the run finishes before {underway:?}");
        match outcome {
            RunOutcome::Cancelled { .. } => assert_eq!(seen.halted, Halted::Cancelled, "nobody cancelled"),
            RunOutcome::NeedsAttention { .. } => panic!("a run ends though a person may help it"),
            RunOutcome::Failed { .. } if seen.halted == Halted::Stopped => {}
            RunOutcome::Failed { .. } | RunOutcome::Done => {
                assert_eq!(seen.halted, Halted::No, "the run ends as {outcome:?}");
                assert!(seen.phases.values().all(|phase| phase.closed.is_some()), "a phase never ended");
                let done = seen.plan.phases.iter().all(|phase| !self.is_last(phase) || !self.failed(phase));
                assert_eq!(*outcome == RunOutcome::Done, done, "the last phases decide how the run ends");
            }
        }
    }

    fn failed(&self, phase: &PhasePlan) -> bool {
        matches!(self.seen.phases[&phase.name].closed, Some(PhaseOutcome::Failed { .. }))
    }

    /// Whether only skipped phases come after it, near or far.
    fn is_last(&self, phase: &PhasePlan) -> bool {
        let skipped = |next: &PhasePlan| {
            matches!(self.seen.phases[&next.name].closed, Some(PhaseOutcome::Skipped { .. }))
        };
        let mut after = self.seen.plan.phases.iter().filter(|next| next.after.contains(&phase.name));
        after.all(|next| skipped(next) && self.is_last(next))
    }
}

fn verdict(phase: &PhasePlan, course: &RunCourse) -> Verdict {
    phase.condition.as_ref().map_or(Verdict::Holds, |condition| judge(condition, course.outputs()))
}

pub fn mender(phase: &PhaseName) -> WorkerId {
    WorkerId { phase: phase.clone(), worker: slug(MENDER) }
}
