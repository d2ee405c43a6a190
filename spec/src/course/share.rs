//! Bounds that hold over a run and everything that is begun inside it.
//!
//! A run of a person's counts for itself. One that was begun inside another asks every run above before it takes
//! something more, and each of those counts it as its own: nobody takes what somebody else was promised, and a child can
//! only narrow what there is.

use serde::{Deserialize, Serialize};

use super::halt::Halt;
use super::next::granted;
use super::{Command, RunCourse};
use crate::name::RunId;
use crate::usage::{dollars, price};

/// What costs are counted in between runs: a hundredth of a cent.
pub const COST_UNIT_USD_MILLIONTHS: u64 = 100;

/// What is bounded over a whole tree of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    Agents,
    Turns,
    Letters,
    /// What was spent and what is set aside, in units of [`COST_UNIT_USD_MILLIONTHS`].
    Cost,
    /// The same at the end of a run, when nothing is set aside any more. A fact, which nobody can refuse.
    Spent,
}

impl Bound {
    /// As a document calls it.
    pub fn word(self) -> &'static str {
        match self {
            Bound::Agents => "max_total_agents",
            Bound::Turns => "max_turns",
            Bound::Letters => "max_messages",
            Bound::Cost | Bound::Spent => "max_cost_usd",
        }
    }

    /// So much of it, as people read it.
    pub fn told(self, total: u32) -> String {
        match self {
            Bound::Cost | Bound::Spent => dollars(u64::from(total) * COST_UNIT_USD_MILLIONTHS),
            Bound::Agents | Bound::Turns | Bound::Letters => total.to_string(),
        }
    }
}

fn units(millionths: u64) -> u32 {
    u32::try_from(millionths.div_ceil(COST_UNIT_USD_MILLIONTHS)).unwrap_or(u32::MAX)
}

/// So much of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    agents: u32,
    turns: u32,
    letters: u32,
    /// As it was said last: what is set aside is given back.
    #[serde(default)]
    cost: u32,
}

impl Share {
    pub fn of(&self, bound: Bound) -> u32 {
        match bound {
            Bound::Agents => self.agents,
            Bound::Turns => self.turns,
            Bound::Letters => self.letters,
            Bound::Cost | Bound::Spent => self.cost,
        }
    }

    fn set(&mut self, bound: Bound, total: u32) {
        match bound {
            Bound::Agents => self.agents = total.max(self.agents),
            Bound::Turns => self.turns = total.max(self.turns),
            Bound::Letters => self.letters = total.max(self.letters),
            Bound::Cost | Bound::Spent => self.cost = total,
        }
    }
}

/// What a run that was begun inside others has been promised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    has: Share,
    /// It has asked for this much, and waits for the answer.
    asks: Option<(Bound, u32)>,
    /// A run above cannot pay for one more now; when one of those who live has ended, less may be set aside.
    #[serde(default)]
    waits: bool,
    /// A run above has no more.
    pub(super) withheld: Option<Withheld>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    pub of: Bound,
    pub limit: u32,
    pub by: RunId,
}

impl RunCourse {
    /// What the run has had, itself and inside it.
    pub(super) fn had(&self, bound: Bound) -> u32 {
        self.own(bound).saturating_add(self.all_lent(bound))
    }

    pub(super) fn all_lent(&self, bound: Bound) -> u32 {
        self.state.lent.values().fold(0, |sum, share| sum.saturating_add(share.of(bound)))
    }

    fn own(&self, bound: Bound) -> u32 {
        match bound {
            Bound::Agents => self.state.attempts,
            Bound::Turns => self.state.turns,
            Bound::Letters => u32::try_from(self.state.letters).unwrap_or(u32::MAX),
            Bound::Cost | Bound::Spent => units(self.state.budget.held()),
        }
    }

    /// What the run may have, with what a person has granted since.
    pub fn bound(&self, bound: Bound) -> u32 {
        let (limits, state) = (&self.plan.limits, &self.state);
        match bound {
            Bound::Agents => granted(limits.max_total_agents, state.granted),
            Bound::Turns => granted(limits.max_turns, state.granted_turns),
            Bound::Letters => granted(limits.max_messages, state.granted_letters),
            Bound::Cost | Bound::Spent => {
                let max = limits.max_cost_usd.and_then(price::millionths);
                max.map_or(u32::MAX, |max| {
                    let max = max.saturating_mul(u64::from(state.budget.granted) + 1);
                    u32::try_from(max / COST_UNIT_USD_MILLIONTHS).unwrap_or(u32::MAX)
                })
            }
        }
    }

    /// What was promised to a run inside this one.
    pub fn lent(&self, to: &RunId) -> Share {
        self.state.lent.get(to).copied().unwrap_or_default()
    }

    /// Whether the next one of these has to be asked for first; the question, where it was not asked yet.
    pub(super) fn owes(&self, bound: Bound) -> Option<Option<(Bound, u32)>> {
        // A letter is asked for when it was sent; the others before they begin.
        let next = u32::from(bound != Bound::Letters);
        self.owes_up_to(bound, self.own(bound).saturating_add(next))
    }

    /// The same for an attempt for which so much is to be set aside. No run above has a bound of costs where this one has
    /// none: what it may spend is never more than they may.
    pub(super) fn owes_cost(&self, next: u64) -> Option<Option<(Bound, u32)>> {
        self.plan.limits.max_cost_usd?;
        self.owes_up_to(Bound::Cost, units(self.state.budget.held().saturating_add(next)))
    }

    fn owes_up_to(&self, bound: Bound, wanted: u32) -> Option<Option<(Bound, u32)>> {
        let promise = self.state.promise.as_ref()?;
        if promise.has.of(bound) >= wanted {
            return None;
        }
        let may_ask = promise.asks.is_none() && promise.withheld.is_none() && !promise.waits;
        Some(may_ask.then_some((bound, wanted)))
    }

    /// What the run has spent is to be said before it ends; the word, where it was not said yet.
    ///
    /// One that is cancelled does not wait for that: the run above may be gone. What was set aside for it stays.
    pub(super) fn unsettled(&self) -> Option<Option<Command>> {
        let promise = self.state.promise.as_ref()?;
        let own = self.own(Bound::Spent);
        let cancelled = matches!(self.state.halt, Some(Halt::Cancel { .. }));
        if cancelled || self.plan.limits.max_cost_usd.is_none() || promise.has.of(Bound::Spent) == own {
            return None;
        }
        Some(promise.asks.is_none().then_some(Command::Reserve { of: Bound::Spent, total: own }))
    }

    /// One of those who lived has ended.
    pub(super) fn may_pay_again(&mut self) {
        if let Some(promise) = &mut self.state.promise {
            promise.waits = false;
        }
    }

    pub(super) fn reserving(&self) -> Option<Command> {
        let (of, total) = self.state.promise.as_ref()?.asks?;
        Some(Command::Reserve { of, total })
    }

    pub(super) fn take_reserve(&mut self, of: Bound, total: u32) {
        if let Some(promise) = &mut self.state.promise {
            promise.asks = Some((of, total));
        }
    }

    pub(super) fn reserved(&mut self, of: Bound, total: u32) -> bool {
        let Some(promise) = self.state.promise.as_mut().filter(|one| one.asks == Some((of, total))) else {
            return false;
        };
        promise.asks = None;
        promise.has.set(of, total);
        true
    }

    pub(super) fn withheld(&mut self, withheld: &Withheld) -> bool {
        let lives = self.state.live > 0;
        let Some(promise) = &mut self.state.promise else { return false };
        let Some((of, total)) = promise.asks.filter(|(of, _)| *of == withheld.of) else { return false };
        promise.asks = None;
        match of {
            Bound::Cost if lives => promise.waits = true,
            // The run above is over and counts no more.
            Bound::Spent => promise.has.set(of, total),
            _ => promise.withheld = Some(withheld.clone()),
        }
        true
    }

    /// A run inside asks for so much, all together; it is promised if there is so much left.
    pub(super) fn lends(&mut self, to: &RunId, of: Bound, total: u32) -> bool {
        let before = self.lent(to).of(of);
        if self.state.over.is_some() {
            return false;
        }
        let is_there = match of {
            Bound::Spent => total != before,
            _ => total > before && self.had(of).saturating_add(total - before) <= self.bound(of),
        };
        if is_there {
            self.state.lent.entry(to.clone()).or_default().set(of, total);
        }
        is_there
    }
}
