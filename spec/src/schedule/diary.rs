//! When a kept document is run: decided from the time, from what was decided before, and from nothing else.
//!
//! A firing is known by its time in the schedule. What was once started, set waiting or skipped is never started again,
//! whatever the clock does. What was missed only by a clock that ran ahead comes when its time has really come.

use std::collections::VecDeque;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::plan::Overlap;

/// A firing that is dealt with within this time was not missed: lines of cron count in minutes.
pub const ON_TIME_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// Missed firings that are counted one by one; of more it is said that there are at least so many.
pub const MISSED_COUNTED_MAX: u32 = 10_000;
/// Events that wait for their run, of one document; past it the caller is told to come back.
pub const EVENTS_WAITING_MAX: usize = 1_000;
/// Runs of one document at a time where it lets several be: more would take the machine from everybody else.
pub const RUNS_AT_ONCE_MAX: usize = 4;

/// By what a document's firings are decided.
#[derive(Clone, Debug)]
pub struct Rules {
    pub schedule: Schedule,
    pub zone: TimeZone,
    pub catch_up_once: bool,
    pub overlap: Overlap,
    pub jitter_ms: u64,
    /// Tells the delays of one document apart from those of another.
    pub seed: u64,
}

/// Why a run is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A time of the schedule; `late` where it is made up for.
    Time { at: Timestamp, late: bool },
    /// An event, by its number.
    Event { number: u64 },
    /// A person said so.
    Person,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Start(Occasion),
    /// These were missed; `more` where not all were counted.
    Missed {
        first: Timestamp,
        last: Timestamp,
        count: u32,
        more: bool,
    },
    Skipped {
        at: Timestamp,
        why: Skip,
    },
    /// It waits for the end of a run.
    Waits(Occasion),
    /// Too many events wait already.
    Full {
        number: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// The last run was still going on.
    StillRunning,
    /// One was waiting for its end already.
    OneWaits,
    /// As many runs as there may be at a time were going on.
    TooMany,
}

impl Skip {
    pub fn words(self) -> &'static str {
        match self {
            Skip::StillRunning => "the last run was still going on",
            Skip::OneWaits => "one firing was waiting already",
            Skip::TooMany => "as many runs as there may be at a time were going on",
        }
    }
}

/// What is remembered of a kept document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diary {
    /// The last time of the schedule that was dealt with, in whatever way.
    pub seen: Timestamp,
    /// The last one that was decided for good.
    pub decided: Option<Timestamp>,
    /// What will be begun when there is room.
    pub waiting: VecDeque<Occasion>,
}

/// Firings that nobody dealt with in time.
#[derive(Clone, Copy)]
struct Missed {
    first: Timestamp,
    last: Timestamp,
    count: u32,
    more: bool,
}

impl Rules {
    /// How late a firing is, so that not every machine begins in the same moment: always the same for the same time, and
    /// never past the next one.
    fn delay(&self, at: Timestamp) -> SignedDuration {
        if self.jitter_ms == 0 {
            return SignedDuration::ZERO;
        }
        let gap = self.schedule.next_after(at, &self.zone).map_or(i64::MAX, |next| {
            next.as_millisecond().saturating_sub(at.as_millisecond()).saturating_sub(1)
        });
        let most = self.jitter_ms.min(u64::try_from(gap).unwrap_or(0));
        let random = mixed(self.seed ^ at.as_second().cast_unsigned());
        SignedDuration::from_millis(i64::try_from(random % most.saturating_add(1)).unwrap_or(0))
    }

    fn after(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let next = self.schedule.next_after(at, &self.zone)?;
        Some((next, next.saturating_add(self.delay(next)).unwrap_or(next)))
    }

    /// The next times after a moment, as they stand in the schedule.
    pub fn next_times(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        let next = |at: &Timestamp| self.schedule.next_after(*at, &self.zone);
        std::iter::successors(next(&now), next).take(count).collect()
    }
}

/// Spreads a number over all numbers (splitmix64, public domain).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Diary {
    /// Of a document that is kept from now on.
    pub fn begun(now: Timestamp) -> Diary {
        Diary { seen: now, decided: None, waiting: VecDeque::new() }
    }

    /// When it must be looked again.
    pub fn due(&self, rules: &Rules) -> Option<Timestamp> {
        rules.after(self.seen).map(|(_, due)| due)
    }

    /// The time is `now`, and so many runs of the document are going on.
    #[must_use]
    pub fn look(&mut self, rules: &Rules, now: Timestamp, live: usize) -> Vec<Order> {
        if now < self.seen {
            // The clock has gone back. What it made us miss has yet to come; what was decided stays so.
            self.seen = self.decided.map_or(now, |decided| decided.max(now));
        }
        let mut orders = Vec::new();
        let mut missed: Option<Missed> = None;
        let mut on_time = Vec::new();
        while let Some((at, due)) = rules.after(self.seen).filter(|(_, due)| *due <= now) {
            self.seen = at;
            if now.duration_since(due) <= ON_TIME_WITHIN {
                on_time.push(at);
                continue;
            }
            let all = missed.get_or_insert(Missed { first: at, last: at, count: 0, more: false });
            (all.last, all.count) = (at, all.count + 1);
            if all.count == MISSED_COUNTED_MAX {
                all.more = true;
                self.seen = self.seen.max(now.saturating_sub(ON_TIME_WITHIN).unwrap_or(now));
            }
        }
        if let Some(Missed { first, last, count, more }) = missed {
            orders.push(Order::Missed { first, last, count, more });
            if rules.catch_up_once && on_time.is_empty() {
                let made_up_for = Occasion::Time { at: last, late: true };
                self.decided = self.decided.max(Some(last));
                orders.push(self.begin(made_up_for, last, rules, live));
            }
        }
        for at in on_time {
            let begun = orders.iter().filter(|order| matches!(order, Order::Start(_))).count();
            self.decided = self.decided.max(Some(at));
            orders.push(self.begin(Occasion::Time { at, late: false }, at, rules, live + begun));
        }
        orders
    }

    fn begin(&mut self, occasion: Occasion, at: Timestamp, rules: &Rules, live: usize) -> Order {
        let one_waits = self.waiting.iter().any(|waits| matches!(waits, Occasion::Time { .. }));
        match rules.overlap {
            _ if live == 0 && !one_waits => Order::Start(occasion),
            Overlap::Skip => Order::Skipped { at, why: Skip::StillRunning },
            Overlap::Queue if one_waits => Order::Skipped { at, why: Skip::OneWaits },
            Overlap::Queue => {
                self.waiting.push_back(occasion);
                Order::Waits(occasion)
            }
            Overlap::Parallel if live < RUNS_AT_ONCE_MAX => Order::Start(occasion),
            Overlap::Parallel => Order::Skipped { at, why: Skip::TooMany },
        }
    }

    /// An event has happened.
    #[must_use]
    pub fn called(&mut self, number: u64, live: usize) -> Order {
        let occasion = Occasion::Event { number };
        if live < RUNS_AT_ONCE_MAX && self.waiting.is_empty() {
            return Order::Start(occasion);
        }
        if self.events_waiting() >= EVENTS_WAITING_MAX {
            return Order::Full { number };
        }
        self.waiting.push_back(occasion);
        Order::Waits(occasion)
    }

    pub fn events_waiting(&self) -> usize {
        self.waiting.iter().filter(|waits| matches!(waits, Occasion::Event { .. })).count()
    }

    /// There was no room for it on this machine just now: it is first when there is.
    pub fn postpone(&mut self, occasion: Occasion) {
        self.waiting.push_front(occasion);
    }

    /// What may begin of what waits, with so many runs of the document going on.
    #[must_use]
    pub fn next_waiting(&mut self, live: usize) -> Option<Occasion> {
        let room = match self.waiting.front()? {
            Occasion::Time { .. } => live == 0,
            Occasion::Event { .. } => live < RUNS_AT_ONCE_MAX,
            Occasion::Person => true,
        };
        if room { self.waiting.pop_front() } else { None }
    }
}

#[cfg(test)]
mod tests;
