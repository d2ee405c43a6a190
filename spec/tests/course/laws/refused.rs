//! What a bystander expects after a try whose model could not be had. It shares no code with the course.

use niia_spec::course::{Outcome, ROUND_PAUSE_MS, ROUND_PAUSE_MS_MAX, ROUNDS_MAX, Unavailable};
use niia_spec::name::WorkerName;
use niia_spec::plan::WorkerPlan;

use super::seen::Try;

/// What comes next, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Now(u32),
    /// After a pause of at least so long, and less than a quarter more.
    Later(u32, u64),
    Nothing,
}

/// `tries` are those that count, the last of them refused.
pub fn then(tries: &[Try], models: u32, is_mender: bool) -> Then {
    let last = &tries[tries.len() - 1];
    let newest = |model: u32| tries.iter().rev().find(|tried| tried.model == model);
    let may_come_back = |model: u32| newest(model).is_some_and(comes_back);
    let mut after = last.model + 1;
    while after < models {
        if newest(after).is_none() || may_come_back(after) {
            return Then::Now(after);
        }
        after += 1;
    }
    let crashes = tries.iter().filter(|tried| tried.model == last.model && crashed(tried)).count();
    if cut_off(last) && crashes == 1 {
        return Then::Now(last.model);
    }
    let mut round = 1;
    for (before, after) in tries.iter().zip(&tries[1..]) {
        let taken_up = before.model == after.model && cut_off(before);
        if refused(before) && after.model <= before.model && !taken_up {
            round += 1;
        }
    }
    let rounds_max = if is_mender { 1 } else { ROUNDS_MAX };
    let Some(first) = (0..models).find(|model| may_come_back(*model)) else { return Then::Nothing };
    if round >= rounds_max {
        return Then::Nothing;
    }
    let told =
        (0..models).filter(|model| may_come_back(*model)).filter_map(|model| newest(model)?.again_in_ms);
    let grown = ROUND_PAUSE_MS * 2_u64.pow(round - 1);
    Then::Later(first, grown.max(told.min().unwrap_or(0)).min(ROUND_PAUSE_MS_MAX))
}

fn refused(tried: &Try) -> bool {
    matches!(tried.outcome, Some(Outcome::Unavailable { .. }))
}

fn crashed(tried: &Try) -> bool {
    matches!(tried.outcome, Some(Outcome::Unavailable { class: Unavailable::Crashed, .. }))
}

fn cut_off(tried: &Try) -> bool {
    crashed(tried) && tried.resumable
}

fn comes_back(tried: &Try) -> bool {
    let Some(Outcome::Unavailable { class, .. }) = &tried.outcome else { return false };
    let soon = tried.again_in_ms.is_none_or(|ms| ms <= ROUND_PAUSE_MS_MAX);
    soon && match class {
        Unavailable::RateLimited | Unavailable::Overloaded | Unavailable::Network | Unavailable::Hangs => {
            true
        }
        Unavailable::Quota => tried.again_in_ms.is_some(),
        _ => false,
    }
}

pub fn by_name<'a>(plans: &[&'a WorkerPlan], name: &WorkerName) -> &'a WorkerPlan {
    plans.iter().find(|plan| plan.name == *name).unwrap_or_else(|| panic!("no worker {name}"))
}
