//! One worker: its attempts, and what comes after the last of them.

use serde::{Deserialize, Serialize};

use super::{EndReason, Ending, Outcome, failover};
use crate::plan::{OnLost, PhasePlan, Retry, WorkerPlan};

/// How often a lost session is started again under `on_lost: restart`; a machine that loses a fourth one is ill.
pub const LOST_RESTARTS_MAX: u32 = 3;
/// The longest pause before a repetition: doubling must not put one off for days.
pub const BACKOFF_MS_MAX: u64 = 60 * 60 * 1000;
/// The longest turn of the mender: who has not joined two branches in half an hour needs a person.
pub const MEND_MS_MAX: u64 = 30 * 60 * 1000;
/// The worker a phase starts when its branches conflict; no worker of a plan may have this name.
pub const MENDER: &str = "merge";

/// The attempts of one worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerCourse {
    attempts: Vec<Attempt>,
    /// The attempts from here on count for what comes next: a person, or another conflict, made those before it past.
    counted_from: usize,
    pause: Pause,
}

/// One try, on one of the worker's models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counted from 0 in the order of the plan.
    pub model: u32,
    /// Its program was seen to run.
    pub started: bool,
    pub end_asked: Option<EndReason>,
    pub timer: Timer,
    pub ending: Option<Ending>,
    pub settling: Settling,
}

/// Whether what an attempt left is taken once more, after a person looked at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settling {
    #[default]
    No,
    Owed,
    Runs,
}

/// The time limit of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    Owed,
    Runs,
    Over,
}

/// The pause before the next attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    #[default]
    None,
    Runs,
    Over,
}

/// What may still be tried for a worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub models: u32,
    pub retry: Retry,
    pub on_lost: OnLost,
    pub timeout_ms: u64,
    /// How often its models are gone through while none can be had.
    pub rounds_max: u32,
    pub salt: u64,
}

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Fresh,
    Live,
    Again {
        model: u32,
        pause_ms: u64,
    },
    /// What its last attempt left is to be taken once more.
    Unsettled,
    Settled(Settled),
}

/// How a worker stands at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Done,
    Failed,
    Attention,
    /// It was ended because the phase or the run no longer needed it.
    Dropped,
}

impl Rules {
    pub fn worker(phase: &PhasePlan, worker: &WorkerPlan) -> Rules {
        let most = phase.limits.timeout_per_agent_ms.unwrap_or(u64::MAX);
        Rules {
            models: u32::try_from(worker.models.len()).unwrap_or(u32::MAX),
            retry: phase.retry,
            on_lost: phase.on_lost,
            timeout_ms: worker.session.timeout_ms.min(most),
            rounds_max: failover::ROUNDS_MAX,
            salt: failover::salt(&[phase.name.as_str(), worker.name.as_str()]),
        }
    }

    /// A step is run as often as the rules say, and never because it failed.
    pub fn step(phase: &PhasePlan, step: &WorkerPlan) -> Rules {
        let rules = Rules::worker(phase, step);
        Rules { retry: Retry { max: 0, backoff_ms: 0 }, on_lost: OnLost::Fail, ..rules }
    }

    /// The mender has one try, on the models of the phase's first worker.
    pub fn mender(phase: &PhasePlan, first: &WorkerPlan) -> Rules {
        let rules = Rules::worker(phase, first);
        Rules {
            retry: Retry { max: 0, backoff_ms: 0 },
            on_lost: OnLost::Fail,
            timeout_ms: rules.timeout_ms.min(MEND_MS_MAX),
            rounds_max: 1,
            ..rules
        }
    }

    /// Whether a worker that ended badly this often is tried once more, and the pause before it.
    ///
    /// On this machine a lost session cannot come back, so `wait` has nothing to wait for: it counts as a failure,
    /// as `fail` does, and `retry` applies. `restart` has its own bounded number of tries first.
    fn again(&self, failed: u32, lost: u32) -> Option<u64> {
        let restarts = if self.on_lost == OnLost::Restart { lost.min(LOST_RESTARTS_MAX) } else { 0 };
        let repeated = failed + lost - restarts;
        if repeated > self.retry.max {
            return None;
        }
        let doublings = (failed + lost).saturating_sub(1).min(63);
        Some(self.retry.backoff_ms.saturating_mul(1 << doublings).min(BACKOFF_MS_MAX))
    }
}

impl WorkerCourse {
    /// From the first on; the n-th has number n.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The number of the attempt that lives.
    pub fn live(&self) -> Option<u32> {
        self.attempts.last().filter(|last| last.ending.is_none()).map(|_| self.count())
    }

    pub fn is_done(&self) -> bool {
        self.attempts.last().is_some_and(|last| last.verdict() == Some(&Outcome::Done))
    }

    /// Whether any turn of a talk came to a good end.
    pub(super) fn has_spoken(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.verdict() == Some(&Outcome::Done))
    }

    /// Whether its last attempt was ended because nobody needed more of it.
    pub(super) fn was_cut_short(&self) -> bool {
        self.attempts.last().is_some_and(|last| last.end_asked == Some(EndReason::NotNeeded))
    }

    /// The model of its last attempt.
    pub(super) fn last_model(&self) -> Option<u32> {
        self.attempts.last().map(|last| last.model)
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn pause(&self) -> Pause {
        self.pause
    }

    pub(super) fn set_pause(&mut self, pause: Pause) {
        self.pause = pause;
    }

    pub(super) fn begin(&mut self, model: u32) {
        self.pause = Pause::None;
        self.attempts.push(Attempt {
            model,
            started: false,
            end_asked: None,
            timer: Timer::Owed,
            ending: None,
            settling: Settling::No,
        });
    }

    /// Begins anew: on its first model, with all its tries.
    pub(super) fn renew(&mut self) {
        self.counted_from = self.attempts.len();
        self.pause = Pause::None;
    }

    /// A person has looked at what it needed: where its program came to a good end, what it left is taken once more,
    /// else it begins anew.
    pub(super) fn resume(&mut self) {
        match self.attempts.last_mut() {
            Some(last) if last.ending.as_ref().is_some_and(|ending| ending.answered) => {
                last.settling = Settling::Owed;
            }
            _ => self.renew(),
        }
    }

    /// Its last attempt lives again, without a program and without a time limit.
    pub(super) fn settle(&mut self) -> bool {
        let Some(last) = self.attempts.last_mut().filter(|last| last.settling == Settling::Owed) else {
            return false;
        };
        last.settling = Settling::Runs;
        last.ending = None;
        last.end_asked = None;
        last.timer = Timer::Over;
        true
    }

    /// Those that count for what comes next.
    pub(super) fn counted(&self) -> &[Attempt] {
        self.attempts.get(self.counted_from..).unwrap_or_default()
    }

    /// The attempt of this number, if it is the one that lives.
    pub(super) fn live_mut(&mut self, number: u32) -> Option<&mut Attempt> {
        if self.live() == Some(number) { self.attempts.last_mut() } else { None }
    }

    pub(super) fn standing(&self, rules: &Rules) -> Standing {
        let Some(last) = self.counted().last() else {
            return Standing::Fresh;
        };
        let Some(verdict) = last.verdict() else {
            return Standing::Live;
        };
        if last.settling == Settling::Owed {
            return Standing::Unsettled;
        }
        match (verdict, last.end_asked) {
            (Outcome::Done, _) => Standing::Settled(Settled::Done),
            (Outcome::NeedsAttention { .. }, _) => Standing::Settled(Settled::Attention),
            (_, Some(EndReason::TimedOut)) => Standing::Settled(Settled::Failed),
            (_, Some(EndReason::Cancelled | EndReason::NotNeeded)) => Standing::Settled(Settled::Dropped),
            // A time limit is the user's own and a kill by hand a person's will: neither is answered by trying again.
            (Outcome::TimedOut | Outcome::Cancelled, None) => Standing::Settled(Settled::Failed),
            (Outcome::Unavailable { .. }, None) => {
                match failover::next(self.counted(), rules.models, rules.rounds_max, rules.salt) {
                    Some((model, pause_ms)) => Standing::Again { model, pause_ms },
                    None => Standing::Settled(Settled::Failed),
                }
            }
            (Outcome::Misshapen { .. }, None) if self.misshapen() == 1 => {
                Standing::Again { model: last.model, pause_ms: 0 }
            }
            (Outcome::Misshapen { .. }, None) => Standing::Settled(Settled::Failed),
            (Outcome::Failed { .. } | Outcome::Lost { .. }, None) => self.repeated(last.model, rules),
        }
    }

    /// How often its outputs had not the shape they must have: it may mend them once.
    fn misshapen(&self) -> usize {
        let misshapen = |outcome: &&Outcome| matches!(outcome, Outcome::Misshapen { .. });
        self.counted().iter().filter_map(Attempt::verdict).filter(misshapen).count()
    }

    fn repeated(&self, model: u32, rules: &Rules) -> Standing {
        let count = |of: fn(&Outcome) -> bool| {
            let counted =
                self.counted().iter().filter_map(Attempt::verdict).filter(|outcome| of(outcome)).count();
            u32::try_from(counted).unwrap_or(u32::MAX)
        };
        let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
        let lost = count(|outcome| matches!(outcome, Outcome::Lost { .. }));
        match rules.again(failed, lost) {
            Some(pause_ms) => Standing::Again { model, pause_ms },
            None => Standing::Settled(Settled::Failed),
        }
    }
}

impl Attempt {
    fn verdict(&self) -> Option<&Outcome> {
        self.ending.as_ref().map(|ending| &ending.outcome)
    }

    /// The attempt's end in a few words, with the model it was made on.
    pub(super) fn told(&self, plan: &WorkerPlan) -> String {
        let model = usize::try_from(self.model).ok().and_then(|at| plan.models.get(at));
        let model = model.map_or("?", |model| model.reference.as_str());
        let end = match self.verdict() {
            None => "still runs".to_owned(),
            _ if self.end_asked == Some(EndReason::TimedOut) => "ran out of time".to_owned(),
            Some(Outcome::Done) => "done".to_owned(),
            Some(Outcome::TimedOut) => "ran out of time".to_owned(),
            Some(Outcome::Cancelled) => "was ended by hand".to_owned(),
            Some(
                Outcome::Failed { reason }
                | Outcome::Unavailable { reason, .. }
                | Outcome::Misshapen { reason }
                | Outcome::NeedsAttention { reason }
                | Outcome::Lost { reason },
            ) => reason.clone(),
        };
        format!("{model} ({end})")
    }
}
