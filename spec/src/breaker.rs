//! Breakers: who has just refused everybody is not asked again by the next run, until it may be back.
//!
//! One breaker for each provider and node, shared by all runs. Times are a monotonic clock's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::course::{Outcome, Unavailable};

/// More providers than a node has to do with; of more, the one that is asked again soonest is forgotten.
pub const BREAKERS_MAX: usize = 64;
/// The longest time for which anybody is not asked: after it one attempt finds out.
pub const OPEN_MS_MAX: u64 = 60 * 60 * 1000;
/// The first pause after a refusal for a rate or for overload; doubled with each further one.
const RATE_MS: u64 = 15_000;
const OVERLOAD_MS: u64 = 10_000;
const NETWORK_MS: u64 = 5_000;
const HANG_MS: u64 = 60_000;
/// Doubling ends here.
const DOUBLED_MS_MAX: u64 = 5 * 60 * 1000;
/// Without a known time a used-up quota is asked for again after this.
const QUOTA_MS: u64 = 30 * 60 * 1000;
/// A login does not come back by itself; a new one has a key of its own, so this is only for what nobody sees.
const LOGIN_MS: u64 = 10 * 60 * 1000;

/// Who is not asked now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakers {
    open: BTreeMap<String, Open>,
}

/// One that is open, or was and has not been tried since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub class: Unavailable,
    /// What it said.
    pub reason: String,
    pub until_ms: u64,
    /// Refusals in a row.
    pub times: u32,
}

impl Breakers {
    /// Why the provider is not asked now, and for how long it is not; nothing where it may be asked.
    pub fn stands(&self, key: &str, now_ms: u64) -> Option<(&Open, u64)> {
        let open = self.open.get(key)?;
        let left = open.until_ms.checked_sub(now_ms).filter(|left| *left > 0)?;
        Some((open, left))
    }

    /// All that stand now, for people.
    pub fn all(&self, now_ms: u64) -> Vec<(&str, &Open, u64)> {
        let keys = self.open.keys();
        keys.filter_map(|key| self.stands(key, now_ms).map(|(open, left)| (key.as_str(), open, left)))
            .collect()
    }

    /// Takes in how an attempt ended that had asked the provider; answers whether that changed anything.
    pub fn note(&mut self, key: &str, outcome: &Outcome, again_in_ms: Option<u64>, now_ms: u64) -> bool {
        match outcome {
            Outcome::Done => self.open.remove(key).is_some(),
            Outcome::Unavailable { class, reason } => self.refused(key, *class, reason, again_in_ms, now_ms),
            // It was not for want of the provider; whether that is there nobody has learnt.
            _ => false,
        }
    }

    fn refused(
        &mut self,
        key: &str,
        class: Unavailable,
        reason: &str,
        again: Option<u64>,
        now_ms: u64,
    ) -> bool {
        let times = self.open.get(key).map_or(0, |open| open.times).saturating_add(1);
        let Some(first) = pause(class) else { return false };
        let doubled = if class.passes() {
            first.saturating_mul(1 << (times - 1).min(16)).min(DOUBLED_MS_MAX.max(first))
        } else {
            first
        };
        let until_ms = now_ms.saturating_add(again.unwrap_or(doubled).min(OPEN_MS_MAX));
        self.open.insert(key.to_owned(), Open { class, reason: reason.to_owned(), until_ms, times });
        while self.open.len() > BREAKERS_MAX {
            let soonest = self.open.iter().min_by_key(|(_, open)| open.until_ms).map(|(key, _)| key.clone());
            if let Some(key) = soonest {
                self.open.remove(&key);
            }
        }
        true
    }
}

/// For how long nobody asks after the first refusal; nothing where the trouble is not the provider's.
fn pause(class: Unavailable) -> Option<u64> {
    match class {
        Unavailable::RateLimited => Some(RATE_MS),
        Unavailable::Overloaded => Some(OVERLOAD_MS),
        Unavailable::Network => Some(NETWORK_MS),
        Unavailable::Hangs => Some(HANG_MS),
        Unavailable::Quota => Some(QUOTA_MS),
        Unavailable::NotLoggedIn => Some(LOGIN_MS),
        Unavailable::NotInstalled | Unavailable::BadModel | Unavailable::Crashed => None,
    }
}

/// In what time a refusal says the provider is there again; nothing where it does not say, or not clearly.
pub fn again_in_ms(text: &str, wall_s: u64) -> Option<u64> {
    let lower = text.to_lowercase();
    relative(&lower).or_else(|| epoch(&lower, wall_s))
}

/// `try again in 20s`, `retry after 2 minutes`, `resets in 3h 20m`.
fn relative(text: &str) -> Option<u64> {
    const BEGINS: [&str; 6] =
        ["again in ", "retry after ", "retry in ", "resets in ", "reset in ", "retry-after: "];
    let rest = BEGINS.iter().find_map(|begin| text.split_once(begin).map(|(_, rest)| rest))?;
    let mut total = 0_u64;
    let mut any = false;
    let mut rest = rest.trim_start_matches("about ");
    loop {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let Ok(number) = rest[..digits].parse::<u64>() else { break };
        // Fractions of a second do not matter.
        let after = rest[digits..].trim_start_matches(|c: char| c == '.' || c.is_ascii_digit()).trim_start();
        let word = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let unit = match &after[..word] {
            "ms" => 1,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
            "h" | "hr" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => break,
        };
        total = total.saturating_add(number.saturating_mul(unit));
        any = true;
        rest = after[word..].trim_start_matches([' ', ',']).trim_start_matches("and ");
    }
    any.then_some(total)
}

/// `limit reached|1735689600`: a second since 1970.
fn epoch(text: &str, wall_s: u64) -> Option<u64> {
    let (_, rest) = text.split_once("reached|")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let at: u64 = digits.parse().ok().filter(|_| digits.len() == 10)?;
    at.checked_sub(wall_s).map(|left| left.saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(class: Unavailable) -> Outcome {
        Outcome::Unavailable { class, reason: "so it said".into() }
    }

    #[test]
    fn each_class_closes_a_provider_for_its_time_and_more_often_for_longer() {
        use Unavailable::*;
        let rows: [(Unavailable, &[u64]); 9] = [
            (RateLimited, &[15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000]),
            (Overloaded, &[10_000, 20_000, 40_000]),
            (Network, &[5_000, 10_000]),
            (Hangs, &[60_000, 120_000]),
            (Quota, &[1_800_000, 1_800_000]),
            (NotLoggedIn, &[600_000, 600_000]),
            (NotInstalled, &[0]),
            (BadModel, &[0]),
            (Crashed, &[0, 0, 0]),
        ];
        for (class, pauses) in rows {
            let mut breakers = Breakers::default();
            for (n, pause) in pauses.iter().enumerate() {
                let _ = breakers.note("claude", &refusal(class), None, 1_000);
                let left = breakers.stands("claude", 1_000).map_or(0, |(_, left)| left);
                assert_eq!(left, *pause, "{class:?} {n}");
            }
        }
    }

    #[test]
    fn what_a_provider_says_of_its_return_counts_and_a_good_end_closes_the_breaker() {
        let mut breakers = Breakers::default();
        assert!(breakers.note("a", &refusal(Unavailable::RateLimited), Some(2_000), 0));
        assert_eq!(breakers.stands("a", 1_999).unwrap().1, 1);
        assert_eq!(breakers.stands("a", 2_000), None);
        assert_eq!(breakers.stands("b", 0), None, "each provider has its own");
        assert!(breakers.note("a", &refusal(Unavailable::Quota), Some(u64::MAX), 0));
        assert_eq!(breakers.stands("a", 0).unwrap().1, OPEN_MS_MAX);
        assert!(!breakers.note("a", &Outcome::Failed { reason: String::new() }, None, 0));
        assert!(breakers.stands("a", 0).is_some(), "a poor answer says nothing of the provider");
        assert!(breakers.note("a", &Outcome::Done, None, 0));
        assert_eq!(breakers.stands("a", 0), None);
    }

    #[test]
    fn breakers_have_a_bound() {
        let mut breakers = Breakers::default();
        for n in 0..BREAKERS_MAX as u64 + 9 {
            let _ = breakers.note(&n.to_string(), &refusal(Unavailable::RateLimited), Some(1_000 + n), 0);
        }
        assert_eq!(breakers.all(0).len(), BREAKERS_MAX);
        assert!(breakers.stands("0", 0).is_none(), "the one that is back soonest is forgotten");
    }

    #[test]
    fn a_time_of_return_is_read_where_it_is_clear() {
        for (text, wanted) in [
            ("Rate limit reached. Please try again in 20s.", Some(20_000)),
            ("please try again in 1.5s", Some(1_000)),
            ("You've hit your usage limit. Try again in 3 hours 20 minutes.", Some(12_000_000)),
            ("resets in 2 days, 4h", Some(187_200_000)),
            ("retry after 30 seconds", Some(30_000)),
            ("Claude AI usage limit reached|1735689600", Some(100_000)),
            ("Claude AI usage limit reached|1", None),
            ("try again in a while", None),
            ("try again later", None),
            ("", None),
        ] {
            assert_eq!(again_in_ms(text, 1_735_689_500), wanted, "{text}");
        }
    }
}
