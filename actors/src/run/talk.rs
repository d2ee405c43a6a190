//! Turns of talks: what a speaker is told, and what is kept of what it says.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use niia_spec::course::{Ending, Event, Floor, MENDER, Outcome, PhaseState};
use niia_spec::name::{AttemptId, PhaseName, WorkerId};
use niia_spec::plan::{PhasePlan, PhaseWork};
use niia_spec::wrap::talk::{Said, TurnTold};

use super::RunState;
use super::eyes::{self, Watching};
use super::minutes::{Entry, Minutes, is_of, transcript_path};
use crate::ask::chain;
use crate::mailbox::{Letter, Party};

/// What a turn's prompt is made of, besides the speaker's own task.
#[derive(Clone, Debug)]
pub(super) struct TurnWords {
    /// All that was said, for a speaker that knows nothing of it.
    pub said: Vec<Said>,
    /// What is new to a speaker that remembers its turns.
    pub news: Vec<Said>,
    pub turn: TurnTold,
    pub transcript: String,
}

impl RunState {
    /// What is told in this attempt's turn; nothing where it is no turn, and an ending where there is nothing to tell.
    pub(super) async fn turn_words(&mut self, attempt: &AttemptId) -> Result<Option<TurnWords>, Box<Ending>> {
        let phase = &attempt.worker.phase;
        // Borrowed from the context and not from the run: a phase may have a thousand workers, and each asks.
        let context = Arc::clone(&self.context);
        let Some(plan) = context.plan.phases.iter().find(|plan| plan.name == *phase) else {
            return Ok(None);
        };
        let seat = self.course.seat(&attempt.worker).filter(|_| attempt.worker.worker.as_str() != MENDER);
        let floor = self.course.talk(phase).zip(seat).and_then(|(talk, seat)| talk.floor(seat));
        let (Some(seat), Some(floor)) = (seat, floor) else {
            return Ok(None);
        };
        self.minute(phase);
        let letters = match &plan.work {
            PhaseWork::Mesh { .. } => self.letters_of(&attempt.worker, &floor).await?,
            _ => Vec::new(),
        };
        let before =
            self.course.talk(phase).is_some_and(|talk| talk.spoken().iter().any(|one| one.seat == seat));
        if matches!(plan.work, PhaseWork::Mesh { .. }) && before && letters.is_empty() {
            return Err(Box::new(Ending::plain(Outcome::Done, "its letters were read meanwhile")));
        }
        let minutes = self.minutes.entry(phase.clone()).or_default();
        let (said, news) = match &plan.work {
            PhaseWork::Mesh { .. } => of_mesh(minutes, &attempt.worker, &letters, floor.letters.1),
            _ => of_all(minutes, &attempt.worker, &floor),
        };
        let transcript = self.context.scratchpad_folder().join(transcript_path(phase)).display().to_string();
        let turn = turn_told(plan, &attempt.worker, &floor);
        Ok(Some(TurnWords { said, news, turn, transcript }))
    }

    /// The letters that are told in this turn: those that wait, or those that were written down when it was tried first.
    async fn letters_of(&mut self, worker: &WorkerId, floor: &Floor) -> Result<Vec<Letter>, Box<Ending>> {
        let failed = |reason: String| Box::new(Ending::plain(Outcome::Failed { reason }, "the mailbox"));
        let (from, to) = floor.letters;
        if from == to {
            return Ok(Vec::new());
        }
        let path = self.context.folder.join("turns").join(format!("{}-{}.json", worker.phase, floor.turn));
        let mailbox = self.mailbox().await.ok_or_else(|| failed("it did not open".to_owned()))?;
        let reader = Party::Worker(worker.clone());
        let letters = match kept_letters(&path) {
            Some(letters) => letters,
            None => {
                let waiting = mailbox.waiting(reader.clone(), to).await;
                let letters = waiting.map_err(|error| failed(chain(&error)))?;
                // Written down before they count as read: a crash between the two tells them all the same.
                keep_letters(&path, &letters)
                    .map_err(|error| failed(format!("{}: {error}", path.display())))?;
                letters
            }
        };
        crate::failpoint::hit("run.before_letters_read");
        mailbox.take_up_to(reader, to).await.map_err(|error| failed(chain(&error)))?;
        Ok(letters)
    }

    /// Brings the minutes of a talk up to what the course knows, in the scratchpad too.
    pub(super) fn minute(&mut self, phase: &PhaseName) {
        let new = self.catch_up(phase);
        if let Some(minutes) = self.minutes.get_mut(phase).filter(|minutes| new || minutes.due) {
            minutes.keep(&self.context, phase);
        }
    }

    /// Takes into the minutes what was said since, and says whether that was anything.
    fn catch_up(&mut self, phase: &PhaseName) -> bool {
        let plan = self.context.plan.phases.iter().find(|plan| plan.name == *phase);
        let Some(plan) = plan.filter(|_| self.course.talk(phase).is_some()) else {
            return false;
        };
        let known = self.minutes.contains_key(phase);
        let minutes = self.minutes.entry(phase.clone()).or_default();
        if !known && self.course.letters() > 0 {
            minutes.recall(&self.context, &self.journal, phase);
        }
        minutes.catch_up(&self.context, &self.course, plan)
    }

    /// A letter was taken in.
    pub(super) fn posted(&mut self, letter: &Letter) {
        let talks: Vec<PhaseName> = self.context.plan.phases.iter().map(|plan| plan.name.clone()).collect();
        for phase in talks.into_iter().filter(|phase| is_of(letter, phase)) {
            if self.course.talk(&phase).is_none() {
                continue;
            }
            let spoken = self.catch_up(&phase);
            let minutes = self.minutes.entry(phase.clone()).or_default();
            let written = minutes.letter(letter);
            if (spoken || written) && !minutes.due {
                minutes.due = true;
                self.me.keep_minutes_soon(phase);
            }
        }
        let to = match (&letter.to, &letter.fate) {
            (Party::Worker(worker), fate) if fate.waits() => Some(worker.clone()),
            _ => None,
        };
        self.happened(Event::Posted { number: letter.number, to }, None);
    }

    /// The talks that are going on: between two turns nothing else says so after a restart.
    pub(super) fn talks_at_work(&self) -> Vec<PhaseName> {
        let at_work = |(plan, phase): &(&PhasePlan, &niia_spec::course::PhaseCourse)| {
            *phase.state() == PhaseState::Open && self.course.talk(&plan.name).is_some()
        };
        self.course.phases().filter(at_work).map(|(plan, _)| plan.name.clone()).collect()
    }

    /// The watch of a mesh, where its agents want one.
    pub(super) fn watch_for(&self, phase: &PhaseName) -> Option<Watching> {
        let plan = self.context.plan.phases.iter().find(|plan| plan.name == *phase)?;
        let watching = eyes::begin(&self.context, plan, &self.me)?;
        let workers = plan.work.workers();
        for spoken in self.course.talk(phase)?.spoken() {
            if let Some(worker) = workers.get(spoken.seat) {
                watching.board.knows(&worker.name);
            }
        }
        Some(watching)
    }

    /// A run with a mesh hears of its letters from the beginning on.
    pub(super) async fn open_mailbox_for_meshes(&mut self) {
        let meshes = |plan: &PhasePlan| matches!(plan.work, PhaseWork::Mesh { .. });
        if self.context.plan.phases.iter().any(meshes) {
            self.mailbox().await;
        }
    }
}

fn kept_letters(path: &Path) -> Option<Vec<Letter>> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn keep_letters(path: &PathBuf, letters: &[Letter]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(letters).map_err(std::io::Error::other)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(folder)?.sync_all()
}

/// Where everybody hears everything: all turns before this one, and those since the speaker's own last.
fn of_all(minutes: &Minutes, me: &WorkerId, floor: &Floor) -> (Vec<Said>, Vec<Said>) {
    let heard = usize::try_from(floor.heard).unwrap_or(usize::MAX);
    let turns: Vec<&Entry> = minutes.turns().take(heard).collect();
    let mine = |entry: &&Entry| entry.from == me.worker.as_str();
    let since = turns.iter().rposition(mine).map_or(0, |at| at + 1);
    let told = |entries: &[&Entry]| entries.iter().map(|entry| entry.said()).collect();
    (told(&turns), told(&turns[since..]))
}

/// Where letters are written: what the reader said and read before, and the letters that are new.
///
/// `told` is the number up to which letters are told in this turn: what came after that is not known yet.
fn of_mesh(minutes: &Minutes, me: &WorkerId, letters: &[Letter], told: u64) -> (Vec<Said>, Vec<Said>) {
    let me = me.worker.as_str();
    let news: Vec<Said> = letters.iter().map(|letter| Entry::of_letter(letter).said()).collect();
    let first = letters.first().map_or(told.saturating_add(1), |letter| letter.number);
    let before = |entry: &&Entry| match entry.letter {
        Some(number) => (entry.to.as_deref() == Some(me) && number < first) || entry.from == me,
        None => entry.from == me,
    };
    let as_told = |entry: &Entry| match &entry.to {
        Some(to) if entry.from == me => Said { place: format!("your letter to {to}"), ..entry.said() },
        None => Said { place: "your own answer".to_owned(), ..entry.said() },
        _ => entry.said(),
    };
    let said = minutes.entries().iter().filter(before).map(as_told).chain(news.clone()).collect();
    (said, news)
}

fn turn_told(plan: &PhasePlan, me: &WorkerId, floor: &Floor) -> TurnTold {
    let names = plan.work.workers().into_iter().map(|worker| worker.name.to_string());
    let others = names.filter(|name| name != me.worker.as_str()).collect();
    let told = TurnTold {
        me: me.worker.to_string(),
        others,
        kind: plan.work.word().to_owned(),
        ..TurnTold::default()
    };
    match &plan.work {
        PhaseWork::Dialogue { rounds, .. } => {
            TurnTold { round: Some(format!("round {} of {rounds}", floor.round)), ..told }
        }
        PhaseWork::Meeting { agenda, .. } => {
            let entry = usize::try_from(floor.topic).ok().and_then(|topic| agenda.get(topic));
            let round = entry.filter(|_| !floor.decides);
            TurnTold {
                topic: entry.map(|entry| entry.topic.clone()).filter(|topic| !topic.is_empty()),
                round: round.map(|entry| format!("round {} of {}", floor.round, entry.rounds)),
                decides: floor.decides,
                ..told
            }
        }
        PhaseWork::Mesh { broadcast, .. } => TurnTold { letters: true, broadcast: *broadcast, ..told },
        _ => told,
    }
}
