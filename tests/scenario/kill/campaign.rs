//! The node is killed, at named points and at random moments, once or twice in a run.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use niia_actors::failpoint;

use super::number;
use super::run::Printers;

/// How a run is disturbed.
#[derive(Clone, Debug)]
enum Kill {
    /// The node kills itself where the point is reached for the n-th time.
    Point { name: &'static str, nth: u64 },
    /// Killed when so much of an undisturbed run's time has passed, each time counted from the last kill.
    Moments(Vec<f64>),
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kill::Point { name, nth } => write!(f, "{name}:{nth}"),
            Kill::Moments(at) => write!(f, "at {at:.2?}"),
        }
    }
}

/// What came of a disturbed run.
#[derive(Debug, Default)]
struct Tale {
    kills: u64,
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

/// A random moment; every fourth run is disturbed a second time soon after, while the new node takes it up.
fn moments(turn: u64, random: &mut fastrand::Rng) -> Kill {
    let first = random.f64() * 1.1;
    Kill::Moments(if turn % 4 == 3 { vec![first, random.f64() * 0.1] } else { vec![first] })
}

/// Disturbs one run and looks at what came of it.
fn disturb(kill: &Kill, megabytes: u64, whole: Duration) -> Tale {
    let typed = matches!(kill, Kill::Point { name, .. } if is_of_prompt(name));
    let printers = Printers::new(megabytes, typed);
    let mut tale = Tale::default();
    let told = match kill {
        Kill::Point { name, nth } => printers.begin_with(&format!("{name}:{nth}")),
        Kill::Moments(_) => Some(printers.detach().unwrap()),
    };
    let armed = printers.node();
    if let (Kill::Moments(moments), Some(run)) = (kill, &told) {
        for moment in moments {
            std::thread::sleep(whole.mul_f64(*moment));
            tale.kills += kill_node(&printers, run);
        }
    }
    let run = told.unwrap_or_else(|| {
        tale.untold = true;
        known_or_begun(&printers)
    });
    printers.check(&run);
    if let Kill::Point { .. } = kill {
        let died = tale.untold || printers.node() != armed;
        tale.kills = u64::from(died);
    }
    assert!(printers.runs().len() <= 1 + usize::from(tale.untold), "{:?}", printers.runs());
    tale
}

/// A run whose name was not told is either in the journal, and goes on, or was never taken.
fn known_or_begun(printers: &Printers) -> String {
    match printers.runs().pop() {
        Some(run) => run,
        None => printers.detach().unwrap(),
    }
}

/// Kills the node and has another one take over.
fn kill_node(printers: &Printers, run: &str) -> u64 {
    let Some(node) = printers.node() else { return 0 };
    printers.house.kill(node);
    let _ = printers.house.niia(["status", run]).run();
    1
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
    kills: Box<dyn Iterator<Item = Kill> + Send>,
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
    fn new(megabytes: u64, wanted: u64, kills: Box<dyn Iterator<Item = Kill> + Send>) -> Campaign {
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

    /// The next kill, where there are not enough yet.
    fn next(&mut self) -> Option<Kill> {
        // A campaign in which everything fails comes to an end, too.
        if self.expected >= self.wanted || self.runs > 2 * self.wanted {
            return None;
        }
        self.runs += 1;
        self.expected += 1;
        self.kills.next()
    }

    fn note(&mut self, kill: &Kill, done: std::thread::Result<Tale>, took: Duration) {
        let word = match done {
            Ok(tale) => {
                self.count(kill, &tale);
                format!(
                    "{} killed{}",
                    tale.kills,
                    if tale.untold { ", before its name was told" } else { "" }
                )
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let why = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                self.failed.push(format!("{kill}: {}", why.unwrap_or_default()));
                "FAILED".to_owned()
            }
        };
        println!("{kill:<34} {word} ({took:.1?})");
    }

    fn count(&mut self, kill: &Kill, tale: &Tale) {
        self.killed += tale.kills;
        // One that was not reached is made up for, a second one in the same run counts as well.
        self.expected = (self.expected + tale.kills).saturating_sub(1);
        match kill {
            Kill::Point { name, nth } if tale.kills == 0 => self.unreached.push(format!("{name}:{nth}")),
            Kill::Point { name, .. } => *self.by_name.entry(name).or_default() += 1,
            Kill::Moments(_) => *self.by_name.entry("at random").or_default() += tale.kills,
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
        while let Some(kill) = { lock().next() } {
            let begun = Instant::now();
            let done = catch_unwind(AssertUnwindSafe(|| disturb(&kill, megabytes, whole)));
            lock().note(&kill, done, begun.elapsed());
        }
    };
    std::thread::scope(|scope| (0..at_once).for_each(|_| drop(scope.spawn(work))));
}

#[test]
fn a_node_killed_at_any_moment_loses_no_session_and_no_byte_and_repeats_no_step() {
    let kills = number("NIIA_KILLS", 8);
    let seed = number("NIIA_KILL_SEED", fastrand::u64(..));
    println!("NIIA_KILL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut points = points();
    if kills < points.len() as u64 {
        // A few of many: others each time.
        random.shuffle(&mut points);
    }
    let points = points.into_iter().cycle();
    let all = points.zip(0..).flat_map(move |(point, turn)| [point, moments(turn, &mut random)]);
    let campaign = Mutex::new(Campaign::new(number("NIIA_KILL_MB", 1), kills, Box::new(all)));
    carry_out(&campaign, number("NIIA_KILLS_AT_ONCE", 2));
    campaign.into_inner().unwrap_or_else(PoisonError::into_inner).close();
}
