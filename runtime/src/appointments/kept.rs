//! One kept document: what it waits for, what is going on of it, how it is shown.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use niia_actors::journal::Put;
use niia_spec::event::{self, Happened};
use niia_spec::name::{RunId, Slug};
use niia_spec::notice::{Came, FiringView, KeptView};
use niia_spec::plan::{PLAN_VERSION, Plan, SchedulePlan, TriggerPlan};
use niia_spec::schedule::diary::{Occasion, Rules};
use niia_spec::schedule::{Schedule, zone};

use super::shelf::{self, Firing, Found, Pages, Record};

/// What came of the newest firings is kept so far back: months of nights, a day of quarters of an hour.
const FIRINGS_KEPT_MAX: usize = 100;
/// What a list shows of the next firings.
const NEXT_SHOWN: usize = 3;
/// How a time is shown.
const TIME_FORM: &str = "%a %Y-%m-%d %H:%M %Z";

pub(super) struct Kept {
    pub record: Record,
    pub pages: Pages,
    pub firings: VecDeque<Firing>,
    /// Its runs that are going on or being begun.
    pub live: BTreeSet<RunId>,
    /// The events that wait, and how large they are.
    pub events: BTreeMap<u64, usize>,
    /// There was no room on this machine for the one that waits first.
    pub no_room: Option<String>,
}

impl Kept {
    pub fn new(record: Record, pages: Pages) -> Kept {
        let (firings, live, events) = (VecDeque::new(), BTreeSet::new(), BTreeMap::new());
        Kept { record, pages, firings, live, events, no_room: None }
    }

    pub fn found(found: Found) -> Kept {
        let mut kept = Kept::new(found.record, found.pages);
        kept.firings = found.firings.into();
        kept.events = found.events.into_iter().collect();
        kept
    }

    pub fn name(&self) -> &Slug {
        &self.record.name
    }

    /// By what its times are decided. The node's own zone is looked up each time: a laptop travels.
    pub fn rules(&self) -> Option<Rules> {
        rules_of(&self.record.plan, self.name())
    }

    /// Why it cannot be run, where it cannot.
    pub fn trouble(&self) -> Option<String> {
        let version = self.record.plan.version;
        if version > PLAN_VERSION {
            return Some(format!(
                "its plan has version {version}, this niia knows {PLAN_VERSION}: add it again"
            ));
        }
        self.no_room.clone()
    }

    /// The repository it belongs to, or the folder where there is none.
    pub fn place(&self) -> &Path {
        let origin = &self.record.origin;
        origin.repository.as_deref().unwrap_or(&origin.cwd)
    }

    /// The events it waits for that the node has to see by itself.
    pub fn observed(&self) -> Vec<String> {
        let names = self.record.plan.triggers.iter().map(|trigger| trigger.event.clone());
        names.filter(|name| name.starts_with("git.") || name.starts_with("file.")).collect()
    }

    /// Whether an event is for it: by its name, its place, its filter.
    pub fn awaits(&self, event: &Happened, place: Option<&Path>) -> Option<Result<bool, String>> {
        let triggers = &self.record.plan.triggers;
        if !triggers.iter().any(|trigger| trigger.event == event.name) {
            return None;
        }
        if place.is_some_and(|place| place != self.place()) {
            return None;
        }
        let theirs = event::repository_of(&event.payload).filter(|_| event.name.starts_with("github."));
        if let (Some(own), Some(theirs)) = (&self.record.github, theirs)
            && !own.eq_ignore_ascii_case(theirs)
        {
            return None;
        }
        Some(event::is_awaited(triggers, event))
    }

    /// Writes down what came of a firing; the oldest one is forgotten where there are too many.
    pub fn note(&mut self, firing: Firing, puts: &mut Vec<Put>) {
        puts.push(shelf::put_firing(&self.record.name, &firing));
        match self.firings.iter_mut().find(|known| known.number == firing.number) {
            Some(known) => *known = firing,
            None => self.firings.push_back(firing),
        }
        while self.firings.len() > FIRINGS_KEPT_MAX {
            if let Some(oldest) = self.firings.pop_front() {
                puts.push(shelf::forget_firing(&self.record.name, oldest.number));
            }
        }
    }

    /// A firing of which no run comes.
    pub fn note_without_run(&mut self, at_ms: u64, words: String, came: Came, puts: &mut Vec<Put>) {
        self.pages.firings += 1;
        let firing = Firing { number: self.pages.firings, at_ms, occasion: None, words, came };
        self.note(firing, puts);
    }

    /// An occasion in words, as runs and lists tell of it.
    pub fn words(&self, occasion: Occasion, event: Option<&str>) -> String {
        match occasion {
            Occasion::Time { at, late } => {
                let time = shown(at, &self.zone());
                if late { format!("schedule {time}, made up for") } else { format!("schedule {time}") }
            }
            Occasion::Event { number } => match event {
                Some(name) => format!("event {name} ({number})"),
                None => format!("event {number}"),
            },
            Occasion::Person => "a person (run-now)".to_owned(),
        }
    }

    fn zone(&self) -> TimeZone {
        self.record.plan.schedule.as_ref().map_or(TimeZone::UTC, zone_of)
    }

    pub fn view(&self, now: Timestamp, looked: Timestamp) -> KeptView {
        let Record { name, plan, origin, .. } = &self.record;
        let rules = self.rules();
        let next = rules.iter().flat_map(|rules| {
            // After a clock that went back, what was decided already does not come again.
            let from = self.pages.diary.decided.map_or(now, |decided| decided.max(now));
            let times = rules.next_times(from, NEXT_SHOWN);
            let millis = |at: &Timestamp| u64::try_from(at.as_millisecond()).unwrap_or(0);
            times.into_iter().map(|at| (millis(&at), shown(at, &rules.zone))).collect::<Vec<_>>()
        });
        KeptView {
            name: name.clone(),
            document: origin.document.clone(),
            folder: origin.cwd.clone(),
            schedule: plan.schedule.as_ref().map(niia_spec::plan::show::schedule_words),
            zone: plan.schedule.as_ref().and_then(|schedule| schedule.timezone.clone()),
            triggers: plan.triggers.iter().map(trigger_words).collect(),
            next: next.collect(),
            waiting: self.pages.diary.waiting.len(),
            looked_at_ms: u64::try_from(looked.as_millisecond()).unwrap_or(0),
            runs: self.live.iter().cloned().collect(),
            firings: self.firings.iter().map(firing_view).collect(),
            changed: origin.document.as_deref().is_some_and(|path| self.has_changed(path)),
            trouble: self.trouble(),
        }
    }

    fn has_changed(&self, document: &Path) -> bool {
        match std::fs::read(document) {
            Ok(text) => blake3::hash(&text).to_hex().as_str() != self.record.digest,
            // A file that is gone is no file that was changed.
            Err(_) => false,
        }
    }
}

pub(super) fn rules_of(plan: &Plan, name: &Slug) -> Option<Rules> {
    let schedule = plan.schedule.as_ref()?;
    Some(Rules {
        schedule: Schedule::parse(&schedule.cron).ok()?,
        zone: zone_of(schedule),
        catch_up_once: schedule.catch_up_once,
        overlap: schedule.overlap,
        jitter_ms: schedule.jitter_ms,
        // The same for ever, whatever this program is built with (FNV-1a).
        seed: name.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }),
    })
}

fn zone_of(schedule: &SchedulePlan) -> TimeZone {
    schedule.timezone.as_deref().and_then(zone).unwrap_or_else(TimeZone::system)
}

pub(super) fn shown(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime(TIME_FORM).to_string()
}

fn trigger_words(trigger: &TriggerPlan) -> String {
    match &trigger.filter {
        Some(filter) => format!("{} when {filter}", trigger.event),
        None => trigger.event.clone(),
    }
}

fn firing_view(firing: &Firing) -> FiringView {
    FiringView {
        number: firing.number,
        at_ms: firing.at_ms,
        occasion: firing.words.clone(),
        came: firing.came.clone(),
    }
}
