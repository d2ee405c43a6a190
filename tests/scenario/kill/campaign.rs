//! The node is killed, at named points and at random moments, several times in a run: each node that takes the run up
//! is the next one to die.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use niia_actors::failpoint;

use super::number;
use super::run::Printers;

/// Between two looks at whether the node still lives.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How one node of a run comes to its end.
#[derive(Clone, Debug)]
enum Kill {
    /// The node kills itself where the point is reached for the n-th time.
    Point { name: &'static str, nth: u64 },
    /// Killed when so much of an undisturbed run's time has passed, counted from the kill before.
    Moment(f64),
}

impl Kill {
    /// What the next node is armed with.
    fn arms(kill: Option<&Kill>) -> Option<String> {
        match kill {
            Some(Kill::Point { name, nth }) => Some(format!("{name}:{nth}")),
            Some(Kill::Moment(_)) | None => None,
        }
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kill::Point { name, nth } => write!(f, "{name}:{nth}"),
            Kill::Moment(at) => write!(f, "at {at:.2}"),
        }
    }
}

/// What came of a disturbed run.
#[derive(Debug, Default)]
struct Tale {
    /// Those of the planned kills that came to pass.
    killed: Vec<Kill>,
    unreached: Vec<Kill>,
    /// The run was in the journal though its name was never told, or was begun again since it was not.
    untold: bool,
}

/// The points that this run reaches, and the times at which they are tried: early, in the middle, late.
fn times(name: &str) -> &'static [u64] {
    match name {
        "journal.before_commit" | "journal.after_commit" => &[1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22],
        name if name.starts_with("session.") && !is_of_prompt(name) => &[1, 3, 5, 8],
        name if name.starts_with("git.commit") || name.starts_with("git.create") => &[1, 4, 6, 8],
        name if name.starts_with("git.merge") || name.ends_with("_gather") => &[1, 2, 3],
        _ => &[1],
    }
}

/// A point that only a typed prompt reaches.
fn is_of_prompt(name: &str) -> bool {
    matches!(
        name,
        "session.mid_prompt" | "session.piece_typed" | "session.before_enter" | "session.after_enter"
    )
}

/// Points of verbs that are no part of a run, and of conflicts; the tests of git go through those.
fn is_elsewhere(name: &str) -> bool {
    ["git.land", "git.mend", "git.show", "git.remove", "git.enter"].iter().any(|verb| name.starts_with(verb))
}

/// Every point once before any for the second time.
fn points() -> Vec<Kill> {
    let names: Vec<&'static str> =
        failpoint::NAMES.iter().copied().filter(|name| !is_elsewhere(name)).collect();
    let rounds = names.iter().map(|name| times(name).len()).max().unwrap_or(0);
    let at = |round: usize| {
        let names = names.clone().into_iter();
        names.filter_map(move |name| times(name).get(round).map(|nth| Kill::Point { name, nth: *nth }))
    };
    (0..rounds).flat_map(at).collect()
}

/// What a node that takes a run up passes through, early in its life.
fn later_points() -> Vec<Kill> {
    let names = failpoint::NAMES.iter().copied();
    let names = names.filter(|name| !is_elsewhere(name) && !name.starts_with("accept."));
    let once: Vec<&'static str> = names.collect();
    let again = once.iter().filter(|name| times(name).len() > 1);
    let at = |nth: u64| move |name: &&'static str| Kill::Point { name, nth };
    once.iter().map(at(1)).chain(again.map(at(2))).collect()
}

/// Kills without end, every other one at a named point, in runs of so many each.
struct Kills {
    per_run: usize,
    turn: u64,
    first: Box<dyn Iterator<Item = Kill> + Send>,
    later: Box<dyn Iterator<Item = Kill> + Send>,
    random: fastrand::Rng,
}

impl Kills {
    fn new(wanted: u64, per_run: u64, mut random: fastrand::Rng) -> Kills {
        let (mut first, mut later) = (points(), later_points());
        random.shuffle(&mut later);
        if wanted < first.len() as u64 {
            // A few of many: others each time.
            random.shuffle(&mut first);
        }
        Kills {
            per_run: usize::try_from(per_run.max(1)).unwrap_or(1),
            turn: 0,
            first: Box::new(first.into_iter().cycle()),
            later: Box::new(later.into_iter().cycle()),
            random,
        }
    }

    fn run(&mut self) -> Vec<Kill> {
        (0..self.per_run).filter_map(|at| self.kill(at == 0)).collect()
    }

    fn kill(&mut self, first: bool) -> Option<Kill> {
        self.turn += 1;
        match (self.turn % 2 == 1, first) {
            (true, true) => self.first.next(),
            (true, false) => self.later.next(),
            (false, true) => Some(Kill::Moment(self.random.f64() * 1.1)),
            // Every other node dies soon, while it still takes the run up.
            (false, false) => {
                let whole = if self.random.bool() { 0.1 } else { 0.6 };
                Some(Kill::Moment(self.random.f64() * whole))
            }
        }
    }
}

/// Disturbs one run and looks at what came of it.
fn disturb(kills: &[Kill], megabytes: u64, whole: Duration) -> Tale {
    let typed = kills.iter().any(|kill| matches!(kill, Kill::Point { name, .. } if is_of_prompt(name)));
    let printers = Printers::new(megabytes, typed);
    let mut tale = Tale::default();
    printers.start_node(Kill::arms(kills.first()));
    let mut node = printers.node();
    let mut told = printers.detach_or(Kill::arms(kills.get(1)));
    for (at, kill) in kills.iter().enumerate() {
        let next = Kill::arms(kills.get(at + 1));
        if at > 0 && told.is_none() {
            // A run nobody knows would be waited for in vain.
            tale.untold = true;
            told = printers.runs().pop().or_else(|| printers.detach());
            node = printers.node();
        }
        if !comes_to_pass(kill, &printers, node, told.as_deref(), next.clone(), whole) {
            tale.unreached.push(kill.clone());
            if printers.is_over(told.as_deref(), None) {
                break;
            }
            continue;
        }
        tale.killed.push(kill.clone());
        printers.start_node(next);
        node = printers.node();
    }
    let run = told.unwrap_or_else(|| {
        tale.untold = true;
        known_or_begun(&printers)
    });
    printers.check(&run);
    assert!(printers.runs().len() <= 1 + usize::from(tale.untold), "{:?}", printers.runs());
    tale
}

/// Waits until the node is killed; false where the run is over before its point is reached.
fn comes_to_pass(
    kill: &Kill,
    printers: &Printers,
    node: Option<u32>,
    run: Option<&str>,
    next: Option<String>,
    whole: Duration,
) -> bool {
    if let Kill::Moment(moment) = kill {
        std::thread::sleep(whole.mul_f64(*moment));
        let alive = printers.node();
        alive.into_iter().for_each(|node| printers.house.kill(node));
        return alive.is_some();
    }
    let within = Instant::now() + printers.within();
    while Instant::now() < within {
        // Whoever asks for the run after the node is gone starts the next one, armed as it is to be.
        if node.is_none() || printers.node() != node {
            return true;
        }
        if printers.is_over(run, next.clone()) {
            return printers.node() != node;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("{kill}: the run does not end\n{}", printers.log());
}

/// A run whose name was not told is either in the journal, and goes on, or was never taken.
fn known_or_begun(printers: &Printers) -> String {
    match printers.runs().pop() {
        Some(run) => run,
        None => printers.detach().unwrap(),
    }
}

/// How long the run takes when nobody is killed, as it says itself.
fn undisturbed(megabytes: u64) -> Duration {
    let printers = Printers::new(megabytes, false);
    let run = printers.detach().unwrap();
    printers.check(&run);
    let status = printers.wait_over(&run);
    let at = |name: &str| status[name].as_u64().unwrap();
    Duration::from_millis(at("ended_at_ms") - at("begun_at_ms"))
}

struct Campaign {
    megabytes: u64,
    whole: Duration,
    begun: Instant,
    /// What is still to be done, and how often the node is to be killed by it.
    kills: Kills,
    wanted: u64,
    /// How often it will have been killed once all that was begun is over.
    expected: u64,
    runs: u64,
    killed: u64,
    /// Named points that were not reached.
    unreached: Vec<String>,
    failed: Vec<String>,
    by_name: BTreeMap<&'static str, u64>,
}

impl Campaign {
    fn new(megabytes: u64, wanted: u64, kills: Kills) -> Campaign {
        Campaign {
            megabytes,
            whole: undisturbed(megabytes),
            begun: Instant::now(),
            kills,
            wanted,
            expected: 0,
            runs: 0,
            killed: 0,
            unreached: Vec::new(),
            failed: Vec::new(),
            by_name: BTreeMap::new(),
        }
    }

    /// What each worker prints, and how long a run takes.
    fn size(&self) -> (u64, Duration) {
        (self.megabytes, self.whole)
    }

    /// The next run's kills, where there are not enough yet.
    fn next(&mut self) -> Option<Vec<Kill>> {
        // A campaign in which everything fails comes to an end, too.
        if self.expected >= self.wanted || self.runs > 2 * self.wanted {
            return None;
        }
        self.runs += 1;
        let kills = self.kills.run();
        self.expected += kills.len() as u64;
        Some(kills)
    }

    fn note(&mut self, kills: &[Kill], done: std::thread::Result<Tale>, took: Duration) {
        let names: Vec<String> = kills.iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        let word = match done {
            Ok(tale) => {
                self.count(kills, &tale);
                let untold = if tale.untold { ", before its name was told" } else { "" };
                format!("{} killed{untold}", tale.killed.len())
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let why = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                self.failed.push(format!("{names}: {}", why.unwrap_or_default()));
                "FAILED".to_owned()
            }
        };
        println!("{names:<60} {word} ({took:.1?})");
    }

    fn count(&mut self, kills: &[Kill], tale: &Tale) {
        self.killed += tale.killed.len() as u64;
        // Those that were not reached are made up for.
        self.expected -= (kills.len() - tale.killed.len()) as u64;
        self.unreached.extend(tale.unreached.iter().map(ToString::to_string));
        for kill in &tale.killed {
            let place = match kill {
                Kill::Point { name, .. } => name,
                Kill::Moment(_) => "at random",
            };
            *self.by_name.entry(place).or_default() += 1;
        }
    }

    /// Says how it went, and fails where one run did not end right.
    fn close(self) {
        println!(
            "{} times the node was killed in {} runs of 8 workers with {} MB each; {} runs ended wrong; {:.0?}",
            self.killed,
            self.runs,
            self.megabytes,
            self.failed.len(),
            self.begun.elapsed()
        );
        println!("by place: {:?}\nnot reached: {:?}", self.by_name, self.unreached);
        assert!(
            self.failed.is_empty(),
            "{} runs ended wrong:\n{}",
            self.failed.len(),
            self.failed.join("\n")
        );
    }
}

/// Runs are disturbed side by side: most of their time they wait.
fn carry_out(campaign: &Mutex<Campaign>, at_once: u64) {
    let lock = || campaign.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        let (megabytes, whole) = lock().size();
        while let Some(kills) = { lock().next() } {
            let begun = Instant::now();
            let done = catch_unwind(AssertUnwindSafe(|| disturb(&kills, megabytes, whole)));
            lock().note(&kills, done, begun.elapsed());
        }
    };
    std::thread::scope(|scope| (0..at_once).for_each(|_| drop(scope.spawn(work))));
}

#[test]
fn a_node_killed_at_any_moment_loses_no_session_and_no_byte_and_repeats_no_step() {
    let wanted = number("NIIA_KILLS", 8);
    let seed = number("NIIA_KILL_SEED", fastrand::u64(..));
    println!("NIIA_KILL_SEED={seed}");
    let kills = Kills::new(wanted, number("NIIA_KILLS_PER_RUN", 3), fastrand::Rng::with_seed(seed));
    let campaign = Mutex::new(Campaign::new(number("NIIA_KILL_MB", 1), wanted, kills));
    carry_out(&campaign, number("NIIA_KILLS_AT_ONCE", 2));
    campaign.into_inner().unwrap_or_else(PoisonError::into_inner).close();
}
