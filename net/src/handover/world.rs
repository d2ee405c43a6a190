//! Two machines, the talks between them, and everything that goes wrong with those, with the clock in hand.
//!
//! A talk carries its words in order, but it breaks for each end at a time of its own: what was said before may still
//! arrive long after the other end has given the talk up. Machines die, and come back with what is on their disks.

mod far_end;
mod home_end;

use std::collections::BTreeMap;
use std::time::Duration;

use super::FarWord;
use crate::identity::NodeId;
use niia_spec::name::SessionId;

use far_end::FarEnd;
use home_end::HomeEnd;
pub use home_end::{OnLost, Outcome};

/// Milliseconds of one step of the clock.
const STEP: u64 = 100;
const LEASE: u64 = 8_000;
const BEAT: u64 = 2_000;

/// What the world is like.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub on_lost: OnLost,
    pub grace: u64,
    pub orphan: u64,
    /// Breaks of the way and deaths of a machine, in a thousand seconds.
    pub breaks: u32,
    pub deaths: u32,
    /// How long a hole or an absence lasts at most.
    pub worst: u64,
    /// How long the program works, and what it writes meanwhile.
    pub work: u64,
    pub letters: u32,
    pub cancelled_at: Option<u64>,
    /// From then on nothing goes wrong any more.
    pub calm_at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Work,
    /// Nobody waits for it any more.
    Dismiss,
    /// The far machine asks whether somebody does.
    Doubt,
    /// A letter of the program's.
    Letter(u32),
}

impl Why {
    fn to(self) -> Side {
        if matches!(self, Why::Work | Why::Dismiss) { Side::Far } else { Side::Home }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Hello,
    Far(FarWord),
    Offer,
    Beat,
    End,
    Collected,
    Wanted(bool),
    Taken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Home,
    Far,
}

impl Side {
    fn other(self) -> Side {
        if self == Side::Home { Side::Far } else { Side::Home }
    }
}

#[derive(Clone, Copy, Debug)]
struct Talk {
    why: Why,
    attempt: u32,
    open: [bool; 2],
    /// When the last word in each direction is heard: words keep their order.
    last: [u64; 2],
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Word { talk: usize, to: Side, word: Word },
    Break { talk: usize, side: Side },
}

/// The network between the two.
#[derive(Debug)]
struct Net {
    now: u64,
    random: fastrand::Rng,
    queue: BTreeMap<(u64, u64), Item>,
    number: u64,
    talks: Vec<Talk>,
    /// Nothing passes before then.
    hole_until: u64,
    /// When a machine that is away is back.
    away: [Option<u64>; 2],
    log: Vec<String>,
}

impl Net {
    fn note(&mut self, what: String) {
        self.log.push(format!("{:>8} {what}", self.now));
    }

    fn push(&mut self, due: u64, item: Item) {
        self.number += 1;
        self.queue.insert((due, self.number), item);
    }

    fn is_open(&self, talk: usize, side: Side) -> bool {
        self.talks[talk].open[side as usize]
    }

    /// A word that is said into a hole is repeated until it passes, or until its talk has broken.
    fn say(&mut self, talk: usize, from: Side, word: Word) {
        if !self.is_open(talk, from) {
            return;
        }
        let lane = from.other() as usize;
        let soonest = (self.now + self.random.u64(1..400)).max(self.talks[talk].last[lane]);
        let due = soonest.max(self.hole_until);
        self.talks[talk].last[lane] = due;
        self.push(due, Item::Word { talk, to: from.other(), word });
    }

    /// Nothing where the other end cannot be reached.
    fn dial(&mut self, why: Why, attempt: u32) -> Option<usize> {
        if self.hole_until > self.now || self.away.iter().any(Option::is_some) {
            return None;
        }
        self.talks.push(Talk { why, attempt, open: [true; 2], last: [0; 2] });
        let talk = self.talks.len() - 1;
        self.say(talk, why.to().other(), Word::Hello);
        Some(talk)
    }

    /// One end leaves a talk; the other one hears of it, sooner or later.
    fn hang_up(&mut self, talk: usize, side: Side) {
        self.talks[talk].open[side as usize] = false;
        if self.is_open(talk, side.other()) {
            let after = self.random.u64(1..2 * LEASE);
            self.push(self.now + after, Item::Break { talk, side: side.other() });
        }
    }

    /// Every talk ends, for each side at a time of its own.
    fn break_all(&mut self) {
        for talk in 0..self.talks.len() {
            for side in [Side::Home, Side::Far] {
                if self.is_open(talk, side) {
                    let after = self.random.u64(0..2 * LEASE);
                    self.push(self.now + after, Item::Break { talk, side });
                }
            }
        }
    }
}

/// All of it.
#[derive(Debug)]
pub struct World {
    weather: Weather,
    net: Net,
    pub home: HomeEnd,
    pub far: FarEnd,
}

fn node(n: u8) -> NodeId {
    NodeId::of_key(&[n])
}

fn session(attempt: u32) -> SessionId {
    format!("run-abcde/work/1/{attempt}").parse().unwrap()
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    pub fn new(weather: Weather, seed: u64) -> World {
        let mut net = Net {
            now: 0,
            random: fastrand::Rng::with_seed(seed),
            queue: BTreeMap::new(),
            number: 0,
            talks: Vec::new(),
            hole_until: 0,
            away: [None; 2],
            log: Vec::new(),
        };
        let home = HomeEnd::new(weather, &mut net);
        World { weather, net, home, far: FarEnd::new(weather) }
    }

    pub fn now(&self) -> u64 {
        self.net.now
    }

    pub fn log(&self) -> String {
        self.net.log.join("\n")
    }

    /// The run is over and nothing of it is left anywhere.
    pub fn is_quiet(&self) -> bool {
        self.home.outcome.is_some() && self.far.is_empty()
    }

    /// One step of the clock.
    pub fn step(&mut self) {
        self.net.now += STEP;
        self.misfortune();
        self.come_back();
        while let Some(entry) = self.net.queue.first_entry()
            && entry.key().0 <= self.net.now
        {
            match entry.remove() {
                Item::Word { talk, to, word } => self.arrives(talk, to, word),
                Item::Break { talk, side } => self.breaks(talk, side),
            }
        }
        if self.net.away[Side::Home as usize].is_none() {
            self.home.live(&mut self.net);
        }
        self.far.live(&mut self.net);
    }

    fn arrives(&mut self, talk: usize, to: Side, word: Word) {
        if self.net.is_open(talk, to) && self.net.away[to as usize].is_none() {
            match to {
                Side::Home => self.home.hears(talk, word, &mut self.net),
                Side::Far => self.far.hears(talk, word, &mut self.net),
            }
        }
    }

    fn breaks(&mut self, talk: usize, side: Side) {
        if std::mem::take(&mut self.net.talks[talk].open[side as usize]) {
            match side {
                Side::Home => self.home.broke(talk, &mut self.net),
                Side::Far => self.far.broke(talk),
            }
        }
    }

    fn chance(&mut self, in_a_thousand_seconds: u32) -> bool {
        let steps = u32::try_from(1_000_000 / STEP).unwrap();
        self.net.now < self.weather.calm_at && self.net.random.u32(..steps) < in_a_thousand_seconds
    }

    fn misfortune(&mut self) {
        if self.chance(self.weather.breaks) {
            let hole = self.net.random.u64(0..self.weather.worst);
            self.net.hole_until = (self.net.now + hole).min(self.weather.calm_at);
            self.net.note(format!("the way breaks for {hole}"));
            self.net.break_all();
        }
        for side in [Side::Home, Side::Far] {
            if self.net.away[side as usize].is_none() && self.chance(self.weather.deaths) {
                self.dies(side);
            }
        }
        if self.weather.cancelled_at.is_some_and(|when| when <= self.net.now) {
            self.home.cancel(&mut self.net);
        }
    }

    fn dies(&mut self, side: Side) {
        self.net.note(format!("{side:?} dies"));
        self.net.away[side as usize] = Some(self.net.now + self.net.random.u64(STEP..self.weather.worst));
        self.net.talks.iter_mut().for_each(|talk| talk.open[side as usize] = false);
        self.net.break_all();
        match side {
            Side::Home => self.home.dies(),
            Side::Far => self.far.dies(),
        }
    }

    fn come_back(&mut self) {
        for side in [Side::Home, Side::Far] {
            if self.net.away[side as usize].is_some_and(|when| when <= self.net.now) {
                self.net.away[side as usize] = None;
                self.net.note(format!("{side:?} is back"));
                match side {
                    Side::Home => self.home.comes_back(&mut self.net),
                    Side::Far => self.far.comes_back(&mut self.net),
                }
            }
        }
    }
}
