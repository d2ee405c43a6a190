//! How long a session may take: the tighter of its own bound and the run's.

use super::{Facts, Launch, LaunchError};

/// A hundred days; what is meant to stay longer is no session of a run.
const TIMEOUT_MS_MAX: u64 = 100 * 24 * 60 * 60 * 1000;

pub(super) fn apply(mut launch: Launch, facts: &Facts) -> Result<Launch, LaunchError> {
    let own = facts.plan.timeout_ms;
    if !(1..=TIMEOUT_MS_MAX).contains(&own) {
        return Err(LaunchError::OutOfBounds { field: "timeout_ms", value: own, max: TIMEOUT_MS_MAX });
    }
    launch.timeout_ms = facts.timeout_ms_max.map_or(own, |max| own.min(max));
    Ok(launch)
}
