//! Twenty zones, twenty years, a dozen lines of cron: the same firings as Python's croniter, or a difference that stands
//! in the list with the rule that makes it. `firings/make` makes the list and the digests again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use niia_spec::schedule::{Schedule, zone};
use sha2::{Digest, Sha256};

const CRONITER: &str = include_str!("firings/croniter.txt");
const DIFFERENCES: &str = include_str!("firings/differences.txt");
/// A change of the clocks that makes a difference lies between a firing and the one before it, or so near to one of them.
const NEAR: SignedDuration = SignedDuration::from_hours(26);

fn words(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

type Row<'a> = (&'a str, &'a str, &'a str);

struct Difference {
    theirs: BTreeSet<i64>,
    ours: BTreeSet<i64>,
    rule: &'static str,
}

fn differences() -> BTreeMap<Row<'static>, Difference> {
    let seconds = |text: &str| text.split_whitespace().map(|at| at.parse().unwrap()).collect();
    let each = words(DIFFERENCES).into_iter().map(|line| {
        let [zone, cron, year, theirs, ours, rule] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("six columns: {line}");
        };
        ((zone, cron, year), Difference { theirs: seconds(theirs), ours: seconds(ours), rule })
    });
    each.collect()
}

fn firings(schedule: &Schedule, zone: &TimeZone, year: i16) -> BTreeSet<i64> {
    let start = |year| date(year, 1, 1).to_zoned(zone.clone()).unwrap().timestamp();
    let (end, mut at) = (start(year + 1), start(year).saturating_sub(SignedDuration::from_secs(1)).unwrap());
    let mut times = BTreeSet::new();
    while let Some(next) = schedule.next_after(at, zone).filter(|next| *next < end) {
        assert!(next > at && times.insert(next.as_second()), "{next} twice");
        at = next;
    }
    times
}

/// The firing before a time, where the year has none: of the years before, or nothing that is known.
fn last_before(schedule: &Schedule, zone: &TimeZone, at: i64) -> i64 {
    let mut start = Timestamp::from_second(at).unwrap();
    for _ in 0..9 {
        start = start.saturating_sub(SignedDuration::from_hours(366 * 24)).unwrap();
        let firings =
            std::iter::successors(schedule.next_after(start, zone), |next| schedule.next_after(*next, zone));
        if let Some(last) = firings.map(Timestamp::as_second).take_while(|next| *next < at).last() {
            return last;
        }
    }
    at
}

fn digest(times: &BTreeSet<i64>) -> String {
    let text = times.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the clocks of a zone change, in the way a rule speaks of, from a day before one firing to a day after another.
fn is_made_by(rule: &str, zone: &TimeZone, since: i64, at: i64) -> bool {
    let near = |at, by: SignedDuration| Timestamp::from_second(at).unwrap().saturating_add(by).unwrap();
    let (from, to) = (near(since, -NEAR), near(at, NEAR));
    zone.following(from).take_while(|change| change.timestamp() <= to).any(|change| {
        let before = change.timestamp().saturating_sub(SignedDuration::from_secs(1)).unwrap();
        let gained = change.offset().seconds() - zone.to_offset(before).seconds();
        match rule {
            "gap" => gained > 0,
            "overlap" => gained < 0,
            other => panic!("`{other}` is no rule"),
        }
    })
}

#[test]
fn twenty_zones_fire_for_twenty_years_as_croniter_says_or_by_a_rule_that_is_told() {
    let mut differences = differences();
    let mut wrong = Vec::new();
    let rows = words(CRONITER);
    assert_eq!(rows.len(), 20 * 20 * 12);
    for row in rows {
        let [name, cron, year, count, theirs] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five columns: {row}");
        };
        let (zone, schedule) = (zone(name).unwrap(), Schedule::parse(cron).unwrap());
        let mut times = firings(&schedule, &zone, year.parse().unwrap());
        if let Some(Difference { theirs, ours, rule }) = differences.remove(&(name, cron, year)) {
            let changed = theirs.iter().chain(&ours);
            assert!(changed.clone().count() > 0, "{row}: a difference that is none");
            let since = |at: &i64| {
                times.range(..at).next_back().copied().unwrap_or_else(|| last_before(&schedule, &zone, *at))
            };
            assert!(
                changed.clone().all(|at| is_made_by(rule, &zone, since(at), *at)),
                "{row}: not by the rule `{rule}`"
            );
            assert!(ours.iter().all(|at| times.remove(at)), "{row}: not ours");
            assert!(theirs.iter().all(|at| times.insert(*at)), "{row}: not theirs alone");
        }
        if times.len().to_string() != count || digest(&times) != theirs {
            wrong.push(row);
        }
    }
    assert_eq!(wrong, [] as [&str; 0]);
    assert!(differences.is_empty(), "differences of rows there are none of");
}
