//! The far machine in the world: its table, its disk, and the programs it runs.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Asked, Due, Far, FarWord, Stage};
use super::{BEAT, Net, Side, Weather, Why, Word, at, node, session};
use crate::reconnect;

/// After so long without a word from home it asks whether it is still wanted.
const DOUBT: u64 = 20_000;

/// An attempt: a program, and what is on disk of it.
#[derive(Clone, Debug)]
struct Made {
    ends_at: u64,
    over: bool,
    letters_left: u32,
    letter_at: u64,
    failures: u32,
}

#[derive(Debug)]
pub struct FarEnd {
    weather: Weather,
    // In memory.
    table: Far,
    /// Talks about an attempt that are told what becomes of it, and whether they were told its end.
    followers: BTreeMap<usize, bool>,
    /// Talks that say what their attempt needs, and those that wait for what comes of it.
    taking: BTreeSet<usize>,
    waiting: BTreeSet<usize>,
    beat_at: u64,
    doubt_at: u64,
    // On disk.
    made: BTreeMap<u32, Made>,
    /// How often each attempt was begun.
    pub begun: BTreeMap<u32, u32>,
    /// Letters whose program has heard that they are taken.
    pub taken: BTreeSet<(u32, u32)>,
    /// Ended because home was silent for too long.
    pub orphaned: BTreeSet<u32>,
    /// The most that was made at a time.
    pub most: usize,
}

impl FarEnd {
    pub(super) fn new(weather: Weather) -> FarEnd {
        FarEnd {
            weather,
            table: Far::default(),
            followers: BTreeMap::new(),
            taking: BTreeSet::new(),
            waiting: BTreeSet::new(),
            beat_at: 0,
            doubt_at: 0,
            made: BTreeMap::new(),
            begun: BTreeMap::new(),
            taken: BTreeSet::new(),
            orphaned: BTreeSet::new(),
            most: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.made.is_empty() && self.table.is_empty()
    }

    /// The programs go on: they are no part of the node.
    pub(super) fn dies(&mut self) {
        self.table = Far::default();
        self.followers.clear();
        self.taking.clear();
        self.waiting.clear();
    }

    pub(super) fn comes_back(&mut self, net: &mut Net) {
        for (attempt, made) in self.made.clone() {
            let life = (if made.over { Stage::Over } else { Stage::Begun }, at(self.weather.orphan));
            for older in self.table.begun(&session(attempt), node(1), life, at(net.now)) {
                self.ends(older.attempt.attempt, net);
            }
        }
    }

    pub(super) fn broke(&mut self, talk: usize) {
        self.followers.remove(&talk);
        self.taking.remove(&talk);
        self.waiting.remove(&talk);
    }

    pub(super) fn hears(&mut self, talk: usize, word: Word, net: &mut Net) {
        let about = net.talks[talk];
        let attempt = about.attempt;
        self.table.heard(&session(attempt), at(net.now));
        match (about.why, word) {
            (Why::Work | Why::Dismiss, Word::Hello) => self.asked(talk, net),
            (Why::Work, Word::Offer) => self.offered(talk, net),
            (Why::Work | Why::Dismiss, Word::End) => self.ends(attempt, net),
            (Why::Work | Why::Dismiss, Word::Collected) | (Why::Doubt, Word::Wanted(false)) => {
                self.forgets(attempt, net);
            }
            (Why::Letter(number), Word::Taken) => {
                if let Some(made) = self.made.get_mut(&attempt) {
                    made.letters_left = made.letters_left.min(number);
                    (made.failures, made.letter_at) = (0, net.now);
                }
                self.taken.insert((attempt, number));
            }
            _ => {}
        }
    }

    fn asked(&mut self, talk: usize, net: &mut Net) {
        let about = net.talks[talk];
        let word = match self.table.asked(&session(about.attempt), node(1), at(net.now)) {
            Asked::New => FarWord::New,
            Asked::Known => {
                self.followers.insert(talk, false);
                FarWord::Known
            }
            Asked::Busy => {
                self.waiting.insert(talk);
                return;
            }
            Asked::Superseded | Asked::Foreign | Asked::Full => FarWord::Refused,
        };
        net.say(talk, Side::Far, Word::Far(word));
        if about.why == Why::Dismiss && word == FarWord::New {
            self.table.let_go(&session(about.attempt));
        } else if word == FarWord::New {
            self.taking.insert(talk);
        }
    }

    fn offered(&mut self, talk: usize, net: &mut Net) {
        let attempt = net.talks[talk].attempt;
        if !self.table.may_begin(&session(attempt)) {
            return net.say(talk, Side::Far, Word::Far(FarWord::Refused));
        }
        net.note(format!("attempt {attempt} begins"));
        let work = net.random.u64(0..=self.weather.work);
        let made = Made {
            ends_at: net.now + work,
            over: false,
            letters_left: self.weather.letters,
            letter_at: net.now,
            failures: 0,
        };
        self.made.insert(attempt, made);
        *self.begun.entry(attempt).or_default() += 1;
        let life = (Stage::Begun, at(self.weather.orphan));
        for older in self.table.begun(&session(attempt), node(1), life, at(net.now)) {
            self.ends(older.attempt.attempt, net);
        }
        self.taking.remove(&talk);
        self.followers.insert(talk, false);
        net.say(talk, Side::Far, Word::Far(FarWord::Accepted));
        net.say(talk, Side::Far, Word::Far(FarWord::Started));
    }

    /// Its program ends soon, and is no longer waited for by its letters.
    fn ends(&mut self, attempt: u32, net: &mut Net) {
        if let Some(made) = self.made.get_mut(&attempt).filter(|made| !made.over) {
            (made.ends_at, made.letters_left) = (made.ends_at.min(net.now + net.random.u64(0..2_000)), 0);
        }
    }

    fn forgets(&mut self, attempt: u32, net: &mut Net) {
        let over = self.made.get(&attempt).is_some_and(|made| made.over);
        if over {
            net.note(format!("attempt {attempt} is forgotten"));
            self.made.remove(&attempt);
            self.table.forget(&session(attempt));
        } else {
            // Nobody wants it: it ends first.
            self.ends(attempt, net);
        }
    }

    pub(super) fn live(&mut self, net: &mut Net) {
        self.programs(net);
        if net.away[Side::Far as usize].is_some() {
            return;
        }
        self.notice(net);
        self.answer_those_who_wait(net);
        for (talk, told) in self.followers.clone() {
            let over = self.made.get(&net.talks[talk].attempt).is_some_and(|made| made.over);
            if over && !told {
                self.followers.insert(talk, true);
                net.say(talk, Side::Far, Word::Far(FarWord::Over));
            }
        }
        if self.beat_at <= net.now {
            self.beat_at = net.now + BEAT;
            let quiet = self.taking.iter().chain(&self.waiting);
            let all: Vec<usize> = self.followers.keys().chain(quiet).copied().collect();
            all.into_iter().for_each(|talk| net.say(talk, Side::Far, Word::Far(FarWord::Other)));
        }
        self.doubts(net);
    }

    /// A program ends when its work is done and its letters are taken, whether the node lives or not.
    fn programs(&mut self, net: &mut Net) {
        self.most = self.most.max(self.made.len());
        let up = net.away[Side::Far as usize].is_none();
        for (attempt, made) in &mut self.made {
            if up && made.letters_left > 0 && !made.over && made.letter_at <= net.now {
                made.failures += 1;
                let pause = reconnect::pause(made.failures, net.random.u64(..));
                made.letter_at = net.now + 3_000 + u64::try_from(pause.as_millis()).unwrap();
                net.dial(Why::Letter(made.letters_left - 1), *attempt);
            }
        }
    }

    /// The node sees which programs have ended, and writes it down.
    fn notice(&mut self, net: &mut Net) {
        for (attempt, made) in &mut self.made {
            if !made.over && made.letters_left == 0 && made.ends_at <= net.now {
                made.over = true;
                self.table.over(&session(*attempt));
                net.note(format!("attempt {attempt} is over there"));
            }
        }
    }

    /// Those who asked while another talk was saying what it needs.
    fn answer_those_who_wait(&mut self, net: &mut Net) {
        // A talk that broke off lets go of what it was taking.
        let taking: BTreeSet<u32> = self.taking.iter().map(|talk| net.talks[*talk].attempt).collect();
        for attempt in 1..=8 {
            if self.table.stage(&session(attempt)) == Some(Stage::Taking) && !taking.contains(&attempt) {
                self.table.let_go(&session(attempt));
            }
        }
        for talk in self.waiting.clone() {
            if self.table.stage(&session(net.talks[talk].attempt)) != Some(Stage::Taking) {
                self.waiting.remove(&talk);
                self.asked(talk, net);
            }
        }
    }

    fn doubts(&mut self, net: &mut Net) {
        for attempt in self.made.keys().copied().collect::<Vec<_>>() {
            match self.table.due(&session(attempt), at(net.now)) {
                Some(Due::End) => {
                    self.orphaned.insert(attempt);
                    self.ends(attempt, net);
                }
                Some(Due::Forget) => self.forgets(attempt, net),
                None => {}
            }
        }
        if self.doubt_at > net.now {
            return;
        }
        self.doubt_at = net.now + DOUBT / 4;
        for sessions in self.table.unheard(at(net.now), at(DOUBT)).into_values() {
            for session in sessions {
                net.dial(Why::Doubt, session.attempt.attempt);
            }
        }
    }
}
