//! Schedules: when a document runs by itself.
//!
//! The time comes in and the next time goes out; nothing here knows a clock. Five fields of cron, or one of four
//! words. Where the clocks go forward over a fixed time, it fires once, right after the gap; where they go back over
//! one, it fires once, the first time. A line with `*` in its hours or minutes follows the time that really passes.
//! The same holds of a gap as long as a day (Samoa had no 30 December 2011): what it swallowed fires right after it, if
//! the day it fires on is one of the line's.

pub mod diary;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase, TimeZoneTransition};
use jiff::{SignedDuration, Timestamp};

/// The longest schedule: five fields of lists fit many times over.
pub const SCHEDULE_BYTES_MAX: usize = 512;
/// croner looks for the end of a gap no further than this.
const GAP_SECONDS_MAX: i32 = 2 * 60 * 60;
/// Zones change their clocks four times a year at most, and the rarest line fires once in eight years.
const CHANGES_MAX: usize = 64;
/// The words that stand for a line of cron.
pub const SCHEDULE_WORDS: [&str; 4] = ["@hourly", "@daily", "@weekly", "@monthly"];

/// A schedule that has been understood.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("a schedule has at most {SCHEDULE_BYTES_MAX} bytes, this one has {bytes} (schedule_bytes_max)")]
    TooLong { bytes: usize },
    #[error("`{word}` is no word for a schedule")]
    UnknownWord { word: String },
    #[error("a schedule has five fields (minute, hour, day, month, weekday), this one has {fields}")]
    Fields { fields: usize },
    #[error("{message}")]
    Wrong { message: String },
    #[error("this schedule never fires")]
    Never,
}

impl Schedule {
    /// Understands a schedule, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Schedule, ScheduleError> {
        if text.len() > SCHEDULE_BYTES_MAX {
            return Err(ScheduleError::TooLong { bytes: text.len() });
        }
        let text = text.trim();
        if text.starts_with('@') {
            if !SCHEDULE_WORDS.contains(&text.to_ascii_lowercase().as_str()) {
                return Err(ScheduleError::UnknownWord { word: crate::diagnostic::excerpt(text) });
            }
        } else {
            let fields = text.split_ascii_whitespace().count();
            if fields != 5 {
                return Err(ScheduleError::Fields { fields });
            }
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let wrong = |error: CronError| ScheduleError::Wrong {
            message: crate::diagnostic::excerpt(&error.to_string()),
        };
        let schedule = Schedule { cron: parser.parse(text).map_err(wrong)? };
        // The thirtieth of February is a line of cron like any other.
        match schedule.next_after(Timestamp::UNIX_EPOCH, &TimeZone::UTC) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never),
        }
    }

    /// The first firing after a time, in a zone.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self.cron.find_next_occurrence(&after.to_zoned(zone.clone()), false) {
            Ok(next) => Some(next.timestamp()),
            Err(CronError::TimeSearchLimitExceeded) => self.next_after_long_gap(after, zone),
            Err(_) => None,
        }
    }

    /// croner gives up in a gap that is longer than it looks; without this, a line whose time lies in one would never fire
    /// again.
    fn next_after_long_gap(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let changes = zone.following(after).take(CHANGES_MAX);
        let mut ends = changes.filter(|change| gained_seconds(change, zone) > GAP_SECONDS_MAX);
        ends.find_map(|end| {
            let end = end.timestamp().to_zoned(zone.clone());
            if self.fires_on(end.date()) {
                return Some(end.timestamp());
            }
            self.cron.find_next_occurrence(&end, true).ok().map(|next| next.timestamp())
        })
    }

    /// Whether a day is one of the line's, at whatever time.
    fn fires_on(&self, day: Date) -> bool {
        let Ok(midnight) = day.to_zoned(TimeZone::UTC) else { return false };
        self.cron.find_next_occurrence(&midnight, true).is_ok_and(|next| next.date() == day)
    }
}

/// By how much the clocks go forward at a change of a zone.
fn gained_seconds(change: &TimeZoneTransition<'_>, zone: &TimeZone) -> i32 {
    let before = change.timestamp().saturating_sub(SignedDuration::from_secs(1));
    before.map_or(0, |before| change.offset().seconds() - zone.to_offset(before).seconds())
}

/// The time zone of an IANA name. The table is built in, so that every machine gives the same answer.
pub fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

#[cfg(test)]
mod tests;
