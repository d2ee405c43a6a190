//! A world that carries out what a course decides: slowly, out of order, twice, and with crashes in between.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use niia_spec::course::{
    Command, EndReason, Ending, Event, Gathering, Outcome, ROUND_PAUSE_MS_MAX, RunCourse, RunState,
    Unavailable, Wake,
};
use niia_spec::name::{AttemptId, PhaseName, WorkerId};
use niia_spec::plan::Plan;
use serde_json::Value;

use super::reached::Reached;
use super::seen::Standing;
use super::watch::{Watch, mender};
use crate::document::{judge, slug};
use crate::transcript::ending;

/// A run of a random plan has a few hundred steps; one that has not ended after this many never will.
const STEPS_MAX: usize = 20_000;

/// A person who was asked so often cancels the run.
const RESUMED_MAX: u32 = 6;

pub struct World {
    rng: Rng,
    plan: Arc<Plan>,
    course: RunCourse,
    /// Takes in stored rows only.
    replayed: RunCourse,
    watch: Watch,
    /// The journal, written as JSON; what is replayed along the way is written as MessagePack.
    rows: Vec<Vec<u8>>,
    /// Decided and stored, not yet carried out.
    todo: VecDeque<Command>,
    /// Has happened and is not yet known to the course.
    news: Vec<Event>,
    clock: Vec<Wake>,
    told: Vec<Event>,
    sessions: BTreeMap<AttemptId, Option<Ending>>,
    gatherings: BTreeMap<(PhaseName, u32), Gathering>,
    /// What became of work that was taken once more, by how often the run had been resumed.
    settled: BTreeMap<(AttemptId, u32), Ending>,
    /// What most sessions of this world come to, where it is a bad day.
    mood: Option<Outcome>,
}

impl World {
    pub fn new(plan: Arc<Plan>, mut rng: Rng) -> World {
        let reason = "a bad day".to_owned();
        let mood = match rng.u32(0..20) {
            0 => Some(Outcome::Lost { reason }),
            1 => Some(Outcome::Failed { reason }),
            2 => Some(Outcome::Unavailable { class: Unavailable::Network, reason }),
            _ => None,
        };
        let course = RunCourse::new(Arc::clone(&plan), judge).unwrap_or_else(|error| panic!("{error}"));
        World {
            rng,
            watch: Watch::new(Arc::clone(&plan)),
            plan,
            replayed: course.clone(),
            course,
            rows: Vec::new(),
            todo: VecDeque::new(),
            news: vec![Event::Begun],
            clock: Vec::new(),
            told: Vec::new(),
            sessions: BTreeMap::new(),
            gatherings: BTreeMap::new(),
            settled: BTreeMap::new(),
            mood,
        }
    }

    /// Plays the run to its end and a little further.
    pub fn play(&mut self, reached: &mut Reached) {
        let mut steps = 0;
        while self.course.over().is_none() {
            assert!(self.step(reached), "nothing lives, nothing is awaited, and the run is not over");
            steps += 1;
            assert!(steps < STEPS_MAX, "the run never ends");
        }
        let mut left: Vec<Event> = self.news.drain(..).chain(self.told.iter().step_by(4).cloned()).collect();
        left.push(Event::Cancelled { reason: "too late".to_owned() });
        for event in left {
            self.tell(event, reached);
        }
        self.crash();
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// Whether there was anything left to happen.
    fn step(&mut self, reached: &mut Reached) -> bool {
        match self.rng.u32(0..100) {
            0..=1 => self.crash(),
            2 if self.rng.u32(0..3) == 0 => {
                self.tell(Event::Cancelled { reason: "enough".to_owned() }, reached);
            }
            3..=9 => {
                let stray = self.stray();
                self.tell(stray, reached);
            }
            10..=14 if !self.told.is_empty() => {
                let again = self.told[self.rng.usize(..self.told.len())].clone();
                self.tell(again, reached);
            }
            15..=44 if !self.todo.is_empty() => self.carry_out(),
            45..=79 if !self.news.is_empty() => {
                let event = self.news.swap_remove(self.rng.usize(..self.news.len()));
                self.tell(event, reached);
            }
            80..=81 if !self.clock.is_empty() => self.ring(),
            82..=99 if self.end_some() => {}
            _ => return self.press_on(),
        }
        true
    }

    fn press_on(&mut self) -> bool {
        if !self.todo.is_empty() {
            self.carry_out();
        } else if self.news.is_empty() && self.watch.seen.waits {
            self.answer();
        } else if self.news.is_empty() && !self.end_some() {
            if self.clock.is_empty() {
                return false;
            }
            self.ring();
        }
        true
    }

    /// A person comes to the run that waits; after so many times they have enough of it.
    fn answer(&mut self) {
        let goes_on = self.watch.seen.resumed < RESUMED_MAX && self.chance(85);
        self.news.push(if goes_on {
            Event::Resumed { hold: self.watch.seen.holds, reason: "looked at".to_owned() }
        } else {
            Event::Cancelled { reason: "enough".to_owned() }
        });
    }

    fn ring(&mut self) {
        let wake = self.clock.swap_remove(self.rng.usize(..self.clock.len()));
        self.news.push(Event::Expired { wake });
    }

    fn tell(&mut self, event: Event, reached: &mut Reached) {
        reached.record(&self.watch.seen, &self.course, &event);
        let decided = self.course.decide(&event);
        let commands = self.course.on(&event);
        assert_eq!(decided, commands, "deciding and acting differ for {event:?}");
        let changed = self.replayed.state() != self.course.state();
        let known = self.told.contains(&event);
        assert!(!changed || self.watch.seen.finished.is_none(), "{event:?} changes a run that is over");
        let row = rmp_serde::to_vec_named(&(&event, &commands)).unwrap_or_else(|error| panic!("{error}"));
        let (read_event, read): (Event, Vec<Command>) =
            rmp_serde::from_slice(&row).unwrap_or_else(|error| panic!("{error}"));
        self.replayed.apply(&read_event, &read);
        assert_eq!(
            self.course.state(),
            self.replayed.state(),
            "the replay differs after {event:?} => {commands:?}"
        );
        self.rows.push(serde_json::to_vec(&(&event, &commands)).unwrap_or_else(|error| panic!("{error}")));
        self.watch.row(&event, &commands, &self.course);
        if known && !changed {
            assert_eq!(commands, [], "{event:?} changes nothing and leads to something");
            return; // All else was looked at when the state became what it is.
        }
        self.watch.rest(&self.course);
        let mut again = self.course.clone();
        assert_eq!(again.on(&event), [], "{event:?} is acted on twice");
        assert_eq!(again.state(), self.course.state(), "{event:?} counts twice");
        self.todo.extend(commands);
        self.contradict(&event);
        self.told.push(event);
    }

    /// A worker that waits for a slot is seldom; somebody tells another end of it, which must count for nothing.
    fn contradict(&mut self, event: &Event) {
        if let Event::Ended { attempt, .. } = event
            && self.watch.seen.phases.contains_key(&attempt.worker.phase)
            && self.watch.seen.standing(&attempt.worker) == Standing::Ready
        {
            for _ in 0..4 {
                let ending = ending(self.any_outcome(), None);
                self.news.push(Event::Ended { attempt: attempt.clone(), ending });
            }
        }
    }

    /// The node dies: what was not carried out and what was not stored is forgotten. It starts again from its rows
    /// and puts to everybody what is still awaited.
    fn crash(&mut self) {
        let mut course =
            RunCourse::new(Arc::clone(&self.plan), judge).unwrap_or_else(|error| panic!("{error}"));
        for row in &self.rows {
            apply(&mut course, row);
        }
        assert_eq!(course.state(), self.course.state(), "the restarted node knows something else");
        let state = rmp_serde::to_vec_named(course.state()).unwrap_or_else(|error| panic!("{error}"));
        let read: RunState = rmp_serde::from_slice(&state).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(&read, course.state(), "the state does not survive being written down");
        self.course = course;
        self.clock.clear();
        self.todo = self.course.open_effects().into();
        let mut kept = std::mem::take(&mut self.news);
        kept.retain(|event| matches!(event, Event::Begun) || self.rng.bool());
        self.news = kept;
    }

    fn carry_out(&mut self) {
        let Some(command) = self.todo.pop_front() else {
            return;
        };
        match command {
            Command::Start { attempt, .. } => self.start(attempt),
            Command::Settle { attempt } => self.settle(attempt),
            Command::Hold { .. } => self.answer(),
            Command::End { attempt, reason } => self.end(&attempt, reason),
            Command::Gather { phase, round } => self.gather(phase, round),
            Command::Wake { wake, .. } if !self.clock.contains(&wake) => self.clock.push(wake),
            Command::Ask { phase } if self.chance(85) => self.news.push(Event::Approved { phase }),
            Command::Ask { phase } => self.news.push(Event::Denied { phase, reason: "no".to_owned() }),
            Command::Wake { .. }
            | Command::Reserve { .. }
            | Command::Dismiss { .. }
            | Command::Open { .. }
            | Command::Close { .. }
            | Command::Finish { .. } => {}
        }
    }

    /// A session that is known already is not started again; its owner tells what became of it.
    fn start(&mut self, attempt: AttemptId) {
        let known = self.sessions.entry(attempt.clone()).or_insert(None);
        match known {
            Some(ending) => self.news.push(Event::Ended { attempt, ending: ending.clone() }),
            None => {
                self.news.push(Event::Started { attempt: attempt.clone() });
                let worker = attempt.worker;
                if self.chance(10) {
                    let (key, value) = ("kind".to_owned(), self.kind());
                    self.news.push(Event::Published { worker: worker.clone(), key, value });
                }
                if self.chance(10) {
                    let key = format!("item-{}", self.rng.u32(0..3));
                    self.news.push(Event::Claimed { key, by: worker });
                }
            }
        }
    }

    /// The work of a session that is over is taken once more; asked again after a crash, it comes to the same.
    fn settle(&mut self, attempt: AttemptId) {
        let outcome = self.outcome();
        let mut ending = ending(outcome, None);
        ending.answered = self.rng.bool();
        let times = self.watch.seen.resumed;
        let ending = self.settled.entry((attempt.clone(), times)).or_insert(ending).clone();
        self.sessions.insert(attempt.clone(), Some(ending.clone()));
        self.news.push(Event::Ended { attempt, ending });
    }

    fn kind(&mut self) -> Value {
        match self.rng.u32(0..5) {
            0 | 1 => "yes".into(),
            2 | 3 => "no".into(),
            _ => (self.rng.f64() * 1e6).into(),
        }
    }

    fn end(&mut self, attempt: &AttemptId, reason: EndReason) {
        let outcome = match reason {
            _ if self.chance(20) => self.outcome(),
            EndReason::TimedOut => Outcome::TimedOut,
            EndReason::Cancelled | EndReason::NotNeeded => Outcome::Cancelled,
        };
        self.ended(attempt, outcome);
    }

    /// Ends a session that lives, if there is one; a tenth of them hang until they are ended.
    fn end_some(&mut self) -> bool {
        let hangs = |attempt: &AttemptId| (attempt.to_string().len() + self.rows.len()).is_multiple_of(10);
        let live = self.sessions.iter().filter(|(attempt, ending)| ending.is_none() && !hangs(attempt));
        let live: Vec<AttemptId> = live.map(|(attempt, _)| attempt.clone()).collect();
        if live.is_empty() {
            return false;
        }
        let attempt = live[self.rng.usize(..live.len())].clone();
        let outcome = self.outcome();
        self.ended(&attempt, outcome);
        true
    }

    fn ended(&mut self, attempt: &AttemptId, outcome: Outcome) {
        let output = if self.chance(40) { Some(("kind", self.kind())) } else { None };
        if let Some(session @ None) = self.sessions.get_mut(attempt) {
            let mut ending = ending(outcome, output);
            ending.answered = self.rng.bool();
            ending.resumable = self.rng.bool();
            ending.again_in_ms = self.rng.bool().then(|| self.rng.u64(0..ROUND_PAUSE_MS_MAX * 2));
            *session = Some(ending.clone());
            self.news.push(Event::Ended { attempt: attempt.clone(), ending });
        }
    }

    fn outcome(&mut self) -> Outcome {
        if self.chance(75)
            && let Some(mood) = &self.mood
        {
            return mood.clone();
        }
        let reason = "so it is".to_owned();
        match self.rng.u32(0..100) {
            0..=57 => Outcome::Done,
            58..=72 => Outcome::Failed { reason },
            73..=84 => Outcome::Unavailable { class: self.class(), reason },
            85..=92 => Outcome::Lost { reason },
            93..=95 => Outcome::NeedsAttention { reason },
            96..=97 => Outcome::TimedOut,
            _ => Outcome::Cancelled,
        }
    }

    fn class(&mut self) -> Unavailable {
        match self.rng.u32(0..4) {
            0 => Unavailable::Quota,
            1 => Unavailable::RateLimited,
            2 => Unavailable::Crashed,
            _ => Unavailable::NotLoggedIn,
        }
    }

    /// As likely this as that, so that also what seldom happens meets every state.
    fn any_outcome(&mut self) -> Outcome {
        let reason = "so it is".to_owned();
        match self.rng.u32(0..7) {
            0 => Outcome::Done,
            1 => Outcome::Failed { reason },
            2 => Outcome::Unavailable { class: self.class(), reason },
            3 => Outcome::Lost { reason },
            4 => Outcome::NeedsAttention { reason },
            5 => Outcome::TimedOut,
            _ => Outcome::Cancelled,
        }
    }

    fn gather(&mut self, phase: PhaseName, round: u32) {
        let gathering = self.gathering();
        let gathering = self.gatherings.entry((phase.clone(), round)).or_insert(gathering).clone();
        self.news.push(Event::Gathered { phase, round, gathering });
    }

    fn gathering(&mut self) -> Gathering {
        let reason = "so it is".to_owned();
        match self.rng.u32(0..100) {
            0..=69 => Gathering::nothing(),
            70..=94 => {
                let branch = self.rng.u32(1..=4).to_string();
                Gathering::Conflict { branch, files: vec!["a.rs".to_owned()], reason }
            }
            _ => Gathering::Refused { reason },
        }
    }

    fn any_gathering(&mut self) -> Gathering {
        let reason = "so it is".to_owned();
        match self.rng.u32(0..3) {
            0 => Gathering::nothing(),
            1 => Gathering::Conflict { branch: String::new(), files: Vec::new(), reason },
            _ => Gathering::Refused { reason },
        }
    }

    /// News of something that may or may not exist: an older attempt, one never made, a phase that nobody asked about.
    fn stray(&mut self) -> Event {
        let worker = self.anybody();
        let last = self.watch.seen.tries(&worker).len() as u32;
        let attempt = if self.chance(60) { last } else { self.rng.u32(0..5) };
        let attempt = AttemptId { worker, attempt };
        let known = |attempt: &AttemptId| self.sessions.get(attempt).is_some_and(Option::is_none);
        // What lives tells its own end: a stray one would contradict it.
        let lives = known(&attempt);
        let phase = attempt.worker.phase.clone();
        match self.rng.u32(0..12) {
            0..=2 if !lives => Event::Ended { ending: ending(self.any_outcome(), None), attempt },
            0..=3 => Event::Started { attempt },
            4 => Event::Expired { wake: Wake::Timeout { attempt } },
            5 => Event::Expired { wake: Wake::Backoff { attempt } },
            6 => Event::Published { worker: attempt.worker, key: "kind".to_owned(), value: self.kind() },
            7 => Event::Claimed { key: "item-1".to_owned(), by: attempt.worker },
            8 => Event::Gathered { phase, round: self.rng.u32(0..4), gathering: self.any_gathering() },
            9 => Event::Approved { phase },
            10 => Event::Resumed { hold: self.rng.u32(0..3), reason: "so it is".to_owned() },
            _ => Event::Denied { phase, reason: "no".to_owned() },
        }
    }

    fn anybody(&mut self) -> WorkerId {
        let phase = &self.plan.phases[self.rng.usize(..self.plan.phases.len())];
        let seldom = |worker: &WorkerId| {
            matches!(
                self.watch.seen.standing(worker),
                Standing::Ready | Standing::Pausing | Standing::Attention
            )
        };
        if let Some(worker) = self.watch.seen.workers(phase).into_iter().find(seldom) {
            return worker;
        }
        let workers = phase.work.workers();
        match self.rng.usize(..workers.len() + 2) {
            at if at < workers.len() => {
                WorkerId { phase: phase.name.clone(), worker: workers[at].name.clone() }
            }
            at if at == workers.len() => mender(&phase.name),
            _ => WorkerId { phase: slug("nowhere"), worker: slug("nobody") },
        }
    }
}

fn apply(course: &mut RunCourse, row: &[u8]) {
    let (event, commands): (Event, Vec<Command>) =
        serde_json::from_slice(row).unwrap_or_else(|error| panic!("{error}"));
    course.apply(&event, &commands);
}
