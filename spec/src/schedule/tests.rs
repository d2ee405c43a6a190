//! Schedules over the days on which clocks are changed.

use std::collections::BTreeMap;

use jiff::civil::date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::{Schedule, ScheduleError, zone};

fn firings(schedule: &str, zone_name: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(schedule).unwrap();
    let zone = zone(zone_name).unwrap();
    let mut time: Timestamp = from.parse().unwrap();
    let mut fired = Vec::new();
    for _ in 0..count {
        time = schedule.next_after(time, &zone).unwrap();
        fired.push(time.to_zoned(zone.clone()).strftime("%m-%d %H:%M %z").to_string());
    }
    fired
}

#[test]
fn a_time_the_clocks_jump_over_fires_once_right_after() {
    let fired = firings("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 3);
    assert_eq!(fired, ["03-29 03:00 +0200", "03-30 02:30 +0200", "03-31 02:30 +0200"]);
    let fired = firings("30 2 * * *", "America/New_York", "2026-03-07T18:00:00Z", 2);
    assert_eq!(fired, ["03-08 03:00 -0400", "03-09 02:30 -0400"]);
}

/// Samoa went from the 29th to the 31st of December.
#[test]
fn a_day_that_never_was_fires_right_after_it_and_nothing_stops() {
    let of = |line| firings(line, "Pacific/Apia", "2011-12-29T14:00:00Z", 3);
    assert_eq!(of("0 3 * * *"), ["12-31 00:00 +1400", "12-31 03:00 +1400", "01-01 03:00 +1400"]);
    assert_eq!(of("0 0 * * *"), ["12-31 00:00 +1400", "01-01 00:00 +1400", "01-02 00:00 +1400"]);
    assert_eq!(of("10 1 * * 5"), ["01-06 01:10 +1400", "01-13 01:10 +1400", "01-20 01:10 +1400"]);
    assert_eq!(of("59 23 * * *"), ["12-29 23:59 -1000", "12-31 00:00 +1400", "12-31 23:59 +1400"]);
}

#[test]
fn a_time_the_clocks_repeat_fires_once() {
    let fired = firings("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 3);
    assert_eq!(fired, ["10-25 02:30 +0200", "10-26 02:30 +0100", "10-27 02:30 +0100"]);
}

#[test]
fn a_line_for_every_hour_follows_the_time_that_passes() {
    let fired = firings("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4);
    assert_eq!(fired, ["10-25 02:00 +0200", "10-25 02:00 +0100", "10-25 03:00 +0100", "10-25 04:00 +0100"]);
    let fired = firings("@hourly", "Europe/Berlin", "2026-03-28T23:30:00Z", 3);
    assert_eq!(fired, ["03-29 01:00 +0100", "03-29 03:00 +0200", "03-29 04:00 +0200"]);
}

#[test]
fn the_four_words_are_schedules() {
    assert_eq!(
        firings("@daily", "UTC", "2026-01-01T00:00:00Z", 2),
        ["01-02 00:00 +0000", "01-03 00:00 +0000"]
    );
    assert_eq!(
        firings("@weekly", "UTC", "2026-01-01T00:00:00Z", 2),
        ["01-04 00:00 +0000", "01-11 00:00 +0000"]
    );
    assert_eq!(
        firings("@monthly", "UTC", "2026-01-01T00:00:00Z", 2),
        ["02-01 00:00 +0000", "03-01 00:00 +0000"]
    );
}

#[test]
fn what_is_no_schedule_is_refused() {
    let refused = |text: &str| Schedule::parse(text).unwrap_err();
    assert_eq!(refused("0 3 * *"), ScheduleError::Fields { fields: 4 });
    assert_eq!(refused("0 0 3 * * *"), ScheduleError::Fields { fields: 6 });
    assert_eq!(refused("@yearlyish"), ScheduleError::UnknownWord { word: "@yearlyish".to_owned() });
    assert_eq!(refused("0 0 30 2 *"), ScheduleError::Never);
    for text in ["61 * * * *", "* 25 * * *", "a b c d e", "*/0 * * * *", "5-1 * * * *"] {
        assert!(matches!(refused(text), ScheduleError::Wrong { .. }), "{text}: {}", refused(text));
    }
    assert!(matches!(refused(&"1,".repeat(600)), ScheduleError::TooLong { .. }));
    assert!(zone("Europe/Berlin").is_some() && zone("Mars/Olympus").is_none());
}

/// Every day has one firing of a daily line, wherever and whenever the clocks change.
#[test]
fn a_daily_line_fires_once_a_day_in_twenty_zones_over_twenty_years() {
    let zones = [
        "Europe/Berlin",
        "Europe/London",
        "Europe/Moscow",
        "Europe/Istanbul",
        "Africa/Casablanca",
        "Africa/Cairo",
        "America/New_York",
        "America/Los_Angeles",
        "America/Sao_Paulo",
        "America/St_Johns",
        "America/Santiago",
        "America/Havana",
        "Asia/Seoul",
        "Asia/Tehran",
        "Asia/Kolkata",
        "Asia/Gaza",
        "Australia/Sydney",
        "Australia/Lord_Howe",
        "Pacific/Auckland",
        "Atlantic/Azores",
    ];
    let lines = ["30 2 * * *", "0 0 * * *", "59 23 * * *"];
    for name in zones {
        let zone = zone(name).unwrap();
        for line in lines {
            let schedule = Schedule::parse(line).unwrap();
            let mut time = date(2010, 1, 1).to_zoned(zone.clone()).unwrap().timestamp();
            let end = date(2030, 1, 1).to_zoned(zone.clone()).unwrap().timestamp();
            let mut days: BTreeMap<jiff::civil::Date, usize> = BTreeMap::new();
            while let Some(next) = schedule.next_after(time, &zone).filter(|next| *next < end) {
                assert!(
                    next > time && next.duration_since(time) < SignedDuration::from_hours(50),
                    "{name} {line} {next}"
                );
                *days.entry(next.to_zoned(zone.clone()).date()).or_default() += 1;
                time = next;
            }
            let mut day = date(2010, 1, 2);
            while day < date(2030, 1, 1) {
                assert_eq!(days.get(&day), Some(&1), "{name} {line} on {day}");
                day = day.checked_add(1.day()).unwrap();
            }
        }
    }
}
