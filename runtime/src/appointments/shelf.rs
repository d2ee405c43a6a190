//! How kept documents lie in the journal's shelf: what they are, what is remembered of them, what came of their firings,
//! and the events that wait.

use niia_actors::journal::{Journal, Put};
use niia_spec::event::Happened;
use niia_spec::name::{RunId, Slug};
use niia_spec::notice::Came;
use niia_spec::origin::Origin;
use niia_spec::plan::Plan;
use niia_spec::schedule::diary::{Diary, Occasion};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const KEPT: &str = "kept";
const DIARY: &str = "diary";
const FIRING: &str = "firing";
const EVENT: &str = "event";

/// A kept document, as it was handed in. Its variables have a file of their own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub name: Slug,
    pub plan: Plan,
    pub origin: Origin,
    pub digest: String,
    pub github: Option<String>,
    pub added_at_ms: u64,
}

/// What changes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pages {
    pub diary: Diary,
    /// Numbers that were given so far.
    pub firings: u64,
    pub events: u64,
}

/// What came of one firing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Firing {
    pub number: u64,
    pub at_ms: u64,
    pub occasion: Option<Occasion>,
    /// The occasion in words.
    pub words: String,
    pub came: Came,
}

impl Firing {
    /// The run that was decided upon.
    pub fn run(&self) -> Option<&RunId> {
        match &self.came {
            Came::Begins { run } | Came::Run { run, .. } => Some(run),
            _ => None,
        }
    }
}

/// One document with all that belongs to it, as it was found.
pub(super) struct Found {
    pub record: Record,
    pub pages: Pages,
    pub firings: Vec<Firing>,
    /// The numbers and sizes of the events that wait.
    pub events: Vec<(u64, usize)>,
}

/// Every document there is; what cannot be read is named.
pub(super) fn read(journal: &Journal) -> (Vec<Found>, Vec<String>) {
    let mut trouble = Vec::new();
    let mut found = Vec::new();
    for (name, bytes) in room(journal, KEPT, &mut trouble) {
        let Some(record) = parsed::<Record>(&name, &bytes, &mut trouble) else { continue };
        let pages = journal.shelved(DIARY, &name).ok().flatten();
        let Some(pages) = pages.and_then(|bytes| parsed::<Pages>(&name, &bytes, &mut trouble)) else {
            trouble.push(format!("what is remembered of `{name}` is lost; add it again"));
            continue;
        };
        let firings = room(journal, &format!("{FIRING}/{name}"), &mut trouble);
        let firings =
            firings.iter().filter_map(|(number, bytes)| parsed(number, bytes, &mut trouble)).collect();
        let events = room(journal, &format!("{EVENT}/{name}"), &mut trouble);
        let events = events.iter().filter_map(|(number, bytes)| Some((number.parse().ok()?, bytes.len())));
        let events = events.collect();
        found.push(Found { record, pages, firings, events });
    }
    (found, trouble)
}

fn room(journal: &Journal, room: &str, trouble: &mut Vec<String>) -> Vec<(String, Vec<u8>)> {
    match journal.room(room) {
        Ok(found) => {
            trouble.extend(found.damage);
            found.values
        }
        Err(error) => {
            trouble.push(niia_actors::ask::chain(&error));
            Vec::new()
        }
    }
}

fn parsed<T: DeserializeOwned>(name: &str, bytes: &[u8], trouble: &mut Vec<String>) -> Option<T> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Some(value),
        Err(error) => {
            trouble.push(format!("`{name}` cannot be understood: {error}"));
            None
        }
    }
}

/// An event that waits, read when its run is begun.
pub(super) fn event(journal: &Journal, name: &Slug, number: u64) -> Result<Happened, String> {
    let bytes = journal.shelved(&format!("{EVENT}/{name}"), &numbered(number));
    let bytes = bytes.map_err(|error| niia_actors::ask::chain(&error))?;
    let bytes = bytes.ok_or_else(|| format!("the event {number} of `{name}` is lost"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the event {number} of `{name}`: {error}"))
}

/// Names sort as their numbers do.
fn numbered(number: u64) -> String {
    format!("{number:012}")
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain data with names for keys always has a form as JSON; the reader would complain of anything else.
    serde_json::to_vec(value).unwrap_or_default()
}

pub(super) fn put_record(record: &Record) -> Put {
    Put::value(KEPT, record.name.as_str(), json(record))
}

pub(super) fn put_pages(name: &Slug, pages: &Pages) -> Put {
    Put::value(DIARY, name.as_str(), json(pages))
}

pub(super) fn put_firing(name: &Slug, firing: &Firing) -> Put {
    Put::value(&format!("{FIRING}/{name}"), &numbered(firing.number), json(firing))
}

pub(super) fn forget_firing(name: &Slug, number: u64) -> Put {
    Put::nothing(&format!("{FIRING}/{name}"), &numbered(number))
}

/// The event as it will lie there, and its size.
pub(super) fn put_event(name: &Slug, number: u64, event: &Happened) -> (Put, usize) {
    let bytes = json(event);
    let size = bytes.len();
    (Put::value(&format!("{EVENT}/{name}"), &numbered(number), bytes), size)
}

pub(super) fn forget_event(name: &Slug, number: u64) -> Put {
    Put::nothing(&format!("{EVENT}/{name}"), &numbered(number))
}

/// Takes away what a document is, after all that belongs to it.
pub(super) fn forget_document(name: &Slug) -> [Put; 2] {
    [Put::nothing(KEPT, name.as_str()), Put::nothing(DIARY, name.as_str())]
}
