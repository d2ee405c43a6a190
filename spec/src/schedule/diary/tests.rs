//! Transcripts of a document's firings under a clock that goes, jumps and stands, and laws over clocks of every kind.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, ToSpan};

use super::*;
use crate::schedule::zone;

fn rules(line: &str, zone_name: &str) -> Rules {
    Rules {
        schedule: Schedule::parse(line).unwrap(),
        zone: zone(zone_name).unwrap(),
        catch_up_once: false,
        overlap: Overlap::Skip,
        jitter_ms: 0,
        seed: 7,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Lines of `TIME live N => what comes of it`; `ends` and `event N` instead of `live N` where that happens.
fn check(rules: &Rules, begun: &str, transcript: &str) {
    let mut diary = Diary::begun(at(begun));
    for line in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (happens, wanted) = line.split_once("=>").unwrap();
        let words: Vec<&str> = happens.split_whitespace().collect();
        let live: usize = words[2].parse().unwrap();
        let orders = match words[1] {
            "live" => diary.look(rules, at(words[0]), live),
            "event" => vec![diary.called(words[3].parse().unwrap(), live)],
            "ends" => diary.next_waiting(live).map(Order::Start).into_iter().collect(),
            other => panic!("{other}"),
        };
        let told: Vec<String> = orders.iter().map(told).collect();
        assert_eq!(told.join(", "), wanted.trim(), "{line}");
    }
}

fn told(order: &Order) -> String {
    let occasion = |occasion: &Occasion| match occasion {
        Occasion::Time { at, late: false } => format!("{at}"),
        Occasion::Time { at, late: true } => format!("late {at}"),
        Occasion::Event { number } => format!("event {number}"),
        Occasion::Person => "person".to_owned(),
    };
    match order {
        Order::Start(begun) => format!("start {}", occasion(begun)),
        Order::Waits(waits) => format!("waits {}", occasion(waits)),
        Order::Missed { count, last, more, .. } => {
            format!("missed {count}{} to {last}", if *more { "+" } else { "" })
        }
        Order::Skipped { at, why } => format!("skipped {at}: {}", why.words()),
        Order::Full { number } => format!("full {number}"),
    }
}

#[test]
fn it_fires_when_its_time_has_come_and_once() {
    check(
        &rules("0 3 * * *", "UTC"),
        "2026-01-01T00:00:00Z",
        "
        2026-01-01T02:59:59Z live 0 =>
        2026-01-01T03:00:00Z live 0 => start 2026-01-01T03:00:00Z
        2026-01-01T03:00:00Z live 1 =>
        2026-01-01T03:00:59Z live 0 =>
        2026-01-02T03:00:30Z live 0 => start 2026-01-02T03:00:00Z
    ",
    );
}

#[test]
fn what_nobody_dealt_with_in_time_is_missed_and_made_up_for_only_where_the_document_says_so() {
    let skip = rules("0 3 * * *", "UTC");
    check(
        &skip,
        "2026-01-01T00:00:00Z",
        "
        2026-01-04T12:00:00Z live 0 => missed 4 to 2026-01-04T03:00:00Z
        2026-01-04T12:00:01Z live 0 =>
        2026-01-05T03:00:00Z live 0 => start 2026-01-05T03:00:00Z
    ",
    );
    let once = Rules { catch_up_once: true, ..skip };
    check(
        &once,
        "2026-01-01T00:00:00Z",
        "
        2026-01-04T12:00:00Z live 0 => missed 4 to 2026-01-04T03:00:00Z, start late 2026-01-04T03:00:00Z
        2026-01-06T03:00:00Z live 0 => missed 1 to 2026-01-05T03:00:00Z, start 2026-01-06T03:00:00Z
    ",
    );
}

#[test]
fn a_year_of_missed_minutes_is_not_counted_to_its_end() {
    check(
        &rules("* * * * *", "UTC"),
        "2025-01-01T00:00:00Z",
        "
        2026-01-01T00:00:00Z live 0 => missed 10000+ to 2025-01-07T22:40:00Z, start 2026-01-01T00:00:00Z
    ",
    );
}

#[test]
fn a_firing_while_the_last_run_goes_on_is_skipped_queued_or_run_beside_it() {
    let skip = rules("0 * * * *", "UTC");
    check(
        &skip,
        "2026-01-01T00:30:00Z",
        "
        2026-01-01T01:00:00Z live 1 => skipped 2026-01-01T01:00:00Z: the last run was still going on
        2026-01-01T02:00:00Z live 0 => start 2026-01-01T02:00:00Z
    ",
    );
    check(
        &Rules { overlap: Overlap::Queue, ..skip.clone() },
        "2026-01-01T00:30:00Z",
        "
        2026-01-01T01:00:00Z live 1 => waits 2026-01-01T01:00:00Z
        2026-01-01T02:00:00Z live 1 => skipped 2026-01-01T02:00:00Z: one firing was waiting already
        2026-01-01T02:10:00Z ends 1 =>
        2026-01-01T02:20:00Z ends 0 => start 2026-01-01T01:00:00Z
        2026-01-01T02:20:00Z ends 0 =>
    ",
    );
    check(
        &Rules { overlap: Overlap::Parallel, ..skip },
        "2026-01-01T00:30:00Z",
        "
        2026-01-01T01:00:00Z live 3 => start 2026-01-01T01:00:00Z
        2026-01-01T02:00:00Z live 4 => skipped 2026-01-01T02:00:00Z: as many runs as there may be at a time were going on
    ",
    );
}

#[test]
fn a_clock_that_goes_back_starts_nothing_again_and_one_that_ran_ahead_loses_nothing() {
    let rules = rules("0 3 * * *", "UTC");
    check(
        &rules,
        "2026-01-01T00:00:00Z",
        "
        2026-01-01T03:00:00Z live 0 => start 2026-01-01T03:00:00Z
        2025-12-31T03:00:00Z live 0 =>
        2026-01-01T03:00:10Z live 0 =>
        2026-01-02T03:00:00Z live 0 => start 2026-01-02T03:00:00Z
    ",
    );
    check(
        &rules,
        "2026-01-05T10:00:00Z",
        "
        2026-01-06T12:00:00Z live 0 => missed 1 to 2026-01-06T03:00:00Z
        2026-01-05T12:00:00Z live 0 =>
        2026-01-06T03:00:00Z live 0 => start 2026-01-06T03:00:00Z
    ",
    );
}

#[test]
fn events_run_beside_each_other_up_to_a_bound_and_wait_up_to_another() {
    let rules = rules("0 3 * * *", "UTC");
    check(
        &rules,
        "2026-01-01T00:00:00Z",
        "
        - event 0 1 => start event 1
        - event 3 2 => start event 2
        - event 4 3 => waits event 3
        - event 3 4 => waits event 4
        - ends 4 =>
        - ends 3 => start event 3
        - ends 3 => start event 4
        - ends 3 =>
    ",
    );
    let mut diary = Diary::begun(at("2026-01-01T00:00:00Z"));
    let waits = |n: u64| diary.called(n, RUNS_AT_ONCE_MAX);
    let last = (0..=EVENTS_WAITING_MAX as u64).map(waits).last();
    assert_eq!(last, Some(Order::Full { number: EVENTS_WAITING_MAX as u64 }));
}

#[test]
fn a_delay_is_within_its_bound_the_same_each_time_and_never_past_the_next_firing() {
    let late = Rules { jitter_ms: 600_000, ..rules("0 3 * * *", "UTC") };
    let often = Rules { jitter_ms: 600_000, ..rules("* * * * *", "UTC") };
    let mut delays = BTreeSet::new();
    for day in 1..=28 {
        let time = at(&format!("2026-01-{day:02}T03:00:00Z"));
        let delay = late.delay(time);
        assert!(delay == late.delay(time) && delay <= SignedDuration::from_mins(10), "{delay}");
        assert!(often.delay(time) < SignedDuration::from_mins(1));
        delays.insert(delay);
    }
    assert!(delays.len() > 20, "they differ: {delays:?}");
    let mut diary = Diary::begun(at("2026-01-01T00:00:00Z"));
    let due = diary.due(&late).unwrap();
    assert_eq!(diary.look(&late, due.checked_sub(1.millisecond()).unwrap(), 0), []);
    assert_eq!(told(&diary.look(&late, due, 0)[0]), "start 2026-01-01T03:00:00Z");
}

#[test]
fn what_there_was_no_room_for_comes_first_when_there_is() {
    let mut diary = Diary::begun(at("2026-01-01T00:00:00Z"));
    let night = Occasion::Time { at: at("2026-01-01T03:00:00Z"), late: false };
    assert_eq!(diary.called(1, RUNS_AT_ONCE_MAX), Order::Waits(Occasion::Event { number: 1 }));
    diary.postpone(night);
    assert_eq!(diary.next_waiting(0), Some(night));
    assert_eq!(diary.next_waiting(0), Some(Occasion::Event { number: 1 }));
}

/// A clock of every kind: it goes by seconds to hours, stands, is set by a day in either direction, and by less.
fn next_time(random: &mut fastrand::Rng, now: Timestamp) -> Timestamp {
    let seconds = match random.u8(0..20) {
        0 => -86_400,
        1 => 86_400,
        2 => random.i64(-7_200..7_200),
        3 => random.i64(-90..0),
        4 => 0,
        5..=9 => random.i64(1..3_600),
        _ => random.i64(1..61),
    };
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// Whatever the clock does: no time is started twice, none before it has come, and what is made up for is made up once.
#[test]
fn no_clock_makes_anything_fire_twice() {
    let lines = ["0 3 * * *", "*/10 * * * *", "* * * * *", "30 2 * * *", "0 * * * *"];
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut rules = rules(lines[random.usize(..lines.len())], zones[random.usize(..zones.len())]);
        rules.catch_up_once = random.bool();
        rules.overlap = [Overlap::Skip, Overlap::Queue, Overlap::Parallel][random.usize(..3)];
        rules.jitter_ms = [0, 5_000, 600_000][random.usize(..3)];
        // Around the changes of the clocks in spring.
        let mut now = at("2026-03-27T00:00:00Z").checked_add(random.i64(0..172_800).seconds()).unwrap();
        let mut diary = Diary::begun(now);
        let (mut live, mut started) = (0_usize, BTreeSet::new());
        for _ in 0..300 {
            now = next_time(&mut random, now);
            let mut orders = diary.look(&rules, now, live);
            if random.bool() {
                live = live.saturating_sub(1);
                orders.extend(diary.next_waiting(live).map(Order::Start));
            }
            for order in orders {
                let Order::Start(Occasion::Time { at, .. }) = order else { continue };
                live += 1;
                assert!(started.insert(at), "seed {seed}: {at} twice");
            }
            // What is remembered is all that is known: a node that was killed goes on the same.
            diary = serde_json::from_str(&serde_json::to_string(&diary).unwrap()).unwrap();
        }
    }
}

/// A clock that only goes, however unevenly it is looked at, starts or reports every time of the schedule exactly once.
#[test]
fn a_clock_that_goes_accounts_for_every_time() {
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let rules = rules(["*/7 * * * *", "30 1,2,3 * * *"][random.usize(..2)], "Europe/Berlin");
        let begun = at("2026-10-23T00:00:00Z");
        let (mut now, mut diary) = (begun, Diary::begun(begun));
        let mut accounted: BTreeMap<Timestamp, u32> = BTreeMap::new();
        let (mut missed, mut first_to_last) = (0, 0);
        for _ in 0..400 {
            now = now.checked_add(random.i64(1..2_400).seconds()).unwrap();
            for order in diary.look(&rules, now, 0) {
                match order {
                    Order::Start(Occasion::Time { at, .. }) => *accounted.entry(at).or_default() += 1,
                    Order::Missed { first, last, count, .. } => {
                        missed += count;
                        let before = first.checked_sub(1.second()).unwrap();
                        let all = rules.next_times(before, count as usize);
                        assert_eq!(all.last(), Some(&last));
                        first_to_last += all.len() as u32;
                        all.into_iter().for_each(|at| *accounted.entry(at).or_default() += 1);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(missed, first_to_last);
        let all = rules.next_times(begun, accounted.len());
        assert!(accounted.values().all(|times| *times == 1), "seed {seed}");
        assert_eq!(all, accounted.into_keys().collect::<Vec<_>>(), "seed {seed}");
    }
}
