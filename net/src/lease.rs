//! The lease of work done elsewhere: how both ends see that they have lost each other, and what follows.
//!
//! Both count on a clock that goes on while the machine sleeps. Pure: the time comes in, what is to be done goes out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the end that gave work away sees the end that does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Standing {
    /// Heard of within the lease.
    Held,
    /// Not heard of, not yet given up: nobody knows whether it works.
    Unknown,
    /// Not heard of for the lease and the grace time.
    Lost,
}

/// The giving end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    heard_at: Duration,
    /// Without a word for so long, nothing is known any more.
    held_for: Duration,
    /// So much longer it is waited for.
    grace: Duration,
}

impl Lease {
    pub fn new(now: Duration, held_for: Duration, grace: Duration) -> Lease {
        Lease { heard_at: now, held_for, grace }
    }

    /// A word came. One that was under way when a later one came takes nothing back.
    pub fn heard(&mut self, at: Duration) {
        self.heard_at = self.heard_at.max(at);
    }

    #[must_use]
    pub fn standing(&self, now: Duration) -> Standing {
        let silent = now.saturating_sub(self.heard_at);
        if silent <= self.held_for {
            Standing::Held
        } else if silent <= self.held_for.saturating_add(self.grace) {
            Standing::Unknown
        } else {
            Standing::Lost
        }
    }

    /// When its standing may be another one; nothing once it is lost.
    #[must_use]
    pub fn look_again(&self, now: Duration) -> Option<Duration> {
        let silent = now.saturating_sub(self.heard_at);
        let tick = Duration::from_millis(1);
        let ends = [self.held_for, self.held_for.saturating_add(self.grace)];
        ends.into_iter().find(|end| silent <= *end).map(|end| end.saturating_sub(silent) + tick)
    }
}

/// The working end: it goes on alone, but not for ever.
#[must_use]
pub fn is_orphan(heard_at: Duration, now: Duration, orphan_after: Duration) -> bool {
    now.saturating_sub(heard_at) > orphan_after
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn silence_is_unknown_after_the_lease_and_lost_after_the_grace_time() {
        let mut lease = Lease::new(seconds(100), seconds(10), seconds(60));
        for (at, standing) in [
            (100, Standing::Held),
            (110, Standing::Held),
            (111, Standing::Unknown),
            (170, Standing::Unknown),
            (171, Standing::Lost),
        ] {
            assert_eq!(lease.standing(seconds(at)), standing, "{at}");
        }
        lease.heard(seconds(169));
        assert_eq!(lease.standing(seconds(171)), Standing::Held);
        lease.heard(seconds(50));
        assert_eq!(lease.standing(seconds(171)), Standing::Held, "an old word takes nothing back");
    }

    #[test]
    fn standing_only_gets_worse_without_a_word_and_each_look_finds_a_change() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let (held, grace) = (seconds(random.u64(0..50)), seconds(random.u64(0..50)));
            let lease = Lease::new(seconds(random.u64(0..1_000)), held, grace);
            let mut now = lease.heard_at;
            let mut seen = vec![lease.standing(now)];
            while let Some(after) = lease.look_again(now) {
                now += after;
                seen.push(lease.standing(now));
            }
            assert!(seen.is_sorted(), "{seen:?}");
            assert_eq!(seen.last(), Some(&Standing::Lost));
        }
    }

    #[test]
    fn work_that_nobody_asks_for_stops_by_itself() {
        assert!(!is_orphan(seconds(10), seconds(70), seconds(60)));
        assert!(is_orphan(seconds(10), seconds(71), seconds(60)));
        assert!(!is_orphan(seconds(10), seconds(5), seconds(60)), "a clock that went back proves nothing");
    }
}
