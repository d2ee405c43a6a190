//! The minutes of a talk: what was said, by whom, in which order, kept in the scratchpad while it grows.
//!
//! The course knows whose turns came to a good end; the words lie with the sessions, the letters in the mailbox. What
//! stands in the scratchpad is made from these, so that it can be made again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use niia_spec::course::{RunCourse, Spoken, Talk};
use niia_spec::name::{AttemptId, PhaseName, WorkerId};
use niia_spec::plan::{PhasePlan, PhaseWork};
use niia_spec::wrap::talk::Said;
use serde_json::json;

use super::context::RunContext;
use super::report::excerpt;
use crate::ask::chain;
use crate::journal::Journal;
use crate::mailbox::{self, Letter, Party};
use crate::session::finish::{answer_path, kept_answer};

/// Where the whole of a talk can be read, in the scratchpad.
pub(super) fn transcript_path(phase: &PhaseName) -> String {
    format!("{phase}/transcript.md")
}

/// Where the decisions of a meeting stand.
pub(super) fn decisions_path(phase: &PhaseName) -> String {
    format!("{phase}/decisions.md")
}

/// Letters are in the minutes after so long: a talk of thousands would be written out anew for each of them.
pub(super) const KEPT_WITHIN: Duration = Duration::from_millis(200);

/// What was said so far in one talk.
#[derive(Debug, Default)]
pub(super) struct Minutes {
    entries: Vec<Entry>,
    /// How many turns are among them.
    turns: usize,
    /// There are letters in it that are not in the scratchpad yet.
    pub due: bool,
    letters: BTreeSet<u64>,
    text: String,
    lines: String,
    decisions: String,
}

/// A turn's answer, or a letter.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub from: String,
    /// Whom a letter is for.
    pub to: Option<String>,
    pub place: String,
    pub text: String,
    /// A letter's number.
    pub letter: Option<u64>,
}

impl Entry {
    /// As it is told to somebody.
    pub fn said(&self) -> Said {
        Said { from: self.from.clone(), place: self.place.clone(), text: self.text.clone() }
    }

    pub fn of_letter(letter: &Letter) -> Entry {
        Entry {
            from: name(&letter.from),
            to: Some(name(&letter.to)),
            place: "letter".to_owned(),
            text: letter.text.clone(),
            letter: Some(letter.number),
        }
    }
}

/// What somebody is called within the run.
fn name(party: &Party) -> String {
    match party {
        Party::Worker(worker) => worker.worker.to_string(),
        other => other.to_string(),
    }
}

impl Minutes {
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The answers of turns alone, in the order of the course.
    pub fn turns(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.letter.is_none())
    }

    /// Takes in the turns that are not in it yet, and says whether there were any.
    pub fn catch_up(&mut self, context: &RunContext, course: &RunCourse, plan: &PhasePlan) -> bool {
        let Some(talk) = course.talk(&plan.name) else {
            return false;
        };
        let new = talk.spoken().get(self.turns..).unwrap_or_default();
        for spoken in new {
            self.turn(context, course, plan, talk, spoken);
        }
        self.turns = talk.spoken().len();
        !new.is_empty()
    }

    fn turn(
        &mut self,
        context: &RunContext,
        course: &RunCourse,
        plan: &PhasePlan,
        talk: &Talk,
        spoken: &Spoken,
    ) {
        let workers = plan.work.workers();
        let Some(worker) = workers.get(spoken.seat) else {
            return;
        };
        let worker = WorkerId { phase: plan.name.clone(), worker: worker.name.clone() };
        let attempt = AttemptId { worker, attempt: spoken.attempt };
        let folder = context.session_folder(&attempt);
        let text = kept_answer(&folder, excerpt(course, &attempt)).unwrap_or_default();
        let from = attempt.worker.worker.to_string();
        let place = place(plan, spoken);
        let when = std::fs::metadata(answer_path(&folder)).and_then(|data| data.modified()).ok();
        let when =
            when.and_then(|time| jiff::Timestamp::try_from(time).ok()).unwrap_or_else(jiff::Timestamp::now);
        let floor = spoken.floor;
        let cause = talk.spoken().iter().map(|spoken| spoken.floor.turn).rfind(|turn| *turn < floor.turn);
        let line = json!({
            "id": format!("{}/{}", plan.name, floor.turn), "turn": floor.turn, "who": from,
            "when": when.to_string(), "session": context.session_id(&attempt).to_string(),
            "cause": cause.map(|turn| format!("{}/{turn}", plan.name)), "round": floor.round,
            "topic": topic(plan, spoken), "decides": floor.decides, "text": text,
        });
        let _ = writeln!(self.lines, "{line}");
        let _ = writeln!(self.text, "## {}. {from}{}\n\n{}\n", floor.turn, within(&place), text.trim_end());
        if floor.decides {
            let topic = topic(plan, spoken).filter(|topic| !topic.is_empty());
            let head = topic.unwrap_or_else(|| "What was decided".to_owned());
            let _ = writeln!(self.decisions, "## {head}\n\n{}\n\n({from})\n", text.trim_end());
        }
        self.entries.push(Entry { from, to: None, place, text, letter: None });
    }

    /// Takes in a letter, unless it is in it.
    pub fn letter(&mut self, letter: &Letter) -> bool {
        if !self.letters.insert(letter.number) {
            return false;
        }
        let entry = Entry::of_letter(letter);
        let to = entry.to.clone().unwrap_or_default();
        let line = json!({
            "id": letter.id, "letter": letter.number, "who": entry.from, "to": to, "when": letter.at,
            "cause": letter.cause, "hops": letter.hops, "text": letter.text,
        });
        let _ = writeln!(self.lines, "{line}");
        let _ = writeln!(self.text, "### {} → {to}\n\n{}\n", entry.from, letter.text.trim_end());
        self.entries.push(entry);
        true
    }

    /// The letters that were written before this node began.
    pub fn recall(&mut self, context: &RunContext, journal: &Journal, phase: &PhaseName) {
        match mailbox::list(journal, &context.run) {
            Ok((letters, _)) => {
                for letter in letters.iter().filter(|letter| is_of(letter, phase)) {
                    self.letter(letter);
                }
            }
            Err(error) => tracing::warn!(run = %context.run, %error, "the letters cannot be read"),
        }
    }

    /// Writes it all into the scratchpad.
    pub fn keep(&mut self, context: &RunContext, phase: &PhaseName) {
        self.due = false;
        let head = format!("# Transcript of `{phase}`\n\n");
        let mut files = vec![
            (transcript_path(phase), head + &self.text),
            (format!("{phase}/transcript.jsonl"), self.lines.clone()),
        ];
        if !self.decisions.is_empty() {
            files.push((decisions_path(phase), format!("# Decisions of `{phase}`\n\n{}", self.decisions)));
        }
        for (path, text) in files {
            if let Err(error) = context.scratchpad.put_copy(&path, text.as_bytes()) {
                tracing::warn!(run = %context.run, path, error = chain(&error), "minutes are not kept");
            }
        }
    }
}

/// Whether a letter belongs to the talk of this phase.
pub(super) fn is_of(letter: &Letter, phase: &PhaseName) -> bool {
    let within = |party: &Party| matches!(party, Party::Worker(worker) if worker.phase == *phase);
    within(&letter.to) || within(&letter.from)
}

fn topic(plan: &PhasePlan, spoken: &Spoken) -> Option<String> {
    let PhaseWork::Meeting { agenda, .. } = &plan.work else {
        return None;
    };
    agenda.get(usize::try_from(spoken.floor.topic).ok()?).map(|entry| entry.topic.clone())
}

fn place(plan: &PhasePlan, spoken: &Spoken) -> String {
    let round = match (&plan.work, spoken.floor.decides) {
        (PhaseWork::Mesh { .. }, _) => String::new(),
        (_, true) => "decision".to_owned(),
        (_, false) => format!("round {}", spoken.floor.round),
    };
    match topic(plan, spoken).filter(|topic| !topic.is_empty()) {
        Some(topic) => format!("{topic}, {round}"),
        None => round,
    }
}

fn within(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" ({place})") }
}
