//! Phases in which workers talk: whose turn it is, what was said in which order, and how the talk ends.
//!
//! A turn is an attempt like any other: it has a number, a time limit, models to fall back on and an ending. A worker
//! of a talk just has more than one of them. Who speaks next is decided by the kind of talk, each in a file of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dialogue::Dialogue;
use super::meeting::{Circle, Meeting, QUORUM};
use super::mesh::Mesh;
use super::outputs::PhaseOutputs;
use crate::condition::Condition;
use crate::name::WorkerName;
use crate::plan::PhaseWork;

/// A talk as far as it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Talk {
    kind: Kind,
    /// What each seat's newest turn is for.
    floors: Vec<Floor>,
    /// Seats whose turn has begun and is not over.
    open: BTreeSet<usize>,
    /// The turns that came to a good end, in that order.
    spoken: Vec<Spoken>,
    /// Who is not there any more, and why.
    absent: BTreeMap<usize, String>,
    /// Turns that have begun.
    turns: u32,
    end: Option<TalkEnd>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Dialogue(Dialogue),
    Meeting(Meeting),
    Mesh(Mesh),
}

/// What a turn is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Counted from 1 over the whole talk.
    pub turn: u32,
    /// The topic of the agenda, from 0.
    pub topic: u32,
    /// Counted from 1.
    pub round: u32,
    /// It closes its topic.
    pub decides: bool,
    /// How many turns were over when it began: what was said in them is known to its speaker or told to it.
    pub heard: u32,
    /// Letters with numbers above the first and up to the second are told in it.
    pub letters: (u64, u64),
}

/// A turn that came to a good end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    pub seat: usize,
    /// The number of the attempt whose answer it is.
    pub attempt: u32,
    pub floor: Floor,
}

/// How a talk ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TalkEnd {
    Done { because: String },
    Failed { reason: String },
}

impl Talk {
    /// The talk of a phase, where it is one.
    pub(super) fn new(work: &PhaseWork) -> Option<Talk> {
        let kind = match work {
            PhaseWork::Dialogue { .. } => Kind::Dialogue(Dialogue::default()),
            PhaseWork::Meeting { .. } => Kind::Meeting(Meeting::default()),
            PhaseWork::Mesh { agents, .. } => Kind::Mesh(Mesh::new(agents.len())),
            _ => return None,
        };
        Some(Talk {
            kind,
            floors: vec![Floor::default(); work.workers().len()],
            open: BTreeSet::new(),
            spoken: Vec::new(),
            absent: BTreeMap::new(),
            turns: 0,
            end: None,
        })
    }

    pub fn end(&self) -> Option<&TalkEnd> {
        self.end.as_ref()
    }

    /// What was said, in order.
    pub fn spoken(&self) -> &[Spoken] {
        &self.spoken
    }

    /// What a seat's newest turn is for.
    pub fn floor(&self, seat: usize) -> Option<Floor> {
        self.floors.get(seat).copied()
    }

    /// Who is not there any more, and why.
    pub fn absent(&self) -> &BTreeMap<usize, String> {
        &self.absent
    }

    /// Seats whose turn has begun and is not over.
    pub(super) fn open(&self) -> impl Iterator<Item = usize> + '_ {
        self.open.iter().copied()
    }

    pub(super) fn is_open(&self, seat: usize) -> bool {
        self.open.contains(&seat)
    }

    /// Whose turn begins next, and what it is for.
    pub(super) fn next(&self, work: &PhaseWork) -> Option<(usize, Floor)> {
        if self.end.is_some() {
            return None;
        }
        let found = match (&self.kind, work) {
            (Kind::Dialogue(dialogue), PhaseWork::Dialogue { participants, rounds, .. }) => {
                dialogue.next(participants.len(), *rounds)
            }
            (Kind::Meeting(meeting), PhaseWork::Meeting { agenda, .. }) => {
                meeting.next(agenda, &self.circle(work))
            }
            (Kind::Mesh(mesh), PhaseWork::Mesh { agents, .. }) => {
                mesh.next(agents, &self.absent, |seat| self.is_open(seat))
            }
            _ => None,
        };
        // One speaks at a time where everybody listens.
        let found = found.filter(|(seat, _)| !self.is_open(*seat));
        let heard = u32::try_from(self.spoken.len()).unwrap_or(u32::MAX);
        found.map(|(seat, floor)| (seat, Floor { turn: self.turns.saturating_add(1), heard, ..floor }))
    }

    fn circle(&self, work: &PhaseWork) -> Circle<'_> {
        let (seats, moderator) = match work {
            PhaseWork::Meeting { participants, moderator, .. } => {
                let seat_of = |wanted: &WorkerName| participants.iter().position(|one| one.name == *wanted);
                (participants.len(), moderator.as_ref().and_then(seat_of))
            }
            _ => (0, None),
        };
        Circle { seats, absent: &self.absent, moderator }
    }

    /// The talk begins; one in which nobody has anything to say is over at once.
    pub(super) fn opens(&mut self, work: &PhaseWork) {
        self.look_round(work);
    }

    /// A turn begins.
    pub(super) fn begins(&mut self, work: &PhaseWork, seat: usize) {
        let Some((next, floor)) = self.next(work).filter(|(next, _)| *next == seat) else {
            return;
        };
        self.floors[next] = floor;
        self.open.insert(next);
        self.turns = floor.turn;
        if let Kind::Mesh(mesh) = &mut self.kind {
            mesh.begins(next);
        }
    }

    /// A turn came to a good end.
    pub(super) fn spoke(
        &mut self,
        work: &PhaseWork,
        spoken: (usize, u32),
        said: &str,
        outputs: &PhaseOutputs,
    ) {
        let (seat, attempt) = spoken;
        if !self.open.remove(&seat) {
            return;
        }
        let floor = self.floors[seat];
        self.spoken.push(Spoken { seat, attempt, floor });
        match &mut self.kind {
            Kind::Dialogue(dialogue) => dialogue.spoke(),
            Kind::Meeting(meeting) => meeting.spoke(seat, &floor, self.floors.len()),
            Kind::Mesh(mesh) => mesh.spoke(seat),
        }
        if self.end.is_none() && holds(work, seat, &floor, said, outputs) {
            return self.ends("its `until` holds");
        }
        self.look_round(work);
    }

    /// A turn came to no good end, and nobody is left to take it over.
    pub(super) fn fell_silent(&mut self, work: &PhaseWork, seat: usize, reason: &str) {
        if !self.open.remove(&seat) {
            return;
        }
        self.absent.insert(seat, reason.to_owned());
        self.look_round(work);
    }

    /// Ends the talk where nobody is to speak any more, or too few are there.
    fn look_round(&mut self, work: &PhaseWork) {
        if self.end.is_some() {
            return;
        }
        let there = self.floors.len() - self.absent.len();
        let needed = match &self.kind {
            Kind::Dialogue(_) => self.floors.len(),
            Kind::Meeting(_) => QUORUM.min(self.floors.len()),
            Kind::Mesh(_) => 1,
        };
        if there < needed {
            self.end = Some(TalkEnd::Failed { reason: self.missing(work) });
        } else if !matches!(self.kind, Kind::Mesh(_)) && self.open.is_empty() && self.next(work).is_none() {
            self.ends("everything was said");
        }
    }

    fn missing(&self, work: &PhaseWork) -> String {
        let workers = work.workers();
        let told = self.absent.iter().filter_map(|(seat, reason)| {
            workers.get(*seat).map(|worker| format!("`{}` is not there: {reason}", worker.name))
        });
        told.collect::<Vec<_>>().join("; ")
    }

    fn ends(&mut self, because: &str) {
        self.end.get_or_insert_with(|| TalkEnd::Done { because: because.to_owned() });
    }

    /// Somebody says that the talk is done.
    pub(super) fn conclude(&mut self, by: &str) -> bool {
        let goes_on = self.end.is_none();
        self.ends(&format!("{by} said that it is done"));
        goes_on
    }

    /// A letter waits for this seat.
    pub(super) fn posted(&mut self, seat: usize, number: u64) -> bool {
        match &mut self.kind {
            Kind::Mesh(mesh) if self.end.is_none() => mesh.posted(seat, number),
            _ => false,
        }
    }

    /// The number of the quiet that is to be timed, and for how long it must last.
    pub(super) fn quiet(&self, work: &PhaseWork) -> Option<(u32, u64)> {
        let (Kind::Mesh(mesh), PhaseWork::Mesh { agents, quiet_ms, persistent: false, .. }) =
            (&self.kind, work)
        else {
            return None;
        };
        let quiet = self.end.is_none() && mesh.is_quiet(agents, &self.absent, |seat| self.is_open(seat));
        quiet.then(|| mesh.untimed()).flatten().map(|number| (number, *quiet_ms))
    }

    /// The quiet that is being timed, with its length.
    pub(super) fn quiet_timed(&self, work: &PhaseWork) -> Option<(u32, u64)> {
        match (&self.kind, work) {
            (Kind::Mesh(mesh), PhaseWork::Mesh { quiet_ms, .. }) if self.end.is_none() => {
                mesh.holds().map(|number| (number, *quiet_ms))
            }
            _ => None,
        }
    }

    pub(super) fn quiet_begins(&mut self, number: u32) {
        if let Kind::Mesh(mesh) = &mut self.kind {
            mesh.timed(number);
        }
    }

    /// It was quiet for so long as was asked for.
    pub(super) fn was_quiet(&mut self, number: u32) -> bool {
        let held = matches!(&self.kind, Kind::Mesh(mesh) if mesh.holds() == Some(number));
        let over = held && self.end.is_none();
        if over {
            self.ends("nobody had anything more to say");
        }
        over
    }

    /// How many turns have begun.
    pub fn turns(&self) -> u32 {
        self.turns
    }
}

/// Whether the dialogue's `until` holds after this turn. What cannot be worked out does not hold.
fn holds(work: &PhaseWork, seat: usize, floor: &Floor, said: &str, outputs: &PhaseOutputs) -> bool {
    let PhaseWork::Dialogue { participants, until: Some(until), .. } = work else {
        return false;
    };
    let Ok(condition) = Condition::parse(until) else {
        return false;
    };
    let from = participants.get(seat).map(|one| one.name.to_string()).unwrap_or_default();
    let mut published = serde_json::Map::new();
    for (key, value) in outputs.workers.iter().flat_map(|worker| &worker.values) {
        published.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let variables = BTreeMap::from([
        ("round".to_owned(), json!(floor.round)),
        ("turn".to_owned(), json!(floor.turn)),
        ("last".to_owned(), json!({ "text": said, "from": from })),
        ("outputs".to_owned(), Value::Object(published)),
        ("event".to_owned(), Value::Null),
    ]);
    condition.holds(&variables).unwrap_or(false)
}
