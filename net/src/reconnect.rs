//! When to try again after a link broke.

use std::time::Duration;

/// The first pause: a node that was restarted is back by then.
const FIRST: Duration = Duration::from_millis(200);
/// The longest one: a person who comes back to a machine does not wait longer for it.
const LONGEST: Duration = Duration::from_secs(15);
/// Doublings before the longest pause is reached, and no shift that overflows.
const DOUBLINGS_MAX: u32 = 7;

/// The pause before the next try. `chance` is any number: it spreads the tries of many nodes over half of the pause, so
/// that they do not all knock at once where one comes back.
#[must_use]
pub fn pause(failures: u32, chance: u64) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.min(DOUBLINGS_MAX)).min(LONGEST);
    let half = whole / 2;
    let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_millis(chance % spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_never_vanish() {
        let mut random = fastrand::Rng::with_seed(3);
        for failures in 0..200 {
            let pause = pause(failures, random.u64(..));
            assert!(pause >= FIRST / 2 && pause <= LONGEST, "{failures}: {pause:?}");
        }
        assert!(pause(0, u64::MAX) < pause(3, 0));
        assert!(pause(u32::MAX, 5) >= LONGEST / 2);
    }
}
