//! What a plan may cost, as far as that can be said before.

use crate::plan::{CostPlan, Plan, WorkerPlan};
use crate::usage::{dollars, price};

/// From what every worker costs on its first model to what it costs where every try is needed. Nothing is said of a plan
/// in which nobody speaks of costs.
pub(super) fn range(plan: &Plan) -> String {
    let (mut least, mut most, mut unknown, mut any) =
        (0_u64, 0_u64, 0_u32, plan.limits.max_cost_usd.is_some());
    for phase in &plan.phases {
        let tries = u64::from(phase.retry.max) + 1;
        for worker in phase.work.workers() {
            let known = costs(worker);
            any |= !known.is_empty();
            match (known.first(), known.iter().max()) {
                (Some(first), Some(dearest)) if known.len() == worker.models.len() => {
                    least = least.saturating_add(*first);
                    most = most.saturating_add(dearest.saturating_mul(tries));
                }
                _ => unknown += 1,
            }
        }
    }
    if !any {
        return String::new();
    }
    let known = match (least, most) {
        (0, 0) => String::new(),
        (least, most) if least == most => dollars(least),
        (least, most) => format!("{} to {}", dollars(least), dollars(most)),
    };
    let unknown = match unknown {
        0 => String::new(),
        1 => "unknown for 1 worker".to_owned(),
        n => format!("unknown for {n} workers"),
    };
    let limit = plan.limits.max_cost_usd.and_then(price::millionths);
    let limit = limit.map(|limit| format!("{} at most", dollars(limit))).unwrap_or_default();
    [known, unknown, limit].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// What the worker's models cost a session, those of which the document says it.
fn costs(worker: &WorkerPlan) -> Vec<u64> {
    let cost = |cost: Option<CostPlan>| match cost {
        Some(CostPlan::PerSession(usd)) => price::millionths(usd),
        _ => None,
    };
    worker.models.iter().filter_map(|model| cost(model.cost)).collect()
}
