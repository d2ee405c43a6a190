//! Twenty zones, twenty years, a dozen lines of cron: the same firings as Python's croniter, or a difference that stands
//! in the list with the rule that makes it. `firings/make` makes the list and the digests again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use niia_spec::schedule::{Schedule, zone};
use sha2::{Digest, Sha256};

const CRONITER: &str = include_str!("firings/croniter.txt");
const DIFFERENCES: &str = include_str!("firings/differences.txt");
/// A change of the clocks that makes a difference lies between a firing and the last but two, or so near to one of them.
const NEAR: SignedDuration = SignedDuration::from_hours(26);

fn words(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect()).collect()
}

/// A time that only one of both has.
struct Difference<'a> {
    ours: bool,
    at: i64,
    rule: &'a str,
}

fn difference(text: &str) -> Difference<'_> {
    let (time, rule) = text.split_once(' ').unwrap();
    Difference { ours: time.starts_with('+'), at: time[1..].parse().unwrap(), rule }
}

fn start(zone: &TimeZone, year: i16) -> Timestamp {
    date(year, 1, 1).to_zoned(zone.clone()).unwrap().timestamp()
}

fn firings(schedule: &Schedule, zone: &TimeZone) -> BTreeSet<i64> {
    let end = start(zone, 2030);
    let mut at = start(zone, 2010).saturating_sub(SignedDuration::from_secs(1)).unwrap();
    let mut times = BTreeSet::new();
    while let Some(next) = schedule.next_after(at, zone).filter(|next| *next < end) {
        assert!(next > at && times.insert(next.as_second()), "{next} twice");
        at = next;
    }
    times
}

fn digest(times: &BTreeSet<i64>) -> String {
    let text = times.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
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
    let listed = words(DIFFERENCES);
    let mut listed: BTreeMap<(&str, &str), &str> =
        listed.iter().map(|row| ((row[0], row[1]), row[2])).collect();
    let rows = words(CRONITER);
    assert_eq!(rows.len(), 20 * 12);
    for row in rows {
        let [name, cron, count, theirs] = row[..] else { panic!("four columns: {row:?}") };
        let (zone, schedule) = (zone(name).unwrap(), Schedule::parse(cron).unwrap());
        let ours = firings(&schedule, &zone);
        let mut times = ours.clone();
        for text in listed.remove(&(name, cron)).into_iter().flat_map(|text| text.split(", ")) {
            let Difference { ours: is_ours, at, rule } = difference(text);
            let changed = if is_ours { times.remove(&at) } else { times.insert(at) };
            assert!(changed, "{name} {cron}: {text} is no difference");
            // croniter reckons from its own last firing, which may be an hour off, past one or two of ours.
            let since = ours.range(..at).nth_back(2).copied().unwrap_or(start(&zone, 2010).as_second());
            assert!(is_made_by(rule, &zone, since, at), "{name} {cron}: {text} is not by that rule");
        }
        assert_eq!(
            (times.len().to_string().as_str(), digest(&times).as_str()),
            (count, theirs),
            "{name} {cron}"
        );
    }
    assert!(listed.is_empty(), "differences of lines there are none of");
}
