//! A world in which people talk: slowly, out of order, with crashes, lost models and letters at any time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use niia_spec::course::{
    Command, Ending, Event, Gathering, Outcome, PhaseOutcome, PhaseState, RunCourse, Unavailable, Wake,
};
use niia_spec::name::{AttemptId, PhaseName, WorkerId};
use niia_spec::plan::{PhaseWork, Plan};

use super::Cells;
use crate::document::{judge, slug};
use crate::transcript::ending;

/// A talk of a random plan has a hundred steps; one that has not ended after so many never will.
const STEPS_MAX: usize = 5_000;
/// Letters that are written at most; a mesh that gets no more of them falls quiet.
const LETTERS_MAX: u64 = 12;

pub struct World {
    rng: Rng,
    plan: Arc<Plan>,
    course: RunCourse,
    /// Takes in stored rows only.
    replayed: RunCourse,
    rows: Vec<(Event, Vec<Command>)>,
    todo: VecDeque<Command>,
    news: Vec<Event>,
    clock: Vec<Wake>,
    told: Vec<Event>,
    /// Every attempt that was started, and how it ended.
    sessions: BTreeMap<AttemptId, Option<Ending>>,
    letters: u64,
    /// The newest letter each seat's workers have.
    newest: BTreeMap<WorkerId, u64>,
    seen: Seen,
}

/// What was said and decided, kept by the laws themselves.
#[derive(Default)]
struct Seen {
    live: BTreeSet<AttemptId>,
    /// Seats in the order of their good turns.
    spoke: Vec<usize>,
    /// Who is not there any more.
    gone: BTreeSet<usize>,
    /// Letters up to here were told to each seat.
    told: BTreeMap<usize, u64>,
    starts: BTreeMap<WorkerId, u32>,
    turns: u32,
    resumed: u32,
    dismissed: bool,
    started: bool,
    closed: Option<PhaseOutcome>,
}

impl World {
    pub fn new(plan: Arc<Plan>, rng: Rng) -> World {
        let course = RunCourse::new(Arc::clone(&plan), judge).unwrap_or_else(|error| panic!("{error}"));
        World {
            rng,
            plan,
            replayed: course.clone(),
            course,
            rows: Vec::new(),
            todo: VecDeque::new(),
            news: vec![Event::Begun],
            clock: Vec::new(),
            told: Vec::new(),
            sessions: BTreeMap::new(),
            letters: 0,
            newest: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    fn phase() -> PhaseName {
        slug("talk")
    }

    pub fn play(&mut self, cells: &mut Cells) {
        for _ in 0..STEPS_MAX {
            if self.course.over().is_some() {
                return self.after(cells);
            }
            self.step(cells);
        }
        panic!("the talk never ends");
    }

    /// Nothing that comes late changes a run that is over.
    fn after(&mut self, cells: &mut Cells) {
        assert_eq!(self.seen.live, BTreeSet::new(), "somebody lives after the end");
        let mut late: Vec<Event> = self.told.iter().step_by(3).cloned().chain(self.news.drain(..)).collect();
        late.extend((0..8).map(|_| self.stray()));
        for event in late {
            count(&self.course, &event, cells);
            assert_eq!(self.course.on(&event), [], "late news leads to something: {event:?}");
        }
        self.crash();
    }

    fn step(&mut self, cells: &mut Cells) {
        match self.rng.u32(0..100) {
            0..=1 => self.crash(),
            2 if self.rng.u32(0..8) == 0 => {
                self.tell(Event::Cancelled { reason: "enough".to_owned() }, cells)
            }
            3..=8 => {
                let stray = self.stray();
                self.tell(stray, cells);
            }
            9..=12 if !self.told.is_empty() => {
                let again = self.told[self.rng.usize(..self.told.len())].clone();
                // What is settled may come to another end: only the one that tells the first knows which is meant.
                if !matches!(again, Event::Ended { .. }) {
                    self.tell(again, cells);
                }
            }
            13..=20 => self.write(),
            21..=50 if !self.todo.is_empty() => self.carry_out(),
            51..=84 if !self.news.is_empty() => {
                let event = self.news.swap_remove(self.rng.usize(..self.news.len()));
                self.tell(event, cells);
            }
            _ => self.press_on(cells),
        }
    }

    fn press_on(&mut self, cells: &mut Cells) {
        if !self.todo.is_empty() {
            self.carry_out();
        } else if let Some(event) = self.news.pop() {
            self.tell(event, cells);
        } else if !self.end_some() {
            if self.clock.is_empty() {
                // A persistent mesh waits for somebody to end it.
                let phase = World::phase();
                return self.tell(Event::Concluded { phase, by: "somebody".to_owned() }, cells);
            }
            let wake = self.clock.swap_remove(self.rng.usize(..self.clock.len()));
            self.news.push(Event::Expired { wake });
        }
    }

    fn write(&mut self) {
        if self.letters >= LETTERS_MAX {
            return;
        }
        self.letters += 1;
        let to = self.anybody();
        self.newest.insert(to.clone(), self.letters);
        self.news.push(Event::Posted { number: self.letters, to: Some(to) });
    }

    fn seats(&self) -> usize {
        self.plan.phases[0].work.workers().len()
    }

    fn anybody(&mut self) -> WorkerId {
        let seat = self.rng.usize(..self.seats());
        WorkerId { phase: World::phase(), worker: self.plan.phases[0].work.workers()[seat].name.clone() }
    }

    fn stray(&mut self) -> Event {
        let worker = self.anybody();
        let attempt = AttemptId { worker, attempt: self.rng.u32(0..6) };
        let phase = World::phase();
        let lives = self.sessions.get(&attempt).is_some_and(Option::is_none);
        match self.rng.u32(0..10) {
            0 if !lives => Event::Ended { ending: ending(self.outcome(), None), attempt },
            0 | 1 => Event::Expired { wake: Wake::Timeout { attempt } },
            2 => Event::Expired { wake: Wake::Backoff { attempt } },
            3 => Event::Expired { wake: Wake::Quiet { phase, number: self.rng.u32(0..20) } },
            4 if self
                .todo
                .iter()
                .chain(&self.course.open_effects())
                .all(|c| !matches!(c, Command::Dismiss { .. })) =>
            {
                Event::Dismissed { phase }
            }
            5 if self.rng.u32(0..10) == 0 => Event::Concluded { phase, by: "a person".to_owned() },
            6 => Event::Resumed { hold: self.rng.u32(0..3), reason: "so it is".to_owned() },
            7 => Event::Posted { number: self.rng.u64(0..=self.letters), to: None },
            _ => Event::Started { attempt },
        }
    }

    fn tell(&mut self, event: Event, cells: &mut Cells) {
        count(&self.course, &event, cells);
        let known = self.told.contains(&event);
        let commands = self.course.on(&event);
        self.replays(&event, &commands);
        if let Event::Ended { attempt, ending } = &event
            && self.seen.live.remove(attempt)
        {
            self.hear(attempt, ending);
        }
        if let Event::Resumed { .. } = event
            && !commands.is_empty()
        {
            self.seen.resumed += 1;
        }
        for command in &commands {
            self.hold(command, &event);
        }
        if !known {
            let mut again = self.course.clone();
            assert_eq!(again.on(&event), [], "{event:?} is acted on twice");
            assert_eq!(again.state(), self.course.state(), "{event:?} counts twice");
        }
        self.todo.extend(commands);
        if !known {
            self.told.push(event);
        }
    }

    /// What is stored and applied comes to the same as what was decided.
    fn replays(&mut self, event: &Event, commands: &[Command]) {
        self.replayed.apply(event, commands);
        assert_eq!(
            self.replayed.state(),
            self.course.state(),
            "the replay differs after {event:?} => {commands:?}"
        );
        self.rows.push((event.clone(), commands.to_vec()));
    }

    fn hear(&mut self, attempt: &AttemptId, ending: &Ending) {
        let Some(seat) = self.course.seat(&attempt.worker) else { return };
        if ending.outcome == Outcome::Done {
            self.seen.spoke.push(seat);
        }
        let talk = self.course.talk(&World::phase()).unwrap();
        let gone: BTreeSet<usize> = talk.absent().keys().copied().collect();
        assert!(self.seen.gone.is_subset(&gone), "somebody came back");
        assert!(gone.len() <= self.seen.gone.len() + 1);
        self.seen.gone = gone;
        let said: Vec<usize> = talk.spoken().iter().map(|spoken| spoken.seat).collect();
        assert_eq!(said, self.seen.spoke, "what was said is not what was heard");
    }

    /// The laws, command by command.
    fn hold(&mut self, command: &Command, event: &Event) {
        match command {
            Command::Start { attempt, model } => self.hold_start(attempt, *model, event),
            Command::Settle { attempt } => {
                assert!(self.seen.live.insert(attempt.clone()), "{attempt} is settled while it lives");
            }
            Command::Dismiss { .. } => {
                assert_eq!(self.seen.live, BTreeSet::new(), "dismissed while somebody speaks");
                assert!(!self.seen.dismissed, "dismissed twice");
                self.seen.dismissed = true;
            }
            Command::Gather { .. } => assert!(self.seen.dismissed, "gathered before it is dismissed"),
            Command::Close { outcome, .. } => self.hold_close(outcome),
            Command::Wake { wake: Wake::Quiet { .. }, .. } => {
                assert_eq!(self.seen.live, BTreeSet::new(), "quiet while somebody speaks");
                let seats = 0..self.seats();
                let spoke = |seat: &usize| self.seen.spoke.contains(seat) || self.seen.gone.contains(seat);
                assert!(seats.clone().all(|seat| spoke(&seat)), "quiet before everybody spoke");
            }
            _ => {}
        }
    }

    fn hold_start(&mut self, attempt: &AttemptId, model: u32, event: &Event) {
        let seat = self.course.seat(&attempt.worker).unwrap();
        let work = &self.plan.phases[0].work;
        assert!(!self.seen.dismissed && self.seen.closed.is_none(), "{attempt} starts after the end");
        assert!((model as usize) < work.workers()[seat].models.len(), "{attempt} on no model");
        assert!(!self.seen.gone.contains(&seat), "{attempt} is of somebody who is gone");
        let starts = self.seen.starts.entry(attempt.worker.clone()).or_default();
        *starts += 1;
        assert_eq!(attempt.attempt, *starts, "attempts are numbered one by one");
        assert!(self.seen.live.iter().all(|live| live.worker != attempt.worker), "{attempt} beside itself");
        let talk = self.course.talk(&World::phase()).unwrap();
        let floor = talk.floor(seat).unwrap();
        match work {
            PhaseWork::Mesh { .. } => self.hold_letters(attempt, seat, floor.letters, floor.turn),
            PhaseWork::Dialogue { .. } => {
                assert_eq!(self.seen.live, BTreeSet::new(), "two speak at once");
                assert_eq!(seat, self.seen.spoke.len() % 2, "out of turn after {event:?}");
            }
            PhaseWork::Meeting { .. } => {
                assert_eq!(self.seen.live, BTreeSet::new(), "two speak at once");
                assert_eq!(floor.heard as usize, self.seen.spoke.len(), "everybody hears everything");
                if let Some(last) = self.seen.spoke.last().filter(|_| !floor.decides) {
                    let others = (0..self.seats()).filter(|seat| !self.seen.gone.contains(seat)).count();
                    let closed = talk.spoken().last().is_some_and(|spoken| spoken.floor.decides);
                    assert!(closed || others < 2 || *last != seat, "somebody speaks twice in a row");
                }
            }
            _ => unreachable!(),
        }
        self.seen.started = true;
        self.seen.turns = self.seen.turns.max(floor.turn);
        let granted = self.plan.limits.max_turns.saturating_mul(self.seen.resumed + 1);
        assert!(self.seen.turns <= granted, "{} turns, {granted} are allowed", self.seen.turns);
        self.seen.live.insert(attempt.clone());
    }

    /// Every letter is told in one turn, in order, and a turn after the first has letters.
    fn hold_letters(&mut self, attempt: &AttemptId, seat: usize, (from, to): (u64, u64), turn: u32) {
        let told = self.seen.told.entry(seat).or_default();
        let same = *told == to && from <= to;
        let follows = *told == from && (from < to || attempt.attempt == 1);
        assert!(turn > 0 && (same || follows), "{attempt}: letters {from}..{to} after {told}");
        *told = to;
        let newest = self.newest.get(&attempt.worker).copied().unwrap_or_default();
        assert!(to <= newest, "a letter that was never written");
    }

    fn hold_close(&mut self, outcome: &PhaseOutcome) {
        assert_eq!(self.seen.live, BTreeSet::new(), "closed while somebody speaks");
        assert!(self.seen.dismissed || !self.seen.started, "closed before it is dismissed");
        assert!(self.seen.closed.replace(outcome.clone()).is_none(), "closed twice");
        let talk = self.course.talk(&World::phase()).unwrap();
        let work = &self.plan.phases[0].work;
        if *outcome != PhaseOutcome::Done {
            return;
        }
        match work {
            PhaseWork::Dialogue { rounds, until, .. } => {
                let full = self.seen.spoke.len() == *rounds as usize * 2;
                let concluded = self.told.iter().any(|event| matches!(event, Event::Concluded { .. }));
                assert!(full || until.is_some() || concluded, "a dialogue of {:?}", self.seen.spoke);
            }
            PhaseWork::Meeting { agenda, .. } => {
                let decided = talk.spoken().iter().filter(|spoken| spoken.floor.decides).count();
                let concluded = self.told.iter().any(|event| matches!(event, Event::Concluded { .. }));
                assert!(concluded || decided == agenda.len(), "{decided} topics are decided");
            }
            PhaseWork::Mesh { .. } => assert!(self.seen.gone.len() < self.seats(), "nobody is left"),
            _ => unreachable!(),
        }
    }

    fn crash(&mut self) {
        let mut course = RunCourse::new(Arc::clone(&self.plan), judge).unwrap();
        for row in &self.rows {
            let row = serde_json::to_vec(row).unwrap();
            let (event, commands): (Event, Vec<Command>) = serde_json::from_slice(&row).unwrap();
            course.apply(&event, &commands);
        }
        assert_eq!(course.state(), self.course.state(), "the restarted node knows something else");
        self.course = course;
        self.clock.clear();
        self.todo = self.course.open_effects().into();
        // Letters are stored by themselves: after a restart the mailbox says again what waits.
        self.news.retain(|event| matches!(event, Event::Begun | Event::Posted { .. }));
    }

    fn carry_out(&mut self) {
        let Some(command) = self.todo.pop_front() else { return };
        match command {
            Command::Start { attempt, .. } => match self.sessions.entry(attempt.clone()).or_insert(None) {
                Some(ending) => self.news.push(Event::Ended { attempt, ending: ending.clone() }),
                None => self.news.push(Event::Started { attempt }),
            },
            Command::Settle { attempt } => {
                let ended = ending(Outcome::Done, None);
                self.sessions.insert(attempt.clone(), Some(ended.clone()));
                self.news.push(Event::Ended { attempt, ending: ended });
            }
            Command::End { attempt, .. } => self.end(&attempt, Outcome::Cancelled),
            Command::Dismiss { phase } => self.news.push(Event::Dismissed { phase }),
            Command::Gather { phase, round } => {
                let gathering = Gathering::Merged { commit: None, runs_later: Vec::new() };
                self.news.push(Event::Gathered { phase, round, gathering });
            }
            Command::Wake { wake, .. } if !self.clock.contains(&wake) => self.clock.push(wake),
            Command::Hold { .. } => {
                let hold = self.course.holds();
                let reason = "so it is".to_owned();
                self.news.push(match self.rng.u32(0..4) {
                    0 => Event::Cancelled { reason },
                    _ => Event::Resumed { hold, reason },
                });
            }
            _ => {}
        }
        if self.course.waits().is_some() && self.todo.is_empty() && self.news.is_empty() {
            let reason = "so it is".to_owned();
            self.news.push(Event::Resumed { hold: self.course.holds(), reason });
        }
    }

    fn end(&mut self, attempt: &AttemptId, outcome: Outcome) {
        if let Some(session @ None) = self.sessions.get_mut(attempt) {
            let mut ended = ending(outcome, None);
            ended.answered = self.rng.u32(0..3) == 0;
            if self.rng.u32(0..8) == 0 {
                ended.excerpt = "yes".to_owned();
            }
            *session = Some(ended.clone());
            self.news.push(Event::Ended { attempt: attempt.clone(), ending: ended });
        }
    }

    fn end_some(&mut self) -> bool {
        let live: Vec<AttemptId> =
            self.sessions.iter().filter(|(_, ending)| ending.is_none()).map(|(id, _)| id.clone()).collect();
        if live.is_empty() {
            return false;
        }
        let attempt = live[self.rng.usize(..live.len())].clone();
        let outcome = self.outcome();
        self.end(&attempt, outcome);
        true
    }

    fn outcome(&mut self) -> Outcome {
        let reason = "so it is".to_owned();
        match self.rng.u32(0..100) {
            0..=79 => Outcome::Done,
            80..=84 => Outcome::Failed { reason },
            85..=92 => Outcome::Unavailable { class: Unavailable::Quota, reason },
            93..=95 => Outcome::Lost { reason },
            96..=97 => Outcome::NeedsAttention { reason },
            98 => Outcome::TimedOut,
            _ => Outcome::Cancelled,
        }
    }
}

fn count(course: &RunCourse, event: &Event, cells: &mut Cells) {
    let held = course.halt().is_some();
    let state = match course.phase(&World::phase()).unwrap().state() {
        PhaseState::Waiting => "waiting",
        PhaseState::Open if held => "held",
        PhaseState::Open => "going",
        PhaseState::Dismissing => "dismissing",
        PhaseState::Gathering { .. } => "gathering",
        PhaseState::Closed { .. } => "closed",
        _ => return,
    };
    let event = match event {
        Event::Ended { ending, .. } if ending.outcome == Outcome::Done => "done",
        Event::Ended { .. } => "not done",
        Event::Posted { .. } => "letter",
        Event::Spawned { .. } => "spawned",
        Event::Reserved { .. } | Event::Withheld(_) | Event::Lends { .. } => "of a tree",
        Event::Concluded { .. } => "concluded",
        Event::Dismissed { .. } => "dismissed",
        Event::Expired { wake: Wake::Quiet { .. } } => "quiet",
        Event::Expired { .. } => "expired",
        Event::Resumed { .. } => "resumed",
        _ => return,
    };
    *cells.entry((state, event)).or_default() += 1;
}
