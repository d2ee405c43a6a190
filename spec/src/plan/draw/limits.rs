//! Limits: the defaults, the document's, and the tighter of those and a phase's own.

use crate::document::{Document, LimitsSpec, UnknownCost};
use crate::plan::{Limits, OnBreach};

const MAX_DEPTH_DEFAULT: u32 = 8;
pub(crate) const MAX_TOTAL_AGENTS_DEFAULT: u32 = 200;
const MAX_MESSAGES_DEFAULT: u32 = 500;
const MAX_TURNS_DEFAULT: u32 = 200;

fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

pub(super) fn document(document: &Document) -> Limits {
    let none = LimitsSpec::default();
    let given = document.limits.as_ref().map_or(&none, |limits| &limits.value);
    let may = document.capabilities.as_ref();
    Limits {
        max_depth: given.max_depth.as_ref().map_or(MAX_DEPTH_DEFAULT, |n| number(n.0)),
        max_total_agents: given.max_total_agents.as_ref().map_or(MAX_TOTAL_AGENTS_DEFAULT, |n| number(n.0)),
        max_parallel: given.max_parallel.as_ref().map(|n| number(n.0)),
        max_cost_usd: given.max_cost_usd.as_ref().map(|usd| usd.0),
        timeout_per_agent_ms: given.timeout_per_agent_ms.as_ref().map(|ms| ms.0),
        max_messages: given.max_messages.as_ref().map_or(MAX_MESSAGES_DEFAULT, |n| number(n.0)),
        max_turns: given.max_turns.as_ref().map_or(MAX_TURNS_DEFAULT, |n| number(n.0)),
        on_breach: given.on_breach.as_ref().map_or(OnBreach::Pause, |rule| rule.value),
        deny_unknown_cost: given.on_unknown_cost.as_ref().is_some_and(|rule| rule.value == UnknownCost::Deny),
        may_spawn: may.and_then(|may| may.spawn.as_ref()).is_none_or(|spawn| spawn.value),
        may_end: may.and_then(|may| may.end.as_ref()).is_some_and(|end| end.value),
    }
}

/// The tighter of the document's limits and a phase's own.
pub(super) fn phase(outer: &Limits, own: Option<&LimitsSpec>) -> Limits {
    let Some(own) = own else {
        return outer.clone();
    };
    let tighter = |outer: u32, own: Option<u64>| own.map_or(outer, |own| outer.min(number(own)));
    let tighter_if = |outer: Option<u64>, own: Option<u64>| match (outer, own) {
        (Some(outer), Some(own)) => Some(outer.min(own)),
        (outer, own) => outer.or(own),
    };
    Limits {
        max_depth: tighter(outer.max_depth, own.max_depth.as_ref().map(|n| n.0)),
        max_total_agents: tighter(outer.max_total_agents, own.max_total_agents.as_ref().map(|n| n.0)),
        max_parallel: tighter_if(outer.max_parallel.map(u64::from), own.max_parallel.as_ref().map(|n| n.0))
            .map(number),
        max_cost_usd: match (outer.max_cost_usd, own.max_cost_usd.as_ref().map(|usd| usd.0)) {
            (Some(outer), Some(own)) => Some(outer.min(own)),
            (outer, own) => outer.or(own),
        },
        timeout_per_agent_ms: tighter_if(
            outer.timeout_per_agent_ms,
            own.timeout_per_agent_ms.as_ref().map(|ms| ms.0),
        ),
        max_messages: tighter(outer.max_messages, own.max_messages.as_ref().map(|n| n.0)),
        max_turns: tighter(outer.max_turns, own.max_turns.as_ref().map(|n| n.0)),
        on_breach: match own.on_breach.as_ref().map(|rule| rule.value) {
            Some(OnBreach::Stop) => OnBreach::Stop,
            _ => outer.on_breach,
        },
        deny_unknown_cost: outer.deny_unknown_cost
            || own.on_unknown_cost.as_ref().is_some_and(|rule| rule.value == UnknownCost::Deny),
        may_spawn: outer.may_spawn,
        may_end: outer.may_end,
    }
}
