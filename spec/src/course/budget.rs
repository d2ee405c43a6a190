//! What a run may cost: counted when an attempt ends, reserved before one begins.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::share::COST_UNIT_USD_MILLIONTHS;
use super::{Ending, RunCourse, share};
use crate::plan::{CostPlan, PhaseWork};
use crate::usage::{Total, dollars, price};

/// Set aside for an attempt whose cost nobody knows before: about what a small task of a big model costs.
pub const RESERVE_USD_MILLIONTHS: u64 = 250_000;

/// What was spent, and what is set aside for those who live.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub(super) spent: Total,
    pub(super) reserved: u64,
    /// How often the run was given as much again as its limit allows.
    pub(super) granted: u32,
    /// Attempts of unknown cost that a person has looked at.
    pub(super) forgiven: u32,
}

impl Budget {
    /// What was spent and what is set aside, in millionths of a dollar.
    pub(super) fn held(&self) -> u64 {
        self.spent.cost_usd_millionths.saturating_add(self.reserved)
    }
}

/// A bound that is reached, as people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Count(u32),
    Usd(u64),
    /// So many attempts of which nobody knows what they cost.
    Unknown(u32),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Count(count) => count.fmt(f),
            Bound::Usd(millionths) => f.write_str(&dollars(*millionths)),
            Bound::Unknown(count) => write!(f, "{count} of unknown cost"),
        }
    }
}

/// Whether one more attempt can be paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afford {
    Yes,
    /// Once those who live have ended, there may be more than what is set aside for them.
    Wait,
    No(Bound, &'static str),
}

impl RunCourse {
    /// What all attempts used that have ended.
    pub fn spent(&self) -> &Total {
        &self.state.budget.spent
    }

    pub(super) fn affords(&self, at: usize, seat: usize, model: u32) -> Afford {
        let (limits, budget) = (&self.plan.limits, &self.state.budget);
        if limits.deny_unknown_cost && budget.spent.unknown > budget.forgiven {
            return Afford::No(Bound::Unknown(budget.spent.unknown - budget.forgiven), "on_unknown_cost");
        }
        let Some(max) = limits.max_cost_usd.and_then(price::millionths) else { return Afford::Yes };
        let max = max.saturating_mul(u64::from(budget.granted) + 1);
        let (next, is_known) = self.reserve(at, seat, model);
        let lent = self.lent_millionths();
        if budget.held().saturating_add(lent).saturating_add(next) <= max {
            return Afford::Yes;
        }
        if self.state.live > 0 {
            return Afford::Wait;
        }
        // A guess keeps nobody from beginning at all.
        if budget.spent.cost_usd_millionths == 0 && lent == 0 && max > 0 && !is_known {
            return Afford::Yes;
        }
        Afford::No(Bound::Usd(max), "max_cost_usd")
    }

    /// What the runs inside this one have spent and set aside, as far as this one was told.
    fn lent_millionths(&self) -> u64 {
        u64::from(self.all_lent(share::Bound::Cost)).saturating_mul(COST_UNIT_USD_MILLIONTHS)
    }

    /// What is set aside for an attempt, and whether that is what it costs.
    pub(super) fn reserve(&self, at: usize, seat: usize, model: u32) -> (u64, bool) {
        // The run of a document asks for its own attempts.
        if matches!(self.plan.phases[at].work, PhaseWork::Connector { .. }) {
            return (0, true);
        }
        let worker = super::crew::seat(&self.plan.phases[at].work, seat)
            .or_else(|| super::crew::seat(&self.plan.phases[at].work, 0));
        let model = worker.and_then(|worker| worker.models.get(usize::try_from(model).ok()?));
        match model.and_then(|model| model.cost) {
            Some(CostPlan::PerSession(usd)) => {
                (price::millionths(usd).unwrap_or(RESERVE_USD_MILLIONTHS), true)
            }
            _ => (RESERVE_USD_MILLIONTHS, false),
        }
    }

    pub(super) fn reserves(&mut self, at: usize, seat: usize, model: u32) {
        let (reserve, _) = self.reserve(at, seat, model);
        self.state.budget.reserved = self.state.budget.reserved.saturating_add(reserve);
    }

    pub(super) fn pays(&mut self, at: usize, seat: usize, model: u32, ending: &Ending) {
        let (reserve, _) = self.reserve(at, seat, model);
        let budget = &mut self.state.budget;
        budget.reserved = budget.reserved.saturating_sub(reserve);
        budget.spent.add(ending.usage.as_ref());
        self.may_pay_again();
    }

    /// A person lets it go on: it may cost as much again, and what nobody knows is let pass.
    pub(super) fn grant_budget(&mut self) {
        let lent = self.lent_millionths();
        let budget = &mut self.state.budget;
        budget.forgiven = budget.spent.unknown;
        let max = self.plan.limits.max_cost_usd.and_then(price::millionths);
        if max.is_some_and(|max| {
            budget.spent.cost_usd_millionths.saturating_add(lent).saturating_add(RESERVE_USD_MILLIONTHS)
                > max.saturating_mul(u64::from(budget.granted) + 1)
        }) {
            budget.granted = budget.granted.saturating_add(1);
        }
    }
}
