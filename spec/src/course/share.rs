//! Bounds that hold over a run and everything that is begun inside it.
//!
//! A run of a person's counts for itself. One that was begun inside another asks every run above before it takes
//! something more, and each of those counts it as its own: nobody takes what somebody else was promised, and a child can
//! only narrow what there is.

use serde::{Deserialize, Serialize};

use super::next::granted;
use super::{Command, RunCourse};
use crate::name::RunId;

/// What is bounded over a whole tree of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    Agents,
    Turns,
    Letters,
}

impl Bound {
    /// As a document calls it.
    pub fn word(self) -> &'static str {
        match self {
            Bound::Agents => "max_total_agents",
            Bound::Turns => "max_turns",
            Bound::Letters => "max_messages",
        }
    }
}

/// So much of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    agents: u32,
    turns: u32,
    letters: u32,
}

impl Share {
    pub fn of(&self, bound: Bound) -> u32 {
        match bound {
            Bound::Agents => self.agents,
            Bound::Turns => self.turns,
            Bound::Letters => self.letters,
        }
    }

    fn raise(&mut self, bound: Bound, total: u32) {
        let own = match bound {
            Bound::Agents => &mut self.agents,
            Bound::Turns => &mut self.turns,
            Bound::Letters => &mut self.letters,
        };
        *own = total.max(*own);
    }
}

/// What a run that was begun inside others has been promised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    has: Share,
    /// It has asked for this much, and waits for the answer.
    asks: Option<(Bound, u32)>,
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
        let lent: u32 = self.state.lent.values().map(|share| share.of(bound)).sum();
        self.own(bound).saturating_add(lent)
    }

    fn own(&self, bound: Bound) -> u32 {
        match bound {
            Bound::Agents => self.state.attempts,
            Bound::Turns => self.state.turns,
            Bound::Letters => u32::try_from(self.state.letters).unwrap_or(u32::MAX),
        }
    }

    /// What the run may have, with what a person has granted since.
    pub fn bound(&self, bound: Bound) -> u32 {
        let (limits, state) = (&self.plan.limits, &self.state);
        match bound {
            Bound::Agents => granted(limits.max_total_agents, state.granted),
            Bound::Turns => granted(limits.max_turns, state.granted_turns),
            Bound::Letters => granted(limits.max_messages, state.granted_letters),
        }
    }

    /// What was promised to a run inside this one.
    pub fn lent(&self, to: &RunId) -> Share {
        self.state.lent.get(to).copied().unwrap_or_default()
    }

    /// Whether the next one of these has to be asked for first; the question, where it was not asked yet.
    pub(super) fn owes(&self, bound: Bound) -> Option<Option<(Bound, u32)>> {
        let promise = self.state.promise.as_ref()?;
        let wanted = match bound {
            // A letter is asked for when it was sent; the others before they begin.
            Bound::Letters => self.own(bound),
            Bound::Agents | Bound::Turns => self.own(bound).saturating_add(1),
        };
        if promise.has.of(bound) >= wanted {
            return None;
        }
        let may_ask = promise.asks.is_none() && promise.withheld.is_none();
        Some(may_ask.then_some((bound, wanted)))
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
        promise.has.raise(of, total);
        true
    }

    pub(super) fn withheld(&mut self, withheld: &Withheld) -> bool {
        let asked = |promise: &&mut Promise| promise.asks.is_some_and(|(of, _)| of == withheld.of);
        let Some(promise) = self.state.promise.as_mut().filter(asked) else {
            return false;
        };
        promise.asks = None;
        promise.withheld = Some(withheld.clone());
        true
    }

    /// A run inside asks for so much, all together; it is promised if there is so much left.
    pub(super) fn lends(&mut self, to: &RunId, of: Bound, total: u32) -> bool {
        let before = self.lent(to).of(of);
        if total <= before || self.state.over.is_some() {
            return false;
        }
        if self.had(of).saturating_add(total - before) > self.bound(of) {
            return false;
        }
        self.state.lent.entry(to.clone()).or_default().raise(of, total);
        true
    }
}
